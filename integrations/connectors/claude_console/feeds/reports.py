"""Read cost and tokens as rows per meter that sum to the day's total, to the last digit.

Legacy reports have no snapshot: two queries may see two states of the data. So a complete day is
read until both agree, and an incomplete day is only checked when they do. Beta reports answer from
one snapshot.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Protocol

from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.children import CHILD
from integrations.connectors.anthropic.parsing import SnapshotGuard
from integrations.connectors.anthropic.reports import (
    Numbers,
    ReportPage,
    add_measures,
    subtract_measures,
    total,
    zero_measures,
)
from integrations.connectors.base import SnapshotMoved
from integrations.connectors.claude_console.client import AdminClient
from integrations.connectors.claude_console.feeds.meters import (
    COST_DIMENSIONS,
    NOT_ITEMIZED,
    USAGE_DIMENSIONS,
    meter_of,
)
from integrations.connectors.claude_console.report_api import ReportApi, report_api_for
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import (
    COST_MEASURES,
    TOKEN_MEASURES,
    USAGE_MEASURES,
    CostRecord,
    MeterKey,
    Page,
    PersonRef,
    TotalRecord,
    UsageRecord,
)
from integrations.window import Window, midnight

Lines = dict[date, dict[MeterKey, Numbers]]
Totals = dict[date, Numbers]


class ReportQuery(Protocol):
    """One report of the whole organization, see `ReportApi.cost`."""

    def __call__(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]: ...


@dataclass(frozen=True)
class _MeasureSet:
    """Cost or usage: how it is asked, by which dimensions, in which numbers.

    `checked` are the measures whose totals are kept, to check our lines against; `rest` is the
    meter of what a total holds beyond its lines.
    """

    ask: Callable[[ReportApi], ReportQuery]
    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    checked: tuple[str, ...]
    record: Callable[..., CostRecord | UsageRecord]
    rest: MeterKey


_COST = _MeasureSet(
    ask=lambda api_variant: api_variant.cost,
    dimensions=COST_DIMENSIONS,
    measures=COST_MEASURES,
    checked=("effective_cost",),
    record=CostRecord,
    rest=MeterKey(cost_type=NOT_ITEMIZED),
)
_USAGE = _MeasureSet(
    ask=lambda api_variant: api_variant.usage,
    dimensions=USAGE_DIMENSIONS,
    measures=USAGE_MEASURES,
    checked=TOKEN_MEASURES,
    record=UsageRecord,
    rest=MeterKey(),
)


def read_cost(client: AdminClient, window: Window) -> Iterator[Page]:
    """Dollars of the whole organization. Priority Tier is committed spend and not among them."""
    return _read_complete(_COST, client, window)


def read_usage(client: AdminClient, window: Window) -> Iterator[Page]:
    """Tokens of the whole organization, Priority Tier included. Code execution takes none."""
    return _read_complete(_USAGE, client, window)


def _dimensions(names: tuple[str, ...], api_variant: ReportApi) -> tuple[str, ...]:
    """Return the dimensions in this API variant, with the child organization for a parent."""
    return (*names, CHILD) if api_variant.has_children else names


def _read_complete(kind: _MeasureSet, client: AdminClient, window: Window) -> Iterator[Page]:
    api_variant = report_api_for(client)
    kind = replace(kind, dimensions=_dimensions(kind.dimensions, api_variant))
    ask, read = kind.ask(api_variant), SnapshotGuard()

    def page(*records: CostRecord | UsageRecord | TotalRecord) -> Page:
        return Page(tuple(records), read.watermark, client.organization_id)

    totals = _totals(kind, client, ask, window, read)
    settled = {day for day in totals if api_variant.is_snapshot or _has_ended(day, read)}
    yield page(*_total_records(kind, {day: totals[day] for day in sorted(settled)}))
    lines = _lines(kind, ask, window, read)
    rest = {day: _residual(kind, totals[day], lines.get(day, {})) for day in totals}
    apart = {day for day in settled if any(rest[day])}
    moved = {day for day in apart if not client.kept_out.spoils(day)}
    if moved and not api_variant.is_snapshot:
        _check_totals_unchanged(kind, client, ask, window, totals, moved)
    for day in apart:
        lines[day][kind.rest] = rest[day]
    yield page(
        *(
            kind.record(day, meter, None, *numbers)
            for day in sorted(lines)
            for meter, numbers in lines[day].items()
        )
    )
    agreed = {day: totals[day] for day in sorted(totals.keys() - settled) if not any(rest[day])}
    if agreed:
        yield page(*_total_records(kind, agreed))


def _totals(
    kind: _MeasureSet, client: AdminClient, ask: ReportQuery, window: Window, read: SnapshotGuard
) -> Totals:
    """Return the ungrouped sum of each day; zero for covered days without use."""
    totals: Totals = {}
    for part in ask(window):
        read.check(part)
        for line in part.rows:
            totals[line.day] = add_measures(
                totals.get(line.day, zero_measures(kind.measures)), line.numbers
            )
    for day in window:
        if client.kept_out.spoils(day):
            totals.pop(day, None)  # without a row that was kept out it is no total
        elif read.watermark is not None and midnight(day) < read.watermark:
            totals.setdefault(day, zero_measures(kind.measures))
    return totals


def _lines(kind: _MeasureSet, ask: ReportQuery, window: Window, read: SnapshotGuard) -> Lines:
    """Return the rows of each day, adding up rows of the same meter."""
    lines: Lines = defaultdict(dict)
    for part in ask(window, group_by=kind.dimensions):
        read.check(part)
        for line in part.rows:
            meter, sums = meter_of(kind.dimensions, line.values), lines[line.day]
            sums[meter] = add_measures(sums[meter], line.numbers) if meter in sums else line.numbers
    return lines


def _has_ended(day: date, read: SnapshotGuard) -> bool:
    return read.watermark is not None and midnight(day + timedelta(days=1)) <= read.watermark


def _residual(kind: _MeasureSet, whole: Numbers, lines: dict[MeterKey, Numbers]) -> Numbers:
    """Return the residual of a day; all zero or unknown if its rows are complete."""
    return subtract_measures(
        whole, total(lines.values(), kind.measures) if lines else _zero_of(whole)
    )


def _zero_of(whole: Numbers) -> Numbers:
    return tuple(None if number is None else 0 for number in whole)


def _check_totals_unchanged(
    kind: _MeasureSet,
    client: AdminClient,
    ask: ReportQuery,
    window: Window,
    totals: Totals,
    days: set[date],
) -> None:
    """Raise `SnapshotMoved` if totals have changed since: then the lines are newer, not short."""
    again = _totals(kind, client, ask, window, SnapshotGuard())
    if any(again.get(day, zero_measures(kind.measures)) != totals[day] for day in days):
        raise SnapshotMoved(
            "Anthropic’s data changed during the read.",
            code="snapshot_moved",
            repair="These days are read again automatically.",
        )


def _total_records(kind: _MeasureSet, totals: Totals) -> Iterator[TotalRecord]:
    for day, numbers in totals.items():
        for measure, value in zip(kind.measures, numbers, strict=True):
            if measure in kind.checked and value is not None:
                yield TotalRecord(day, measure, Decimal(value))


# --- Who it was ----------------------------------------------------------------------------


def read_usage_of_people(client: AdminClient, window: Window) -> Iterator[Page]:
    """Tokens of accounts and service accounts, by the same meters as the whole.

    An API key is no person: what it used stays with the key, and its cost with the workspace.
    """
    api_variant, read = report_api_for(client), SnapshotGuard()
    dimensions = _dimensions(USAGE_DIMENSIONS, api_variant)
    for part in api_variant.usage_of_people(window, group_by=dimensions):
        read.check(part)
        sums: dict[tuple[date, MeterKey, PersonRef], Numbers] = {}
        for line in part.rows:
            person = _person(line.actor)
            if person is not None:
                key = (line.day, meter_of(dimensions, line.values), person)
                sums[key] = add_measures(sums[key], line.numbers) if key in sums else line.numbers
        records = tuple(
            _USAGE.record(day, meter, person, *numbers)
            for (day, meter, person), numbers in sums.items()
        )
        yield Page(records, read.watermark, part.organization_id)


def _person(actor: Actor | None) -> PersonRef | None:
    if actor is None:
        return None
    if actor.user_id:
        state = "" if actor.deleted is None else "deleted" if actor.deleted else "active"
        email, name = actor.email_address or actor.email or "", actor.name or ""
        return PersonRef(canonical_id(actor.user_id), email, name, "user", state)
    if actor.service_account_id:
        return PersonRef(actor.service_account_id, kind="service", state="active")
    return None
