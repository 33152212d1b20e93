"""Widgets of cost: total, over time, by model, by price factor, and without a user."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from integrations.exact import total
from integrations.window import Window
from reports.catalog import labels
from reports.catalog.metrics import DIMENSIONS, SPECIAL, Number, add_known, catalogs
from reports.dashboard import drawing
from reports.dashboard.declaration import widget
from reports.dashboard.kinds import (
    Bar,
    BarGroup,
    Breakdown,
    Cell,
    ChartPart,
    Head,
    Headline,
    KeyEntry,
    TimeSeries,
    View,
)
from reports.dashboard.results import (
    Change,
    Column,
    Figure,
    Kind,
    Table,
    WidgetResult,
    change,
    finality_rule,
    lacking,
    ratio_of,
    share_of,
    shares,
    span,
    when_empty,
)
from reports.dashboard.scope import MOST_COLUMNS, Scope
from reports.engine import UNATTRIBUTED, Keys, Report
from reports.engine.periods import RANGES, Interval, first_day, last_day
from reports.forecast import MAX_HISTORY_DAYS, Estimate, Forecast
from reports.forecast.columns import complete_days
from reports.render import pivot
from reports.render.charts import Chart
from reports.render.pivot import Pivot
from reports.templatetags import figures

STEPS: dict[Interval, int] = {"day": 1, "week": 7, "month": 28}  # with their fewest days
MODELS = 8  # that have a bar of their own
_COST = Column("cost", "Spend", Kind.USD)
_SHARE = Column("share", "Share", Kind.SHARE)
_CHANGE = Column("change", "Change", Kind.CHANGE)


# --- Figures -----------------------------------------------------------------------------------
@widget(
    "spend",
    title="Spend",
    kind=Figure,
    definition="""
        Everything the organization used on these days, after discounts, before credits and tax.
        Seat fees are not included. The change compares complete days only.
    """,
    details="""
        All cost of the range.
    """,
)
def spend(scope: Scope) -> WidgetResult:
    """All cost of the days that are looked at."""
    report = scope.ask("cost")
    compared = scope.compared(report)
    moved = change(compared)
    total = report.totals[0]
    label = RANGES[scope.filters.range].label if scope.filters.range in RANGES else ""
    return WidgetResult(
        title=f"Spend, {label.lower() if label else span(scope.window)}",
        shown=Figure(figures.usd(total), finality_rule(report), moved),
        empty=when_empty(report, "spend"),
        spec=report.spec,
        figure=total,
        table=Table(
            (Column("start", "First day", Kind.DAY), Column("end", "Last day", Kind.DAY), _COST),
            tuple(_totals(report, compared)),
        ),
        missing=lacking(scope, report),
    )


def _totals(report: Report, compared: Report | None) -> Iterator[tuple[date, date, Number]]:
    window = report.spec.window
    yield window.start, window.last_day, report.totals[0]
    if compared and compared.before:
        for side in (compared, compared.before):
            yield side.spec.window.start, side.spec.window.last_day, side.totals[0]


@widget(
    "month-to-date",
    title="Month to date",
    kind=Figure,
    definition="""
        Spend of this month, independent of the chosen dates, compared with the same days of last
        month. Savings are list price minus charges.
    """,
    details="""
        Cost of the current month, whatever the range. *Saved* is `list_cost` − `cost`, its
        percentage is of the list cost.
    """,
)
def month_to_date(scope: Scope) -> WidgetResult:
    """Return this month's cost, independent of the selected days, and its discounts."""
    window = RANGES["mtd"].window(scope.today)
    report = scope.ask("cost", "savings", "savings_share", window=window)
    report = replace(report, spec=replace(report.spec, range="mtd"))
    compared = scope.compared(report)
    cost, savings, off = report.totals
    saved = f"{figures.usd(savings)} saved by discounts, {figures.share(off)}" if savings else ""
    return WidgetResult(
        title=f"{scope.today:%B} to date",
        shown=Figure(
            figures.usd(cost), finality_rule(report), change(compared), (saved,) * bool(saved)
        ),
        empty=when_empty(report, "spend"),
        spec=report.spec,
        figure=cost,
        table=Table(
            (
                Column("start", "First day", Kind.DAY),
                Column("end", "Last day", Kind.DAY),
                _COST,
                Column("savings", "Saved", Kind.USD),
            ),
            tuple(_saved(report, compared)),
        ),
        missing=lacking(scope, report),
    )


def _saved(report: Report, compared: Report | None) -> Iterator[tuple[date, date, Number, Number]]:
    sides = [report]
    if compared and compared.before:
        sides += [compared, compared.before]
    for side in sides:
        window = side.spec.window
        yield window.start, window.last_day, side.totals[0], side.totals[1]


@widget(
    "forecast",
    title="Forecast",
    kind=Figure,
    definition="""
        Complete days of this month, plus what a statistical model of earlier days expects for
        each other day. The range is an 80 % prediction interval. Unknown days are estimated like
        future ones, not counted as zero.
    """,
    details="""
        What the current month will have cost: the complete days as they are, and an expectation
        for every other day, also for today and for days that are not known. The model is a
        structural time series of the complete days of the last year: a level that drifts, and a
        pattern of the week that changes slowly. Unknown days are left out and never taken for
        zero.

        The *likely* range holds eight of ten of a thousand futures drawn from the model, added up
        day by day. With fewer than 42 complete days no forecast is shown. Launches, holidays and
        seasons of the year are not in it. [Decision
        0007](decisions/0007-the-forecast-is-a-structural-time-series.md) has the numbers.

        Reports have the same forecast of their first metric, all groups together, for the column
        that is not over yet and 14 days, 4 weeks, 3 months or one quarter ahead. Metrics that do
        not add up over days, and cumulative ones, have none.
    """,
)
def forecast(scope: Scope) -> WidgetResult:
    """Return the expected cost of this month: complete days plus a forecast of the rest."""
    month = Window(
        first_day("month", scope.today),
        last_day("month", first_day("month", scope.today)) + timedelta(days=1),
    )
    back = Window(month.start - timedelta(days=MAX_HISTORY_DAYS), scope.today + timedelta(days=1))
    report = scope.ask("cost", group_by=("day",), window=back)
    known = complete_days(report)
    spent = total(value for day, value in known.items() if day in month)
    ahead = [day for day in month if day not in known]
    outlook = Forecast(known)
    estimate = outlook.estimate(ahead)
    name, so_far = f"{scope.today:%B}", RANGES["mtd"].window(scope.today)
    facts = [row.values[0] for row in report.rows if row.keys[0] in set(so_far)]
    rows = [
        (day, "expected" if day in ahead else "known", known.get(day, outlook.expected(day)))
        for day in month
    ]
    answer = WidgetResult(
        title=f"Forecast for {name}",
        spec=replace(scope.spec("cost", window=so_far), range="mtd"),
        figure=add_known(facts or (report.values((day,))[0] for day in so_far)),
        table=Table(
            (
                Column("day", "Day", Kind.DAY),
                Column("basis", "Basis", Kind.TEXT),
                Column("cost", "Spend", Kind.USD),
            ),
            tuple(rows),
        ),
    )
    if not ahead:
        shown = Figure(figures.usd(spent), "open", under=(f"Every day of {name} is complete",))
        return replace(answer, shown=shown)
    if estimate is None:
        return replace(
            answer,
            empty="This needs about six weeks of complete days.",
        )
    return replace(answer, shown=_outlook(spent, estimate, known))


def _outlook(spent: Decimal, estimate: Estimate, known: dict[date, Decimal]) -> Figure:
    low, high = (figures.usd_rounded(spent + value) for value in (estimate.low, estimate.high))
    return Figure(
        figures.usd_rounded(spent + estimate.expected),
        under=(
            f"likely {low} – {high}",
            f"from complete days to {figures.day(max(known, default=None))}",
        ),
    )


# --- Over time ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class BreakdownRow:
    """One row beside a chart: a value, its part of the whole, how it moved."""

    label: str
    color: int
    value: Number
    share: Decimal | None
    moved: Change | None = None
    is_identifier: bool = False
    length: float = 0  # of its bar, in percent

    def bar(self, *cells: Cell) -> Bar:
        return Bar(self.label, self.length, cells, self.color, self.is_identifier)

    @property
    def value_cell(self) -> Cell:
        return Cell(figures.usd(self.value))

    @property
    def share_cell(self) -> Cell:
        return Cell(figures.share(self.share))


@dataclass(frozen=True)
class Step:
    """One way to cut time; `query` is the dashboard's address with it."""

    interval: Interval
    label: str
    query: str
    is_chosen: bool


@dataclass(frozen=True)
class OverTime(TimeSeries):
    steps: tuple[Step, ...]
    chart: Chart
    pivot: Pivot
    slices: tuple[BreakdownRow, ...]
    total: Number
    rule: str

    @property
    def charts(self) -> tuple[ChartPart, ...]:
        return (ChartPart(self.chart, "Spend by product", 9),)

    @property
    def key(self) -> tuple[KeyEntry, ...]:
        marks = (
            (self.chart.has_final, KeyEntry("k1", "Final")),
            (self.chart.has_open, KeyEntry("hatch", "Can still change")),
            (self.chart.has_incomplete, KeyEntry("todo", "Incomplete")),
        )
        return tuple(entry for is_drawn, entry in marks if is_drawn)

    @property
    def views(self) -> tuple[View, ...]:
        """The sums of the products, beside the chart."""
        return (
            View(
                title="Spend by product, sums",
                heads=(Head("Product"), Head("Spend", True), Head("Share", True)),
                rows=tuple(
                    (Cell(row.label, swatch=row.color), row.value_cell, row.share_cell)
                    for row in self.slices
                ),
                foot=((Cell("Total"), Cell(figures.usd(self.total)), Cell("100%")),),
                rule=self.rule,
                width=3,
                style="tight",
            ),
        )


@widget(
    "spend-over-time",
    title="Spend over time by product",
    kind=TimeSeries,
    definition="""
        Spend by Claude product. Hatched days can still be restated; days left of the double rule
        are final. A day that is not known is a gap.
    """,
    details="""
        Cost by day (week or month where the range is longer than 100 days) and product, with the
        sum of each product. Colors belong to products.
    """,
    width=12,
)
def over_time(scope: Scope) -> WidgetResult:
    """Columns of cost by product, and what each sums to."""
    interval = scope.columns_by
    report = scope.ask("cost", group_by=(interval, "service"))
    pivot_table = pivot.build(report)
    total = report.totals[0]
    lines = [line for line in pivot_table.lines if not line.is_part]
    slices = tuple(
        BreakdownRow(line.label, line.color or labels.GREY, line.totals[0].value, share)
        for line, share in zip(lines, shares(line.totals[0].value for line in lines), strict=True)
    )
    return WidgetResult(
        shown=OverTime(
            tuple(_steps(scope)),
            drawing.columns(pivot_table, part=0.75),
            pivot_table,
            slices,
            total,
            finality_rule(report),
        ),
        empty=when_empty(report, "spend"),
        spec=replace(scope.spec("cost", group_by=("service",)), interval=interval),
        figure=total,
        table=by_column(pivot_table, Kind.USD),
        missing=lacking(scope, report),
    )


def _steps(scope: Scope) -> Iterator[Step]:
    """Days, weeks and months, as far as they can be drawn."""
    for interval, days in STEPS.items():
        if len(scope.window) <= MOST_COLUMNS * days:
            other = replace(scope, filters=replace(scope.filters, interval=interval))
            chosen = interval == scope.columns_by
            yield Step(interval, interval.capitalize(), other.query, chosen)


def by_column(pivot_table: Pivot, kind: Kind) -> Table:
    """Return a row per interval with its finality, a column per series, and the total."""
    series, interval = pivot_table.series, pivot_table.columns[0].interval
    return Table(
        (
            Column(interval, interval.capitalize(), Kind.DAY),
            Column("certainty", "Certainty", Kind.TEXT),
            *(Column(s.label, s.label, kind) for s in series),
            Column("total", "Total", kind),
        ),
        tuple(
            (
                column.start,
                column.certainty,
                *(s.values[at] for s in series),
                pivot_table.foot[at].value,
            )
            for at, column in enumerate(pivot_table.columns)
        ),
    )


# --- By model ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class LargestShift:
    """The model whose part of the spend changed most."""

    label: str
    before: Decimal
    now: Decimal

    @property
    def direction(self) -> str:
        return "rose" if self.now > self.before else "fell"


@dataclass(frozen=True)
class ModelBreakdown(Breakdown):
    slices: tuple[BreakdownRow, ...]
    against: str
    mover: LargestShift | None

    @property
    def groups(self) -> tuple[BarGroup, ...]:
        return (
            BarGroup(
                tuple(
                    row.bar(row.value_cell, row.share_cell, Cell(change=row.moved))
                    for row in self.slices
                )
            ),
        )

    @property
    def note(self) -> str:
        if self.mover is None:
            return ""
        before, now = figures.share(self.mover.before), figures.share(self.mover.now)
        return (
            f"{self.mover.label} {self.mover.direction} from {before} to {now} of spend; "
            f"changes are {self.against}."
        )


@widget(
    "models",
    title="Spend by model",
    kind=Breakdown,
    definition="""
        Spend by model, as the provider names it. “No model” is cost that belongs to no single
        one, such as code execution.
    """,
    details="""
        Cost by model, its share of all cost, its change. The sentence below names the model whose
        share moved most.
    """,
    width=5,
)
def by_model(scope: Scope) -> WidgetResult:
    """Return cost by model, its share, and its change."""
    report = scope.ask("cost", group_by=("sku",))
    compared = scope.compared(report)
    slices = ranked(report, compared)
    return WidgetResult(
        shown=ModelBreakdown(slices[:MODELS], change(compared).label, _mover(compared)),
        empty=when_empty(report, "spend"),
        spec=report.spec,
        figure=report.totals[0],
        table=slices_table(Column("model", "Model", Kind.TEXT), slices),
        missing=lacking(scope, report),
    )


def ranked(report: Report, compared: Report | None = None) -> tuple[BreakdownRow, ...]:
    """Return the groups of a report by falling first metric."""
    dimension = report.spec.group_by[0]
    rows = sorted(
        report.rows, key=lambda row: (row.values[0] is None, -(row.values[0] or 0), row.keys)
    )
    largest = max((row.values[0] or 0 for row in rows), default=0)
    return tuple(
        BreakdownRow(
            label=labels.label(dimension, str(row.keys[0])),
            color=1 if row.keys[0] and row.keys[0] not in SPECIAL else labels.GREY,
            value=row.values[0],
            share=share,
            moved=_moved(compared, row.keys),
            is_identifier=bool(row.keys[0]) and labels.is_identifier(dimension),
            length=length(row.values[0], largest),
        )
        for row, share in zip(rows, shares(row.values[0] for row in rows), strict=True)
    )


def length(value: Number, largest: Number) -> float:
    """Of a bar, in percent of the longest."""
    return round(max(float(value or 0), 0) / float(largest) * 100, 2) if largest else 0


def _moved(compared: Report | None, keys: Keys) -> Change:
    if compared is None:
        return Change(None, "")
    row = compared.row(keys)
    return Change(ratio_of(row.values[0], row.before[0]), "")


def _mover(compared: Report | None) -> LargestShift | None:
    if compared is None or compared.before is None:
        return None
    rows = compared.rows
    now, before = shares(row.values[0] for row in rows), shares(row.before[0] for row in rows)
    shifts = [
        LargestShift(str(row.keys[0]), earlier, share)
        for row, share, earlier in zip(rows, now, before, strict=True)
        if share is not None and earlier is not None and row.keys[0]
    ]
    most = max(shifts, key=lambda mover: abs(mover.now - mover.before), default=None)
    # A mix that stayed as it was, or is of one model, has no mover.
    return most if most and figures.share(most.now) != figures.share(most.before) else None


def slices_table(first: Column, slices: Sequence[BreakdownRow]) -> Table:
    return Table(
        (first, _COST, _SHARE, _CHANGE),
        tuple((s.label, s.value, s.share, s.moved.ratio if s.moved else None) for s in slices),
    )


# --- What drives the price ---------------------------------------------------------------------
@dataclass(frozen=True)
class PriceFactor:
    """One way the price of the same model differs, and what was paid at each price."""

    label: str
    slices: tuple[BreakdownRow, ...]


@dataclass(frozen=True)
class PriceFactors(Breakdown):
    factors: tuple[PriceFactor, ...]

    @property
    def groups(self) -> tuple[BarGroup, ...]:
        return tuple(
            BarGroup(
                tuple(row.bar(row.value_cell, row.share_cell) for row in factor.slices),
                title=factor.label,
            )
            for factor in self.factors
        )


@widget(
    "price-drivers",
    title="What drives the price",
    kind=Breakdown,
    definition="""
        Long context, fast mode and geography change what the same model costs. The three break
        down the same dollars and are never added up.
    """,
    details="""
        Cost by context window (long context costs more), speed (fast mode costs more) and
        inference geography. Three cuts of the same dollars: they overlap and are never added up.
    """,
    width=5,
)
def price_drivers(scope: Scope) -> WidgetResult:
    """Cost by each dimension that a price depends on: the same amounts, cut differently."""
    report = scope.ask("cost", group_by=catalogs().price_drivers)
    drivers = tuple(
        PriceFactor(DIMENSIONS[name].label, ranked(report.by(name)))
        for name in report.spec.group_by
    )
    return WidgetResult(
        shown=PriceFactors(tuple(d for d in drivers if len(d.slices) > 1)),
        empty=when_empty(report, "spend")
        or (
            ""
            if any(len(d.slices) > 1 for d in drivers)
            else "All usage was charged at the same rates."
        ),
        spec=report.spec,
        figure=report.totals[0],
        table=Table(
            (
                Column("driver", "Driver", Kind.TEXT),
                Column("value", "Value", Kind.TEXT),
                _COST,
                _SHARE,
            ),
            tuple((d.label, s.label, s.value, s.share) for d in drivers for s in d.slices),
        ),
    )


# --- Whose it is not ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Unattributed(Breakdown):
    total: Number
    share: Decimal | None  # of all spend
    slices: tuple[BreakdownRow, ...]
    rule: str

    @property
    def headline(self) -> Headline:
        part = "" if self.share is None else f"{figures.share(self.share)} of all spend"
        return Headline(figures.usd(self.total), self.rule, part)

    @property
    def groups(self) -> tuple[BarGroup, ...]:
        bars = (row.bar(row.value_cell, Cell(change=row.moved)) for row in self.slices)
        return (BarGroup(tuple(bars)),)


@widget(
    "unattributed",
    title="Not attributed to a user",
    kind=Breakdown,
    definition="""
        What API keys, automation and channels cost: the organization’s total minus the cost of
        users.
    """,
    details="""
        The organization's cost less what people account for: API keys, automation, channels. By
        product, with its share of all cost.
    """,
    width=5,
)
def unattributed(scope: Scope) -> WidgetResult:
    """Return cost without a user, such as API keys and automation, by product."""
    report = scope.ask("cost", group_by=("service",), also=(UNATTRIBUTED,))
    # The filter by user affects neither the unattributed cost nor the total.
    everything = scope.without("project_id").ask("cost")
    compared = scope.compared(report)
    slices, total = ranked(report, compared), report.totals[0]
    share = share_of(total, everything.totals[0])
    if share is not None and not 0 <= share <= 1:  # credits: no share of the whole
        share = None
    return WidgetResult(
        shown=Unattributed(total, share, slices, finality_rule(report)),
        empty=when_empty(report, "spend without a user"),
        spec=report.spec,
        figure=total,
        table=slices_table(Column("product", "Product", Kind.TEXT), slices),
        others=scope.without("project_id").cut_by(
            "slack_channel_id", "Spend by Slack channel", report.connections
        ),
        notes=("This cost has no user, so the filter by user does not apply.",)
        if scope.values_of("project_id")
        else (),
    )
