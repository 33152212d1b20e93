"""Answers a `ReportSpec` with plain values: the only place that sums facts.

A sum with an unreported part is not known (None), never a smaller number. See `docs/metrics.md`.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property, partial, reduce
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from django.core.exceptions import FieldError
from django.db.models import (
    Case,
    CharField,
    Count,
    DateField,
    DurationField,
    Expression,
    F,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Cast, Collate, Greatest

from accounts import deadlines
from accounts.models import Organization
from integrations.models import (
    ActivityByDay,
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    EngagementFact,
    Meter,
    Person,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
)
from integrations.models.facts import FactQuerySet
from integrations.status.days import DayState
from integrations.window import Window
from reports import coverage as coverages
from reports import identity
from reports.catalog import resource_names
from reports.catalog.labels import label
from reports.catalog.metrics import (
    DIMENSIONS,
    OTHER_KEY,
    UNKNOWN_USER,
    DistinctCount,
    Gauge,
    Key,
    Measure,
    Metric,
    Number,
    Source,
    Unit,
    catalogs,
    truncated,
)
from reports.catalog.resource_names import has_names
from reports.coverage import Coverage
from reports.engine.periods import CUSTOM, INTERVALS, Shift, first_day, last_day, spans
from reports.engine.spec import Filter, Operator, ReportSpec, SpecError

T = TypeVar("T")
Keys = tuple[Key, ...]
Place = tuple[Any, ...]  # the keys of a group, then the connection
Amounts = Mapping[str, Any]  # by measure: what a group keeps of it
TIMES = INTERVALS
CONNECTION = "key_connection"
CHUNK = 2000  # rows a server-side cursor hands over at a time
MOST_ROWS = 50_000  # of a report that is held in memory: pages, widgets, the API, mails
MOST_FILE_ROWS = 2_000_000  # of a report that is written row by row
MOST_IDENTIFIERS = 1_000_000  # of people, over all rows that count different people
CONNECTION_DIMENSIONS = ("provider", "billing_account", "currency")
# Facts and their rollups, the smallest first: they hold the same numbers to a different grain.
TABLES: dict[Source, tuple[Any, ...]] = {
    Source.COST: (CostByMeter, CostByPerson, CostFact),
    Source.USAGE: (UsageByMeter, UsageByPerson, UsageFact),
}
_WITH_PROJECT = (CostByPerson, UsageByPerson)
DOCUMENTS = (EngagementFact,)  # of every other source
# Those that say who it was.
_BY_PERSON = (CostByPerson, UsageByPerson, CostFact, UsageFact)
# How files name the two sides of a comparison, and what several connections lack.
COMPARED = ("comparable", "before")
PARTIAL = ("partial", "missing_connections")
LABELS_APART = "; "
# What no user accounts for.
UNATTRIBUTED = Filter("user_id", ("",))
_NOT_RANKED = ("", UNKNOWN_USER)  # they have a row of their own beside the first
# Dimensions that say who it was. Few people share a value.
PERSON_DIMENSIONS = frozenset({"project_id", "user_id", "user_email", "user_name"})


@dataclass(frozen=True)
class Row:
    """One group: the values of its dimensions and of its metrics, in the order asked.

    `before` are the values of the days it is compared with, and `alike` those of as many days of
    its own that are known; both are empty if it is not compared. `missing` are the labels of the
    connections whose part the values lack.
    """

    keys: Keys
    values: tuple[Number, ...]
    before: tuple[Number, ...] = ()
    alike: tuple[Number, ...] = ()
    missing: tuple[str, ...] = ()


class Reason(StrEnum):
    """Why a connection has no part in a number."""

    SILENT = "does not report it"
    UNREPORTED = "does not report all of it"
    UNNAMED = "does not report people"
    DAYS = "has no data for some of these days"
    OVERLAP = "counts people that another connection may count too"
    CURRENCY = "is charged in another currency, and two are never added"


@dataclass(frozen=True)
class Answered:
    """One metric of one group: what is known of it, and which connections it lacks, and why."""

    number: Number
    missing: Mapping[int, Reason]


@dataclass(frozen=True)
class Missing:
    """One connection that a total lacks."""

    metric: Metric
    connection: Connection
    reason: Reason


@dataclass(frozen=True)
class ShiftedPeriod:
    """Earlier days mapped to those of a window, so that both have the same keys."""

    shift: Shift
    window: Window

    def day(self, earlier: date) -> date:
        return self.shift.align(earlier, self.window)

    @property
    def expression(self) -> Expression:
        months = Cast(Value(f"{self.shift.months} months"), DurationField())
        days = Cast(Value(f"{self.shift.days} days"), DurationField())
        shifted = Cast(F("day") + months + days, DateField())
        return Greatest(shifted, Value(self.window.start, DateField()), output_field=DateField())


@dataclass(frozen=True)
class Report:
    """Result of a spec. `columns` are the requested names; `rows` are ordered by their keys.

    `totals` are the metrics without a grouping. `before` is the report of the comparison period;
    its keys are the days they are mapped to. `alike` is the report of the days that are known on
    both sides.
    """

    spec: ReportSpec
    connections: tuple[Connection, ...]
    coverage: Coverage
    sides: tuple["PeriodResult", ...]
    before: "Report | None" = None
    alike: "Report | None" = None
    shifted: ShiftedPeriod | None = None
    has_no_sum: bool = False  # its groups were put together although they overlap

    @property
    def columns(self) -> tuple[str, ...]:
        return columns(self.spec, self.connections, is_compared=self.before is not None)

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies its amounts are in; none if it has no amounts of money."""
        if not any(metric.is_money for metric in self.spec.metric_objects):
            return ()
        return tuple(sorted({connection.currency for connection in self.connections}))

    @property
    def currency(self) -> str:
        """The currency that amounts are written in; "" where it differs from row to row."""
        known = {connection.currency for connection in self.connections} or {"USD"}
        return known.pop() if len(known) == 1 else ""

    @property
    def adds_up(self) -> bool:
        """Return True if groups of the first metric may be added up."""
        is_mixed = self.spec.metric_objects[0].is_money and len(self.currencies) > 1
        return self.spec.adds_up and not is_mixed

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        # A running sum may be known on the days that are compared, and not on all of its own.
        sides = [side for side in (self, self.alike, self.before) if side]
        keys = {keys[:-1] for side in sides for groups in side._shown.values() for keys in groups}
        in_order = sorted(keys) if self.spec.group_by else [()]
        return tuple(self.row(k) for k in _at_most(len(in_order), in_order))

    def row(self, keys: Keys) -> Row:
        answered = self._answered(keys)
        return Row(
            keys,
            tuple(answer.number for answer in answered),
            self.before.values(keys) if self.before else (),
            self.alike.values(keys) if self.alike else (),
            self._numbers.labels(answered),
        )

    @cached_property
    def missing(self) -> tuple[Missing, ...]:
        """Missing parts of the totals by metric; without a sum, those of the groups."""
        total = self.by()
        if total.has_no_sum:
            answered = self._answered(self.rows[0].keys) if self.rows else ()
        else:
            answered = total._answered(())
        return tuple(
            Missing(metric, connection, answer.missing[connection.pk])
            for metric, answer in zip(self.spec.metric_objects, answered, strict=False)
            for connection in self.connections
            if connection.pk in answer.missing
        )

    @cached_property
    def totals(self) -> tuple[Number, ...]:
        return self.by().values(())

    @property
    def compared_days(self) -> int:
        """Number of days on each side of the comparison of the first metric."""
        if self.before is None:
            return 0
        sources = self.spec.metric_objects[0].sources
        parts = (part for part in self.before.coverage.parts if part.source in sources)
        return len({day for part in parts for day in part.states})

    def values(self, keys: Keys) -> tuple[Number, ...]:
        """Return the metrics of one group; 0 or None if it has no row."""
        if self.has_no_sum:
            return (None,) * len(self.spec.metrics)
        return tuple(answer.number for answer in self._answered(keys))

    def _answered(self, keys: Keys) -> Sequence[Answered]:
        return self._numbers.of(
            keys,
            {
                source: {
                    connection.pk: amounts
                    for connection in self.connections
                    if (amounts := shown.get((*keys, connection.pk))) is not None
                }
                for source, shown in self._shown.items()
            },
        )

    def by(self, *names: str) -> "Report":
        """Return the report with fewer groupings, from the amounts already read."""
        at = [self.spec.group_by.index(name) for name in names]
        dropped = {*self.spec.group_by} - {*names}
        overlap = any(DIMENSIONS[name].is_overlapping for name in dropped)
        return replace(
            self,
            has_no_sum=self.has_no_sum or overlap,
            # Groups that overlap are never added up: their total is not looked for.
            spec=replace(
                self.spec,
                group_by=names,
                merged=frozenset() if overlap or self.has_no_sum else self.spec.merged | dropped,
            ),
            sides=tuple(side.merged(at) for side in self.sides),
            before=self.before and self.before.by(*names),
            alike=self.alike and self.alike.by(*names),
        )

    def text_rows(self) -> Iterator[list[str]]:
        """Return the rows for exports: exact, "" for unknown."""
        return export_rows(self.spec, self.connections, self.rows)

    @cached_property
    def _shown(self) -> dict[Source, Mapping[Place, Amounts]]:
        """The groups of each source, added up from the first day on if that is asked."""
        if not self.spec.is_running:
            return {side.source: side.groups for side in self.sides}
        return {
            side.source: side.cumulative(
                _known_starts(self.spec, self.coverage, side.source, self.shifted),
                self._numbers.absence.is_known,
            ).groups
            for side in self.sides
        }

    @cached_property
    def _numbers(self) -> "_ValueReader":
        return _ValueReader(self.spec, self.connections, self.coverage, self.shifted)


@dataclass(frozen=True)
class PeriodResult:
    """Result of one source: per group, an amount for each of its measures by name.

    The last key of a group is the connection, so that what one of them lacks stays its own.
    """

    source: Source
    measures: tuple[Measure, ...]
    groups: Mapping[Place, Amounts]

    def merged(self, at: Sequence[int]) -> "PeriodResult":
        """Keep only the keys at these places, and merge what becomes the same group."""
        parts: dict[Place, list[Amounts]] = defaultdict(list)
        for keys, amounts in self.groups.items():
            parts[(*(keys[place] for place in at), keys[-1])].append(amounts)
        merged = {keys: _merge(self.measures, states) for keys, states in parts.items()}
        return replace(self, groups=merged)

    def cumulative(
        self, starts: Iterable[date], is_known: Callable[[Source, Place], bool]
    ) -> "PeriodResult":
        """Every column with all that came before it."""
        in_order = sorted(self.groups.items())
        running = _running_totals(in_order, self.measures, starts, partial(is_known, self.source))
        return replace(self, groups=dict(_at_most(MOST_ROWS, running)))


def _merge(measures: Iterable[Measure], parts: Sequence[Amounts]) -> Amounts:
    """Merge groups. A group holds no amount of a measure none of whose facts count in it."""
    if len(parts) == 1:
        return parts[0]
    states = {m: [part[m.name] for part in parts if m.name in part] for m in measures}
    return {m.name: m.merged(amounts) for m, amounts in states.items() if amounts}


class TooManyRows(SpecError):
    """The report has more rows than may be read this way."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"This report has more than {most:,} rows. Choose fewer days, a longer interval or"
            " fewer groupings, add a filter, or show only the top 100.",
            field="group_by",
        )


def _at_most(most: int, rows: Iterable[T]) -> Iterator[T]:
    """Hand the rows on; raise `TooManyRows` at the first one too many."""
    for count, row in enumerate(rows):
        if count % CHUNK == 0:
            deadlines.check()
        if count == most:
            raise TooManyRows(most)
        yield row


def _identified(rows: Iterable[tuple[Place, Amounts]]) -> Iterator[tuple[Place, Amounts]]:
    """Hand the rows on; raise `SpecError` if their sets of people are too large to hold."""
    count = 0
    for keys, amounts in rows:
        count += sum(len(each) for each in amounts.values() if isinstance(each, frozenset))
        if count > MOST_IDENTIFIERS:
            raise SpecError(
                "Counting different people in so many rows takes too much memory. Choose fewer"
                " days, a longer interval or fewer groupings.",
                field="metrics",
            )
        yield keys, amounts


def _known_starts(
    spec: ReportSpec, coverage: Coverage, source: Source, shifted: ShiftedPeriod | None
) -> list[date]:
    """Return the first days of the columns with a known day of this source, oldest first.

    The cost follows the data and not the window: a column without a known day shows nothing.
    """
    interval = spec.group_by[0]
    days = coverage.known_days(source)
    return sorted({first_day(interval, shifted.day(day) if shifted else day) for day in days})


def _running_totals(
    groups: Iterable[tuple[Place, Amounts]],
    measures: Sequence[Measure],
    known_starts: Iterable[date],
    is_known: Callable[[Place], bool],
) -> Iterator[tuple[Place, Amounts]]:
    """Every group from its first column on, with all that came before it; takes and gives order.

    Holds what each group has come to, and no column. One that is not known stays without an amount.
    """
    so_far: dict[Place, Amounts] = {}
    columns = groupby(groups, key=lambda group: group[0][0])
    starts = iter(known_starts)
    start = next(starts, None)
    coming, members = next(columns, (None, iter(())))
    while start is not None or coming is not None:
        column = min(each for each in (start, coming) if each is not None)
        new = set()
        if column == coming:
            for (_, *rest), amounts in members:
                group = tuple(rest)
                parts = [so_far[group], amounts] if group in so_far else [amounts]
                so_far[group] = _merge(measures, parts)
                new.add(group)
            coming, members = next(columns, (None, iter(())))
        if column == start:
            start = next(starts, None)
        for group in sorted(so_far):
            keys = (column, *group)
            if group in new or is_known(keys):
                yield keys, so_far[group]


def run(organization: Organization, spec: ReportSpec) -> Report:
    """Answer `spec` from this organization's facts alone; raises `SpecError` if no day is final.

    However many rows, the queries are the connections, the days, and one a source; the days and
    sources once more for a comparison, and the sources of the first metric once more for a limit.
    """
    questions = _questions(organization, spec)
    questions[0].refuse_too_many(MOST_ROWS)
    return _answer(questions)


def run_if_comparable(organization: Organization, spec: ReportSpec) -> Report | None:
    """Only the two sides of a comparison; None, and no fact is read, if no day can be compared."""
    questions = _questions(organization, spec)
    if len(questions) == 1 or not questions[-1].known.days:
        return None
    *_, alike, before = (question.answer() for question in questions[1:])
    return replace(alike, before=before, alike=alike)


def _answer(questions: Sequence["_Query"]) -> Report:
    if len(questions) == 1:
        return questions[0].answer()
    now, alike, before = questions
    report = now.answer()
    same = replace(report, coverage=alike.known) if alike.is_whole_of(now) else alike.answer()
    return replace(report, before=before.answer(), alike=same)


@dataclass(frozen=True)
class StreamedReport:
    """The rows of a report one after the other, for files of any size. Read them once."""

    spec: ReportSpec
    columns: tuple[str, ...]
    rows: Iterator[Row]

    connections: tuple[Connection, ...] = ()

    def text_rows(self) -> Iterator[list[str]]:
        return export_rows(self.spec, self.connections, self.rows)


def stream(
    organization: Organization, spec: ReportSpec, *, most: int = MOST_FILE_ROWS
) -> Report | StreamedReport:
    """Stream the rows of `run` in the same order, without storing them; raise `SpecError`.

    `TooManyRows` is raised at the first row above `most`.
    """
    if not spec.group_by:
        return run(organization, spec)
    questions = _questions(organization, spec)
    questions[0].refuse_too_many(most)
    connections = tuple(questions[0].connections)
    named = columns(spec, connections, is_compared=len(questions) > 1)
    rows = _at_most(most, _merged(questions))
    return StreamedReport(questions[0].spec, named, rows, connections)


def columns(
    spec: ReportSpec, connections: Sequence[Connection], *, is_compared: bool
) -> tuple[str, ...]:
    """Return the column names of an exported row.

    A dimension of identifiers is followed by their names. A comparison adds, for each metric, as
    many known days of the report and of before. Several connections add whether a number lacks one
    of them, and which.
    """
    compared = [f"{name}_{end}" for end in COMPARED for name in spec.metrics] if is_compared else []
    lacking = PARTIAL if len(connections) > 1 else ()
    return (*key_columns(spec), *spec.metrics, *compared, *lacking)


def key_columns(spec: ReportSpec) -> tuple[str, ...]:
    """Return the columns of an exported row before its numbers: dimensions and their names."""
    return tuple(column for name in spec.group_by for column in (name, *_name_column(name)))


def _name_column(dimension: str) -> tuple[str, ...]:
    return (f"{dimension.removesuffix('_id')}_name",) if has_names(dimension) else ()


def named_keys(
    spec: ReportSpec, connections: Sequence[Connection]
) -> Callable[[Row], list[tuple[Key, str]]]:
    """Return a function from a row to the key and text of each of its `key_columns`.

    A value without a name has "" for it.
    """
    names = resource_names.of(connections, spec.group_by)
    dimensions = spec.dimension_objects

    def of(row: Row) -> list[tuple[Key, str]]:
        keys: list[tuple[Key, str]] = []
        for dimension, key in zip(dimensions, row.keys, strict=True):
            text = dimension.text(key)
            keys.append((key, text))
            if has_names(dimension.name):
                name = label(dimension.name, text, names)
                keys.append(("", "" if name == text else name))
        return keys

    return of


def export_rows(
    spec: ReportSpec, connections: Sequence[Connection], rows: Iterable[Row]
) -> Iterator[list[str]]:
    """Rows as they stand in files: exact, "" for what is not known."""
    keys_of, metrics = named_keys(spec, connections), spec.metric_objects
    is_several = len(connections) > 1
    for row in rows:
        texts = [
            *(text for _, text in keys_of(row)),
            *(m.text(v) for m, v in zip(metrics, row.values, strict=True)),
            *(m.text(v) for m, v in zip(metrics, row.alike, strict=False)),
            *(m.text(v) for m, v in zip(metrics, row.before, strict=False)),
        ]
        if is_several:
            texts += ["yes" if row.missing else "no", LABELS_APART.join(row.missing)]
        yield texts


def coverage(organization: Organization, spec: ReportSpec) -> Coverage:
    """Return the coverage of each day of the report."""
    return _coverage(connections_of(organization, spec), spec)


def connections_of(organization: Organization, spec: ReportSpec) -> list[Connection]:
    """Return the connections of a report by label, without those being deleted."""
    filters = [f for f in spec.filters if f.dimension in CONNECTION_DIMENSIONS]
    chosen = [
        connection
        for connection in organization.connections.exclude(
            state=Connection.State.DELETING
        ).order_by("label")
        if all(f.matches(_names_of(connection)[f.dimension]) for f in filters)
    ]
    if spec.single_currency:
        main = main_currency(chosen)
        chosen = [connection for connection in chosen if connection.currency == main]
    return chosen


def main_currency(connections: Sequence[Connection]) -> str:
    """Return the currency that most of these connections are charged in; US dollars if none is."""
    counts = Counter(connection.currency for connection in connections)
    return min(counts, key=lambda code: (-counts[code], code), default="USD")


def _names_of(connection: Connection) -> dict[str, str]:
    """Return the values of the dimensions that a connection decides."""
    return {
        "provider": provider_name(connection),
        "billing_account": connection.label,
        "currency": connection.currency,
    }


def provider_name(connection: Connection) -> str:
    return connection.connector.name


def facts(
    source: Source,
    connections: Sequence[Connection],
    spec: ReportSpec,
    people: "People",
    known: Coverage | None = None,
) -> FactQuerySet:
    """Return the facts of a report from the smallest table that holds all dimensions.

    This is the only place that chooses a table. Each holds the same numbers; a rollup has fewer
    rows. `known` separates use whose people are not known yet from unattributed use.
    """
    model = _smallest(source, spec)
    matching: FactQuerySet = model.objects.within(spec.window).filter(connection__in=connections)
    if source.is_engagement:
        matching = matching.filter(_feed_filter(source, connections))
        matching = matching.filter(days=1) if model is EngagementFact else matching
    for filter_ in spec.filters:
        who = people
        if filter_.operator.is_exact and {*filter_.values} <= {*_NOT_RANKED}:
            who = People(())  # no person is asked for, so who is who is not read
        if model in _BY_PERSON and filter_.operator is Operator.IS:
            matching = matching.filter(_person_filter(model, connections, filter_, who))
        if (value := _cut(model, source, filter_.dimension, known, who)) is not None:
            name = f"by_{filter_.dimension}"
            condition = _condition(filter_, name, who)
            if filter_.dimension == "user_name":  # with or without what tells namesakes apart
                short = who.identities.short_name()
                value = _or_unknown(short, model, source, "user_name", known)
                matching = matching.alias(full_name=who.identities.full_name())
                full = _condition(filter_, "full_name", who)
                if filter_.operator is Operator.IS_NOT:
                    condition &= full
                else:
                    condition |= full & Q(person__isnull=False)
            matching = matching.alias(**{name: value}).filter(condition)
    return matching


def _feed_filter(source: Source, connections: Iterable[Connection]) -> Q:
    """Return a filter for the activity feeds that provide a source."""
    telling: dict[tuple[str, ...], list[Connection]] = defaultdict(list)
    for connection in connections:
        totals, people = coverages.feed_names(connection, source)
        telling[(*totals, *people)].append(connection)
    filters = (Q(connection__in=who, feed__in=feeds) for feeds, who in telling.items() if feeds)
    return reduce(Q.__or__, filters, Q()) or Q(pk__in=())


def _person_filter(
    model: Any, connections: Sequence[Connection], filter_: Filter, everybody: "People"
) -> Q:
    """Return what a filter by person implies for the indexed columns that name a person.

    Empty if nothing does. It takes a query more, and saves reading the facts of everybody else.
    All rows of a person are among them, whichever of their ids, emails and names was asked for.
    """
    values = filter_.values
    unattributed = {"", UNKNOWN_USER}.intersection(values)
    if filter_.dimension not in PERSON_DIMENSIONS:
        return Q()
    if unattributed == {*values}:
        return Q(person__isnull=True)
    if filter_.dimension == "project_id" and model not in (CostFact, UsageFact):
        return Q()  # a rollup has a column of its own for it
    people = Person.objects.filter(connection__in=everybody.connections)
    if filter_.dimension == "user_email":
        emails = [value.lower() for value in values]
        people = people.alias(email_key=identity.email_of()).filter(email_key__in=emails)
    elif filter_.dimension == "user_name":
        people = people.alias(short=identity.name_of(), full=identity.full_name_of())
        people = people.filter(Q(short__in=values) | Q(full__in=values))
    else:
        people = people.filter(external_id__in=values)
    keys = people.values_list(Value("person"), "pk")
    if filter_.dimension == "project_id":
        workspaces = [value for value in values if value]
        meters = Meter.objects.filter(connection__in=connections, workspace_id__in=workspaces)
        keys = keys.union(meters.values_list(Value("meter"), "pk"))
    ids: dict[str, list[int]] = {"person": []}
    for kind, pk in keys:
        ids.setdefault(kind, []).append(pk)
    known = everybody.identities
    wanted = {known.value(filter_.dimension, value) for value in values}
    listed = known.rows_listed(filter_.dimension, wanted)
    ids["person"] = sorted(known.rows_of({*ids["person"], *listed}))
    followed = reduce(Q.__or__, (Q(**{f"{kind}__in": pks}) for kind, pks in ids.items()))
    return followed | Q(person__isnull=True) if unattributed else followed


def _condition(filter_: Filter, name: str, people: "People") -> Q:
    """Return the condition of a filter on the value with this name."""
    if filter_.operator.is_exact:
        values = filter_.values
        if filter_.dimension in PERSON_DIMENSIONS:
            values = tuple(people.identities.value(filter_.dimension, value) for value in values)
        wanted = Q(**{f"{name}__in": values})
        return ~wanted if filter_.operator is Operator.IS_NOT else wanted
    lookup = f"{name}__{filter_.operator.lookup}"
    return Q(*(Q(**{lookup: value}) for value in filter_.values), _connector=Q.OR)


def _cut(
    model: Any, source: Source, dimension: str, known: Coverage | None, people: "People"
) -> Any:
    """Return the same expression with one value per person.

    Usage without a user has no value, and usage whose user is not known yet has one of its own.
    """
    value = dimension_expression(model, source, dimension)
    if dimension == "user_name":
        value = identity.name_of("person__", people.identities.names_of_several)
    if value is not None and dimension in PERSON_DIMENSIONS:
        value = people.identities.listed(dimension, value)
    return _or_unknown(value, model, source, dimension, known)


def _or_unknown(
    value: Any, model: Any, source: Source, dimension: str, known: Coverage | None
) -> Any:
    """Return the person's value, or a marker that the person is not known yet."""
    if known is None or value is None or not DIMENSIONS[dimension].is_person:
        return value
    unnamed = {part.connection_id: part.unnamed for part in known.parts if part.source is source}
    if not any(unnamed.values()):
        return value
    unknown = Q(person__isnull=True) & _on(unnamed)
    if dimension == "project_id":  # which a workspace may have decided
        unknown &= Q(project_id="") if model in _WITH_PROJECT else Q(meter__workspace_id="")
    return Case(When(unknown, then=Value(UNKNOWN_USER)), default=value, output_field=CharField())


def _on(days: Mapping[int, frozenset[date]]) -> Q:
    """Return the facts of these days of each connection."""
    conditions = (
        Q(connection=pk, day__gte=span.start, day__lt=span.end)
        for pk, some in days.items()
        for span in spans(some)
    )
    return reduce(Q.__or__, conditions, Q()) or Q(pk__in=())


def dimension_expression(model: Any, source: Source, dimension: str) -> Any:
    """Return a dimension's expression on facts or a rollup; None if the connection decides.

    A rollup may hold a dimension in a column of its name, where facts have to work it out.
    """
    if any(field.name == dimension for field in model._meta.fields):
        return F(dimension)
    return DIMENSIONS[dimension].of(source)


def tables_of(source: Source) -> tuple[Any, ...]:
    """Return the tables with the numbers of a source, the smallest first."""
    if not source.is_engagement:
        return TABLES[source]
    is_added_up = catalogs().activity_by_day.issuperset(source.feeds)
    return (ActivityByDay, EngagementFact) if is_added_up else DOCUMENTS


def _smallest(source: Source, spec: ReportSpec) -> Any:
    *rollups, everything = tables_of(source)
    return next((model for model in rollups if _can_answer(model, source, spec)), everything)


def _can_answer(model: Any, source: Source, spec: ReportSpec) -> bool:
    """Django knows which columns an expression reads: a rollup that lacks one refuses it."""
    read = [
        value
        for name in spec.used
        if (value := dimension_expression(model, source, name)) is not None
    ]
    measures = [measure for measure in spec.measures if measure.source is source]
    if model is ActivityByDay and any(measure.needs_documents for measure in measures):
        return False
    read += [measure.value for measure in measures]
    try:
        model.objects.alias(**{f"read_{at}": value for at, value in enumerate(read)})
    except FieldError:
        return False
    return True


def _coverage(connections: Sequence[Connection], spec: ReportSpec) -> Coverage:
    of_people = [f for f in spec.filters if DIMENSIONS[f.dimension].is_person]
    return coverages.read(
        connections,
        spec.window,
        spec.sources,
        by_person=spec.is_by_person,
        shows_unnamed=all(filter_.matches(UNKNOWN_USER) for filter_ in of_people),
    )


def _until_open(spec: ReportSpec, known: Coverage) -> ReportSpec:
    """Limit the report to the days before the first one that can still change."""
    open_days = (
        day
        for day, state in known.states.items()
        if state in {DayState.INCOMPLETE, DayState.PROVISIONAL}
    )
    end = next(open_days, spec.window.end)
    if end == spec.window.start:
        raise SpecError(
            f"No day of {spec.window} is final yet. Choose earlier days, or include those that can"
            " still change.",
            field="final",
        )
    return replace(spec, window=Window(spec.window.start, end), range=CUSTOM)


def _questions(organization: Organization, spec: ReportSpec) -> list["_Query"]:
    """Return the queries of a report: its days and the previous period if compared."""
    connections = connections_of(organization, replace(spec, single_currency=False))
    main = main_currency(connections)
    if spec.single_currency and any(c.currency != main for c in connections):
        # As a filter, so that the link to the report leads to the same number.
        spec = replace(spec, filters=(*spec.filters, Filter("currency", (main,))))
        connections = [c for c in connections if c.currency == main]
    known, shift = _coverage(connections, spec), spec.shift
    if spec.final:
        spec = _until_open(spec, known)
        known = replace(known, window=spec.window)
    now = _Query(connections, spec, known, People.of(organization))
    now = replace(now, kept=_top_keys(now))
    if shift is None:
        return [now]
    return [now, *_compared(now, shift)]


def _compared(now: "_Query", shift: Shift) -> tuple["_Query", "_Query"]:
    """As many days on each side, every one of them over and known on both, by connection.

    Today has not ended, so it counts as nothing, and so does the day it would be compared with.
    """
    spec = now.spec
    earlier = replace(spec, window=shift.before(spec.window), range=CUSTOM, compare="")
    known = _coverage(now.connections, earlier)
    pairs = {
        day: then
        for day in spec.window
        if (then := shift.earlier(day)) is not None and then in earlier.window
    }
    ours: dict[tuple[int, Source], frozenset[date]] = {}
    theirs: dict[tuple[int, Source], frozenset[date]] = {}
    for part in now.known.parts:
        key = (part.connection_id, part.source)
        other = known.part(*key)
        days = {d for d in part.ended if other and d in pairs and pairs[d] in other.ended}
        ours[key] = frozenset(days)
        theirs[key] = frozenset(pairs[day] for day in days)
    alike = replace(spec, window=_hull(ours.values(), spec.window), range=CUSTOM, compare="")
    before = replace(earlier, window=_hull(theirs.values(), earlier.window))
    return (
        replace(now, spec=alike, known=now.known.limited(ours, alike.window), days=ours),
        replace(
            now,
            spec=before,
            known=known.limited(theirs, before.window),
            days=theirs,
            shifted=ShiftedPeriod(shift, spec.window),
        ),
    )


def _hull(days: Iterable[frozenset[date]], otherwise: Window) -> Window:
    """From the first of these days to the last; other days if there are none."""
    every = {day for some in days for day in some}
    return Window(min(every), max(every) + timedelta(days=1)) if every else otherwise


def _top_keys(question: "_Query") -> tuple[str, ...]:
    """Return the values a limit keeps: the largest by the first metric, and no value.

    Empty if nothing is cut off.
    """
    spec = question.spec
    if not spec.ranked_by:
        return ()
    first = replace(spec, metrics=spec.metrics[:1], group_by=(spec.ranked_by,), cumulative=False)
    rows = [r for r in replace(question, spec=first).answer().rows if r.keys[0] not in _NOT_RANKED]
    sign = 1 if spec.smallest else -1
    rows.sort(key=lambda row: (row.values[0] is None, sign * (row.values[0] or 0), row.keys))
    return (*_NOT_RANKED, *(str(row.keys[0]) for row in rows[: spec.limit]))


@dataclass(frozen=True)
class People:
    """Identities of an organization, read once for a report that names people.

    Filters by connection leave it as it is, so a person has the same id in every report.
    """

    connections: Sequence[Connection] | QuerySet[Connection]

    @classmethod
    def of(cls, organization: Organization) -> "People":
        return cls(organization.connections.exclude(state=Connection.State.DELETING))

    @cached_property
    def identities(self) -> identity.Identities:
        return identity.identities(self.connections)


@dataclass(frozen=True)
class _Query:
    """A report whose connections and days are known: what is left is to read its sources."""

    connections: Sequence[Connection]
    spec: ReportSpec
    known: Coverage
    people: People
    kept: tuple[str, ...] = ()
    shifted: ShiftedPeriod | None = None
    days: Mapping[tuple[int, Source], frozenset[date]] | None = None  # where not all count

    def is_whole_of(self, other: "_Query") -> bool:
        """Return True if its days include all days that another query knows."""
        days = self.days or {}
        return all(
            part.unnamed | part.states.keys() == days.get((part.connection_id, part.source))
            for part in other.known.parts
        )

    def answer(self) -> Report:
        return Report(
            spec=self.spec,
            connections=tuple(self.connections),
            coverage=self.known,
            sides=tuple(
                PeriodResult(source, self.measures(source), dict(_identified(self._read(source))))
                for source in self.spec.sources
            ),
            shifted=self.shifted,
        )

    def groups(self, source: Source) -> Iterator[tuple[Place, Amounts]]:
        """Stream the groups of one source in the order of their keys with a server-side cursor."""
        return self._read(source, in_order=True)

    def measures(self, source: Source) -> tuple[Measure, ...]:
        return tuple(measure for measure in self.spec.measures if measure.source is source)

    def _read(self, source: Source, *, in_order: bool = False) -> Iterator[tuple[Place, Amounts]]:
        """Read one source in one query. The last key is the connection."""
        measures = self.measures(source)
        keyed, keys = self._keyed(source)
        if isinstance(measures[0], Gauge):
            levels = _levels(keyed, measures, keys)
            yield from sorted(levels.items()) if in_order else levels.items()
            return
        if len(self.connections) > 1:
            keys[CONNECTION] = F("connection_id")
        numbers: dict[str, Any] = {"facts": Count("pk")}
        for measure in measures:
            numbers |= measure.aggregates(self._beside(measure))
        counts_people = any(isinstance(measure, DistinctCount) for measure in measures)
        same = self.people.identities.same if counts_people else {}
        rows: Iterable[dict[str, Any]] = [keyed.aggregate(**numbers)] if not keys else ()
        if keys:
            grouped = keyed.values(**keys).annotate(**numbers).values(*keys, *numbers)
            in_memory = _at_most(MOST_ROWS, grouped[: MOST_ROWS + 1])
            rows = _in_order(grouped, keys).iterator(CHUNK) if in_order else in_memory
        only = () if CONNECTION in keys else tuple(c.pk for c in self.connections)
        for row in rows:
            if row["facts"]:
                yield (
                    (*(row[key] for key in keys), *only),
                    {m.name: _once(m.amount(row), same) for m in measures if m.has_facts(row)},
                )

    def _keyed(self, source: Source) -> tuple[FactQuerySet, dict[str, Any]]:
        """Return the facts of one source and the expressions they are grouped by."""
        rows = facts(source, self.connections, self.spec, self.people, self.known)
        if self.days is not None:
            rows = rows.filter(_on({pk: d for (pk, of), d in self.days.items() if of is source}))
        keys: dict[str, Any] = {}
        for name in self.spec.group_by:
            key = _key(rows.model, name, source, self)
            if self.kept and name == self.spec.ranked_by:
                rows = rows.alias(ranked=key)
                if DIMENSIONS[name].is_overlapping:  # the others have no sum
                    rows = rows.filter(ranked__in=self.kept)
                key = Case(
                    When(ranked__in=self.kept, then=F("ranked")),
                    default=Value(OTHER_KEY),
                    output_field=CharField(),
                )
            keys[f"key_{name}"] = key
        return rows, keys

    def refuse_too_many(self, most: int) -> None:
        """Raise `TooManyRows` for a report by person and time whose newest days are too many.

        Counts the groups of one day, of two and so on up to an eighth of the days: the rows of a
        report of a year are too many after a week of it, and the other days are not read.

        To count the groups of a report without time would read every fact the report reads, so
        it is not done. There the bounds are: PostgreSQL hands over one row above `most` and no
        more, and ends the statement at the deadline, which workers have, too. Either is a
        sentence, and neither holds more rows than a report that is allowed.
        """
        spec = self.spec
        is_by_person = any(DIMENSIONS[name].is_person for name in spec.group_by)
        is_by_time = any(name in TIMES for name in spec.group_by)
        if self.kept or not (is_by_person and is_by_time):
            return
        for source in spec.sources:
            days = self.known.known_days(source)
            if not days or isinstance(self.measures(source)[0], Gauge):
                continue
            end, count = max(days) + timedelta(days=1), 1
            while count * 8 <= len(days):
                window = Window(end - timedelta(days=count), end)
                part = replace(self, spec=replace(spec, window=window, range=CUSTOM))
                groups = part.count_groups(source, most)
                if groups > most:
                    raise TooManyRows(most)
                if groups * len(days) <= most * count:
                    break
                count *= 2

    def count_groups(self, source: Source, most: int) -> int:
        """Return the number of groups of one source, counted up to one above `most`."""
        rows, keys = self._keyed(source)
        groups: QuerySet[Any] = rows.values(**keys).annotate(facts=Count("pk"))
        return groups[: most + 1].count()

    def _beside(self, measure: Measure) -> Q | None:
        """Return the days that count for one side of a ratio; None for all.

        A day counts unless only one of the two sources knows it, or knows all of it.
        """
        if measure.compared_with is None:
            return None
        unlike: dict[int, frozenset[date]] = {}
        for connection in self.connections:
            one = self.known.part(connection.pk, measure.source)
            other = self.known.part(connection.pk, measure.compared_with)
            if one and other:
                unlike[connection.pk] = frozenset(
                    day
                    for day in {*one.states, *other.states}
                    if (day in one.ended) != (day in other.ended)
                    or (day in one.states) != (day in other.states)
                )
        return ~_on(unlike) if any(unlike.values()) else None


def _once(amount: Any, same: Mapping[int, int]) -> Any:
    """Of a set of people, each by one row alone; other amounts as they are."""
    if same and isinstance(amount, frozenset):
        return frozenset(same.get(pk, pk) for pk in amount)
    return amount


def _in_order(rows: QuerySet[Any], keys: Mapping[str, Any]) -> QuerySet[Any]:
    """Sorted as Python sorts: text by code points, whatever language the database speaks."""
    names = (key.removeprefix("key_") for key in keys)
    return rows.order_by(
        *(
            F(f"key_{name}")
            if name in TIMES or f"key_{name}" == CONNECTION
            else Collate(F(f"key_{name}"), "C")
            for name in names
        )
    )


def _merged(questions: Sequence["_Query"]) -> Iterator[Row]:
    """Walk through all sources side by side, a key at a time."""

    numbers = [_ValueReader(q.spec, q.connections, q.known, q.shifted) for q in questions]
    # The sides are now, alike and before. Nothing is read twice where the first two are the same.
    is_same = len(questions) > 1 and questions[1].is_whole_of(questions[0])
    read = [at for at in range(len(questions)) if not (is_same and at == 1)]

    def tagged(at: int, source: Source) -> Iterator[tuple[Place, tuple[int, Source], Amounts]]:
        question, groups = questions[at], questions[at].groups(source)
        if question.spec.is_running:
            is_known = partial(numbers[at].absence.is_known, source)
            starts = _known_starts(question.spec, question.known, source, question.shifted)
            groups = _running_totals(groups, question.measures(source), starts, is_known)
        for keys, amounts in groups:
            yield keys, (at, source), amounts

    sources = [tagged(at, s) for at in read for s in questions[at].spec.sources]
    in_order = merge(*sources, key=itemgetter(0))
    for keys, same_keys in groupby(in_order, key=lambda group: group[0][:-1]):
        amounts: dict[int, dict[Source, dict[int, Amounts]]] = defaultdict(
            partial(defaultdict, dict)
        )
        for (*_, connection), (at, source), group in same_keys:
            amounts[at][source][connection] = group
        if is_same:
            amounts[1] = amounts[0]
        now, *compared = (each.of(keys, amounts[at]) for at, each in enumerate(numbers))
        alike, before = compared or ((), ())
        yield Row(
            keys,
            tuple(answer.number for answer in now),
            tuple(answer.number for answer in before),
            tuple(answer.number for answer in alike),
            numbers[0].labels(now),
        )


def _levels(
    keyed: QuerySet[Any], measures: Sequence[Measure], keys: Mapping[str, Any]
) -> Mapping[Place, Amounts]:
    """One fact a connection and day: nothing to sum."""
    values: dict[str, Any] = {f"level_{m.name}": m.value for m in measures}
    measures_by_name = {measure.name: measure for measure in measures}
    groups: dict[Place, dict[str, dict[tuple[int, date], Number]]] = {}
    for row in keyed.values("connection_id", "day", **keys, **values):
        place = (*(row[key] for key in keys), row["connection_id"])
        group = groups.setdefault(place, {m.name: {} for m in measures})
        for name, levels in group.items():
            value = row[f"level_{name}"]
            levels[row["connection_id"], row["day"]] = measures_by_name[name].exact(value)
    return groups


def _key(model: Any, name: str, source: Source, question: "_Query") -> Any:
    """Return the expression a dimension is grouped by."""
    connections, shifted = question.connections, question.shifted
    if name in {"billing_account", "currency"}:
        return F("connection__label" if name == "billing_account" else "connection__currency")
    if name == "provider":
        slugs = {c.connector_slug: provider_name(c) for c in connections}
        return Case(
            *[When(connection__connector_slug=s, then=Value(n)) for s, n in slugs.items()],
            default=Value(""),
            output_field=CharField(),
        )
    if shifted and name in TIMES:
        return truncated(name, shifted.expression)
    return _cut(model, source, name, question.known, question.people)


class _ValueReader:
    """Turns the amounts of a group into the numbers its metrics show."""

    def __init__(
        self,
        spec: ReportSpec,
        connections: Sequence[Connection],
        coverage: Coverage,
        shifted: ShiftedPeriod | None,
    ) -> None:
        self.absence = _MissingValues(spec, connections, coverage, shifted)
        self._connections = connections
        self._currencies = {connection.pk: connection.currency for connection in connections}
        self._metrics: tuple[Metric, ...] = spec.metric_objects
        self._measures = spec.measures
        self._absent: dict[tuple[Key | bool, ...], tuple[Answered, ...]] = {}

    def of(
        self, keys: Keys, amounts: Mapping[Source, Mapping[int, Amounts]]
    ) -> tuple[Answered, ...]:
        """Return the metrics in order, from each connection's part of the group."""
        if any(amounts.values()):
            return self._of(keys, amounts)
        # A table of 5,000 people has a fact in few of its cells: what the others mean is worked
        # out once for all that are alike, which takes a tenth of the time.
        kind = self.absence.kind(keys)
        if kind not in self._absent:
            self._absent[kind] = self._of(keys, amounts)
        return self._absent[kind]

    def _of(
        self, keys: Keys, amounts: Mapping[Source, Mapping[int, Amounts]]
    ) -> tuple[Answered, ...]:
        measured = {
            measure.name: self._measured(measure, keys, amounts.get(measure.source, {}))
            for measure in self._measures
        }
        return tuple(self._answer(metric, measured) for metric in self._metrics)

    def labels(self, answered: Iterable[Answered]) -> tuple[str, ...]:
        """Return the labels of connections without any of these numbers."""
        lacking = {pk for answer in answered for pk in answer.missing}
        return tuple(c.label for c in self._connections if c.pk in lacking) if lacking else ()

    def _measured(self, measure: Measure, keys: Keys, groups: Mapping[int, Amounts]) -> "_Measured":
        known: dict[int, Any] = {}
        missing: dict[int, Reason] = {}
        absence = self.absence
        for pk in absence.connection_ids(keys):
            group = groups.get(pk)
            if group is not None and measure.name in group:
                reason = absence.why_partly(measure, keys, pk, group[measure.name])
                if group[measure.name] is not None and reason is not Reason.UNNAMED:
                    known[pk] = group[measure.name]
            else:
                reason = absence.why(measure, keys, pk)
            if reason is not None:
                missing[pk] = reason
        zeros = absence.connection_ids(keys).difference(known, missing)
        return _Measured(measure, known, zeros, missing, self._currencies)

    def _answer(self, metric: Metric, measured: Mapping[str, "_Measured"]) -> Answered:
        parts = [measured[measure.name] for measure in metric.measures]
        missing = {pk: reason for part in parts for pk, reason in part.missing.items()}
        if len(parts) > 1:
            # A quotient is of the connections alone that know both of its sides.
            common = frozenset.intersection(*(part.connections for part in parts))
            parts = [part.of(common) for part in parts]
        numbers = {part.measure.name: part.number for part in parts}
        overlapping = {pk: Reason.OVERLAP for part in parts for pk in part.overlapping}
        unlike = {pk: Reason.CURRENCY for part in parts if part.is_mixed for pk in part.known}
        return Answered(metric.number(numbers), {**missing, **overlapping, **unlike})


@dataclass(frozen=True)
class _Measured:
    """One measure of a group: the amounts of connections that have some, and who has none."""

    measure: Measure
    known: Mapping[int, Any]
    zeros: frozenset[int]
    missing: Mapping[int, Reason]
    currencies: Mapping[int, str]

    @property
    def is_mixed(self) -> bool:
        """Return True for money in more than one currency, which has no sum."""
        is_money = self.measure.unit is Unit.USD
        return is_money and len({self.currencies[pk] for pk in self.known}) > 1

    @property
    def connections(self) -> frozenset[int]:
        return self.zeros.union(self.known)

    def of(self, connections: frozenset[int]) -> "_Measured":
        known = {pk: amount for pk, amount in self.known.items() if pk in connections}
        return replace(self, known=known, zeros=self.zeros & connections)

    @property
    def number(self) -> Number:
        """Return the known number; None where an unknown part may be all there is."""
        if self.is_mixed:
            return None
        if self.known:
            amounts = list(self.known.values())
            whole = amounts[0] if len(amounts) == 1 else self.measure.merged(amounts)
            return self.measure.shown(whole)
        lacks_part = any(reason is not Reason.SILENT for reason in self.missing.values())
        return None if lacks_part or not self.zeros else self.measure.nothing

    @property
    def overlapping(self) -> Iterable[int]:
        """The connections whose people cannot be added up."""
        is_people = isinstance(self.measure, Gauge) and self.measure.is_people
        return self.known if is_people and len(self.known) > 1 else ()


def _names_nobody(connection: Connection, source: Source) -> bool:
    """Return True for a source with totals of the organization only."""
    totals, people = coverages.feed_names(connection, source)
    return bool(totals) and not people


class _MissingValues:
    """Meaning of a missing fact of a connection: nothing was used, or it is unknown."""

    def __init__(
        self,
        spec: ReportSpec,
        connections: Sequence[Connection],
        coverage: Coverage,
        shifted: ShiftedPeriod | None,
    ) -> None:
        self._spec = spec
        self._coverage = coverage
        # Mapped days never go backwards, so those of a column are found by bisection.
        self._shifted_days = [shifted.day(day) for day in spec.window] if shifted else None
        self._names = {c.pk: _names_of(c) for c in connections}
        self._every = frozenset(self._names)
        self._places = [
            (at, name) for at, name in enumerate(spec.group_by) if name in CONNECTION_DIMENSIONS
        ]
        self._decides = [name in TIMES + CONNECTION_DIMENSIONS for name in spec.group_by]
        self._known: dict[tuple[Source, Window | None, int], bool] = {}
        self._windows: dict[Keys, Window | None] = {}
        self._nameless = {
            source: frozenset(c.pk for c in connections if _names_nobody(c, source))
            for source in spec.sources
        }
        self._silent = {
            (source, pk): coverage.part(pk, source) is None
            for source in spec.sources
            for pk in self._every
        }
        self._lacking = {
            (part.source, part.connection_id): coverage.lacking(part) for part in coverage.parts
        }

    def kind(self, keys: Keys) -> tuple[Key | bool, ...]:
        """Return the part of the keys that decides why a group without facts is unknown.

        Its days and connections, and whether it has a value at all: which person, model or product
        it is makes no difference.
        """
        return tuple(
            key if is_kept else bool(key) for key, is_kept in zip(keys, self._decides, strict=True)
        )

    def why(self, measure: Measure, keys: Keys, pk: int) -> Reason | None:
        """Why a group without a fact is not known; None if it is a zero.

        It is one where every day of the group is known and would have shown a use.
        """
        source = measure.source
        if self._silent[source, pk]:
            return Reason.SILENT
        if not self._is_counted(source, keys, pk):
            return Reason.UNREPORTED
        if not self._is_named(source, keys):
            return Reason.UNNAMED
        if isinstance(measure, Gauge) or not self.is_known(source, (*keys, pk)):
            return Reason.DAYS
        return None

    def why_partly(self, measure: Measure, keys: Keys, pk: int, amount: Any) -> Reason | None:
        """Why what a connection has of a group is not all of it; None if it is."""
        source = measure.source
        if amount is None:
            return Reason.UNREPORTED
        if isinstance(measure, DistinctCount) and not amount and self._is_unnamed(source, keys, pk):
            return Reason.UNNAMED
        lacking = self._lacking.get((source, pk))
        if not lacking or isinstance(measure, Gauge):
            return None
        window = self._window(keys)
        return Reason.DAYS if window and any(day in window for day in lacking) else None

    def _is_unnamed(self, source: Source, keys: Keys, pk: int) -> bool:
        """Return True if there is use, but no day for which its people are known."""
        part, window = self._coverage.part(pk, source), self._window(keys)
        if part is None or not part.names_people:
            return True
        named = part.states.keys() - part.unnamed
        return bool(part.unnamed) and not (window and any(day in window for day in named))

    def is_known(self, source: Source, keys: Place) -> bool:
        """Return True if every day of this group is known. Its last key is the connection."""
        *own, pk = keys
        window = self._window(tuple(own))
        if (source, window, pk) not in self._known:
            self._known[source, window, pk] = window is not None and self._coverage.is_known(
                source, window, frozenset({pk})
            )
        return self._known[source, window, pk]

    def _is_counted(self, source: Source, keys: Keys, pk: int) -> bool:
        """Return True if the provider would have reported use.

        If only per-user feeds count, that holds for people alone: a product without a row may have
        been used without a user, which is unknown. A person without a row has used nothing.
        """
        part = self._coverage.part(pk, source)
        if part is not None and part.is_whole:
            return True
        people: list[bool] = []
        labels = False
        for name, key in zip(self._spec.group_by, keys, strict=True):
            labels = labels or name not in TIMES + CONNECTION_DIMENSIONS
            people += [bool(key)] if DIMENSIONS[name].is_person else []
        for filter_ in self._spec.filters:
            labels = labels or filter_.dimension not in CONNECTION_DIMENSIONS
            if DIMENSIONS[filter_.dimension].is_person:
                people.append(not filter_.matches(""))
        return all(people) if people else not labels

    def _is_named(self, source: Source, keys: Keys) -> bool:
        """Return True unless a filter by person cannot be answered by these connections.

        A project may be a workspace, which all of them would have reported.
        """
        asked = any(
            key and name != "project_id" and DIMENSIONS[name].is_person
            for name, key in zip(self._spec.group_by, keys, strict=True)
        )
        return not asked or not self.connection_ids(keys) <= self._nameless[source]

    def _window(self, keys: Keys) -> Window | None:
        """Return the days of the report within the group's own interval; None for no day."""
        times = tuple(
            key for name, key in zip(self._spec.group_by, keys, strict=True) if name in TIMES
        )
        if times not in self._windows:
            self._windows[times] = self._days(keys)
        return self._windows[times]

    def _days(self, keys: Keys) -> Window | None:
        window = self._spec.window
        start, last = window.start, window.last_day
        for name, key in zip(self._spec.group_by, keys, strict=True):
            if name not in TIMES or not isinstance(key, date):
                continue
            if self._shifted_days is None:
                start, last = max(start, key), min(last, last_day(name, key))
                continue
            first = bisect_left(self._shifted_days, key)
            behind = bisect_right(self._shifted_days, last_day(name, key))
            if first == behind:
                return None
            start = max(start, window.start + timedelta(days=first))
            last = min(last, window.start + timedelta(days=behind - 1))
        return Window(start, last + timedelta(days=1)) if start <= last else None

    def connection_ids(self, keys: Keys) -> frozenset[int]:
        """Return the connections that can contribute to a group."""
        if not self._places:
            return self._every
        wanted = [(name, keys[at]) for at, name in self._places]
        return frozenset(
            pk
            for pk, names in self._names.items()
            if all(names[name] == key or key == OTHER_KEY for name, key in wanted)
        )
