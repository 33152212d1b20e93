"""Labels for the provider's own words. Data, filters and files keep the words.

A word that is not listed is shown as it is: a product of next month needs no release of ours.
"""

import unicodedata

from integrations.connectors.records import NOT_READ
from reports import identity
from reports.catalog.metrics import SPECIAL
from reports.catalog.resource_names import NONE, Names

PRODUCTS = {
    "claude_code": "Claude Code",
    "chat": "Chat",
    "cowork": "Cowork",
    "office_agent": "Office agent",
    # One product under three names, as the provider renamed it.
    "claude-tag": "Claude Tag (Slack)",
    "claude_tag": "Claude Tag (Slack)",
    "claude-in-slack": "Claude Tag (Slack)",
    "claude_in_slack": "Slack bot (retired)",
    "claude_in_chrome": "Claude in Chrome",
    "claude_design": "Claude Design",
    "science": "Claude Science",
    "chat_cowork_unified": "Chat and Cowork",
    "cc_security_autopatch": "Claude Security",
    "messages_api": "Messages API",
    "message_batches_api": "Message Batches API",
    "managed_agents_api": "Managed Agents API",
    "claude_console": "Claude Console",
    "other": "Other products",
}
VALUE_LABELS = {
    "service": PRODUCTS,
    "user_email": identity.MISSING,
    "user_name": identity.MISSING,
    "slack_channel_id": {"not_itemized": "Channels that are not itemized"},
    "customer_type": {"api": "API", "subscription": "Subscription"},
    "subscription_type": {"enterprise": "Enterprise", "team": "Team"},
    "environment": {"local": "Local", "remote": "Remote"},
    "user_state": {"active": "Active", "deleted": "Deleted"},
    "speed": {"standard": "Standard", "fast": "Fast"},
    "inference_geo": {
        "global": "Global",
        "us": "United States",
        "not_available": "Not available",
    },
    "service_tier": {
        "standard": "Standard",
        "batch": "Batch",
        "priority": "Priority",
        "priority_on_demand": "Priority, on demand",
        "flex": "Flex",
        "flex_discount": "Flex, discounted",
    },
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
EMPTY_LABELS = {
    "rbac_group_id": "In no group",
    "slack_channel_id": "Outside Slack",
    "customer_type": "Not reported",
    "terminal_type": "Not reported",
    "subscription_type": "No subscription",
    "environment": "Not reported",
    "project_id": "Not attributed to a user",
    "service": "No product",
    "sku": "No model",
    "user_id": "Not attributed to a user",
    "user_email": "Not attributed to a user",
    "user_name": "Not attributed to a user",
    "user_state": "Not attributed to a user",
    "user_role": "No role known",
    "workspace_tags": "No tags",
    "api_key_owner": "No owner known",
    "api_key_expiry": "No expiry",
    "workspace_id": "No workspace",
    "api_key_id": "Not tied to an API key",
    "cost_type": "No cost type",
    "token_type": "Not tokens",
}
# Dimensions of cost and tokens: what the provider refuses to be asked by is no value of theirs.
_METERED = frozenset(
    {
        *("service", "sku", "context_window", "inference_geo", "speed", "service_tier"),
        *("cost_type", "token_type", "organization_id", "workspace_id", "api_key_id"),
    }
)
# An item that is called like what is no item is quoted.
_QUOTED = frozenset(text.casefold() for text in SPECIAL.values())
_NOT_SHOWN = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")
# Identifiers: set in the monospaced face and never translated.
IDENTIFIERS = frozenset(
    {
        *("project_id", "user_id", "sku", "organization_id", "workspace_id", "api_key_id"),
        "api_key_owner",
        *("rbac_group_id", "slack_channel_id"),
    }
)

# A product keeps its color for life; the seventh is grey, for what is left over.
COLORS = {
    "Claude Code": 1,
    "Chat": 2,
    "Cowork": 3,
    "Office agent": 4,
    "Claude Tag (Slack)": 5,
    "Claude in Chrome": 6,
}
GREY = 7


def label(dimension: str, value: str, names: Names = NONE) -> str:
    """Return a dimension's value for people; an absent value has a name too.

    `names` are those of identifiers.
    """
    if not value:
        return EMPTY_LABELS.get(dimension, "Not set")
    if value in SPECIAL:
        return SPECIAL[value]
    if value == NOT_READ and dimension in _METERED:
        return "Not read"
    text = VALUE_LABELS.get(dimension, {}).get(value) or names.get((dimension, value), value)
    shown = visible(text)
    return f"\u201c{shown}\u201d" if shown.casefold() in _QUOTED else shown


def visible(name: str) -> str:
    """Return a name of a provider as a page and an SVG can show it, one that is blank in words.

    XML has no place for control characters, and those that turn the direction of text would turn
    what stands beside the name.
    """
    shown = "".join("\ufffd" if _is_hidden(sign) else sign for sign in name)
    return shown if shown.strip() else "Blank name"


def _is_hidden(sign: str) -> bool:
    """Control characters, half pairs, what XML lacks, and what turns the direction of text."""
    return unicodedata.category(sign) in {"Cc", "Cs"} or sign in _NOT_SHOWN


def colors(dimension: str, values: list[str]) -> dict[str, int]:
    """Return a series color for up to six values, the largest first; grey for no value.

    Known products take their own; the others take what is left, in order.
    """
    by_value = {
        value: COLORS.get(label(dimension, value), 0) if dimension == "service" else 0
        for value in values
    }
    free = [color for color in COLORS.values() if color not in by_value.values()]
    for value, color in by_value.items():
        if not value:
            by_value[value] = GREY
        elif not color:
            by_value[value] = free.pop(0) if free else GREY
    return by_value
