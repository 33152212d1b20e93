"""A row a group, a cell a column."""

from reports.render.charts.plot import Scale, plot
from reports.render.charts.tiles import HeatChart, HeatLabel, HeatmapCell, HeatRow
from reports.render.pivot import Pivot, heat

ROW = 26
ROWS = 20


def heatmap(pivot: Pivot) -> HeatChart:
    """Return the table's groups with their cells; the total without a grouping."""
    slot = 100 / len(pivot.columns)
    labelled = [(line.label, line.cells) for line in pivot.lines if not line.is_part][:ROWS]
    labelled = labelled or [(pivot.metric.label, pivot.foot)]
    highest = max((cell.value or 0 for _, cells in labelled for cell in cells), default=0)

    frame = plot("heatmap", pivot, Scale.of([]))
    return HeatChart(
        rows=tuple(
            HeatRow(
                label,
                at * ROW,
                tuple(
                    HeatmapCell(
                        x=round(slot * place, 3),
                        heat=heat(cell.value, highest),
                        value=cell.value,
                        state="unknown" if cell.value is None else cell.column.state.name.lower(),
                        label=cell.column.label,
                    )
                    for place, cell in enumerate(cells)
                ),
            )
            for at, (label, cells) in enumerate(labelled)
        ),
        labels=tuple(HeatLabel(bar.middle, bar.label, bar.label_on) for bar in frame.bars),
        width=round(slot, 3),
        height=len(labelled) * ROW + 24,
        bottom=len(labelled) * ROW,
    )
