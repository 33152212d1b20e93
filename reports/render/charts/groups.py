"""Groups over all columns together: as bars below each other, or as a treemap."""

from collections.abc import Sequence

from squarify import normalize_sizes, squarify

from reports.render.charts.plot import floats
from reports.render.charts.tiles import GroupChart, Tile
from reports.render.pivot import Group, Pivot

ROW, BAR_HEIGHT = 28, 18  # pixels
TREE = 320
PLANE = 1000  # aspect of a treemap's plane on a desktop
LETTER, LINE = 7, 34  # pixels a letter and the two lines of a tile need


def bars(pivot: Pivot) -> GroupChart:
    """Draw the first groups as bars, the largest on top; unknown values have no bar."""
    groups = pivot.groups or _whole(pivot)
    values = [0.0, *floats(g.value for g in groups), *floats(g.before for g in groups)]
    low, span = min(values), (max(values) - min(values)) or 1

    def x(value: float) -> float:
        return round((value - low) / span * 70, 3)  # the rest is for the numbers beside them

    tiles = []
    for at, group in enumerate(groups):
        value = float(group.value or 0)
        certain = float(group.certain or 0)
        start, end = x(min(value, 0)), x(max(value, 0))
        tiles.append(
            Tile(
                label=group.label,
                value=group.value,
                color=group.color,
                x=start,
                y=at * ROW + (ROW - BAR_HEIGHT) / 2,
                width=round(max(end - start, 0.15), 3) if group.value else 0,
                height=BAR_HEIGHT,
                open_x=x(certain) if value > 0 and certain < value else None,
                mark=None if group.before is None else x(float(group.before)),
            )
        )
    return GroupChart("bar", tuple(tiles), len(tiles) * ROW + 8)


def treemap(pivot: Pivot) -> GroupChart:
    """Rectangles as large as their part of the whole; negative groups have no area.

    Bars where no group has one, such as credits alone: they can show what is below zero.
    """
    groups = pivot.groups or _whole(pivot)
    shown = [group for group in groups if group.value and group.value > 0]
    if not shown:
        return bars(pivot)
    sizes = normalize_sizes([float(group.value or 0) for group in shown], PLANE, TREE)
    places = squarify(sizes, 0, 0, PLANE, TREE)
    return GroupChart(
        "treemap",
        tuple(_tile(group, place) for group, place in zip(shown, places, strict=True)),
        TREE,
        left_out=sum(1 for group in groups if group.value is None or group.value < 0),
    )


def _tile(group: Group, place: dict[str, float]) -> Tile:
    width, height = place["dx"], place["dy"]
    return Tile(
        label=group.label,
        value=group.value,
        color=group.color,
        x=round(place["x"] / PLANE * 100, 3),
        y=round(place["y"], 1),
        width=round(width / PLANE * 100, 3),
        height=round(height, 1),
        fits=width > len(group.label) * LETTER + 16 and height > LINE,
    )


def _whole(pivot: Pivot) -> Sequence[Group]:
    """Without a grouping everything is one group."""
    total = pivot.totals[0]
    return [Group(total.metric.label, 1, total.value, total.before, total.value)]
