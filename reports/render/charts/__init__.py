"""The geometry of charts, for templates to draw as SVG. Knows numbers, not where they are from.

Horizontal measures are percent, so that a chart grows with its page while its text does not;
vertical ones are pixels from the top.
"""

from collections.abc import Callable
from dataclasses import replace

from reports.render.charts.columns import grouped, stacked
from reports.render.charts.groups import bars, treemap
from reports.render.charts.heatmap import heatmap
from reports.render.charts.lines import area, line
from reports.render.charts.plot import Chart, axis_label
from reports.render.charts.tiles import GroupChart, HeatChart
from reports.render.pivot import Pivot

__all__ = ["AnyChart", "Chart", "axis_label", "draw", "kind_of", "stacked"]

AnyChart = Chart | GroupChart | HeatChart
DRAW: dict[str, Callable[[Pivot], AnyChart]] = {
    "stacked": stacked,
    "column": grouped,
    "line": line,
    "area": area,
    "bar": bars,
    "treemap": treemap,
    "heatmap": heatmap,
}
# What is drawn instead where parts do not add up to a whole.
UNSTACKED = {"stacked": "column", "area": "line", "treemap": "bar"}


def kind_of(pivot: Pivot) -> str:
    """Return the kind of chart: as requested if the first metric allows it."""
    kind = pivot.spec.chart or "stacked"
    return kind if pivot.adds_up else UNSTACKED.get(kind, kind)


def draw(pivot: Pivot) -> AnyChart | None:
    """Draw the chart of a report; None if only a table is shown.

    A forecast is of everything together, so it is drawn where everything has one height.
    """
    kind = kind_of(pivot)
    if kind not in {"stacked", "area"} and len(pivot.series) > 1:
        pivot = replace(pivot, ahead=())
    return DRAW[kind](pivot) if kind in DRAW else None
