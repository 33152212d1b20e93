"""Parts shared by charts over time: scale, grid, columns, gaps and the double rule."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import ceil, floor, log10

from integrations.status.days import DayState
from reports.catalog.metrics import Number, Unit
from reports.currency import symbol
from reports.render.pivot import Pivot
from reports.templatetags import figures

HEIGHT, TOP, BOTTOM = 300, 34, 276
WIDE, NARROW = 1100, 300  # pixels a plot has on a desk and on a phone, to thin out labels
LABEL = 58  # pixels a label of the axis needs
BAR = 0.78  # of the width of a column


@dataclass(frozen=True)
class Segment:
    """A part of a column: as wide as the column, or beside other parts."""

    y: float
    height: float
    color: int
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One column. `state` is unknown, incomplete, provisional or final.

    `part` says how much of its interval it holds, "" for all of it; a part is drawn narrower.
    `label_on`: "" nowhere, "wide-only" not on phones, "everywhere". `mark` is where the days it is
    compared with reach.
    """

    x: float
    width: float
    middle: float
    label: str
    label_on: str
    part: str
    state: str
    segments: tuple[Segment, ...]
    y: float
    height: float
    mark: float | None = None

    @property
    def end(self) -> float:
        return round(self.x + self.width, 3)


@dataclass(frozen=True)
class ForecastMark:
    """Expected value of a column with its 80 % prediction interval."""

    x: float
    width: float
    y: float
    height: float
    band_y: float
    band_height: float
    middle: float = 0
    label: str = ""
    label_on: str = ""

    @property
    def end(self) -> float:
        return round(self.x + self.width, 3)


@dataclass(frozen=True)
class Polyline:
    """A line, or the outline of an area, in thousandths of the width and pixels from the top."""

    color: int
    points: str
    is_open: bool = False


@dataclass(frozen=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True)
class MissingMark:
    """Neighboring columns that are not known."""

    middle: float
    is_wide: bool


@dataclass(frozen=True)
class FinalityMarker:
    """Double rule where final days end."""

    x: float
    label: str
    fits_before: bool
    fits_after: bool


@dataclass(frozen=True)
class Chart:
    """A chart over time: columns with segments in them, or traces across them.

    `compared` are the traces of the days it is compared with.
    """

    kind: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    gaps: tuple[MissingMark, ...]
    closing: FinalityMarker | None
    zero: float
    traces: tuple[Polyline, ...] = ()
    compared: tuple[Polyline, ...] = ()
    guesses: tuple[ForecastMark, ...] = ()
    height: int = HEIGHT
    top: int = TOP
    bottom: int = BOTTOM

    @property
    def is_over_time(self) -> bool:
        return True

    @property
    def open_x(self) -> float | None:
        """Position from which days can still change; None if none can."""
        if self.closing:
            return self.closing.x
        first = next((bar for bar in self.bars if bar.state in {"provisional", "incomplete"}), None)
        return None if first is None else max(round(first.middle - first.width / BAR / 2, 3), 0)

    @property
    def open_width(self) -> float:
        return round(100 - (self.open_x or 0), 3)

    @property
    def depth(self) -> int:
        return self.bottom - self.top

    @property
    def has_final(self) -> bool:
        return any(bar.state == "final" for bar in self.bars)

    @property
    def has_open(self) -> bool:
        return any(bar.state == "provisional" for bar in self.bars)

    @property
    def has_incomplete(self) -> bool:
        return any(bar.state == "incomplete" for bar in self.bars)

    @property
    def has_parts(self) -> bool:
        return any(bar.part for bar in self.bars)

    @property
    def has_marks(self) -> bool:
        return bool(self.compared) or any(bar.mark is not None for bar in self.bars)


@dataclass(frozen=True)
class Scale:
    """From values to pixels: zero is always in it."""

    low: float
    top: float
    step: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Scale":
        known = list(values)
        highest, lowest = max([0.0, *known]), min([0.0, *known])
        step = _step(highest - lowest)
        return cls(lowest * 1.04, max(highest, step if not lowest else 0) * 1.04, step)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.top - self.low)
        return round(BOTTOM - (BOTTOM - TOP) * share, 1)

    def ticks(self, unit: Unit) -> Iterator[Tick]:
        for number in range(ceil(self.low / self.step), floor(self.top / self.step) + 1):
            if number or self.low:  # zero is the base line, and named where it is not the lowest
                value = number * self.step
                yield Tick(self.y(value), axis_label(value, unit))


def plot(
    kind: str,
    pivot: Pivot,
    scale: Scale,
    segments: Callable[[int], tuple[Sequence[Segment], float, float]] = lambda at: ((), 0, 0),
    *,
    has_marks: bool = False,
    traces: Iterable[Polyline] = (),
    compared: Iterable[Polyline] = (),
) -> Chart:
    """Return the frame of axes around a chart.

    `segments` gives the parts of a column with the highest and the lowest value among them.
    """
    slot = 100 / pivot.places
    strides = _strides(pivot.places)
    bars = []
    for at, column in enumerate(pivot.columns):
        parts, high, low = segments(at)
        width = slot * BAR * column.part_width
        before = pivot.before[at] if has_marks and pivot.before else None
        bars.append(
            Bar(
                x=round(slot * (at + 0.5) - width / 2, 3),
                width=round(width, 3),
                middle=round(slot * (at + 0.5), 3),
                label=column.label,
                part=column.part,
                label_on=label_on(at, strides),
                state=column.state.name.lower(),
                segments=tuple(parts),
                y=scale.y(high),
                height=round(scale.y(low) - scale.y(high), 1),
                mark=None if before is None else scale.y(float(before)),
            )
        )
    return Chart(
        kind=kind,
        bars=tuple(bars),
        ticks=tuple(scale.ticks(pivot.metric.unit)),
        gaps=tuple(_gaps(pivot, slot)),
        closing=_closing(pivot, slot),
        zero=scale.y(0),
        traces=tuple(traces),
        compared=tuple(compared),
        guesses=tuple(_guesses(pivot, scale, slot, strides)),
    )


def _guesses(
    pivot: Pivot, scale: Scale, slot: float, strides: tuple[int, int]
) -> Iterator[ForecastMark]:
    """Columns that have a label of their own keep it."""
    for ahead in pivot.ahead:
        high, low = scale.y(float(ahead.estimate.high)), scale.y(float(ahead.estimate.low))
        y = scale.y(float(ahead.estimate.expected))
        is_new = ahead.at >= len(pivot.columns)
        yield ForecastMark(
            x=round(slot * (ahead.at + (1 - BAR) / 2), 3),
            width=round(slot * BAR, 3),
            y=min(y, scale.y(0)),
            height=round(abs(scale.y(0) - y), 1),
            band_y=high,
            band_height=round(max(low - high, 1), 1),
            middle=round(slot * (ahead.at + 0.5), 3),
            label=ahead.column.label,
            label_on=label_on(ahead.at, strides) if is_new else "",
        )


def highest(pivot: Pivot) -> list[float]:
    """Return the range of forecast columns for the scale."""
    return [
        float(bound) for ahead in pivot.ahead for bound in (ahead.estimate.high, ahead.estimate.low)
    ]


def label_on(at: int, strides: tuple[int, int]) -> str:
    wide, narrow = strides
    return "" if at % wide else "wide-only" if at % narrow else "everywhere"


def floats(values: Iterable[Number]) -> list[float]:
    """Return the known values as floats, since pixels need no cents."""
    return [float(value) for value in values if value is not None]


def axis_label(value: float, unit: Unit) -> str:
    """Short enough for the edge: $15k, 1.2 B, $0.25, 25%."""
    if not value:
        zero = f"{symbol()}0"
        return {Unit.SHARE: "0%", Unit.USD: zero, Unit.RATE: zero}.get(unit, "0")
    if unit is Unit.SHARE:
        return f"{'−' if value < 0 else ''}{abs(value) * 100:g}%"
    if unit not in {Unit.USD, Unit.RATE}:
        return figures.tokens(Decimal(str(value))).replace(".0 ", " ")
    sign, size = ("−" if value < 0 else ""), abs(value)
    for letter, scale in (("M", 1e6), ("k", 1e3)):
        if size >= scale:
            return f"{sign}{symbol()}{size / scale:g}{letter}"
    digits = f"{size:g}" if size >= 1e-4 else f"{size:.10f}".rstrip("0")
    return f"{sign}{symbol()}{digits}"


def _step(span: float) -> float:
    """Return a round step that gives three to five grid lines."""
    if not span:
        return 1.0
    power = 10.0 ** floor(log10(span))
    return next(f * power for f in (0.2, 0.25, 0.5, 1, 2, 2.5) if span / (f * power) <= 4.4)


def _strides(count: int) -> tuple[int, int]:
    """Every how many-th column is labelled on a desk; on a phone, a multiple of that."""
    wide = max(1, ceil(count * LABEL / WIDE))
    narrow = max(1, ceil(count * LABEL / NARROW))
    return wide, ceil(narrow / wide) * wide


def _gaps(pivot: Pivot, slot: float) -> Iterator[MissingMark]:
    at = 0
    expected = {ahead.column.start for ahead in pivot.ahead}
    for is_gap, run in groupby(
        pivot.columns, key=lambda c: c.state is DayState.UNKNOWN and c.start not in expected
    ):
        width = len(list(run))
        if is_gap:
            available = width * slot / 100
            yield MissingMark(round(slot * (at + width / 2), 3), available * NARROW >= LABEL)
        at += width


def _closing(pivot: Pivot, slot: float) -> FinalityMarker | None:
    for at, column in enumerate(pivot.columns):
        if column.is_edge:
            last = next(
                c for c in reversed(pivot.columns[:at]) if c.state is DayState.FINAL
            ).window.last_day
            x = round(slot * at, 3)
            return FinalityMarker(x, figures.day(last), x > 12, x < 88)
    return None
