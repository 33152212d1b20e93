"""Arrange a report as a table: groups down, days, weeks, months or quarters across."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import groupby, islice, repeat
from math import ceil, sqrt

from accounts import deadlines
from integrations.status.days import DayState
from integrations.window import Window
from reports.catalog import labels, resource_names
from reports.catalog.metrics import OTHER_KEY, SPECIAL, Key, Metric, Number, add_known
from reports.catalog.resource_names import Names
from reports.coverage import Coverage
from reports.engine import Keys, Reason, Report
from reports.engine.periods import first_day, last_day, split_into_intervals
from reports.engine.spec import COMPARED, NAME_COLUMN, Filter, ReportSpec, SpecError
from reports.forecast import Estimate

MAX_SERIES = 6  # series with a color of their own; the rest is drawn as Other
MAX_BARS = 20  # groups that are drawn one below the other
MAX_ROWS = 200  # rows of the table; the files have all
# Groups times columns, of which sums are made whether or not the table shows them. Files have none.
MOST_CELLS = 200_000
HEAT_STEPS = 5  # steps from next to nothing to the highest cell
# The first metric of each group, column by column.
Values = Mapping[Keys, tuple[Number, ...]]


@dataclass(frozen=True)
class Column:
    """One day, week, month or quarter: the part that is in the report, and how sure it is."""

    interval: str
    start: date
    window: Window
    state: DayState
    is_edge: bool = False  # the first that can still change

    @property
    def is_open(self) -> bool:
        return self.state in {DayState.INCOMPLETE, DayState.PROVISIONAL}

    @property
    def label(self) -> str:
        if self.interval == "quarter":
            return f"Q{(self.start.month + 2) // 3} {self.start.year}"
        if self.interval == "month":
            return f"{self.start:%b %Y}"
        first = self.window.start  # of a week that is cut off, too
        return f"{first.day} {first:%b}"

    @property
    def _whole_days(self) -> int:
        return (last_day(self.interval, self.start) - self.start).days + 1

    @property
    def part(self) -> str:
        """Label of a partial week, month or quarter: “3 of 7 days”; "" for a complete one."""
        days, whole = len(self.window), self._whole_days
        return f"{days} of {whole} days" if days < whole else ""

    @property
    def part_width(self) -> float:
        """Width of its bar relative to a complete interval, and wide enough to be seen."""
        return max(len(self.window) / self._whole_days, 0.2)

    @property
    def certainty(self) -> str:
        return {
            DayState.UNKNOWN: "No data",
            DayState.INCOMPLETE: "Incomplete",
            DayState.PROVISIONAL: "Can still change",
            DayState.FINAL: "Final",
        }[self.state]


@dataclass(frozen=True)
class Span:
    """Neighboring columns that are equally sure."""

    label: str
    width: int
    is_edge: bool


@dataclass(frozen=True)
class Cell:
    """`heat` is 0 for none and up to five for the highest of the table."""

    value: Number
    column: Column
    heat: int = 0


@dataclass(frozen=True)
class Total:
    """One metric of one line over all columns.

    `alike` and `before` are of as many days of the report and of the days it is compared with, all
    of them known; `is_comparable`: there is such a day.
    """

    value: Number
    metric: Metric
    before: Number = None
    alike: Number = None
    is_comparable: bool = False

    @property
    def change(self) -> Decimal | None:
        """As a part of what was before: 0.25 is a quarter more. None: nothing to compare with."""
        if self.alike is None or not self.before or not self.is_comparable:
            return None
        return (Decimal(self.alike) - Decimal(self.before)) / abs(Decimal(self.before))

    @property
    def difference(self) -> Number:
        """Return how much more there is now, on as many days of each side; None if unknown."""
        if self.alike is None or self.before is None or not self.is_comparable:
            return None
        return self.alike - self.before

    @property
    def is_new(self) -> bool:
        """Return True if there is a value now and surely none in the previous period."""
        return bool(self.alike) and self.before == 0 and self.is_comparable


@dataclass(frozen=True)
class PivotRow:
    """One row: a group, or a part of the group above it. `color` 0: not in the chart.

    `opens` is the query of the report on what it is made of, which `opens_label` describes; "" for
    none.
    """

    label: str
    is_identifier: bool
    is_part: bool
    number: int
    parts: int
    color: int
    cells: tuple[Cell, ...]
    totals: tuple[Total, ...]
    keys: Keys = ()
    opens: str = ""
    opens_label: str = ""

    @property
    def is_drawn(self) -> bool:
        """Return True if it has a layer of its own in the chart."""
        return self.color not in {0, labels.GREY}


@dataclass(frozen=True)
class Series:
    """One layer of the chart: a value per column, None where nothing is known."""

    label: str
    color: int
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Group:
    """One group over all columns, for charts without time. `certain`: what will not change."""

    label: str
    color: int
    value: Number
    before: Number
    certain: Number


@dataclass(frozen=True)
class LateConnection:
    """A connection without data, or without data before a day that others know."""

    label: str
    first_day: date | None
    without: str = ""  # the address of the same report without it


@dataclass(frozen=True)
class Lacking:
    """A connection without a part in the totals of some metrics.

    `without` is the address of the same report without it; "" if it is the only one.
    """

    label: str
    reason: Reason
    metrics: tuple[Metric, ...]
    without: str

    @property
    def names(self) -> str:
        return ", ".join(metric.label for metric in self.metrics)


@dataclass(frozen=True)
class ForecastColumn:
    """Expected value of a column. `at` is its position: that of an open column, or after all."""

    column: Column
    at: int
    estimate: Estimate


@dataclass(frozen=True)
class Pivot:
    """Cells hold the first metric; every metric has a total per line.

    `before` is the foot of the days it is compared with, column by column.
    """

    spec: ReportSpec
    columns: tuple[Column, ...]
    lines: tuple[PivotRow, ...]
    left_out: int
    foot: tuple[Cell, ...]
    totals: tuple[Total, ...]
    series: tuple[Series, ...]
    groups: tuple[Group, ...]
    late: tuple[LateConnection, ...]
    before: tuple[Number, ...] = ()
    before_window: Window | None = None
    compared_days: int = 0  # on each side
    alike_window: Window | None = None
    missing: tuple["Lacking", ...] = ()
    ahead: tuple[ForecastColumn, ...] = ()
    currency: str = "USD"  # "" where it differs by row
    adds_up: bool = True  # its groups have a sum

    @property
    def metric(self) -> Metric:
        return self.spec.metric_objects[0]

    @property
    def has_total(self) -> bool:
        """Return True if there is a total of all groups."""
        return not self.spec.is_overlapping

    @property
    def lead(self) -> int:
        """Return how many columns of the table stand before the first interval."""
        more = len(self.spec.metrics) - 1
        is_compared = self.before_window is not None
        return 2 + more + (len(self.spec.compared) + more if is_compared else 0)

    @property
    def places(self) -> int:
        """Number of columns a chart can show, including forecast ones."""
        return max([len(self.columns), *(ahead.at + 1 for ahead in self.ahead)])

    @property
    def look(self) -> str:
        """Format of the cells: the unit, and the number format."""
        return f"{self.metric.unit}:{self.spec.numbers}"

    @property
    def is_closed(self) -> bool:
        """Will the total never change? Then it has the double rule."""
        return not self.late and all(c.state is DayState.FINAL for c in self.columns)

    @property
    def spans(self) -> list[Span]:
        runs = groupby(self.columns, key=lambda column: column.certainty)
        by_certainty = [(certainty, list(run)) for certainty, run in runs]
        return [Span(word, len(run), run[0].is_edge) for word, run in by_certainty]

    @property
    def certainty(self) -> dict[str, int]:
        """Number of columns in each state, by its name in lowercase."""
        return {
            state.name.lower(): sum(column.state is state for column in self.columns)
            for state in DayState
        }


def columns(spec: ReportSpec, coverage: Coverage) -> tuple[Column, ...]:
    """Return the columns of a report, oldest first."""
    interval = spec.columns_by
    return _columns(interval, spec.window, coverage)


def _columns(interval: str, window: Window, coverage: Coverage) -> tuple[Column, ...]:
    columns = [
        Column(interval, first_day(interval, part.start), part, coverage.state_of(part))
        for part in split_into_intervals(window, interval)
    ]
    final = [at for at, column in enumerate(columns) if column.state is DayState.FINAL]
    for at in range(final[-1] + 1 if final else len(columns), len(columns)):
        if columns[at].is_open:
            columns[at] = replace(columns[at], is_edge=True)
            break
    return tuple(columns)


def build(report: Report, ahead: Sequence[ForecastColumn] = ()) -> Pivot:
    """Lay out a report whose first grouping is the interval of its columns."""
    interval, *groups = report.spec.group_by
    across = _columns(interval, report.spec.window, report.coverage)
    over_time = report.by(interval)
    series = [Series(report.spec.metric_objects[0].label, 1, _values(over_time, across, ()))]
    lines: list[PivotRow] = []
    bars: list[Group] = []
    left_out = 0
    if groups:
        tops = report.by(interval, groups[0])
        ranked = _ranked(report.by(groups[0]))
        _check_cells(len(ranked), across)
        known = resource_names.of(report.connections, groups)
        named = _names(groups[0], [keys[0] for keys in ranked], known)
        colors = _colors(groups[0], list(ranked))
        values = {keys: _values(tops, across, keys) for keys in ranked}
        series = _series(values, named, colors, is_additive=tops.adds_up)
        parts = _parts(report, groups)
        left_out = max(0, len(ranked) + sum(map(len, parts.values())) - MAX_ROWS)
        order = _Order(report.spec, across, known)
        rows = order.sorted(ranked, groups[0], lambda keys: values[keys])
        parts = {
            key: [*order.sorted(dict.fromkeys(below, report.by(*groups)), groups[-1])]
            for key, below in parts.items()
        }
        drawn = _lines(report, groups, rows, values, parts, named, known, colors, across)
        lines = list(islice(drawn, MAX_ROWS))
        bars = _bars(ranked, values, named, colors, tops, across)
    whole = report.by()
    before = report.before.by(interval) if report.before else None
    return Pivot(
        spec=report.spec,
        columns=across,
        lines=tuple(_heated(lines)),
        left_out=left_out,
        foot=_cells(over_time, across, ()),
        totals=_totals(whole, ()),
        series=tuple(series),
        groups=tuple(bars),
        late=tuple(
            LateConnection(
                connection.label,
                report.coverage.late[connection.pk],
                _without(report, connection.label),
            )
            for connection in report.connections
            if connection.pk in report.coverage.late
        ),
        before=_values(before, across, ()) if before else (),
        before_window=before.spec.window if before else None,
        compared_days=report.compared_days,
        alike_window=report.alike.spec.window if report.alike and before else None,
        missing=_missing(report),
        ahead=tuple(ahead),
        currency=report.currency,
        adds_up=report.adds_up,
    )


def _check_cells(groups: int, across: Sequence[Column]) -> None:
    """Raise `SpecError` where laying out a report takes longer than a request may."""
    cells = groups * len(across)
    if cells > MOST_CELLS:
        raise SpecError(
            f"{groups:,} groups in {len(across):,} columns are {cells:,} cells, and a page has at"
            f" most {MOST_CELLS:,}. Choose fewer days or a longer interval, add a filter, or show"
            " only the top 100.",
            field="group_by",
        )


def _values(report: Report, across: Sequence[Column], keys: Keys) -> tuple[Number, ...]:
    """Return the first metric of one group by column."""
    deadlines.check()
    return tuple(report.values((column.start, *keys))[0] for column in across)


def _cells(report: Report, across: Sequence[Column], keys: Keys) -> tuple[Cell, ...]:
    values = _values(report, across, keys)
    return tuple(Cell(value, column) for value, column in zip(values, across, strict=True))


def _totals(report: Report, keys: Keys) -> tuple[Total, ...]:
    row = report.row(keys)
    metrics = report.spec.metric_objects
    if report.before is None:
        return tuple(map(Total, row.values, metrics))
    is_comparable = bool(report.before.coverage.days)
    return tuple(map(Total, row.values, metrics, row.before, row.alike, repeat(is_comparable)))


def _missing(report: Report) -> tuple[Lacking, ...]:
    """Return the connections missing from totals, with what each lacks."""
    lacking: dict[tuple[str, Reason], list[Metric]] = {}
    late = report.coverage.late
    for one in report.missing:
        if one.reason is Reason.DAYS and one.connection.pk in late:
            continue  # it is named with the first day it knows
        lacking.setdefault((one.connection.label, one.reason), []).append(one.metric)
    without = {label: _without(report, label) for label, _ in lacking}
    return tuple(
        Lacking(label, reason, tuple(metrics), without[label])
        for (label, reason), metrics in lacking.items()
    )


def _without(report: Report, label: str) -> str:
    """Return the URL of the report without a connection; "" if nothing is left of it."""
    if len(report.connections) < 2:
        return ""
    spec = replace(
        report.spec,
        group_by=report.spec.group_by[1:],
        filters=(
            *report.spec.without("billing_account").filters,
            Filter(
                "billing_account", tuple(c.label for c in report.connections if c.label != label)
            ),
        ),
    )
    return spec.to_query()


def _ranked(report: Report) -> dict[Keys, Report]:
    """Return groups by falling first metric, then unknown ones, *Other* last.

    A report that shows the smallest begins with them. Every group comes with the report it is in.
    """
    sign = 1 if report.spec.smallest else -1

    def place(keys: Keys) -> tuple[bool, bool, Decimal | int, Keys]:
        value = report.values(keys)[0]
        return (keys[-1] == OTHER_KEY, value is None, sign * (value or 0), keys)

    return dict.fromkeys(sorted((row.keys for row in report.rows), key=place), report)


@dataclass(frozen=True)
class _Order:
    """Order rows by the column that `spec.sort` names; unknown values and *Other* come last."""

    spec: ReportSpec
    across: Sequence[Column]
    known: Names

    def sorted(
        self,
        ranked: Mapping[Keys, Report],
        dimension: str,
        values: Callable[[Keys], Sequence[Number]] | None = None,
    ) -> Mapping[Keys, Report]:
        """Return the groups in order. `values` are those of the columns, if they are at hand."""
        column = self.spec.sort.removeprefix("-")
        if not column:
            return ranked
        sign = -1 if self.spec.sort.startswith("-") else 1
        if column == NAME_COLUMN:
            by_name = sorted(ranked, key=lambda keys: self._name(dimension, keys), reverse=sign < 0)
            return {keys: ranked[keys] for keys in sorted(by_name, key=_is_other)}

        def place(keys: Keys) -> tuple[bool, bool, Decimal | int]:
            value = self._value(column, keys, ranked[keys], values)
            return _is_other(keys), value is None, sign * (value or 0)

        return {keys: ranked[keys] for keys in sorted(ranked, key=place)}

    def _name(self, dimension: str, keys: Keys) -> str:
        return labels.label(dimension, str(keys[-1]), self.known).casefold()

    def _value(
        self,
        column: str,
        keys: Keys,
        report: Report,
        values: Callable[[Keys], Sequence[Number]] | None,
    ) -> Number:
        if column in self.spec.metrics:
            return report.values(keys)[self.spec.metrics.index(column)]
        if column in COMPARED:
            number: Number = getattr(_totals(report, keys)[0], column)
            return number
        starts = [f"{each.start}" for each in self.across]
        if column not in starts or values is None:
            return None
        return values(keys)[starts.index(column)]


def _is_other(keys: Keys) -> bool:
    return keys[-1] == OTHER_KEY


def _names(dimension: str, values: Iterable[Key], known: Names) -> dict[Key, str]:
    """Return the name of each value, with the raw word if two share a name."""
    names = {value: labels.label(dimension, str(value), known) for value in values}
    shared = Counter(names.values())
    return {v: f"{name} ({v})" if v and shared[name] > 1 else name for v, name in names.items()}


def _colors(dimension: str, ranked: Sequence[Keys]) -> dict[Key, int]:
    """Return a color each for the first six values; the others are grey."""
    named = [str(key) for (key,) in ranked if key and key not in SPECIAL][:MAX_SERIES]
    by_key: dict[Key, int] = {key: labels.GREY for (key,) in ranked}
    by_key.update(labels.colors(dimension, named))
    return by_key


def _series(
    values: Values,
    names: Mapping[Key, str],
    colors: Mapping[Key, int],
    *,
    is_additive: bool,
) -> list[Series]:
    """Return the six largest values, and *Other* where values can be added up."""
    own = [keys for keys in values if colors[keys[0]] != labels.GREY]
    rest = [keys for keys in values if colors[keys[0]] == labels.GREY]
    series = [Series(names[k[0]], colors[k[0]], values[k]) for k in own]
    if len(rest) == 1:
        series.append(Series(names[rest[0][0]], labels.GREY, values[rest[0]]))
    elif rest and is_additive:
        layers = zip(*(values[keys] for keys in rest), strict=True)
        series.append(Series("Other", labels.GREY, tuple(_known_sum(layer) for layer in layers)))
    return series


def _bars(
    ranked: Mapping[Keys, Report],
    values: Values,
    names: Mapping[Key, str],
    colors: Mapping[Key, int],
    tops: Report,
    across: Sequence[Column],
) -> list[Group]:
    """Return the largest groups over all columns, and *Other* where values can be added up."""
    is_additive = tops.adds_up and not tops.spec.cumulative
    bars = []
    for keys, report in ranked.items():
        value, before = report.values(keys)[0], None
        if report.before:
            before = report.before.values(keys)[0]
        final = [
            cell
            for cell, column in zip(values[keys], across, strict=True)
            if column.state is DayState.FINAL
        ]
        certain = _known_sum(final) if is_additive else value
        bars.append(Group(names[keys[0]], colors[keys[0]], value, before, certain))
    # The first twenty may come with what has no value, and with Other.
    count = MAX_BARS if len(bars) > MAX_BARS + 2 else len(bars)
    shown, rest = bars[:count], bars[count:]
    if rest and is_additive:
        has_other = any(keys[-1] == OTHER_KEY for keys in ranked)
        sums = (_known_sum(part) for part in zip(*(_numbers(group) for group in rest), strict=True))
        shown.append(Group("Other" if has_other else f"{len(rest)} more", labels.GREY, *sums))
    return shown


def _numbers(group: Group) -> tuple[Number, Number, Number]:
    return group.value, group.before, group.certain


def _known_sum(numbers: Sequence[Number]) -> Number:
    """Return the sum of known values for drawing; None only if none is known."""
    known = [number for number in numbers if number is not None]
    return add_known(known) if known else None


def _lines(
    report: Report,
    groups: Sequence[str],
    ranked: Mapping[Keys, Report],
    values: Values,
    parts: Mapping[Key, Sequence[Keys]],
    named: Mapping[Key, str],
    known: Names,
    colors: Mapping[Key, int],
    across: Sequence[Column],
) -> Iterator[PivotRow]:
    first = groups[0]
    whole = report.by(*groups)
    for number, (top, summed) in enumerate(ranked.items(), start=1):
        value = top[0]
        yield PivotRow(
            label=named[value],
            is_identifier=_is_identifier(first, value, known),
            is_part=False,
            number=number,
            parts=len(parts.get(value, ())),
            color=colors[value],
            cells=tuple(map(Cell, values[top], across)),
            totals=_totals(summed, top),
            keys=top,
        )
        for keys in parts.get(value, ()):
            words = zip(groups[1:], keys[1:], strict=True)
            yield PivotRow(
                label=" · ".join(labels.label(name, str(key), known) for name, key in words),
                is_identifier=len(groups) == 2 and _is_identifier(groups[1], keys[1], known),
                is_part=True,
                number=number,
                parts=0,
                color=0,
                cells=_cells(report, across, keys),
                totals=_totals(whole, keys),
                keys=keys,
            )


def _parts(report: Report, groups: Sequence[str]) -> Mapping[Key, Sequence[Keys]]:
    """Return the groups below each value of the first grouping, in displayed order."""
    parts: dict[Key, list[Keys]] = defaultdict(list)
    if len(groups) > 1:
        for keys in _ranked(report.by(*groups)):
            parts[keys[0]].append(keys)
    return parts


def _is_identifier(dimension: str, value: Key, known: Names) -> bool:
    is_named = value in {"", *SPECIAL} or (dimension, str(value)) in known
    return labels.is_identifier(dimension) and not is_named


def heat(value: Number, highest: Number) -> int:
    """Return a step from 0 for zero to 5 for the maximum, on a square root scale.

    Sizes differ by orders of magnitude: in fifths of the highest itself, all but the largest group
    would be as pale as nothing.
    """
    if not value or value < 0 or not highest:
        return 0
    return ceil(HEAT_STEPS * sqrt(value / highest))


def _heated(lines: Sequence[PivotRow]) -> Iterator[PivotRow]:
    """With the heat of every cell beside the highest cell of any group."""
    highest = max((c.value or 0 for line in lines for c in line.cells), default=0)
    for line in lines:
        cells = (replace(c, heat=heat(c.value, highest)) for c in line.cells)
        yield replace(line, cells=tuple(cells)) if highest > 0 else line
