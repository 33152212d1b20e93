"""A report laid out as a table: groups down, days, weeks or months across."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby

from integrations.window import Window
from reports import labels
from reports.coverage import Coverage, DayState
from reports.metrics import Key, Metric, Number
from reports.queries import Report, add
from reports.spec import ReportSpec, first_day, last_day

NAMED = 6  # series with a color of their own; the rest is drawn as Other
LINES = 200  # rows of the table; the CSV has all


@dataclass(frozen=True)
class Column:
    """One day, week or month: the part of it that is in the report, and how sure it is."""

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
        if self.interval == "month":
            return f"{self.start:%b %Y}"
        return f"{self.start.day} {self.start:%b}"

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
    value: Number
    column: Column


@dataclass(frozen=True)
class Total:
    value: Number
    metric: Metric


@dataclass(frozen=True)
class Line:
    """One row: a group, or a part of the group above it. `color` 0: not in the chart."""

    label: str
    is_identifier: bool
    is_part: bool
    number: int
    parts: int
    color: int
    cells: tuple[Cell, ...]
    totals: tuple[Total, ...]

    @property
    def is_drawn(self) -> bool:
        """Has it a layer of its own in the chart?"""
        return self.color not in {0, labels.GREY}


@dataclass(frozen=True)
class Series:
    """One layer of the chart: a value per column, None where nothing is known."""

    label: str
    color: int
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Late:
    """A connection without data, or without data before a day that others know."""

    label: str
    first_day: date | None


@dataclass(frozen=True)
class Pivot:
    """Cells hold the first metric; every metric has a total per line."""

    spec: ReportSpec
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    left_out: int
    foot: tuple[Cell, ...]
    totals: tuple[Total, ...]
    series: tuple[Series, ...]
    late: tuple[Late, ...]

    @property
    def metric(self) -> Metric:
        return self.spec.metric_objects[0]

    @property
    def is_closed(self) -> bool:
        """Will the total never change? Then it has the double rule."""
        return not self.late and all(c.state is DayState.FINAL for c in self.columns)

    @property
    def spans(self) -> list[Span]:
        runs = groupby(self.columns, key=lambda column: column.certainty)
        found = [(certainty, list(run)) for certainty, run in runs]
        return [Span(word, len(run), run[0].is_edge) for word, run in found]

    @property
    def certainty(self) -> dict[str, int]:
        """How many columns are in each state, by its name in small letters."""
        return {
            state.name.lower(): sum(column.state is state for column in self.columns)
            for state in DayState
        }


def columns(spec: ReportSpec, coverage: Coverage) -> tuple[Column, ...]:
    """The columns of a report, oldest first."""
    interval = spec.columns_by
    found = [
        Column(interval, first_day(interval, window.start), window, coverage.state_of(window))
        for window in _windows(spec)
    ]
    final = [at for at, column in enumerate(found) if column.state is DayState.FINAL]
    for at in range(final[-1] + 1 if final else len(found), len(found)):
        if found[at].is_open:
            found[at] = replace(found[at], is_edge=True)
            break
    return tuple(found)


def build(report: Report) -> Pivot:
    """Lay out a report whose first grouping is the interval of its columns."""
    interval, *groups = report.spec.group_by
    across = columns(report.spec, report.coverage)
    over_time = report.by(interval)
    lines, left_out, series = [], 0, [
        Series(report.spec.metric_objects[0].label, 1, _values(over_time, across, ()))
    ]  # fmt: skip
    if groups:
        tops = report.by(interval, groups[0])
        ranked = _ranked(report.by(groups[0]))
        series = _series(groups[0], [key for key, _ in ranked], tops, across)
        drawn = {s.label: s.color for s in series}
        every = list(_lines(report, groups, ranked, across, drawn))
        lines, left_out = every[:LINES], max(0, len(every) - LINES)
    return Pivot(
        spec=report.spec,
        columns=across,
        lines=tuple(lines),
        left_out=left_out,
        foot=_cells(over_time, across, ()),
        totals=_totals(report, report.totals),
        series=tuple(series),
        late=tuple(
            Late(connection.label, report.coverage.late[connection.pk])
            for connection in report.connections
            if connection.pk in report.coverage.late
        ),
    )


def _windows(spec: ReportSpec) -> Iterator[Window]:
    day = spec.window.start
    while day < spec.window.end:
        last = last_day(spec.columns_by, first_day(spec.columns_by, day))
        end = min(last + timedelta(days=1), spec.window.end)
        yield Window(day, end)
        day = end


def _values(report: Report, across: Sequence[Column], keys: tuple[Key, ...]) -> tuple[Number, ...]:
    """The first metric of one group, column by column."""
    return tuple(report.values((column.start, *keys))[0] for column in across)


def _cells(report: Report, across: Sequence[Column], keys: tuple[Key, ...]) -> tuple[Cell, ...]:
    values = _values(report, across, keys)
    return tuple(Cell(value, column) for value, column in zip(values, across, strict=True))


def _totals(report: Report, values: Sequence[Number]) -> tuple[Total, ...]:
    metrics = report.spec.metric_objects
    return tuple(Total(value, metric) for value, metric in zip(values, metrics, strict=True))


def _ranked(report: Report) -> list[tuple[str, tuple[Number, ...]]]:
    """Groups by their first metric, the largest first, the unknown last."""
    rows = [(str(row.keys[0]), row.values) for row in report.rows]
    return sorted(rows, key=lambda row: (row[1][0] is None, -(row[1][0] or 0), row[0]))


def _names(dimension: str, values: Sequence[str]) -> dict[str, str]:
    """What each value is called; those that share a name are told apart by the raw word."""
    names = {value: labels.label(dimension, value) for value in values}
    shared = Counter(names.values())
    return {v: f"{name} ({v})" if v and shared[name] > 1 else name for v, name in names.items()}


def _series(
    dimension: str, ranked: Sequence[str], tops: Report, across: Sequence[Column]
) -> list[Series]:
    """The six largest values, and everything else together."""
    names = _names(dimension, ranked)
    named = [value for value in ranked if value][:NAMED]
    rest = [value for value in ranked if value not in named]
    colors = labels.colors(dimension, named)
    found = [Series(names[v], colors[v], _values(tops, across, (v,))) for v in named]
    if rest:
        layers = zip(*(_values(tops, across, (v,)) for v in rest), strict=True)
        found.append(
            Series(
                names[rest[0]] if len(rest) == 1 else "Other",
                labels.GREY,
                tuple(_known_sum(layer) for layer in layers),
            )
        )
    return found


def _known_sum(numbers: Sequence[Number]) -> Number:
    """What can be drawn of several values: None only if none of them is known."""
    known = [number for number in numbers if number is not None]
    return add(known) if known else None


def _lines(
    report: Report,
    groups: Sequence[str],
    ranked: Sequence[tuple[str, tuple[Number, ...]]],
    across: Sequence[Column],
    drawn: dict[str, int],
) -> Iterator[Line]:
    interval, first = report.spec.group_by[0], groups[0]
    tops = report.by(interval, first)
    names = _names(first, [value for value, _ in ranked])
    parts: dict[str, list[tuple[tuple[Key, ...], tuple[Number, ...]]]] = defaultdict(list)
    if len(groups) > 1:
        for row in report.by(*groups).rows:
            parts[str(row.keys[0])].append((row.keys, row.values))
    for number, (value, totals) in enumerate(ranked, start=1):
        yield Line(
            label=names[value],
            is_identifier=bool(value) and first in labels.IDENTIFIERS,
            is_part=False,
            number=number,
            parts=len(parts[value]),
            color=drawn.get(names[value], labels.GREY),
            cells=_cells(tops, across, (value,)),
            totals=_totals(report, totals),
        )
        of_value = sorted(parts[value], key=lambda p: (p[1][0] is None, -(p[1][0] or 0), p[0]))
        for keys, values in of_value:
            words = zip(groups[1:], keys[1:], strict=True)
            yield Line(
                label=" · ".join(labels.label(name, str(key)) for name, key in words),
                is_identifier=len(groups) == 2
                and bool(keys[1])
                and groups[1] in labels.IDENTIFIERS,
                is_part=True,
                number=number,
                parts=0,
                color=0,
                cells=_cells(report, across, keys),
                totals=_totals(report, values),
            )
