"""Metrics and dimensions of the Claude Console."""

from typing import Any

from integrations.connectors.anthropic.catalog import (
    ACCEPT_RATE,
    BASE_URL,
    CODE,
    CODE_OUTPUT,
    CONTEXT_WINDOW,
    INFERENCE_GEO,
    NAMES,
    PERSON,
    PRODUCTS,
    VALUES,
    code_metrics,
)
from integrations.connectors.base import (
    ActivityMetric,
    Attribute,
    Catalog,
    DocumentDimensions,
    RequestsPerMinute,
    Table,
)
from integrations.connectors.claude_console.endpoints import ENDPOINTS

_ROOT = "claude_code_metrics"
_BY_MODEL = "claude_code_by_model"
# What lists tell of the ids in reports.
_KEY = ("api_key_id", "api_key_owner", "api_key_expiry")
_MEMBER = (*PERSON, "user_role")
_HOW = ("terminal_type", "customer_type", "subscription_type", "environment")

_ESTIMATE = ActivityMetric(
    "code_estimated_cost",
    "Estimated cost of Claude Code",
    "The provider's estimate, in whole cents. It is in the cost already: never add the two.",
    (f"{_ROOT}.estimated_cost_usd",),
    ("claude_code",),
    CODE,
    unit="usd",
)
_TOKENS = tuple(
    ActivityMetric(
        f"code_{name}_tokens",
        f"Claude Code {label} tokens",
        "As Claude Code counts them by model. They are in the tokens already: never add the two.",
        (f"{_ROOT}.tokens.{path}",),
        (_BY_MODEL,),
        CODE,
    )
    for name, path, label in (
        ("input", "input", "input"),
        ("output", "output", "output"),
        ("cache_read", "cache_read", "cache read"),
        ("cache_write", "cache_creation", "cache write"),
    )
)

# --- The beta reports, beside the legacy ones ------------------------------------------------
BETA = "Beta reports of the Console"
_BESIDE = (
    "From the beta reports, which alone tell keys, people, products and list prices. It stands "
    "beside the total of the other reports, which is the one that counts: never add the two."
)


def _beta(
    feed: str, name: str, label: str, definition: str, *paths: str, **more: Any
) -> ActivityMetric:
    return ActivityMetric(
        f"beta_{name}", label, f"{definition} {_BESIDE}", paths, (feed,), BETA, **more
    )


_INPUT = (
    *("uncached_input_tokens", "cache_read_tokens"),
    *("cache_write_5m_tokens", "cache_write_1h_tokens"),
)
_BETA_METRICS = (
    _beta("beta_cost", "cost", "Cost (beta)", "After discounts.", "effective_cost", unit="usd"),
    _beta(
        "beta_cost",
        "list_cost",
        "List cost (beta)",
        "At list price.",
        "list_cost",
        unit="usd",
    ),
    _beta("beta_cost", "requests", "Billed requests (beta)", "Requests that cost.", "requests"),
    _beta("beta_usage", "input_tokens", "Input tokens (beta)", "Input of every kind.", *_INPUT),
    _beta(
        "beta_usage", "output_tokens", "Output tokens (beta)", "What models wrote.", "output_tokens"
    ),
    _beta(
        "beta_usage",
        "total_tokens",
        "Tokens (beta)",
        "Input and output together.",
        *_INPUT,
        "output_tokens",
    ),
)
_BETA_DIMENSIONS = ("service", "sku", *_KEY, "workspace_id", "workspace_tags", *_MEMBER)

_REPORTED = frozenset(
    {
        *("sku", "service", "workspace_id", "workspace_tags", "project_id", "organization_id"),
    }
)

_NO_TABLES: frozenset[Table] = frozenset()  # documents alone have it
_ATTRIBUTES = (
    Attribute(
        "service_tier",
        "Service tier",
        "The tier that the request was served in.",
        values={
            "standard": "Standard",
            "batch": "Batch",
            "priority": "Priority",
            "priority_on_demand": "Priority, on demand",
            "flex": "Flex",
            "flex_discount": "Flex, discounted",
        },
    ),
    Attribute(
        "terminal_type",
        "Terminal",
        "The terminal or editor in which Claude Code ran.",
        empty="Not reported",
        tables=_NO_TABLES,
    ),
    Attribute(
        "customer_type",
        "API or subscription",
        "Whether Claude Code was paid by API or by a subscription.",
        values={"api": "API", "subscription": "Subscription"},
        empty="Not reported",
        tables=_NO_TABLES,
    ),
    Attribute(
        "subscription_type",
        "Subscription",
        "The subscription that Claude Code was used with.",
        values={"enterprise": "Enterprise", "team": "Team"},
        empty="No subscription",
        tables=_NO_TABLES,
    ),
    Attribute(
        "environment",
        "Where Claude Code ran",
        "On a person's machine or remotely.",
        values={"local": "Local", "remote": "Remote"},
        empty="Not reported",
        tables=_NO_TABLES,
    ),
)

PACE = RequestsPerMinute(
    "CLAUDE_CONSOLE_REQUESTS_PER_MINUTE",
    60,
    help="The same for each organization of the Claude Console, for which no limit is known.",
)

CATALOG = Catalog(
    settings=(BASE_URL, PACE),
    names=NAMES,
    ratios=(ACCEPT_RATE,),
    metrics=(*code_metrics("claude_code"), _ESTIMATE, *_TOKENS, *_BETA_METRICS),
    document_dimensions=(
        DocumentDimensions(
            "claude_code",
            of="claude_code",
            dimensions=(*_HOW, *_MEMBER),
        ),
        DocumentDimensions(_BY_MODEL, of="claude_code", dimensions=("sku", *_HOW, *_MEMBER)),
        DocumentDimensions("beta_cost", of="beta_cost", dimensions=_BETA_DIMENSIONS),
        DocumentDimensions("beta_usage", of="beta_usage", dimensions=_BETA_DIMENSIONS),
    ),
    dimensions={
        "cost": _REPORTED | {"cost_type", "token_type"},
        "usage": _REPORTED | {*_KEY, *_MEMBER},
    },
    attributes=(CONTEXT_WINDOW, INFERENCE_GEO, *_ATTRIBUTES),
    products=PRODUCTS,
    values=VALUES,
    presets=(CODE_OUTPUT,),
    endpoints=ENDPOINTS,
    inferred={
        "service": "The Console does not report products. They are inferred: the tier batch is "
        "Message Batches API, session time is Managed Agents API, the rest Messages API.",
    },
)
