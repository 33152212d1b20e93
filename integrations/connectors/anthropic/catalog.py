"""Catalog entries of both products: Claude Code, counted under the same paths."""

from collections.abc import Iterator

from integrations.connectors.base import ActivityMetric

CODE = "Claude Code"  # the section of its metrics
# What the person of a record answers.
PERSON = ("project_id", "user_id", "user_email", "user_name", "user_state")
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
