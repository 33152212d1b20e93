"""Read the beta reports `/analytics/cost` and `/analytics/usage`, alike in both products.

They are in beta since October 2026 for enrolled organizations; Analytics keys and Admin keys both
open them. Rows are flat, one per combination with usage, and complete: usage without a user and
combinations after the hundredth are included. A day without rows has no usage. Source: the official
SDK, `anthropic.types.beta.organization.analytics`.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from integrations.connectors.anthropic import limits
from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.client import ApiClient, Decode, Params, decoder
from integrations.connectors.anthropic.limits import Filters
from integrations.connectors.anthropic.questions import Questions
from integrations.connectors.anthropic.report_pages import pages_of_rows
from integrations.connectors.anthropic.reports import (
    CacheCreation,
    Dimensions,
    Numbers,
    ReportPage,
    ReportRow,
    ServerToolUse,
    counts,
    dollars,
)
from integrations.connectors.anthropic.tolerance import Instant
from integrations.connectors.base import ConnectorError
from integrations.window import Window

BETA = "analytics-usage-cost-2026-08-24"
OLDEST_DAY = date(2026, 1, 1)  # nothing older is served, nor what is older than 365 days
FREE_DIMENSIONS = ("cost_type", "token_type")  # not counted among the five of one `group_by`
LARGEST_PAGE = 1000  # rows
LONGEST_RANGE = 31  # days per query
_NOT_ENROLLED = "organization_not_enrolled_in_beta"


class Group(Dimensions):
    """One key per dimension; those not grouped by are null."""

    actor: Actor | None = None


class Cost(msgspec.Struct, kw_only=True):
    amount: Decimal
    list_amount: Decimal | None = None
    currency: str | None = "USD"
    requests: int | None = None


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
    data_refreshed_at: Instant | None = None
    organization_id: str | None = None


class Measures(NamedTuple):
    """Describe what an endpoint reports: its path, its page, and the numbers of a row."""

    path: str
    decode: Decode
    numbers_of: Callable[[Any], Numbers]


_COST = Measures("cost", decoder(Report[CostRow]), lambda row: dollars(row.cost))
# Requests are null by component of prices.
_PRICED_REQUESTS = _COST._replace(numbers_of=lambda row: (*dollars(row.cost), row.cost.requests))
_USAGE = Measures("usage", decoder(Report[UsageRow]), lambda row: counts(row.usage))


def _read(
    measures: Measures,
    client: ApiClient,
    window: Window,
    *,
    group_by: Sequence[str] = (),
    filters: Filters | None = None,
    limit: int = LARGEST_PAGE,
    prefix: str = "/analytics",
) -> Iterator[ReportPage]:
    """Yield the numbers of each day, oldest first; at most 31 days and `MOST_DIMENSIONS`.

    `prefix` is what stands between the root of the client and the endpoint's name.
    """
    names = [name for name in group_by if name != "actor"]

    def to_row(day: date, row: Any) -> ReportRow:
        values = tuple(getattr(row.group, name) for name in names)
        return ReportRow(day, row.group.actor, values, measures.numbers_of(row))

    params = _params(window, group_by, filters or {}, limit)
    headers = {"anthropic-beta": BETA}
    pages = client.pages(f"{prefix}/{measures.path}", params, measures.decode, headers=headers)
    return pages_of_rows(client, pages, window, to_row)


read_cost = partial(_read, _COST)
read_priced_requests = partial(_read, _PRICED_REQUESTS)
read_usage = partial(_read, _USAGE)


def cost_questions(client: ApiClient, *, optional: tuple[str, ...]) -> Questions:
    """Ask for cost by any number of dimensions. `optional` see `limits.Report`."""
    return Questions(report("cost", optional), client.learned, partial(read_cost, client))


def usage_questions(client: ApiClient, *, optional: tuple[str, ...]) -> Questions:
    """Ask for tokens and requests, likewise."""
    return Questions(report("usage", optional), client.learned, partial(read_usage, client))


def report(table: str, optional: tuple[str, ...]) -> limits.Report:
    """Return the dimensions and filters that the endpoint of a table accepts."""
    return limits.Report(
        name=f"analytics/{table}",
        table=table,
        limit=LARGEST_PAGE,
        # Those with the fewest values first: each takes a question for every value.
        filters={
            "inference_geo": "inference_geos",
            "speed": "speeds",
            "context_window": "context_windows",
            "service_tier": "service_tiers",
            "api_key_id": "api_key_ids",
            "product": "products",
            "model": "models",
        },
        nulls={"inference_geo": "not_available", "api_key_id": ""},
        free=FREE_DIMENSIONS,
        optional=optional,
    )


def oldest_day(today: date) -> date:
    return max(OLDEST_DAY, today - timedelta(days=365))


def is_closed(problem: ConnectorError) -> bool:
    """Return True if the organization may not use these endpoints, whatever its key."""
    return problem.code == _NOT_ENROLLED or problem.status in {400, 403, 404}


def _params(window: Window, group_by: Sequence[str], filters: Filters, limit: int) -> Params:
    return [
        ("starting_at", f"{window.start}T00:00:00Z"),
        ("ending_at", f"{window.end}T00:00:00Z"),
        ("time_bucket_width", "1d"),
        ("order_by", "time"),
        ("order", "asc"),
        ("limit", str(limit)),
        *(("group_by[]", name) for name in group_by),
        *((f"{name}[]", value) for name, values in filters.items() for value in values),
    ]
