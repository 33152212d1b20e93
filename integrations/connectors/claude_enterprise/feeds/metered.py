"""Queries, dimensions and measures that cost and usage share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Protocol

from integrations.connectors.anthropic.children import CHILD
from integrations.connectors.anthropic.limits import Filters
from integrations.connectors.anthropic.reports import (
    Numbers,
    ReportPage,
)
from integrations.connectors.claude_enterprise.report_api import ReportApi
from integrations.connectors.records import (
    COST_MEASURES,
    TOKEN_MEASURES,
    USAGE_MEASURES,
    CostRecord,
    TotalRecord,
    UsageRecord,
)
from integrations.window import Window

USAGE_DIMENSIONS = ("product", "model", "context_window", "inference_geo", "speed")
COST_DIMENSIONS = (*USAGE_DIMENSIONS, "cost_type", "token_type")


class ReportQuery(Protocol):
    """One report of the whole organization, see `ReportApi.cost`."""

    def __call__(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]: ...


@dataclass(frozen=True)
class MeasureSet:
    """Cost or usage. `record` takes day, meter, person and the numbers of `measures`."""

    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    record: Callable[..., CostRecord | UsageRecord]
    organization: Callable[[ReportApi], ReportQuery]
    people: Callable[[ReportApi], Callable[..., Iterator[ReportPage]]]
    totals: Callable[[date, Numbers], Iterator[TotalRecord]]


def measures_of(kind: MeasureSet, reports: ReportApi) -> MeasureSet:
    """Return the dimensions of these reports, with the child organization for a parent."""
    if not reports.has_children:
        return kind
    return replace(kind, dimensions=(*kind.dimensions, CHILD))


def _cost_totals(day: date, numbers: Numbers) -> Iterator[TotalRecord]:
    for measure, number in zip(COST_MEASURES, numbers, strict=True):
        if number is not None:
            yield TotalRecord(day, measure, Decimal(number))


def _usage_totals(day: date, numbers: Numbers) -> Iterator[TotalRecord]:
    """Return requests where they are known, and the five kinds of tokens as one."""
    known = dict(zip(USAGE_MEASURES, numbers, strict=True))
    if known["requests"] is not None:
        yield TotalRecord(day, "requests", Decimal(known["requests"]))
    tokens = sum(Decimal(known[name] or 0) for name in TOKEN_MEASURES)
    yield TotalRecord(day, "total_tokens", Decimal(tokens))


COST = MeasureSet(
    dimensions=COST_DIMENSIONS,
    measures=COST_MEASURES,
    record=CostRecord,
    organization=lambda reports: reports.cost,
    people=lambda reports: reports.user_cost,
    totals=_cost_totals,
)
USAGE = MeasureSet(
    dimensions=USAGE_DIMENSIONS,
    measures=USAGE_MEASURES,
    record=UsageRecord,
    organization=lambda reports: reports.usage,
    people=lambda reports: reports.user_usage,
    totals=_usage_totals,
)
