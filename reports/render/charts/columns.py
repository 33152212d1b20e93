"""Columns over time: the series of a report on top of, or beside, each other."""

from collections.abc import Callable, Iterator, Sequence

from reports.catalog.metrics import Number
from reports.render.charts.plot import BAR, Chart, Scale, Segment, floats, highest, plot
from reports.render.pivot import Pivot


def stacked(pivot: Pivot) -> Chart:
    """Positive values up from zero, negative ones down, the first series nearest to it."""
    columns = [tuple(s.values[at] for s in pivot.series) for at in range(len(pivot.columns))]
    ups = [sum(v for v in floats(column) if v > 0) for column in columns]
    downs = [sum(v for v in floats(column) if v < 0) for column in columns]
    scale = Scale.of([*ups, *downs, *floats(pivot.before), *highest(pivot)])
    colors = [series.color for series in pivot.series]
    slot = 100 / pivot.places

    def segments(at: int) -> tuple[Sequence[Segment], float, float]:
        wide = slot * BAR * pivot.columns[at].part_width
        x, width = round(slot * (at + 0.5) - wide / 2, 3), round(wide, 3)
        return tuple(_stack(columns[at], colors, scale.y, x, width)), ups[at], downs[at]

    return plot("stacked", pivot, scale, segments, has_marks=True)


def grouped(pivot: Pivot) -> Chart:
    """Draw the series of each column side by side."""
    count, slot = max(len(pivot.series), 1), 100 / pivot.places  # a report may have no group
    is_alone = len(pivot.series) == 1
    values = [v for series in pivot.series for v in floats(series.values)]
    scale = Scale.of([*values, *(floats(pivot.before) if is_alone else []), *highest(pivot)])

    def segments(at: int) -> tuple[Sequence[Segment], float, float]:
        whole = slot * BAR * pivot.columns[at].part_width
        drawn, start, width = [], slot * (at + 0.5) - whole / 2, whole / count
        for place, series in enumerate(pivot.series):
            value = series.values[at]
            if value:
                high, low = scale.y(max(float(value), 0)), scale.y(min(float(value), 0))
                size = round(max(low - high, 0.5), 1)
                x = round(start + place * width, 3)
                drawn.append(Segment(high, size, series.color, x, round(width * 0.94, 3)))
        own = floats(series.values[at] for series in pivot.series)
        return drawn, max([0.0, *own]), min([0.0, *own])

    return plot("column", pivot, scale, segments, has_marks=is_alone)


def _stack(
    values: Sequence[Number],
    colors: Sequence[int],
    y: Callable[[float], float],
    x: float,
    width: float,
) -> Iterator[Segment]:
    """Stack from zero outwards, a pixel of air between parts."""
    up = down = 0.0
    for value, color in zip(values, colors, strict=True):
        if not value:
            continue
        size = float(value)
        base = up if size > 0 else down
        upper, lower = y(max(base, base + size)), y(min(base, base + size))
        air = 1 if lower - upper > 3 else 0
        yield Segment(upper, round(max(lower - upper - air, 0.5), 1), color, x, width)
        if size > 0:
            up += size
        else:
            down += size
