"""The geometry of a chart, for a template to draw as SVG. Knows numbers, not where they are from.

Horizontal measures are percent, so that a chart grows with its page while its text does not;
vertical ones are pixels from the top.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import ceil, floor, log10

from reports.coverage import DayState
from reports.metrics import Number, Unit
from reports.pivot import Pivot
from reports.templatetags import figures

HEIGHT, TOP, BOTTOM = 300, 34, 276
WIDE, NARROW = 1100, 300  # pixels a plot has on a desk and on a phone, to thin out labels
LABEL = 58  # pixels a label of the axis needs
BAR = 0.78  # of the room a column has


@dataclass(frozen=True)
class Segment:
    y: float
    height: float
    color: int


@dataclass(frozen=True)
class Bar:
    """One column. `state` is unknown, incomplete, provisional or final.

    `label_on`: "" nowhere, "wide-only" not on phones, "everywhere".
    """

    x: float
    width: float
    middle: float
    label: str
    label_on: str
    state: str
    segments: tuple[Segment, ...]
    y: float
    height: float


@dataclass(frozen=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True)
class Gap:
    """Neighboring columns that are not known."""

    middle: float
    is_wide: bool


@dataclass(frozen=True)
class Closing:
    """Where final ends: the upright double rule."""

    x: float
    label: str
    has_room_before: bool
    has_room_after: bool


@dataclass(frozen=True)
class Chart:
    """A stacked column per interval."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    gaps: tuple[Gap, ...]
    closing: Closing | None
    zero: float
    height: int = HEIGHT
    top: int = TOP
    bottom: int = BOTTOM

    @property
    def has_open(self) -> bool:
        return any(bar.state == "provisional" for bar in self.bars)

    @property
    def has_incomplete(self) -> bool:
        return any(bar.state == "incomplete" for bar in self.bars)


def stacked(pivot: Pivot) -> Chart:
    """Draw the series of a pivot: positive values up from zero, negative ones down."""
    columns = [tuple(s.values[at] for s in pivot.series) for at in range(len(pivot.columns))]
    ups = [float(sum(v for v in column if v is not None and v > 0)) for column in columns]
    downs = [float(sum(v for v in column if v is not None and v < 0)) for column in columns]
    highest, lowest = max(ups, default=0.0), min(downs, default=0.0)
    step = _step(highest - lowest)
    top, low = max(highest, step if not lowest else 0) * 1.04, lowest * 1.04

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (top - low), 1)

    slot = 100 / len(columns)
    wide, narrow = _strides(len(columns))
    bars = []
    for at, (column, values) in enumerate(zip(pivot.columns, columns, strict=True)):
        bars.append(
            Bar(
                x=round(slot * (at + (1 - BAR) / 2), 3),
                width=round(slot * BAR, 3),
                middle=round(slot * (at + 0.5), 3),
                label=column.label,
                label_on="" if at % wide else "wide-only" if at % narrow else "everywhere",
                state=column.state.name.lower(),
                segments=tuple(_segments(values, [s.color for s in pivot.series], y)),
                y=y(ups[at]),
                height=round(y(downs[at]) - y(ups[at]), 1),
            )
        )
    return Chart(
        bars=tuple(bars),
        ticks=tuple(
            Tick(y(number * step), axis_label(number * step, pivot.metric.unit))
            for number in range(ceil(low / step), floor(top / step) + 1)
            if number
        ),
        gaps=tuple(_gaps(pivot, slot)),
        closing=_closing(pivot, slot),
        zero=y(0),
    )


def axis_label(value: float, unit: Unit) -> str:
    """Short enough for the edge: $15k, 1.2 B, $0.25."""
    if unit is not Unit.USD:
        return figures.tokens(Decimal(str(value))).replace(".0 ", " ")
    sign, size = ("−" if value < 0 else ""), abs(value)
    for letter, scale in (("M", 1e6), ("k", 1e3)):
        if size >= scale:
            return f"{sign}${size / scale:g}{letter}"
    return f"{sign}${size:g}" if size >= 1e-4 else f"{sign}${size:.10f}".rstrip("0")


def _segments(
    values: Sequence[Number], colors: Sequence[int], y: Callable[[float], float]
) -> Iterator[Segment]:
    """Stack from zero outwards, the first series nearest to it, a pixel of air between parts."""
    up = down = 0.0
    for value, color in zip(values, colors, strict=True):
        if not value:
            continue
        size = float(value)
        base = up if size > 0 else down
        upper, lower = y(max(base, base + size)), y(min(base, base + size))
        air = 1 if lower - upper > 3 else 0
        yield Segment(upper, round(max(lower - upper - air, 0.5), 1), color)
        if size > 0:
            up += size
        else:
            down += size


def _step(span: float) -> float:
    """A round distance between lines that gives three to five of them."""
    if not span:
        return 1.0
    power = 10.0 ** floor(log10(span))
    return next(f * power for f in (0.2, 0.25, 0.5, 1, 2, 2.5) if span / (f * power) <= 4.4)


def _strides(count: int) -> tuple[int, int]:
    """Every how many-th column is labelled on a desk; on a phone, a multiple of that."""
    wide = max(1, ceil(count * LABEL / WIDE))
    narrow = max(1, ceil(count * LABEL / NARROW))
    return wide, ceil(narrow / wide) * wide


def _gaps(pivot: Pivot, slot: float) -> Iterator[Gap]:
    at = 0
    for is_gap, run in groupby(pivot.columns, key=lambda c: c.state is DayState.UNKNOWN):
        width = len(list(run))
        if is_gap:
            room = width * slot / 100
            yield Gap(round(slot * (at + width / 2), 3), room * NARROW >= LABEL)
        at += width


def _closing(pivot: Pivot, slot: float) -> Closing | None:
    for at, column in enumerate(pivot.columns):
        if column.is_edge:
            last = next(
                c for c in reversed(pivot.columns[:at]) if c.state is DayState.FINAL
            ).window.last_day
            x = round(slot * at, 3)
            return Closing(x, figures.day(last), x > 12, x < 88)
    return None
