"""What reports can ask of the Claude Console."""

from integrations.connectors.anthropic_api.catalog import CODE, PERSON, code_metrics
from integrations.connectors.base import ActivityMetric, Catalog, Cut
from integrations.connectors.claude_console.endpoints import ENDPOINTS

_ROOT = "claude_code_metrics"
_BY_MODEL = "claude_code_by_model"

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

_REPORTED = frozenset(
    {
        *("sku", "service", "context_window", "inference_geo", "service_tier"),
        *("workspace_id", "project_id", "organization_id"),
    }
)

CATALOG = Catalog(
    metrics=(*code_metrics("claude_code"), _ESTIMATE, *_TOKENS),
    cuts=(
        Cut(
            "claude_code",
            of="claude_code",
            dimensions=("terminal_type", "customer_type", "subscription_type", *PERSON),
        ),
        Cut(_BY_MODEL, of="claude_code", dimensions=("sku", *PERSON)),
    ),
    dimensions={
        "cost": _REPORTED | {"cost_type", "token_type"},
        "usage": _REPORTED | {"api_key_id", *PERSON},
    },
    endpoints=ENDPOINTS,
    inferred={
        "service": "The Console does not report products. They are inferred: the tier batch is "
        "Message Batches API, session time is Managed Agents API, the rest Messages API.",
    },
)
