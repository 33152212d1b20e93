"""Answers a `ReportSpec` with plain values: the only place that sums facts.

A sum with an unreported part is not known (None), never a smaller number. See `docs/metrics.md`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import Case, CharField, Count, F, Q, Sum, Value, When

from accounts.models import Organization
from integrations.models import (
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
)
from integrations.models.facts import FactQuerySet
from integrations.window import Window
from reports import coverage as coverages
from reports.coverage import Coverage
from reports.metrics import DIMENSIONS, Key, Metric, Number, Source, Unit
from reports.spec import ReportSpec, last_day

Keys = tuple[Key, ...]
TIMES = ("day", "week", "month")
CONNECTION_DIMENSIONS = ("provider", "billing_account")
# Facts and their rollups, the smallest first: they hold the same numbers to a different grain.
TABLES: dict[Source, tuple[Any, ...]] = {
    Source.COST: (CostByMeter, CostByPerson, CostFact),
    Source.USAGE: (UsageByMeter, UsageByPerson, UsageFact),
}


@dataclass(frozen=True)
class Row:
    """One group: the values of its dimensions and of its metrics, in the order asked."""

    keys: Keys
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Report:
    """`columns` are the names asked for; `rows` stand in the order of their keys.

    `totals` are what the same question without a grouping answers.
    """

    spec: ReportSpec
    connections: tuple[Connection, ...]
    coverage: Coverage
    sides: tuple["Side", ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.spec.group_by, *self.spec.metrics)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        keys = {keys for side in self.sides for keys in side.groups}
        return tuple(Row(k, self.values(k)) for k in (sorted(keys) if self.spec.group_by else [()]))

    @cached_property
    def totals(self) -> tuple[Number, ...]:
        return self.by().values(())

    def values(self, keys: Keys) -> tuple[Number, ...]:
        """The metrics of one group, which need not have a row: 0 or None where it has none."""
        by_source = {side.source: side for side in self.sides}
        found: list[Number] = []
        for metric in self.spec.metric_objects:
            group = by_source[metric.source].groups.get(keys)
            found.append(self._absence.value(metric, keys) if group is None else group[metric.name])
        return tuple(found)

    def by(self, *names: str) -> "Report":
        """The same report with only some of its groupings, from the sums at hand."""
        at = [self.spec.group_by.index(name) for name in names]
        return replace(
            self,
            spec=replace(self.spec, group_by=names),
            sides=tuple(side.merged(at) for side in self.sides),
        )

    def text_rows(self) -> Iterator[list[str]]:
        """The rows as they stand in files: exact, "" for what is not known."""
        dimensions, metrics = self.spec.dimension_objects, self.spec.metric_objects
        for row in self.rows:
            keys = [d.text(key) for d, key in zip(dimensions, row.keys, strict=True)]
            yield keys + [m.text(v) for m, v in zip(metrics, row.values, strict=True)]

    @cached_property
    def _absence(self) -> "_Absence":
        return _Absence(self.spec, self.connections, self.coverage)


@dataclass(frozen=True)
class Side:
    """What one source says: per group, a sum for each of its metrics by name."""

    source: Source
    groups: Mapping[Keys, Mapping[str, Number]]

    def merged(self, at: Sequence[int]) -> "Side":
        """Keep only the keys at these places, and add up what becomes the same group."""
        parts: dict[Keys, list[Mapping[str, Number]]] = defaultdict(list)
        for keys, sums in self.groups.items():
            parts[tuple(keys[place] for place in at)].append(sums)
        return Side(
            self.source,
            {
                keys: {name: add(sums[name] for sums in found) for name in found[0]}
                for keys, found in parts.items()
            },
        )


def run(organization: Organization, spec: ReportSpec) -> Report:
    """Answer `spec` from this organization's facts alone.

    Four queries at most, however many rows: connections, days, costs, usage.
    """
    connections = connections_of(organization, spec)
    return Report(
        spec=spec,
        connections=tuple(connections),
        coverage=_coverage(connections, spec),
        sides=tuple(_sum_facts(source, connections, spec) for source in spec.sources),
    )


def coverage(organization: Organization, spec: ReportSpec) -> Coverage:
    """How far each day of the report can be trusted."""
    return _coverage(connections_of(organization, spec), spec)


def connections_of(organization: Organization, spec: ReportSpec) -> list[Connection]:
    """The connections a report reads, by label. One that is being deleted is gone already."""
    providers, accounts = spec.values_of("provider"), spec.values_of("billing_account")
    return [
        connection
        for connection in organization.connections.exclude(
            state=Connection.State.DELETING
        ).order_by("label")
        if (not providers or provider_name(connection) in providers)
        and (not accounts or connection.label in accounts)
    ]


def provider_name(connection: Connection) -> str:
    """The connector's name; its slug where the settings no longer name the connector."""
    try:
        return connection.connector.name
    except KeyError:
        return connection.connector_slug


def facts(source: Source, connections: Sequence[Connection], spec: ReportSpec) -> FactQuerySet:
    """What a report sums: the smallest table that knows all it asks for.

    The one place that chooses a table. Each holds the same numbers; a rollup has fewer rows.
    """
    model = _smallest(source, spec)
    found: FactQuerySet = model.objects.within(spec.window).filter(connection__in=connections)
    for filter_ in spec.filters:
        if (value := on_table(model, filter_.dimension)) is not None:
            name = f"by_{filter_.dimension}"
            found = found.alias(**{name: value}).filter(**{f"{name}__in": filter_.values})
    return found


def on_table(model: Any, dimension: str) -> Any:
    """The expression a dimension has on facts or a rollup; None where the connection decides.

    A rollup may hold a dimension in a column of its name, where facts have to work it out.
    """
    if any(field.name == dimension for field in model._meta.fields):
        return F(dimension)
    return DIMENSIONS[dimension].value


def _smallest(source: Source, spec: ReportSpec) -> Any:
    *rollups, everything = TABLES[source]
    return next((model for model in rollups if _knows(model, source, spec)), everything)


def _knows(model: Any, source: Source, spec: ReportSpec) -> bool:
    """Django knows which columns an expression reads: a rollup that lacks one refuses it."""
    used = (*spec.group_by, *(f.dimension for f in spec.filters))
    read = [value for name in used if (value := on_table(model, name)) is not None]
    read += [metric.value for metric in spec.metric_objects if metric.source is source]
    try:
        model.objects.alias(**{f"read_{at}": value for at, value in enumerate(read)})
    except FieldError:
        return False
    return True


def _coverage(connections: Sequence[Connection], spec: ReportSpec) -> Coverage:
    return coverages.read(connections, spec.window, spec.sources, by_person=spec.is_by_person)


def _sum_facts(source: Source, connections: Sequence[Connection], spec: ReportSpec) -> Side:
    """Sum one table in one query."""
    metrics = [metric for metric in spec.metric_objects if metric.source is source]
    found = facts(source, connections, spec)
    keys = {f"key_{name}": _key(found.model, name, connections) for name in spec.group_by}
    numbers: dict[str, Any] = {"facts": Count("pk")}
    for metric in metrics:
        numbers[f"sum_{metric.name}"] = Sum(metric.value)
        if metric.nullable:
            numbers[f"holes_{metric.name}"] = Count("pk", filter=_is_null(metric.nullable))
    rows = (
        found.values(**keys).annotate(**numbers).values(*keys, *numbers)
        if keys
        else [found.aggregate(**numbers)]
    )
    return Side(
        source,
        {
            tuple(row[key] for key in keys): {m.name: _sum(row, m) for m in metrics}
            for row in rows
            if row["facts"]
        },
    )


def _is_null(field: str) -> Q:
    return Q(**{f"{field}__isnull": True})


def _key(model: Any, name: str, connections: Sequence[Connection]) -> object:
    """The expression a dimension is grouped by."""
    if name == "billing_account":
        return F("connection__label")
    if name == "provider":
        slugs = {c.connector_slug: provider_name(c) for c in connections}
        return Case(
            *[When(connection__connector_slug=s, then=Value(n)) for s, n in slugs.items()],
            default=Value(""),
            output_field=CharField(),
        )
    return on_table(model, name)


def _sum(row: Mapping[str, object], metric: Metric) -> Number:
    if row.get(f"holes_{metric.name}"):
        return None
    return _number(row[f"sum_{metric.name}"], metric)


def _number(value: object, metric: Metric) -> Number:
    """PostgreSQL sums big integers to decimals: make a count a count again."""
    return Decimal(str(value)) if metric.unit is Unit.USD else int(str(value))


class _Absence:
    """What it means that a group has no fact: nothing was used, or nothing is known."""

    def __init__(
        self, spec: ReportSpec, connections: Sequence[Connection], coverage: Coverage
    ) -> None:
        self._spec = spec
        self._coverage = coverage
        self._names = {
            c.pk: {"provider": provider_name(c), "billing_account": c.label} for c in connections
        }
        self._known: dict[tuple[Source, Window, frozenset[int]], bool] = {}

    def value(self, metric: Metric, keys: Keys) -> Number:
        """0 where every day of the group is known and would have shown a use, else None."""
        if not self._is_counted(metric.source, keys) or not self._is_known(metric.source, keys):
            return None
        return Decimal(0) if metric.unit is Unit.USD else 0

    def _is_known(self, source: Source, keys: Keys) -> bool:
        cut = (source, self._window(keys), self._connection_ids(keys))
        if cut not in self._known:
            self._known[cut] = self._coverage.is_known(*cut)
        return self._known[cut]

    def _is_counted(self, source: Source, keys: Keys) -> bool:
        """Would the provider have told? Where only its per-user feeds count, for people alone.

        So a product without a line may have been used by nobody or by something without a
        user: not known. A person without a line has used nothing.
        """
        if self._coverage.is_whole(source):
            return True
        people: list[Key] = []
        labels = False
        for name, key in zip(self._spec.group_by, keys, strict=True):
            labels = labels or name not in TIMES + CONNECTION_DIMENSIONS
            people += [key] if DIMENSIONS[name].is_person else []
        for filter_ in self._spec.filters:
            labels = labels or filter_.dimension not in CONNECTION_DIMENSIONS
            people += filter_.values if DIMENSIONS[filter_.dimension].is_person else ()
        return all(people) if people else not labels

    def _window(self, keys: Keys) -> Window:
        """The days of the report that the group's own day, week or month leaves."""
        window = self._spec.window
        start, end = window.start, window.end
        for name, key in zip(self._spec.group_by, keys, strict=True):
            if name in TIMES and isinstance(key, date):
                start = max(start, key)
                end = min(end, last_day(name, key) + timedelta(days=1))
        return Window(start, end)

    def _connection_ids(self, keys: Keys) -> frozenset[int]:
        wanted = {
            name: key
            for name, key in zip(self._spec.group_by, keys, strict=True)
            if name in CONNECTION_DIMENSIONS
        }
        return frozenset(
            pk
            for pk, names in self._names.items()
            if all(names[name] == key for name, key in wanted.items())
        )


def add(numbers: Iterable[Number]) -> Number:
    """A sum that is not known as soon as one part is not."""
    total: Decimal | int = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total
