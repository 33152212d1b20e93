"""What a widget draws: one of four kinds of results, each with one template.

`Figure` is one number, `Breakdown` ranked rows with bars, `TimeSeries` charts over time, `Listing`
any other table. A result class of a widget keeps its numbers and says here how they are drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from reports.dashboard.results import Change, Figure
from reports.render.charts import Chart


@dataclass(frozen=True)
class Cell:
    """One cell. `lines` are polylines of a small chart, `link` the query of a dashboard page.

    `swatch` is the color of its series, `color` that of a bar of `length` percent.
    """

    text: str = ""
    detail: str = ""
    change: Change | None = None
    style: str = ""
    link: str = ""
    tag: str = ""
    swatch: int = 0
    length: float | None = None
    color: int = 1
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class StripSegment:
    """Neighboring days in one state, in percent of a strip."""

    state: str
    x: float
    width: float


@dataclass(frozen=True)
class Strip:
    """Days by state instead of a bar. `text` says it in words."""

    segments: tuple[StripSegment, ...]
    text: str


@dataclass(frozen=True)
class Bar:
    """One row of a breakdown: a label, a bar or a strip, and what stands beside it."""

    label: str
    length: float = 0
    cells: tuple[Cell, ...] = ()
    color: int = 1
    is_identifier: bool = False
    strip: Strip | None = None


@dataclass(frozen=True)
class Badge:
    """A finding below the rows. Without an icon it is plain text."""

    text: str
    tone: str = ""
    icon: str = ""


@dataclass(frozen=True)
class BarGroup:
    """Rows that are compared with each other."""

    bars: tuple[Bar, ...]
    title: str = ""
    label: str = ""  # for screen readers
    note: str = ""

    @property
    def layout(self) -> str:
        """Name of the columns: four or five, where two or three numbers stand beside a bar."""
        return {2: "four", 3: "five"}.get(len(self.bars[0].cells) if self.bars else 0, "")


@dataclass(frozen=True)
class Headline:
    """A total above the rows of a breakdown. `rule`: closed, open, or ""."""

    text: str
    rule: str
    detail: str


class Breakdown:
    """Ranked rows with shares."""

    template: ClassVar[str] = "breakdown"

    @property
    def groups(self) -> Sequence[BarGroup]:
        raise NotImplementedError

    @property
    def headline(self) -> Headline | None:
        return None

    @property
    def badges(self) -> Sequence[Badge]:
        """Findings below the rows."""
        return ()

    @property
    def link(self) -> tuple[str, str] | None:
        """Label and URL of the page that says more."""
        return None

    @property
    def numbers(self) -> Sequence[tuple[str, str]]:
        """Single numbers above the rows, by label."""
        return ()

    @property
    def note(self) -> str:
        return ""


@dataclass(frozen=True)
class Head:
    """Head of a column. A hidden one is for screen readers alone."""

    label: str = ""
    is_number: bool = False
    is_hidden: bool = False
    style: str = ""

    @property
    def css(self) -> str:
        return " ".join(filter(None, ("num" if self.is_number else "", self.style)))


@dataclass(frozen=True)
class ViewCell:
    head: Head
    cell: Cell

    @property
    def css(self) -> str:
        return " ".join(filter(None, ("num" if self.head.is_number else "", self.cell.style)))


@dataclass(frozen=True)
class View:
    """A table as a widget shows it. `width` is of twelve columns, 0 the whole widget."""

    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: tuple[tuple[Cell, ...], ...] = ()
    rule: str = ""  # of the foot: closed or open
    width: int = 0
    note: str = ""
    empty: str = ""
    style: str = ""
    hides_heads: bool = False

    @property
    def body_lines(self) -> Iterator[list[ViewCell]]:
        return self._lines(self.rows)

    @property
    def foot_lines(self) -> Iterator[list[ViewCell]]:
        return self._lines(self.foot)

    def _lines(self, rows: Sequence[Sequence[Cell]]) -> Iterator[list[ViewCell]]:
        for row in rows:
            yield [ViewCell(head, cell) for head, cell in zip(self.heads, row, strict=True)]


class Listing:
    """Any other table."""

    template: ClassVar[str] = "listing"

    @property
    def views(self) -> Sequence[View]:
        raise NotImplementedError

    @property
    def note(self) -> str:
        return ""


@dataclass(frozen=True)
class ChartPart:
    """A chart with its name; `width` is of twelve columns, 0 the whole widget."""

    chart: Chart
    label: str
    width: int = 0


@dataclass(frozen=True)
class KeyEntry:
    """One line of the key: the classes of its swatch, "" for none, and its text."""

    swatch: str
    text: str
    strong: str = ""
    more: str = ""


class TimeSeries:
    """Charts over time with their key, and a table of the same numbers beside or below."""

    template: ClassVar[str] = "time_series"

    @property
    def charts(self) -> Sequence[ChartPart]:
        raise NotImplementedError

    @property
    def key(self) -> Sequence[KeyEntry]:
        return ()

    @property
    def views(self) -> Sequence[View]:
        return ()


KINDS = (Figure, Breakdown, TimeSeries, Listing)
