"""A chart as a PNG: the SVG of the page, in the light theme, drawn by resvg with our typeface."""

import re
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.text import Truncator
from resvg_py import svg_to_bytes

from reports.explore.controls import ReportControls
from reports.render.charts import AnyChart
from reports.render.pivot import Pivot

FONTS = sorted(str(path) for path in (Path(__file__).parent / "fonts").glob("*.ttf"))
WIDTH, SIDE, HEAD, KEY, LINE = 1200, 70, 84, 40, 22  # pixels
NAMES = 170  # pixels to the left of a chart whose rows have names
LONGEST = 60  # letters of a name in the key
LETTER = 7.2  # pixels a letter of the key needs
SHARPNESS = 2  # pixels of the picture for one of the page


def png(chart: AnyChart, pivot: Pivot, bar: ReportControls) -> bytes:
    """Render the chart with title, total and legend as PNG."""
    left = {"bar": NAMES, "heatmap": NAMES, "treemap": SIDE // 2}.get(chart.kind, SIDE)
    key, rows = _key(pivot, chart, left)
    svg = render_to_string(
        "reports/picture.svg",
        {
            "chart": chart,
            "pivot": pivot,
            "bar": bar,
            "unit": pivot.metric.unit,
            "interval": pivot.spec.columns_by,
            "width": WIDTH - left - SIDE // 2,
            "left": left,
            "head": HEAD,
            "whole": (WIDTH, HEAD + chart.height + KEY + rows * LINE),
            "key": key,
        },
    )
    return bytes(
        svg_to_bytes(
            svg_string=svg,
            style_sheet=style_sheet(),
            background=_colors()["surface"],
            skip_system_fonts=True,
            font_files=FONTS,
            sans_serif_family="IBM Plex Sans",
            zoom=SHARPNESS,
        )
    )


def _key(pivot: Pivot, chart: AnyChart, left: int) -> tuple[list[tuple[int, int, int, str]], int]:
    """Swatches with their places: (x, y, color, label), and how many rows they take."""
    if chart.kind in {"bar", "treemap", "heatmap"}:
        return [], 0
    x, row, entries = left, 0, []
    for series in pivot.series:
        name = Truncator(series.label).chars(LONGEST)
        width = round(len(name) * LETTER) + 40
        if x + width > WIDTH and x > left:
            x, row = left, row + 1
        entries.append((x, HEAD + chart.height + KEY // 2 + row * LINE, series.color, name))
        x += width
    return entries, row + 1


@lru_cache(maxsize=1)
def _colors() -> dict[str, str]:
    """Return the light-theme value of every color token."""
    tokens = (Path(settings.BASE_DIR) / "static" / "tokens.css").read_text()
    return dict(re.findall(r"--([\w-]+):\s*(?:light-dark\()?(#[0-9a-f]{6})", tokens))


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """Return the chart rules of components.css and report.css with the colors filled in."""
    c = _colors()
    rules = [
        "svg { overflow: visible } .narrow-only { display: none }",
        f"text {{ fill: {c['ink-3']}; font: 400 12px 'IBM Plex Sans' }}",
        f"text.title {{ fill: {c['ink']}; font-size: 22px; font-weight: 600 }}",
        f"text.total {{ fill: {c['ink']}; font-size: 15px }}",
        f"text.em, text.on, text.name {{ fill: {c['ink-2']} }}",
        f".ax {{ stroke: {c['rule']} }} .base, .close {{ stroke: {c['ink-2']} }}",
        f".paper {{ fill: {c['surface']} }}",
        f".todo {{ fill: none; stroke: {c['ink-3']}; stroke-dasharray: 2 2 }}",
        f".mark, .compared {{ fill: none; stroke: {c['ink']}; stroke-width: 2 }}",
        f".under {{ stroke: {c['surface']}; stroke-width: 5 }}",
        ".compared { stroke-width: 1.5; stroke-dasharray: 1 3 }",
        ".trace { stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }",
        ".trace.open { stroke-dasharray: 5 4 }",
        f".seam {{ fill: none; stroke: {c['surface']}; stroke-width: 2 }}",
        ".tree .fill { fill-opacity: .3 }",
        ".gap, .h0 { fill: none }",
    ]
    for number in range(1, 8):
        color = c[f"c{number}"]
        rules.append(f".fill.k{number}, rect.k{number} {{ fill: {color} }}")
        rules.append(f".trace.k{number} {{ fill: none; stroke: {color} }}")
    rules += [f".h{number} {{ fill: {c[f'h{number}']} }}" for number in range(1, 6)]
    return "\n".join(rules)
