"""What a row of the Console's reports was metered by.

Null is ambiguous on this API: not grouped by, or none. We know what we grouped by, so here null
is none: the default workspace, no API key.
"""

from functools import lru_cache

from integrations.connectors.claude_console.client import CostRow, UsageRow
from integrations.connectors.records import MeterKey

DEFAULT_WORKSPACE = "default"
NOT_ITEMIZED = "not_itemized"

# Usage is cut by all of these; cost by its description, which the API takes apart for us.
USAGE_CUT = (
    "workspace_id",
    "api_key_id",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
)
COST_CUT = ("workspace_id", "description")


def cost_meter(row: CostRow) -> MeterKey:
    return _meter(
        row.workspace_id,
        None,
        row.model,
        row.service_tier,
        row.context_window,
        row.inference_geo,
        row.cost_type,
        row.token_type,
    )


def usage_meter(row: UsageRow) -> MeterKey:
    return _meter(
        row.workspace_id,
        row.api_key_id,
        row.model,
        row.service_tier,
        row.context_window,
        row.inference_geo,
        None,
        None,
    )


@lru_cache(maxsize=8192)
def _meter(
    workspace_id: str | None,
    api_key_id: str | None,
    model: str | None,
    service_tier: str | None,
    context_window: str | None,
    inference_geo: str | None,
    cost_type: str | None,
    token_type: str | None,
) -> MeterKey:
    return MeterKey(
        product=surface(service_tier, cost_type),
        model=model or "",
        context_window=context_window or "",
        inference_geo=inference_geo or "",
        cost_type=cost_type or "",
        token_type=token_type or "",
        service_tier=service_tier or "",
        workspace_id=workspace_id or DEFAULT_WORKSPACE,
        api_key_id=api_key_id or "",
    )


def surface(service_tier: str | None, cost_type: str | None) -> str:
    """The API it came through. The reports do not name it, but two of their words give it away.

    The tier batch is the Message Batches API, and only managed agents are billed by session time.
    The rest is the Messages API, whoever called it: programs, Claude Code, the Console itself.
    """
    if cost_type == "session_usage":
        return "managed_agents_api"
    return "message_batches_api" if service_tier == "batch" else "messages_api"
