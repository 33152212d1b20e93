"""Charts without an axis of time, and the one that is all cells."""

from dataclasses import dataclass

from reports.catalog.metrics import Number


@dataclass(frozen=True)
class Tile:
    """A bar of a list, or a rectangle of a treemap. From `open_x` on it can still change."""

    label: str
    value: Number
    color: int
    x: float
    y: float
    width: float
    height: float
    open_x: float | None = None
    mark: float | None = None
    fits: bool = True

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def end(self) -> float:
        return round(self.x + self.width, 3)

    @property
    def open_width(self) -> float:
        return round(self.end - (self.open_x or 0), 3)

    @property
    def far(self) -> float:
        """Behind all marks, if the number fits there."""
        return max(self.end, self.mark or 0)


@dataclass(frozen=True)
class GroupChart:
    """One tile a group, over all columns together. `left_out`: negative or unknown groups."""

    kind: str
    tiles: tuple[Tile, ...]
    height: int
    left_out: int = 0

    @property
    def is_over_time(self) -> bool:
        return False

    @property
    def has_open(self) -> bool:
        return any(tile.open_x is not None for tile in self.tiles)

    @property
    def has_marks(self) -> bool:
        return any(tile.mark is not None for tile in self.tiles)


@dataclass(frozen=True)
class HeatmapCell:
    x: float
    heat: int
    value: Number
    state: str
    label: str


@dataclass(frozen=True)
class HeatRow:
    label: str
    y: int
    cells: tuple[HeatmapCell, ...]


@dataclass(frozen=True)
class HeatLabel:
    x: float
    label: str
    label_on: str


@dataclass(frozen=True)
class HeatChart:
    """A row a group, a cell a column: the darker, the more."""

    rows: tuple[HeatRow, ...]
    labels: tuple[HeatLabel, ...]
    width: float
    height: int
    bottom: int
    kind: str = "heatmap"

    @property
    def is_over_time(self) -> bool:
        return True

    @property
    def has_open(self) -> bool:
        return any(cell.state == "provisional" for row in self.rows for cell in row.cells)
