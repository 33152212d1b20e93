"""Parts shared by cost and usage reports: ranges, buckets, pages and bodies."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sandbox.anthropic.query import (
    ApiError,
    Query,
    bad_request,
    check_range,
    cursor,
    open_cursor,
)

Kind = Literal["cost", "usage"]

WIDTHS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "1m": timedelta(minutes=1)}
LONGEST = timedelta(days=31)
COMPONENTS = ("cost_type", "token_type")
ORDER_BY: dict[Kind, tuple[str, ...]] = {
    "cost": ("amount", "list_amount"),
    "usage": ("total_tokens", "output_tokens", "uncached_input_tokens", "requests"),
}
EXPORT_HOURS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def newest_export(now: datetime) -> datetime:
    """Return the instant of the newest export, before which all is known."""
    hour = now.hour - now.hour % EXPORT_HOURS
    return now.replace(hour=hour, minute=0, second=0, microsecond=0)


def floor(at: datetime, width: timedelta) -> datetime:
    return at - (at - _EPOCH) % width


def instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def asked_range(
    query: Query, now: datetime, longest: timedelta = LONGEST
) -> tuple[datetime, datetime]:
    start = query.instant("starting_at")
    if start is None:
        raise bad_request("starting_at: required.")
    end = query.instant("ending_at") or min(max(now, start + WIDTHS["1m"]), start + LONGEST)
    check_range(start, end, now=now, longest=longest)
    return start, end


def offset_of(query: Query, path: str, export: datetime) -> int:
    """Return the offset of a page; 410 if a newer export has arrived since its cursor."""
    cursor = open_cursor(query, path)
    if cursor is None:
        return 0
    offset, state = cursor
    if state != export.isoformat():
        message = "The page cursor has expired. Restart from the first page."
        raise ApiError(410, "invalid_request_error", message)
    return offset


def envelope(
    query: Query,
    path: str,
    export: datetime,
    data: list[Any],
    start: datetime,
    following: int,
    total: int,
) -> dict[str, Any]:
    more = following < total
    return {
        "data": data,
        # Null while no export covers any of the range: not known yet, which is not zero.
        "data_refreshed_at": instant(export) if start < export else None,
        "has_more": more,
        "next_page": cursor(query, path, following, export.isoformat()) if more else None,
    }


def tokens(counts: Sequence[int], searches: int) -> dict[str, Any]:
    """Return the body of a usage row from counts in the order of TOKEN_TYPES."""
    uncached, read, written_5m, written_1h, output = counts
    return {
        "uncached_input_tokens": uncached,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_1h_input_tokens": written_1h,
            "ephemeral_5m_input_tokens": written_5m,
        },
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": searches},
    }
