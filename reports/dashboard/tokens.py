"""Widget of tokens by type, with the share of input read from a cache."""

from dataclasses import dataclass, replace
from decimal import Decimal

from reports.catalog.metrics import Number
from reports.dashboard import drawing
from reports.dashboard.declaration import widget
from reports.dashboard.kinds import ChartPart, KeyEntry, TimeSeries
from reports.dashboard.results import (
    NOTHING_TO_COMPARE,
    Column,
    Figure,
    Kind,
    Table,
    WidgetResult,
    finality_rule,
    lacking,
    span,
    when_empty,
)
from reports.dashboard.scope import Scope
from reports.dashboard.spend import by_column
from reports.engine import Report
from reports.render import pivot
from reports.render.charts import Chart
from reports.render.pivot import Pivot, Series
from reports.templatetags import figures

# The kinds in the order they are stacked, with a color each.
TYPES = {
    "cache_read_tokens": ("Cache read", 1),
    "uncached_input_tokens": ("Uncached input", 2),
    "cache_write_5m_tokens": ("Cache write, 5 minutes", 3),
    "cache_write_1h_tokens": ("Cache write, 1 hour", 6),
    "output_tokens": ("Output", 4),
}


@widget(
    "cache-share",
    title="Cache-read share",
    kind=Figure,
    definition="""
        Input tokens read from a cache, divided by all input tokens. Cache reads cost a tenth of
        other input, so more is better.
    """,
    details="""
        `cache_read_share`: cache read tokens by all input tokens. The change is in percentage
        points.
    """,
)
def cache_share(scope: Scope) -> WidgetResult:
    """Return the share of the input that was read from a cache."""
    report = scope.ask("cache_read_share", "cache_read_tokens", "input_tokens")
    compared = scope.compared(report)
    share = report.totals[0]
    under = ("of input tokens", NOTHING_TO_COMPARE)
    if compared and compared.before:
        now, before = compared.totals[0], compared.before.totals[0]
        if now is not None and before is not None:
            points = (Decimal(now) - Decimal(before)) * 100
            sign = "−" if points <= Decimal("-0.05") else "+" if points >= Decimal("0.05") else ""
            days = span(compared.before.spec.window)
            under = ("of input tokens", f"{sign}{abs(points):.1f} points vs {days}")
    return WidgetResult(
        shown=Figure(figures.share(share), finality_rule(report), under=under),
        empty=when_empty(report, "tokens"),
        spec=report.spec,
        figure=share,
        table=Table(
            (
                Column("cache_read_share", "Cache-read share", Kind.SHARE),
                Column("cache_read_tokens", "Cache read", Kind.TOKENS),
                Column("input_tokens", "Input", Kind.TOKENS),
            ),
            (report.totals,),
        ),
        missing=lacking(scope, report),
    )


@dataclass(frozen=True)
class Tokens(TimeSeries):
    """`share_chart` draws the cache-read share over the same columns."""

    chart: Chart
    share_chart: Chart
    pivot: Pivot
    total: Number
    share: Number
    rule: str

    @property
    def charts(self) -> tuple[ChartPart, ...]:
        return (
            ChartPart(self.chart, "Tokens by type", 8),
            ChartPart(self.share_chart, "Cache-read share", 4),
        )

    @property
    def key(self) -> tuple[KeyEntry, ...]:
        series = (KeyEntry(f"k{one.color}", one.label) for one in self.pivot.series)
        share = KeyEntry("", "Right: cache-read share,", figures.share(self.share), "in all")
        return (*series, share)


@widget(
    "tokens",
    title="Tokens by type",
    kind=TimeSeries,
    definition="""
        The five kinds of tokens. Cache reads are cheap; the line shows how much of the input they
        are.
    """,
    details="""
        Uncached input, cache read, cache write (5 minutes, 1 hour) and output, and the cache-read
        share of each day.
    """,
    width=7,
)
def by_type(scope: Scope) -> WidgetResult:
    """Columns of tokens by type, and a line of the share read from a cache."""
    interval = scope.columns_by
    asked = ("total_tokens", *TYPES, "cache_read_share")
    report = scope.ask(*asked, group_by=(interval,))
    pivot_table = _series(pivot.build(report), report, TYPES)
    shares = _series(pivot.build(report), report, {"cache_read_share": ("Cache-read share", 1)})
    shares = replace(shares, spec=replace(shares.spec, metrics=("cache_read_share",)))
    total = report.totals[0]
    return WidgetResult(
        shown=Tokens(
            drawing.columns(pivot_table, part=0.38),
            drawing.lines(shares, part=0.18),
            pivot_table,
            total,
            report.totals[-1],
            finality_rule(report),
        ),
        empty=when_empty(report, "tokens"),
        spec=replace(
            scope.spec(
                "total_tokens", "cache_read_tokens", "uncached_input_tokens", "output_tokens"
            ),
            interval=interval,
        ),
        figure=total,
        table=by_column(pivot_table, Kind.TOKENS),
        missing=lacking(scope, report),
    )


def _series(pivot_table: Pivot, report: Report, names: dict[str, tuple[str, int]]) -> Pivot:
    """Return the columns of a pivot with one series per metric instead of per group."""
    at = {name: report.spec.metrics.index(name) for name in names}
    values = [report.values((column.start,)) for column in pivot_table.columns]
    return replace(
        pivot_table,
        series=tuple(
            Series(label, color, tuple(row[at[name]] for row in values))
            for name, (label, color) in names.items()
        ),
    )
