"""Cost and tokens: lines per meter that sum to the day's own total, to the last digit.

The reports come without a snapshot: two questions may see two states of the data. So a day that
has ended is asked for until both agree, and a day that has not is only checked where they do.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

from integrations.connectors.anthropic_api.lines import (
    COST_MEASURES,
    TOKEN_MEASURES,
    USAGE_MEASURES,
    Numbers,
    counts,
    dollars,
    minus,
    nothing,
    plus,
    total,
)
from integrations.connectors.anthropic_api.rows import Read, day_in
from integrations.connectors.base import SnapshotMoved
from integrations.connectors.claude_console.client import (
    AdminClient,
    CostRow,
    Report,
    UsageRow,
)
from integrations.connectors.claude_console.feeds.meters import (
    COST_CUT,
    NOT_ITEMIZED,
    USAGE_CUT,
    cost_meter,
    usage_meter,
)
from integrations.connectors.records import (
    CostRecord,
    MeterKey,
    Page,
    PersonRef,
    TotalRecord,
    UsageRecord,
)
from integrations.window import Window, midnight

# Data appears within about five minutes of use; a later one would look like a restatement.
_LAG = timedelta(minutes=15)

Row = TypeVar("Row", bound=CostRow | UsageRow)
Lines = dict[date, dict[MeterKey, Numbers]]
Totals = dict[date, Numbers]


@dataclass(frozen=True)
class _Kind(Generic[Row]):
    """One of the two reports: how it is asked and what its rows mean.

    `checked` are the measures whose totals are kept, to check our lines against.
    """

    ask: Callable[[AdminClient, Window, Sequence[str]], Iterator[Report[Row]]]
    cut: tuple[str, ...]
    meter_of: Callable[[Row], MeterKey]
    numbers_of: Callable[[Row], Numbers]
    measures: tuple[str, ...]
    checked: tuple[str, ...]
    record: Callable[..., CostRecord | UsageRecord]

    def totals(self, client: AdminClient, window: Window) -> Totals:
        """What each day sums to, ungrouped; zero where nothing was used."""
        return {
            day_in(window, bucket.starting_at): total(
                map(self.numbers_of, bucket.results), self.measures
            )
            for report in self.ask(client, window, ())
            for bucket in report.data
        }

    def lines(self, client: AdminClient, window: Window) -> Lines:
        """What each day is made of. Rows that mean the same meter are added up."""
        read = Read()
        lines: Lines = defaultdict(dict)
        for report in self.ask(client, window, self.cut):
            for day, row, numbers in self.rows(report, window, read):
                meter, found = self.meter_of(row), lines[day]
                found[meter] = plus(found[meter], numbers) if meter in found else numbers
        return lines

    def rows(
        self, report: Report[Row], window: Window, read: Read
    ) -> Iterator[tuple[date, Row, Numbers]]:
        """Every row of a page once, however often the page repeats it."""
        for bucket in report.data:
            day = day_in(window, bucket.starting_at)
            for row in bucket.results:
                numbers = self.numbers_of(row)
                if read.is_new((day, *_name(row)), numbers):
                    yield day, row, numbers


def _name(row: CostRow | UsageRow) -> tuple[object, ...]:
    """What tells the rows of one day apart."""
    own: tuple[object, ...] = (
        (row.description, row.cost_type, row.token_type)
        if isinstance(row, CostRow)
        else (row.api_key_id, row.account_id, row.service_account_id)
    )
    return (
        *own,
        row.workspace_id,
        row.model,
        row.service_tier,
        row.context_window,
        row.inference_geo,
    )


_COST = _Kind[CostRow](
    ask=lambda client, window, cut: client.cost_report(window, group_by=cut),
    cut=COST_CUT,
    meter_of=cost_meter,
    numbers_of=dollars,
    measures=COST_MEASURES,
    checked=("amount_usd",),
    record=CostRecord,
)
_USAGE = _Kind[UsageRow](
    ask=lambda client, window, cut: client.messages_report(window, group_by=cut),
    cut=USAGE_CUT,
    meter_of=usage_meter,
    numbers_of=counts,
    measures=USAGE_MEASURES,
    checked=TOKEN_MEASURES,
    record=UsageRecord,
)


def read_cost(client: AdminClient, window: Window) -> Iterator[Page]:
    """Dollars of the whole organization. Priority Tier is committed spend and not among them."""
    return _whole(_COST, client, window)


def read_usage(client: AdminClient, window: Window) -> Iterator[Page]:
    """Tokens of the whole organization, Priority Tier included. Code execution takes none."""
    return _whole(_USAGE, client, window)


def complete_to() -> datetime:
    """Up to when everything used has arrived, if it is read now."""
    return datetime.now(UTC).replace(microsecond=0) - _LAG


def _whole(kind: _Kind[Any], client: AdminClient, window: Window) -> Iterator[Page]:
    known_to = complete_to()

    def page(*records: Any) -> Page:
        return Page(tuple(records), known_to, client.organization_id)

    totals = kind.totals(client, window)
    ended = {day for day in totals if midnight(day + timedelta(days=1)) <= known_to}
    yield page(*_total_records(kind, {day: totals[day] for day in sorted(ended)}))
    lines = kind.lines(client, window)
    rest = {day: _rest(kind, totals[day], lines.get(day, {})) for day in totals}
    apart = {day for day in ended if any(rest[day])}
    if apart:
        _refuse_if_moved(kind, client, window, totals, apart)
    for day in apart:
        lines[day][_not_itemized(kind)] = rest[day]
    yield page(
        *(
            kind.record(day, meter, None, *numbers)
            for day in sorted(lines)
            for meter, numbers in lines[day].items()
        )
    )
    agreed = {day: totals[day] for day in sorted(totals.keys() - ended) if not any(rest[day])}
    if agreed:
        yield page(*_total_records(kind, agreed))


def _rest(kind: _Kind[Any], whole: Numbers, lines: dict[MeterKey, Numbers]) -> Numbers:
    """What the lines of a day lack; all zero or unknown if they are whole."""
    return minus(whole, total(lines.values(), kind.measures) if lines else _zero_of(whole))


def _zero_of(whole: Numbers) -> Numbers:
    return tuple(None if number is None else 0 for number in whole)


def _not_itemized(kind: _Kind[Any]) -> MeterKey:
    return MeterKey(cost_type=NOT_ITEMIZED if kind is _COST else "")


def _refuse_if_moved(
    kind: _Kind[Any], client: AdminClient, window: Window, totals: Totals, days: set[date]
) -> None:
    """Raise `SnapshotMoved` if totals have changed since: then the lines are newer, not short."""
    again = kind.totals(client, window)
    if any(again.get(day, nothing(kind.measures)) != totals[day] for day in days):
        raise SnapshotMoved(
            "Anthropic’s data moved while we were reading.",
            code="snapshot_moved",
            repair="Nothing to do. We read these days again from their start.",
        )


def _total_records(kind: _Kind[Any], totals: Totals) -> Iterator[TotalRecord]:
    for day, numbers in totals.items():
        for measure, value in zip(kind.measures, numbers, strict=True):
            if measure in kind.checked and value is not None:
                yield TotalRecord(day, measure, Decimal(value))


# --- Who it was ----------------------------------------------------------------------------


def read_usage_of_people(client: AdminClient, window: Window) -> Iterator[Page]:
    """Tokens of accounts and service accounts, by the same meters as the whole.

    An API key is no person: what it used stays with the key, and its cost with the workspace.
    """
    known_to = complete_to()
    read = Read()
    for report in client.messages_report(
        window, group_by=(*USAGE_CUT, "account_id", "service_account_id")
    ):
        found: dict[tuple[date, MeterKey, PersonRef], Numbers] = {}
        for day, row, numbers in _USAGE.rows(report, window, read):
            person = _person(row)
            if person is not None:
                key = (day, usage_meter(row), person)
                found[key] = plus(found[key], numbers) if key in found else numbers
        records = tuple(
            _USAGE.record(day, meter, person, *numbers)
            for (day, meter, person), numbers in found.items()
        )
        yield Page(records, known_to, client.organization_id)


def _person(row: UsageRow) -> PersonRef | None:
    if row.account_id:
        return PersonRef(row.account_id, kind="user")
    if row.service_account_id:
        return PersonRef(row.service_account_id, kind="service", state="active")
    return None
