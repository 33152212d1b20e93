"""Build meters from rows of all endpoints.

Null is ambiguous in this API: not grouped by, or none. The requested grouping is known, so null
here means none: the default workspace, no API key, a region that is not available.
"""

from collections.abc import Sequence
from functools import lru_cache

from integrations.connectors.anthropic.reports import Values
from integrations.connectors.records import NOT_READ, MeterKey, meter_key

DEFAULT_WORKSPACE = "default"
NOT_ITEMIZED = "not_itemized"

_SHARED_DIMENSIONS = ("model", "service_tier", "context_window", "inference_geo")
COST_DIMENSIONS = ("workspace_id", *_SHARED_DIMENSIONS, "cost_type", "token_type")
USAGE_DIMENSIONS = ("workspace_id", "api_key_id", *_SHARED_DIMENSIONS)


SURFACE_FROM = frozenset({"service_tier", "cost_type"})  # see `surface`


def meter_of(names: Sequence[str], values: Values) -> MeterKey:
    """Return the meter of a row that was grouped by `names`, which include the workspace."""
    return _meter(tuple(names), values)


@lru_cache(maxsize=8192)
def _meter(names: tuple[str, ...], values: Values) -> MeterKey:
    known = {n: value for n, value in zip(names, values, strict=True) if value}
    if known.get("inference_geo") == "not_available":
        del known["inference_geo"]
    if known.get("cost_type", "tokens") not in {"tokens", NOT_READ}:
        # The reports tell no more of a search or a session, and so we keep no more.
        kept = ("organization_id", "workspace_id", "cost_type")
        known = {name: known[name] for name in kept if name in known}
    known.setdefault("workspace_id", DEFAULT_WORKSPACE)
    product = surface(known.get("service_tier"), known.get("cost_type"))
    return meter_key({**known, "product": product})


def surface(service_tier: str | None, cost_type: str | None) -> str:
    """Return the API that was used, derived from two values since reports do not name it.

    The tier batch is the Message Batches API, and only managed agents are billed by session time.
    Everything else is the Messages API: programs, Claude Code and the Console itself. If one of the
    two values is not read, the API is unknown too.
    """
    if NOT_READ in (service_tier, cost_type):
        return NOT_READ
    if cost_type == "session_usage":
        return "managed_agents_api"
    return "message_batches_api" if service_tier == "batch" else "messages_api"
