"""Forecast of a report: its open columns, and those after its last one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from accounts.models import Organization
from integrations.status.days import DayState
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import Measure, Source
from reports.engine import Report
from reports.engine.periods import CUSTOM, first_day, last_day, split_into_intervals
from reports.engine.spec import ReportSpec
from reports.forecast import MAX_HISTORY_DAYS, Estimate, Forecast
from reports.render.pivot import Column, ForecastColumn

HORIZON = {"day": 14, "week": 4, "month": 3, "quarter": 1}  # columns


@dataclass(frozen=True)
class ForecastResult:
    """`reason` says why there is no forecast; "" if there is one."""

    columns: tuple[ForecastColumn, ...] = ()
    reason: str = ""


def outlook(organization: Organization, report: Report, *, today: date) -> ForecastResult:
    """Forecast the first metric of a report whose first grouping is its interval.

    All groups together: parts of a whole that are forecast one by one do not add up to it. Asks
    for the days of the last year, with the filters of the report.
    """
    spec = report.spec
    if refusal := _refusal(spec, today):
        return ForecastResult(reason=refusal)
    known = _known(organization, spec)
    columns = tuple(_ahead(spec, known))
    if not columns:
        return ForecastResult(reason="A forecast needs six weeks of complete days.")
    return ForecastResult(columns)


def _refusal(spec: ReportSpec, today: date) -> str:
    first = spec.metric_objects[0]
    if not isinstance(first, Measure) or first.source not in {Source.COST, Source.USAGE}:
        return f"{first.label} has no forecast: only cost, tokens and counts of use have one."
    if not first.is_additive:
        return f"{first.label} has no forecast: different people of several days do not add up."
    if spec.is_overlapping:
        return f"{first.label} has no forecast here: groups that overlap have no sum."
    if spec.cumulative:
        return "Cumulative reports have no forecast."
    if spec.final or spec.window.last_day < today - timedelta(days=1):
        return "The days of this report end before today, so there is nothing to forecast."
    return ""


def _known(organization: Organization, spec: ReportSpec) -> Mapping[date, Decimal]:
    """Return the complete days of the last year with their values."""
    start = spec.window.end - timedelta(days=MAX_HISTORY_DAYS)
    history = replace(
        spec,
        metrics=spec.metrics[:1],
        group_by=("day",),
        window=Window(min(start, spec.window.start), spec.window.end),
        range=CUSTOM,
        interval="",
        limit=0,
        smallest=False,
        compare="",
    )
    return complete_days(engine.run(organization, history))


def complete_days(report: Report) -> dict[date, Decimal]:
    """Return the complete days of a report grouped by day with their values."""
    by_day = {}
    for day, state in report.coverage.states.items():
        value = report.values((day,))[0]
        if state >= DayState.PROVISIONAL and value is not None:
            by_day[day] = Decimal(value)
    return by_day


def _ahead(spec: ReportSpec, known: Mapping[date, Decimal]) -> Iterator[ForecastColumn]:
    """Columns with days that are not over, then as many as `HORIZON` says."""
    forecast = Forecast(known)
    newest = forecast.last_day
    if newest is None:
        return
    interval = spec.columns_by
    for at, part in enumerate(_columns(spec)):
        start = first_day(interval, part.start)
        days = Window(part.start, last_day(interval, start) + timedelta(days=1))
        if days.last_day <= newest:
            continue
        estimate = forecast.estimate(day for day in days if day not in known)
        if estimate is not None:
            so_far = sum((known[day] for day in days if day in known), Decimal())
            column = Column(interval, start, days, DayState.UNKNOWN)
            yield ForecastColumn(column, at, _more(estimate, so_far))


def _columns(spec: ReportSpec) -> Iterator[Window]:
    """Return the columns of the report, followed by the forecast ones."""
    interval = spec.columns_by
    yield from split_into_intervals(spec.window, interval)
    day = last_day(interval, first_day(interval, spec.window.last_day)) + timedelta(days=1)
    for _ in range(HORIZON[interval]):
        end = last_day(interval, day) + timedelta(days=1)
        yield Window(day, end)
        day = end


def _more(estimate: Estimate, by: Decimal) -> Estimate:
    return Estimate(estimate.expected + by, estimate.low + by, estimate.high + by)
