"""The streams of the Analytics API: which endpoint fills which table, and how a row translates.

Here nulls become "" and cents dollars. Every feed is a generator that asks for nothing
its reader does not want: who stops after the first page has sent one request.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache, reduce
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from integrations.connectors.anthropic_api.actors import person_of
from integrations.connectors.anthropic_api.lines import CLAUDE_TAG, Dimensions, product_of
from integrations.connectors.anthropic_api.rows import (
    Read,
    day_in,
    in_dollars,
    numbers,
    usd,
    yesterday,
)
from integrations.connectors.base import Feed, NotAvailable, Table
from integrations.connectors.claude_enterprise.client import (
    AnalyticsClient,
    CostBucket,
    CostRow,
    Report,
    UserCostRow,
    UserUsageRow,
)
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    MeterKey,
    Page,
    PersonRef,
    Record,
    TotalRecord,
    UsageRecord,
)
from integrations.window import Window, midnight

OLDEST_DAY = date(2026, 1, 1)  # nothing older is served
LONGEST_RANGE = 31  # days per query of the cost and usage reports
GROUP_CAP = 100  # groups a bucket of the organization's reports holds at most
USAGE_CUT = ("product", "model", "context_window", "inference_geo", "speed")
COST_CUT = (*USAGE_CUT, "cost_type", "token_type")
NOT_ITEMIZED = MeterKey(cost_type="not_itemized")


# --- Days ----------------------------------------------------------------------------------


def first_day(today: date) -> date:
    """The oldest day the API answers for: 365 days back, and never before 2026."""
    return max(OLDEST_DAY, today - timedelta(days=365))


def closes_on(day: date) -> date:
    """30 days after the day has ended and 7 days after its month has, whichever is later.

    The documentation names the first, newer texts the second: we wait for both.
    """
    next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return max(day + timedelta(days=31), next_month + timedelta(days=7))


def open_period(today: date) -> Window:
    """The days whose cost and usage can still change, today included."""
    this_month = today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    # Two days longer than `closes_on` asks: a closed day is read once more.
    month = last_month if today.day <= 9 else this_month
    return Window(min(today - timedelta(days=31), month), today + timedelta(days=1))


# --- Numbers and names ---------------------------------------------------------------------


def sum_of_costs(report: Report[CostBucket]) -> Decimal:
    """All dollars of one page, after discounts."""
    return sum((usd(row.amount) for bucket in report.data for row in bucket.results), Decimal())


def _usd_of(row: CostRow) -> tuple[Decimal, Decimal | None]:
    in_dollars(row.currency)
    listed = row.list_amount
    return usd(row.amount), None if listed is None else usd(listed)


@lru_cache(maxsize=4096)
def _meter(*values: str) -> MeterKey:
    return MeterKey(*values)


def _cost_meter(row: CostRow) -> MeterKey:
    return _meter(*_usage_values(row), row.cost_type or "", row.token_type or "")


def _usage_values(row: Dimensions) -> tuple[str, str, str, str, str]:
    return (
        product_of(row.product),
        row.model or "",
        row.context_window or "",
        row.inference_geo or "",
        row.speed or "",
    )


# --- Cost of the whole organization --------------------------------------------------------


class Amounts(NamedTuple):
    """Cents as they came: after discounts, and at list price (None: not reported)."""

    amount: Decimal
    listed: Decimal | None

    def plus(self, other: "Amounts") -> "Amounts":
        unknown = self.listed is None or other.listed is None
        return Amounts(
            self.amount + other.amount,
            None if unknown else (self.listed or _ZERO) + (other.listed or _ZERO),
        )

    def minus(self, other: "Amounts") -> "Amounts":
        unknown = self.listed is None or other.listed is None
        return Amounts(
            self.amount - other.amount,
            None if unknown else (self.listed or _ZERO) - (other.listed or _ZERO),
        )


_ZERO = Decimal()
_NOTHING = Amounts(_ZERO, _ZERO)

Values = tuple[str | None, ...]  # of the dimensions grouped by, in their order
Lines = dict[date, dict[Values, Amounts]]


def read_organization_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """First the ungrouped totals, then lines per meter that sum to them to the last digit."""
    read = Read()
    totals: dict[date, Amounts] = {}
    organization_id = ""
    for report in client.cost_report(window):
        read.check(report)
        organization_id = report.organization_id or client.organization_id
        found = _totals(report, window)
        records = tuple(chain.from_iterable(_total_records(*item) for item in found.items()))
        totals |= found
        yield Page(records, read.watermark, organization_id)
    lines = _Itemizer(client, window, read, totals).lines()
    yield Page(tuple(_organization_records(lines, totals)), read.watermark, organization_id)


def _totals(report: Report[CostBucket], window: Window) -> dict[date, Amounts]:
    """What each day sums to. An empty bucket is a true zero once an export covers it."""
    totals = {}
    watermark = report.data_refreshed_at
    for bucket in report.data:
        day = day_in(window, bucket.starting_at)
        if bucket.results:
            totals[day] = _sum(_amounts(row) for row in bucket.results)
        elif watermark is not None and midnight(day) < watermark:
            totals[day] = _NOTHING
    return totals


def _total_records(day: date, total: Amounts) -> Iterator[TotalRecord]:
    yield TotalRecord(day, "amount_usd", usd(total.amount))
    if total.listed is not None:
        yield TotalRecord(day, "list_amount_usd", usd(total.listed))


def _organization_records(lines: Lines, totals: dict[date, Amounts]) -> Iterator[CostRecord]:
    """The lines as records; what a day still lacks stands as one line of its own."""
    for day in sorted({*lines, *totals}):
        merged: dict[MeterKey, Amounts] = defaultdict(lambda: _NOTHING)
        for values, amounts in lines.get(day, {}).items():
            merged[_meter_of(values)] = merged[_meter_of(values)].plus(amounts)
        if day in totals:
            lacking = totals[day].minus(_sum(merged.values()))
            if lacking.amount or lacking.listed:
                merged[NOT_ITEMIZED] = lacking
        for meter, (amount, listed) in merged.items():
            yield CostRecord(day, meter, None, usd(amount), None if listed is None else usd(listed))


def _meter_of(values: Values) -> MeterKey:
    product, *others = values
    return _meter(product_of(product), *(value or "" for value in others))


def _amounts(row: CostRow) -> Amounts:
    _usd_of(row)  # refuses what is not an amount in US dollars
    return Amounts(row.amount, row.list_amount)


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    return reduce(Amounts.plus, amounts, _NOTHING)


class _Itemizer:
    """Reads what an organization's cost is made of, around the cap of 100 groups a day.

    A day that does not sum to its total is narrowed: first by product, then, where even one
    product has too many groups, by model, and so on. Every query asks for the whole window, as
    one request holds 31 days anyway and must be served by the same export.
    """

    MOST_QUERIES = 80

    def __init__(
        self, client: AnalyticsClient, window: Window, read: Read, totals: dict[date, Amounts]
    ) -> None:
        self._client = client
        self._window = window
        self._read = read
        self._totals = totals
        self._queries = 0
        self._lines: Lines = {}

    def lines(self) -> Lines:
        """Lines by every dimension, as complete as queries can make them."""
        self._lines = self._grouped(COST_CUT, {})
        short = {day for day, total in self._totals.items() if self._known(day, {}) != total}
        if short:
            self._narrow({}, USAGE_CUT, short)
        return self._lines

    def _narrow(
        self, cut: dict[str, str | None], dimensions: Sequence[str], days: set[date]
    ) -> None:
        """Close the gap of `days` inside `cut`, value by value of the first dimension."""
        dimension, *rest = dimensions
        names = (*cut, dimension)
        parts = self._grouped(names, cut)
        wanting: dict[str | None, set[date]] = defaultdict(set)
        for day in days:
            for values, total in parts.get(day, {}).items():
                inner = dict(zip(names, values, strict=True))
                if self._known(day, inner) != total:
                    wanting[inner[dimension]].add(day)
        for value, short in sorted(wanting.items(), key=lambda item: item[0] or ""):
            if self._queries >= self.MOST_QUERIES:
                return
            inner = {**cut, dimension: value}
            capped = short
            if _filter(dimension, value) is not None:
                found = self._grouped(COST_CUT, inner)
                for day in short:
                    self._lines.setdefault(day, {}).update(found.get(day, {}))
                capped = {day for day in short if len(found.get(day, {})) >= GROUP_CAP}
            if capped and rest:
                self._narrow(inner, rest, capped)

    def _known(self, day: date, cut: dict[str, str | None]) -> Amounts:
        """What our lines of the day inside the cut sum to."""
        places = [(COST_CUT.index(name), value) for name, value in cut.items()]
        return _sum(
            amounts
            for values, amounts in self._lines.get(day, {}).items()
            if all(values[place] == value for place, value in places)
        )

    def _grouped(self, names: Sequence[str], cut: dict[str, str | None]) -> Lines:
        """One read grouped by `names`, of the rows inside `cut`."""
        self._queries += 1
        filters = {
            f"{name}s": [wanted]
            for name, value in cut.items()
            if (wanted := _filter(name, value)) is not None
        }
        lines: Lines = {}
        seen = Read()
        for report in self._client.cost_report(self._window, group_by=names, filters=filters):
            self._read.check(report)
            for bucket in report.data:
                day = day_in(self._window, bucket.starting_at)
                for row in bucket.results:
                    values = tuple(getattr(row, name) for name in names)
                    amounts = _amounts(row)
                    inside = all(
                        name not in cut or value == cut[name]
                        for name, value in zip(names, values, strict=True)
                    )
                    if inside and seen.is_new((day, values), amounts):
                        lines.setdefault(day, {})[values] = amounts
        return lines


def _filter(dimension: str, value: str | None) -> str | None:
    """The filter that selects a value; None if the API has none. Most nulls have none."""
    if dimension == "inference_geo" and value is None:
        return "not_available"
    return value


# --- Cost and tokens per user --------------------------------------------------------------


def read_user_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    def translate(row: UserCostRow, day: date, person: PersonRef) -> CostRecord:
        return CostRecord(day, _cost_meter(row), person, *_usd_of(row))

    reports = client.user_cost_report(window, group_by=COST_CUT)
    return _user_pages(client, reports, window, COST_CUT, translate)


def read_user_usage(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    def translate(row: UserUsageRow, day: date, person: PersonRef) -> UsageRecord:
        written, tools = row.cache_creation, row.server_tool_use
        return UsageRecord(
            day=day,
            meter=_meter(*_usage_values(row)),
            person=person,
            requests=row.requests,
            uncached_input_tokens=row.uncached_input_tokens or 0,
            cache_read_tokens=row.cache_read_input_tokens or 0,
            cache_write_5m_tokens=(written and written.ephemeral_5m_input_tokens) or 0,
            cache_write_1h_tokens=(written and written.ephemeral_1h_input_tokens) or 0,
            output_tokens=row.output_tokens or 0,
            web_searches=(tools and tools.web_search_requests) or 0,
        )

    reports = client.user_usage_report(window, group_by=USAGE_CUT)
    return _user_pages(client, reports, window, USAGE_CUT, translate)


UserRow = TypeVar("UserRow", bound=UserCostRow | UserUsageRow)
Metered = TypeVar("Metered", bound=CostRecord | UsageRecord)


def _user_pages(
    client: AnalyticsClient,
    reports: Iterable[Report[UserRow]],
    window: Window,
    cut: Sequence[str],
    translate: Callable[[UserRow, date, PersonRef], Metered],
) -> Iterator[Page]:
    """One page per answer, and a last one for the product that may come in two spellings."""
    read = Read()
    renamed: dict[tuple[date, str, MeterKey], Metered] = {}
    values_of = attrgetter(*cut)  # as sent: two spellings are two rows
    organization_id = ""
    for report in reports:
        read.check(report)
        organization_id = report.organization_id or client.organization_id
        records: list[Record] = []
        for row in report.data:
            person = person_of(row.actor)
            if person is None:
                continue
            day = _row_day(row.starting_at, window)
            record = translate(row, day, person)
            key = (day, person.external_id, *values_of(row))
            if not read.is_new(key, _numbers(record)):
                continue
            if record.meter.product == CLAUDE_TAG:
                place = (day, person.external_id, record.meter)
                renamed[place] = _add(renamed[place], record) if place in renamed else record
            else:
                records.append(record)
        yield Page(tuple(records), read.watermark, organization_id)
    if renamed:
        yield Page(tuple(renamed.values()), read.watermark, organization_id)


def _row_day(instant: str | None, window: Window) -> date:
    if instant is None and len(window) == 1:
        return window.start
    return day_in(window, instant)


_MEASURES = {
    CostRecord: ("amount_usd", "list_amount_usd"),
    UsageRecord: (
        "requests",
        "uncached_input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "web_searches",
    ),
}


def _numbers(record: CostRecord | UsageRecord) -> tuple[object, ...]:
    return tuple(getattr(record, name) for name in _MEASURES[type(record)])


def _add(one: Metered, other: Metered) -> Metered:
    """Two lines of one meter as one; what either does not know, the sum does not know."""
    sums: dict[str, Any] = {}
    for name in _MEASURES[type(one)]:
        left, right = getattr(one, name), getattr(other, name)
        sums[name] = None if left is None or right is None else left + right
    return replace(one, **sums)


# --- Activity ------------------------------------------------------------------------------


def read_summaries(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Active users and seats of the whole organization, all days in one request."""
    asked = _published(window)
    read = Read()
    records = []
    for entry in _summaries(client, asked):
        day = day_in(asked, entry.get("starting_at"))
        values = dict(numbers(entry))
        if read.is_new((day,), tuple(sorted(values.items()))):
            records.append(EngagementRecord(day, "", None, values))
    yield Page(tuple(records), None, client.organization_id)


def _summaries(client: AnalyticsClient, window: Window) -> list[dict[str, Any]]:
    """The entries of the window; without its newest days if those are refused as too recent."""
    newest = window.last_day
    while True:
        try:
            return client.summaries(window.start, newest + timedelta(days=1))
        except NotAvailable:
            newest -= timedelta(days=1)
            if newest < window.start or newest < yesterday() - _LONGEST_LAG:
                raise


_LONGEST_LAG = timedelta(days=3)  # older texts say three days, current ones one


def read_users(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Activity of every user, day by day: counts of a range would not add up."""
    read = Read()
    for day in _published(window):
        for listing in client.users(day):
            records = []
            for row in listing.data:
                person = _engaged(row.pop("user", None))
                values = dict(numbers(row))
                if person is None:
                    continue
                if read.is_new((day, person.external_id), tuple(sorted(values.items()))):
                    records.append(EngagementRecord(day, person.external_id, person, values))
            yield Page(tuple(records), None, client.organization_id)


def _published(window: Window) -> Window:
    """The part of the window that can be there: today is computed tomorrow."""
    end = min(window.end, yesterday() + timedelta(days=1))
    if end <= window.start:
        raise NotAvailable(
            f"Activity of {window} is not there yet.",
            code="not_available",
            repair="Nothing to do. Activity of a day is published the day after, from 10:00 UTC.",
        )
    return Window(window.start, end)


def _engaged(user: Any) -> PersonRef | None:
    if not isinstance(user, dict) or not isinstance(user.get("id"), str):
        return None
    email = user.get("email_address") or user.get("email")
    return PersonRef(user["id"], email if isinstance(email, str) else "")


# --- The feeds -----------------------------------------------------------------------------

# In the order in which an import reads them: the screen fills early.
FEEDS = (
    Feed(
        name="summaries",
        label="Active users and seats",
        table=Table.ENGAGEMENT,
        grain="total",
        window_days=366,
        refresh_days=lambda today: Window(today - timedelta(days=35), today),
        closes_on=closes_on,
        read=read_summaries,
    ),
    Feed(
        name="organization_cost",
        label="Organization cost",
        table=Table.COST,
        grain="total",
        window_days=LONGEST_RANGE,
        refresh_days=open_period,
        closes_on=closes_on,
        read=read_organization_cost,
    ),
    Feed(
        name="user_cost",
        label="Cost per user",
        table=Table.COST,
        grain="person",
        window_days=LONGEST_RANGE,
        refresh_days=open_period,
        closes_on=closes_on,
        read=read_user_cost,
    ),
    Feed(
        name="user_usage",
        label="Tokens per user",
        table=Table.USAGE,
        grain="person",
        window_days=LONGEST_RANGE,
        refresh_days=open_period,
        closes_on=closes_on,
        read=read_user_usage,
    ),
    Feed(
        name="users",
        label="Activity per user",
        table=Table.ENGAGEMENT,
        grain="person",
        window_days=1,
        refresh_days=lambda today: Window(today - timedelta(days=7), today),
        closes_on=closes_on,
        read=read_users,
    ),
)
