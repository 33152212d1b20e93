"""Lines and stacked areas over time. What is not known is a gap in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.catalog.metrics import Number
from reports.render.charts.plot import Chart, Polyline, Scale, floats, highest, plot
from reports.render.pivot import Pivot

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
    """Draw the series as stacked areas."""
    count = len(pivot.columns)
    layers = [_layer([0.0] * count, [0.0] * count, ())]
    for series in pivot.series:
        layers.append(_layer(layers[-1].ups, layers[-1].downs, series.values))
    reached = [value for layer in layers for value in (*layer.ups, *layer.downs)]
    scale = Scale.of(reached + floats(pivot.before) + highest(pivot))
    known = [any(s.values[at] is not None for s in pivot.series) for at in range(count)]
    traces = [
        Polyline(series.color, _outline(run, layer.lower, layer.upper, pivot.places, scale))
        for series, layer in zip(pivot.series, layers[1:], strict=True)
        for run in _runs(known)
    ]
    compared = _compared(pivot.before, pivot.places, scale)
    return plot("area", pivot, scale, traces=traces, compared=compared)


@dataclass(frozen=True)
class _Layer:
    """One series of stacked areas: its edges, and what all so far reach up and down from zero."""

    lower: list[float]
    upper: list[float]
    ups: list[float]
    downs: list[float]


def _layer(ups: list[float], downs: list[float], values: Sequence[Number]) -> _Layer:
    """Positive values lie on top of what is above zero, credits below what is under it."""
    numbers = [float(value or 0) for value in values] or [0.0] * len(ups)
    bases = [
        up if number >= 0 else down for up, down, number in zip(ups, downs, numbers, strict=True)
    ]
    ends = [base + number for base, number in zip(bases, numbers, strict=True)]
    return _Layer(
        lower=bases,
        upper=ends,
        ups=[max(up, end) for up, end in zip(ups, ends, strict=True)],
        downs=[min(down, end) for down, end in zip(downs, ends, strict=True)],
    )


def _lines(values: Sequence[Number], pivot: Pivot, scale: Scale, color: int) -> Iterator[Polyline]:
    """Return runs of known values, cut where they become provisional so that those are dashed."""
    for run in _runs([value is not None for value in values]):
        places = [_place(at, values[at], pivot.places, scale) for at in run]
        is_open = [pivot.columns[at].is_open for at in run]
        split = is_open.index(True) if True in is_open else len(run)
        if split:
            yield Polyline(color, _points(places[:split]))
        if split < len(run):
            yield Polyline(color, _points(places[max(split - 1, 0) :]), is_open=True)


def _compared(before: Sequence[Number], count: int, scale: Scale) -> list[Polyline]:
    return [
        Polyline(0, _points([_place(at, before[at], count, scale) for at in run]))
        for run in _runs([value is not None for value in before])
    ]


def _runs(known: Sequence[bool]) -> Iterator[list[int]]:
    """Return the positions of adjacent known values."""
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
    """Return the points; a single one is doubled, since round ends make it a dot."""
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
