"""Catalog entries of both products: dimensions, words, and Claude Code."""

from collections.abc import Iterator

from integrations.connectors.base import (
    ActivityMetric,
    ActivityRatio,
    Attribute,
    BaseUrl,
    Preset,
    Product,
)

CODE = "Claude Code"  # the section of its metrics
# What the person of a record answers.
PERSON = ("project_id", "user_id", "user_email", "user_name", "user_state")
BASE_URL = BaseUrl(
    "ANTHROPIC_BASE_URL",
    "https://api.anthropic.com",
    help="Where Anthropic's API answers; `make run` starts a sandbox unless this is set.",
)
_TAG = Product("Claude Tag (Slack)", color=5)
PRODUCTS = {
    "claude_code": Product("Claude Code", color=1),
    "chat": Product("Chat", color=2),
    "cowork": Product("Cowork", color=3),
    "office_agent": Product("Office agent", color=4),
    # One product under three names, as Anthropic renamed it.
    "claude-tag": _TAG,
    "claude_tag": _TAG,
    "claude-in-slack": _TAG,
    "claude_in_slack": Product("Slack bot (retired)"),
    "claude_in_chrome": Product("Claude in Chrome", color=6),
    "claude_design": Product("Claude Design"),
    "science": Product("Claude Science"),
    "chat_cowork_unified": Product("Chat and Cowork"),
    "cc_security_autopatch": Product("Claude Security"),
    "messages_api": Product("Messages API"),
    "message_batches_api": Product("Message Batches API"),
    "managed_agents_api": Product("Managed Agents API"),
    "claude_console": Product("Claude Console"),
    "other": Product("Other products"),
}
VALUES = {
    "cost_type": {
        "tokens": "Tokens",
        "web_search": "Web search",
        "code_execution": "Code execution",
        "session_usage": "Session usage",
        "not_itemized": "Not itemized",
    },
    "token_type": {
        "uncached_input_tokens": "Uncached input",
        "cache_read_input_tokens": "Cache read",
        "cache_creation.ephemeral_5m_input_tokens": "Cache write, 5 minutes",
        "cache_creation.ephemeral_1h_input_tokens": "Cache write, 1 hour",
        "output_tokens": "Output",
    },
}
CONTEXT_WINDOW = Attribute(
    "context_window",
    "Context window",
    "The size of context that the price depends on.",
    is_price_driver=True,
)
INFERENCE_GEO = Attribute(
    "inference_geo",
    "Inference geography",
    "Where the model ran, as far as the price depends on it.",
    values={"global": "Global", "us": "United States", "not_available": "Not available"},
    is_price_driver=True,
)
SPEED = Attribute(
    "speed",
    "Speed",
    "Standard or fast mode, which has its own price.",
    values={"standard": "Standard", "fast": "Fast"},
    is_price_driver=True,
)
NAMES = frozenset({"Claude", "Slack"})
ACCEPT_RATE = ActivityRatio(
    "accept_rate",
    "Accept rate",
    "Accepted edits by proposed edits of Claude Code.",
    of="accepted_edits",
    per="proposed_edits",
)
CODE_OUTPUT = Preset(
    "Claude Code output",
    "Sessions, commits, lines and the rate of accepted edits, by person.",
    "metrics=code_sessions,code_commits,code_lines_added,accept_rate&group_by=user_email"
    "&range=30d&show=top-20",
    is_of_some=True,
)
PRICE_DRIVERS = Preset(
    "Price drivers",
    "Long context, fast mode and geography.",
    "group_by=context_window,speed,inference_geo&range=30d",
    is_of_some=True,
)
_EDITS = ("edit_tool", "multi_edit_tool", "notebook_edit_tool", "write_tool")


def code_metrics(feed: str) -> Iterator[ActivityMetric]:
    """Yield what Claude Code did, as this feed counts it."""
    core, tools = "core_metrics", "tool_actions"

    def _code(name: str, label: str, definition: str, *paths: str) -> ActivityMetric:
        paths = tuple(f"claude_code_metrics.{path}" for path in paths)
        return ActivityMetric(name, label, definition, paths, (feed,), CODE)

    yield _code(
        "code_sessions",
        "Claude Code sessions",
        "Sessions people held.",
        f"{core}.distinct_session_count",
    )
    yield _code(
        "code_lines_added",
        "Lines added",
        "Lines of code Claude Code added.",
        f"{core}.lines_of_code.added_count",
    )
    yield _code(
        "code_lines_removed",
        "Lines removed",
        "Lines of code Claude Code removed.",
        f"{core}.lines_of_code.removed_count",
    )
    yield _code("code_commits", "Commits", "Commits Claude Code made.", f"{core}.commit_count")
    yield _code(
        "code_pull_requests",
        "Pull requests",
        "Pull requests Claude Code opened.",
        f"{core}.pull_request_count",
    )
    yield _code(
        "accepted_edits",
        "Accepted edits",
        "Edits of Claude Code that people accepted.",
        *(f"{tools}.{tool}.accepted_count" for tool in _EDITS),
    )
    yield _code(
        "proposed_edits",
        "Proposed edits",
        "Edits of Claude Code that people accepted or rejected.",
        *(f"{tools}.{tool}.{word}_count" for tool in _EDITS for word in ("accepted", "rejected")),
    )
    for tool in _EDITS:
        words = tool.removesuffix("_tool").replace("_", " ")
        for word in ("accepted", "rejected"):
            yield _code(
                f"code_{tool}_{word}",
                f"{word.capitalize()}: {words} tool",
                f"Proposals of the {words} tool of Claude Code that people {word}.",
                f"{tools}.{tool}.{word}_count",
            )
