"""Charts as a widget draws them: narrower than on the report page, so with fewer labels."""

from dataclasses import replace
from math import ceil

from reports.render.charts.columns import stacked
from reports.render.charts.lines import line
from reports.render.charts.plot import LABEL, NARROW, WIDE, Chart
from reports.render.pivot import Pivot


def columns(pivot: Pivot, *, part: float = 1) -> Chart:
    """Stacked columns. `part` is that of the page's width they have on a desk."""
    return _thinned(stacked(pivot), part)


def lines(pivot: Pivot, *, part: float = 1) -> Chart:
    """Return one line per series, broken where values are unknown."""
    return _thinned(line(pivot), part)


def _thinned(chart: Chart, part: float) -> Chart:
    count = len(chart.bars)
    wide = max(1, ceil(count * LABEL / (WIDE * part)))
    narrow = ceil(max(1, ceil(count * LABEL / NARROW)) / wide) * wide
    rule = chart.closing
    if rule and part < 0.3:
        rule = replace(rule, fits_before=False, fits_after=False)
    return replace(
        chart,
        closing=rule,
        bars=tuple(
            replace(bar, label_on="" if at % wide else "wide-only" if at % narrow else "everywhere")
            for at, bar in enumerate(chart.bars)
        ),
        gaps=tuple(replace(gap, is_wide=gap.is_wide and part > 0.5) for gap in chart.gaps),
    )
