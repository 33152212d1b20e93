"""`/analytics/cost` and `/analytics/usage`: the newer dialect, one shape for both products.

In beta since October 2026, for organizations that are enrolled; an Analytics key and an Admin key
both open them. Rows are flat, one per combination with usage, and none is left out: neither usage
without a user nor what comes after the hundredth combination. A day without rows has none.
Source: the official SDK, `anthropic.types.beta.organization.analytics`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from integrations.connectors.anthropic_api.actors import Actor
from integrations.connectors.anthropic_api.client import ApiClient, Params, decoder
from integrations.connectors.anthropic_api.lines import (
    CacheCreation,
    Dimensions,
    Line,
    Numbers,
    Part,
    ServerToolUse,
    Values,
    counts,
    dollars,
)
from integrations.connectors.anthropic_api.rows import day_in
from integrations.connectors.base import ConnectorError
from integrations.window import Window

BETA = "analytics-usage-cost-2026-08-24"
MOST_DIMENSIONS = 5  # in one `group_by`; `FREE_DIMENSIONS` are not counted
FREE_DIMENSIONS = ("cost_type", "token_type")
LONGEST_RANGE = 31  # days per query
_NOT_ENROLLED = "organization_not_enrolled_in_beta"

Filters = Mapping[str, Sequence[str]]  # parameter without its brackets to the values to keep


class Group(Dimensions):
    """One key per dimension; those not grouped by are null."""

    actor: Actor | None = None


class Cost(msgspec.Struct, kw_only=True):
    amount: Decimal
    list_amount: Decimal | None = None
    currency: str | None = "USD"


class Usage(msgspec.Struct, kw_only=True):
    uncached_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    server_tool_use: ServerToolUse | None = None
    requests: int | None = None


class CostRow(msgspec.Struct, kw_only=True):
    group: Group
    cost: Cost
    starting_at: str | None = None


class UsageRow(msgspec.Struct, kw_only=True):
    group: Group
    usage: Usage
    starting_at: str | None = None


Row = TypeVar("Row", covariant=True)


class Report(msgspec.Struct, Generic[Row]):
    """One page. `data_refreshed_at` None: no export covers any of the range yet."""

    data: list[Row]
    has_more: bool | None = None
    next_page: str | None = None
    data_refreshed_at: datetime | None = None


_COST = decoder(Report[CostRow])
_USAGE = decoder(Report[UsageRow])


def read_cost(
    client: ApiClient,
    window: Window,
    *,
    group_by: Sequence[str] = (),
    filters: Filters | None = None,
    prefix: str = "/analytics",
) -> Iterator[Part]:
    """Yield the cost of each day, oldest first; at most 31 days and `MOST_DIMENSIONS`.

    `prefix` is what stands between the root of the client and the endpoint's name.
    """
    return _read(
        client, f"{prefix}/cost", window, group_by, filters, _COST, lambda row: dollars(row.cost)
    )


def read_usage(
    client: ApiClient,
    window: Window,
    *,
    group_by: Sequence[str] = (),
    filters: Filters | None = None,
    prefix: str = "/analytics",
) -> Iterator[Part]:
    """Yield tokens and requests of each day, likewise."""
    return _read(
        client, f"{prefix}/usage", window, group_by, filters, _USAGE, lambda row: counts(row.usage)
    )


def read_split(
    read: Callable[..., Iterator[Part]],
    window: Window,
    *,
    group_by: Sequence[str],
    over: Sequence[str],
    filters: Filters,
) -> Iterator[Part]:
    """Read by more dimensions than one question may name: those of `over` value by value.

    `read` takes a window, `group_by` and `filters`. Every value of these dimensions has a filter,
    null too. The first part holds no line. Values stand in the order of `group_by`.
    """
    found: set[Values] = set()
    for part in read(window, group_by=over, filters=filters):
        found |= {line.values for line in part.lines}
        yield part._replace(lines=())
    names = [name for name in group_by if name != "actor"]
    asked = [name for name in names if name not in over]
    places = [[*asked, *over].index(name) for name in names]
    for values in sorted(found, key=lambda them: [value or "" for value in them]):
        only = {
            f"{name}s": (_NULL[name] if value is None else value,)
            for name, value in zip(over, values, strict=True)
        }
        rest = [name for name in group_by if name not in over]
        for part in read(window, group_by=rest, filters={**filters, **only}):
            yield part._replace(
                lines=tuple(
                    line._replace(values=tuple((*line.values, *values)[at] for at in places))
                    for line in part.lines
                )
            )


# What filters call a value that is null, where they have a word for it.
_NULL = {"inference_geo": "not_available", "api_key_id": ""}


def is_closed(problem: ConnectorError) -> bool:
    """True if the organization may not use these endpoints, which is no fault of its key."""
    return problem.code == _NOT_ENROLLED or problem.status in {400, 403, 404}


def _read(
    client: ApiClient,
    path: str,
    window: Window,
    group_by: Sequence[str],
    filters: Filters | None,
    decode: Callable[[bytes], Any],
    numbers_of: Callable[[Any], Numbers],
) -> Iterator[Part]:
    names = [name for name in group_by if name != "actor"]
    params = _params(window, group_by, filters or {})
    for report in client.pages(path, params, decode, headers={"anthropic-beta": BETA}):
        lines = tuple(
            Line(
                _day(row.starting_at, window),
                row.group.actor,
                tuple(getattr(row.group, name) for name in names),
                numbers_of(row),
            )
            for row in report.data
        )
        yield Part(lines, report.data_refreshed_at, client.organization_id)


def _params(window: Window, group_by: Sequence[str], filters: Filters) -> Params:
    return [
        ("starting_at", f"{window.start}T00:00:00Z"),
        ("ending_at", f"{window.end}T00:00:00Z"),
        ("time_bucket_width", "1d"),
        ("order_by", "time"),
        ("order", "asc"),
        ("limit", "1000"),
        *(("group_by[]", name) for name in group_by),
        *((f"{name}[]", value) for name, values in filters.items() for value in values),
    ]


def _day(instant: str | None, window: Window) -> date:
    if instant is None and len(window) == 1:
        return window.start
    return day_in(window, instant)
