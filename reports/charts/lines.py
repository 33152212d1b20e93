"""Lines and stacked areas over time. What is not known is a gap in them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from reports.charts.plot import Chart, Scale, Trace, floats, highest, plot
from reports.metrics import Number
from reports.pivot import Pivot

WIDTH = 1000  # of the plane that traces are drawn on
Place = tuple[float, float]


def line(pivot: Pivot) -> Chart:
    """One line a series; dashed where it can still change."""
    before = pivot.before if len(pivot.series) == 1 else ()
    values = [v for series in pivot.series for v in floats(series.values)]
    scale = Scale.of([*values, *floats(before), *highest(pivot)])
    traces = [
        trace
        for series in reversed(pivot.series)  # the largest lies on top
        for trace in _lines(series.values, pivot, scale, series.color)
    ]
    compared = _compared(before, pivot.places, scale)
    return plot("line", pivot, scale, traces=traces, compared=compared)


def area(pivot: Pivot) -> Chart:
    """The series on top of each other, as areas."""
    count = len(pivot.columns)
    sums = [[0.0] * count]
    for series in pivot.series:
        layer = (float(value or 0) for value in series.values)
        sums.append([below + own for below, own in zip(sums[-1], layer, strict=True)])
    scale = Scale.of(
        [value for layer in sums for value in layer] + floats(pivot.before) + highest(pivot)
    )
    known = [any(s.values[at] is not None for s in pivot.series) for at in range(count)]
    traces = [
        Trace(series.color, _outline(run, lower, upper, pivot.places, scale))
        for series, (lower, upper) in zip(pivot.series, pairwise(sums), strict=True)
        for run in _runs(known)
    ]
    compared = _compared(pivot.before, pivot.places, scale)
    return plot("area", pivot, scale, traces=traces, compared=compared)


def _lines(values: Sequence[Number], pivot: Pivot, scale: Scale, color: int) -> Iterator[Trace]:
    """Runs of known values, cut where they begin to be open so that the rest can be dashed."""
    for run in _runs([value is not None for value in values]):
        places = [_place(at, values[at], pivot.places, scale) for at in run]
        is_open = [pivot.columns[at].is_open for at in run]
        split = is_open.index(True) if True in is_open else len(run)
        if split:
            yield Trace(color, _points(places[:split]))
        if split < len(run):
            yield Trace(color, _points(places[max(split - 1, 0) :]), is_open=True)


def _compared(before: Sequence[Number], count: int, scale: Scale) -> list[Trace]:
    return [
        Trace(0, _points([_place(at, before[at], count, scale) for at in run]))
        for run in _runs([value is not None for value in before])
    ]


def _runs(known: Sequence[bool]) -> Iterator[list[int]]:
    """The places of neighbors that are known."""
    run: list[int] = []
    for at, is_known in enumerate(known):
        if is_known:
            run.append(at)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _place(at: float, value: Number | float, count: int, scale: Scale) -> Place:
    return (round(WIDTH * (at + 0.5) / count, 1), scale.y(float(value or 0)))


def _points(places: Sequence[Place]) -> str:
    """A single place is written twice: a line of no length with round ends is a dot."""
    twice = places if len(places) > 1 else [*places, *places]
    return " ".join(f"{x},{y}" for x, y in twice)


def _outline(
    run: list[int], lower: list[float], upper: list[float], count: int, scale: Scale
) -> str:
    """Along the top and back along the bottom; a lonely column is as wide as a bar."""
    spots = [(float(at), at) for at in run] if len(run) > 1 else [
        (run[0] - 0.39, run[0]), (run[0] + 0.39, run[0])
    ]  # fmt: skip
    there = [_place(x, upper[at], count, scale) for x, at in spots]
    back = [_place(x, lower[at], count, scale) for x, at in reversed(spots)]
    return " ".join(f"{x},{y}" for x, y in there + back)
