"""Who uses it and what for: active users, seats, adoption, output and activity, as the provider
counts them. Distinct people are never added up: not over days, products or connections."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from integrations.models import Connection
from integrations.window import Window
from reports import engine, identity
from reports.catalog import labels
from reports.catalog.metrics import METRICS, Measure, Metric, Number, Source, Unit, add_known
from reports.coverage import feed_names
from reports.dashboard import activity_queries, drawing
from reports.dashboard.declaration import widget
from reports.dashboard.kinds import (
    Bar,
    BarGroup,
    Breakdown,
    Cell,
    ChartPart,
    Head,
    KeyEntry,
    Listing,
    TimeSeries,
    View,
)
from reports.dashboard.results import (
    Column,
    Figure,
    Kind,
    Lack,
    Quantity,
    Table,
    WidgetResult,
    share_of,
    when_empty,
)
from reports.dashboard.scope import Scope, cuts
from reports.dashboard.spend import length
from reports.engine import Report
from reports.engine.periods import Interval
from reports.engine.spec import Filter
from reports.render import pivot
from reports.render.charts import Chart
from reports.render.pivot import Pivot, Series
from reports.templatetags import figures

_NO_USERS = "None of these connections counts active users."
_NO_ACTIVITY = "None of these connections reports this activity."
_NO_CATALOG = "None of these connections reports skills, connectors or projects."
_NOT_READ_YET = "No day of activity has been read for these days yet, so this is not a zero."
PERIODS = {"daily": "Day", "weekly": "7 days", "monthly": "30 days"}


def _split_by_activity(scope: Scope) -> tuple[list[Connection], tuple[Lack, ...]]:
    """Split the connections into those that count active users and the others."""
    every = engine.connections_of(scope.organization, scope.filters)
    telling = activity_queries.with_feed(every, activity_queries.SUMMARIES)
    reason = "does not count active users and is not in these numbers"
    return telling, _silent(scope, every, telling, reason)


def _silent(
    scope: Scope, every: Sequence[Connection], telling: Sequence[Connection], reason: str
) -> tuple[Lack, ...]:
    """Return the connections that do not report it while others do."""
    if not telling:
        return ()
    return tuple(
        Lack(
            connection.label,
            f"{connection.label} {reason}.",
            scope.without_connections(connection.label, every),
        )
        for connection in every
        if connection not in telling
    )


def _left_out(scope: Scope, *metrics: str) -> tuple[str, ...]:
    """Return a note about filters that do not apply to these numbers."""
    names = {"service": "product", "project_id": "user"}
    lost = [
        names[f.dimension]
        for f in scope.filters.filters
        if f.dimension in names and not cuts(f.dimension, metrics)
    ]
    if not lost:
        return ()
    return (
        f"Not filtered by {' or '.join(lost)}: the provider counts this for the whole "
        "organization only.",
    )


# --- Figures -----------------------------------------------------------------------------------
def _product(scope: Scope) -> str:
    """Return the prefix of the only selected product whose users are counted, or ""."""
    chosen = scope.values_of("service")
    return chosen[0] if len(chosen) == 1 and f"{chosen[0]}_monthly_active_users" in METRICS else ""


@widget(
    "active-users",
    title="Active users, 30 days",
    kind=Figure,
    definition="""
        Different people in the 30 days up to the last day that is known, as the provider counts
        them. Never added up over days or connections.
    """,
    details="""
        The provider's count of different people in the 30 days up to the last known day of the
        range, beside the assigned seats of that day. With one product as filter, the count of
        that product.
    """,
)
def active_figure(scope: Scope) -> WidgetResult:
    """Different users in 30 days, on the last day that is known."""
    product = _product(scope)
    name = f"{product}_monthly_active_users" if product else "monthly_active_users"
    telling, missing = _split_by_activity(scope)
    documents = activity_queries.latest_documents(telling, scope.window)
    path = f"{product}_monthly_active_user_count" if product else "monthly_active_user_count"
    rows = [(c.label, *_at(documents, c, path, "assigned_seat_count")) for c in telling]
    known = [row for row in rows if row[2] is not None]
    columns = (
        Column("billing_account", "Connection", Kind.TEXT),
        Column("day", "On", Kind.DAY),
        Column("active", "Active users, 30 days", Kind.COUNT),
        Column("seats", "Seats", Kind.COUNT),
    )
    spec = scope.spec(name)
    under = [_of_seats(active, seats) for _, _, active, seats in known]
    text = " · ".join(figures.count(row[2]) for row in known)
    if len(known) == 1:
        under.append(f"on {figures.day(known[0][1])}")
    else:
        under = [" · ".join(row[0] for row in known)]
    return WidgetResult(
        title=f"Active users of {labels.label('service', product)}" if product else "",
        shown=Figure(text, under=tuple(filter(None, under))) if known else None,
        empty="" if known else _NOT_READ_YET if telling else _NO_USERS,
        spec=spec if telling else None,
        figure=known[0][2] if len(known) == 1 else None,
        table=Table(columns, tuple(rows)),
        notes=() if product else _left_out(scope, name),
        missing=missing,
    )


def _at(
    documents: Mapping[int, tuple[date, Mapping[str, Any]]], connection: Connection, *paths: str
) -> Any:
    """Return the newest day of a connection and its numbers; None for unknown ones."""
    day, values = documents.get(connection.pk, (None, {}))
    return (day, *(None if values.get(p) is None else int(values[p]) for p in paths))


def _of_seats(active: Number, seats: Number) -> str:
    share = share_of(active, seats)
    return f"of {figures.count(seats)} seats, {figures.share(share)}" if share is not None else ""


@widget(
    "seats",
    title="Seats",
    kind=Figure,
    definition="""
        Assigned seats on the last day that is known, the part of them used within 7 days, and
        invitations that are not accepted yet.
    """,
    details="""
        Assigned seats on the last known day; *used in 7 days* is weekly active users by seats;
        invitations that are pending.
    """,
)
def seats(scope: Scope) -> WidgetResult:
    """Return the number of assigned seats, of used ones, and of invitations."""
    telling, missing = _split_by_activity(scope)
    documents = activity_queries.latest_documents(telling, scope.window)
    paths = ("assigned_seat_count", "pending_invite_count", "weekly_active_user_count")
    rows = [(c.label, *_at(documents, c, *paths)) for c in telling]
    known = [row for row in rows if row[2] is not None]
    total, invites = add_known(row[2] for row in known), add_known(row[3] for row in known)
    used = share_of(add_known(row[4] for row in known), total) if len(known) == 1 else None
    under = []
    if used is not None:
        under.append(f"{figures.share(used)} used in 7 days")
    if known:
        under.append(f"{figures.count(invites)} pending invites")
    return WidgetResult(
        shown=Figure(figures.count(total), under=tuple(under)) if known else None,
        empty="" if known else _NOT_READ_YET if telling else _NO_USERS,
        spec=scope.spec("seats", "pending_invites", "seat_use") if telling else None,
        figure=total if known else None,
        table=Table(
            (
                Column("billing_account", "Connection", Kind.TEXT),
                Column("day", "On", Kind.DAY),
                Column("seats", "Seats", Kind.COUNT),
                Column("pending_invites", "Pending invites", Kind.COUNT),
                Column("weekly_active_users", "Active users, 7 days", Kind.COUNT),
            ),
            tuple(rows),
        ),
        notes=_left_out(scope, "seats"),
        missing=missing,
    )


# --- Active users ------------------------------------------------------------------------------
@dataclass(frozen=True)
class ByProduct:
    """One product, or everything, on the last day that is known."""

    account: str
    product: str
    counts: tuple[Number, ...]  # by day, week and month


@dataclass(frozen=True)
class ActiveUsers(TimeSeries):
    chart: Chart
    pivot: Pivot
    products: tuple[ByProduct, ...]
    on: tuple[tuple[str, date], ...]  # the last day of each connection
    is_several: bool

    @property
    def charts(self) -> tuple[ChartPart, ...]:
        return (ChartPart(self.chart, "Active users"),)

    @property
    def key(self) -> tuple[KeyEntry, ...]:
        days = ", 30 days" if self.is_several else ""
        return tuple(
            KeyEntry(f"line k{one.color}", f"{one.label}{days}") for one in self.pivot.series
        )

    @property
    def views(self) -> tuple[View, ...]:
        """The products on the last known day; of several connections each with its label."""
        first = (
            (Head("Connection"), Head("Product"))
            if self.is_several
            else (Head(f"Product, to {figures.day(self.on[0][1])}"),)
        )
        return (
            View(
                title="Active users by product on the last day that is known",
                heads=(*first, *(Head(name, True) for name in ("Day", "7 days", "30 days"))),
                rows=tuple(
                    (
                        *((Cell(row.account),) if self.is_several else ()),
                        Cell(row.product),
                        *(Cell(figures.count(number)) for number in row.counts),
                    )
                    for row in self.products
                ),
            ),
        )


@widget(
    "active-users-over-time",
    title="Active users",
    kind=TimeSeries,
    definition="""
        Different people on a day, in 7 and in 30 days, as the provider counts them. They overlap
        between days and products, so they are never added up.
    """,
    details="""
        Daily, 7-day and 30-day counts of the provider, with the assigned seats. With several
        connections a line for each, 30 days. The table has the last known day by product.
        Products overlap: a person who uses two is in both.
    """,
    width=7,
)
def active_users(scope: Scope) -> WidgetResult:
    """Lines of daily, weekly and monthly users; of several connections a line each."""
    telling, missing = _split_by_activity(scope)
    if not telling:
        return WidgetResult(Table((), ()), empty=_NO_USERS)
    names = ("monthly_active_users", "weekly_active_users", "daily_active_users", "seats")
    interval = scope.columns_by
    metrics = names if interval == "day" else (*names[:2], names[3])
    several = len(telling) > 1
    accounts = (_accounts(telling),)
    report = scope.ask(*metrics, group_by=(interval, "billing_account"), also=accounts)
    pivot_table = pivot.build(report.by(interval))
    series = (
        [
            _line(report, pivot_table, connection.label, 0, connection.label, at % 6 + 1)
            for at, connection in enumerate(telling)
        ]
        if several
        else [
            _line(report, pivot_table, telling[0].label, at, _short(name), color)
            for at, (name, color) in enumerate(zip(metrics, _colors(metrics), strict=True))
        ]
    )
    drawn = replace(
        pivot_table, series=tuple(series), spec=replace(pivot_table.spec, metrics=metrics[:1])
    )
    documents = activity_queries.latest_documents(telling, scope.window)
    products = tuple(_products(telling, documents))
    rows = tuple(
        (documents[c.pk][0], p.account, p.product, *p.counts)
        for c in telling
        if c.pk in documents
        for p in products
        if p.account == c.label
    )
    return WidgetResult(
        shown=ActiveUsers(
            drawing.lines(drawn, part=0.55),
            drawn,
            products,
            tuple((c.label, documents[c.pk][0]) for c in telling if c.pk in documents),
            several,
        ),
        empty="" if documents else _NOT_READ_YET,
        spec=replace(
            scope.spec(*names[:3], group_by=("billing_account",) if several else ()),
            interval=interval,
        ),
        figure=report.by().totals[0],
        table=Table(
            (
                Column("day", "On", Kind.DAY),
                Column("billing_account", "Connection", Kind.TEXT),
                Column("product", "Product", Kind.TEXT),
                *(Column(name, label, Kind.COUNT) for name, label in PERIODS.items()),
            ),
            rows,
        ),
        notes=_left_out(scope, *names),
        missing=missing,
    )


def _colors(metrics: Sequence[str]) -> list[int]:
    known = {"monthly_active_users": 6, "weekly_active_users": 3, "daily_active_users": 1}
    return [known.get(name, labels.GREY) for name in metrics]


def _short(name: str) -> str:
    every = name.partition("_")[0]
    return PERIODS.get(every, METRICS[name].label)


def _line(
    report: Report, pivot_table: Pivot, account: str, at: int, label: str, color: int
) -> Series:
    values = [report.values((column.start, account))[at] for column in pivot_table.columns]
    return Series(label, color, tuple(values))


def _products(
    telling: Sequence[Connection], documents: Mapping[int, tuple[date, Mapping[str, Any]]]
) -> Iterator[ByProduct]:
    """Everything first, then each product whose users are counted."""
    for connection in telling:
        _, values = documents.get(connection.pk, (None, {}))
        ending = "_monthly_active_user_count"
        prefixes = sorted(name.removesuffix(ending) for name in values if name.endswith(ending))
        for prefix in ("", *prefixes):
            before = f"{prefix}_" if prefix else ""
            counts = tuple(
                None
                if values.get(f"{before}{every}_active_user_count") is None
                else int(values[f"{before}{every}_active_user_count"])
                for every in PERIODS
            )
            if values and any(counts):
                name = labels.label("service", prefix) if prefix else "All products"
                yield ByProduct(connection.label, name, counts)


# --- Adoption ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Step:
    label: str
    count: Number
    share: Decimal | None  # of the step above
    length: float


@dataclass(frozen=True)
class Funnel:
    account: str
    on: date
    steps: tuple[Step, ...]
    idle: int | None  # seats without activity in 30 days

    def group(self, *, is_named: bool) -> BarGroup:
        bars = (
            Bar(step.label, step.length, (Cell(figures.count(step.count), detail),))
            for at, step in enumerate(self.steps)
            for detail in [
                "people" if not at else "" if step.share is None else figures.share(step.share)
            ]
        )
        note = f"On {figures.day(self.on)}. Percentages are of the step above."
        if self.idle is not None:
            seats = "seat" if self.idle == 1 else "seats"
            note += f" {self.idle} {seats} without activity in 30 days."
        return BarGroup(tuple(bars), title=self.account if is_named else "", note=note)


@dataclass(frozen=True)
class Funnels(Breakdown):
    funnels: tuple[Funnel, ...]

    @property
    def groups(self) -> tuple[BarGroup, ...]:
        is_named = len(self.funnels) > 1
        return tuple(funnel.group(is_named=is_named) for funnel in self.funnels)


@widget(
    "adoption",
    title="Adoption",
    kind=Breakdown,
    definition="""
        From invitation to regular use. Active every week: with activity in each of the last four
        weeks. Two products or more: in 30 days.
    """,
    details="""
        Each connection by itself, each percentage of the step above. *Invited*: seats and pending
        invitations. *Has a seat*. *Active in 30 days*: the provider's count. *Active every week*:
        people who did something in each of the last four weeks. *Two products or more*: people
        who did something in at least two products within 30 days. Something is a message (chat,
        Cowork, Office, Design), an action (Cowork) or a session (Claude Code). The last two are
        counted from what each person did, so they can differ a little from what the provider
        would call active.
    """,
    width=5,
)
def adoption(scope: Scope) -> WidgetResult:
    """From invitation to habit, for each connection by itself."""
    telling, missing = _split_by_activity(scope)
    documents = activity_queries.latest_documents(telling, scope.window)
    funnels = []
    by_people = activity_queries.with_feed(telling, activity_queries.USERS)
    known = identity.identities(by_people)
    ends = activity_queries.last_days(by_people, activity_queries.USERS, scope.window)
    for connection in telling:
        if connection.pk not in documents:
            continue
        day, values = documents[connection.pk]
        done = None
        if connection.pk in ends:
            month = Window.last(30, today=ends[connection.pk])
            done = activity_queries.activity([connection], month, known=known).get(connection.pk)
        funnels.append(_funnel(connection.label, day, values, done))
    rows = tuple(
        (funnel.account, funnel.on, step.label, step.count, step.share)
        for funnel in funnels
        for step in funnel.steps
    )
    return WidgetResult(
        shown=Funnels(tuple(funnels)),
        empty="" if funnels else _NOT_READ_YET if telling else _NO_USERS,
        spec=scope.spec("seats", "monthly_active_users", "pending_invites") if telling else None,
        figure=add_known(f.steps[1].count for f in funnels) if funnels else None,
        table=Table(
            (
                Column("billing_account", "Connection", Kind.TEXT),
                Column("day", "On", Kind.DAY),
                Column("step", "Step", Kind.TEXT),
                Column("users", "Users", Kind.COUNT),
                Column("share", "Of the step above", Kind.SHARE),
            ),
            rows,
        ),
        notes=_left_out(scope, "seats"),
        missing=missing,
    )


def _funnel(
    account: str, day: date, values: Mapping[str, Any], done: activity_queries.Activity | None
) -> Funnel:
    seats, invited = values.get("assigned_seat_count"), values.get("pending_invite_count")
    active = values.get("monthly_active_user_count")
    counts: list[tuple[str, Number]] = [
        ("Invited", add_known([seats, invited])),
        ("Has a seat", seats),
        ("Active in 30 days", active),
        ("Active every week", done.habit if done else None),
        ("Two products or more", done.several if done else None),
    ]
    largest = max((count or 0 for _, count in counts), default=0)
    steps = []
    above: Number = None
    for label, count in counts:
        steps.append(Step(label, count, share_of(count, above), length(count, largest)))
        above = count
    idle = max(int(seats) - int(active), 0) if seats is not None and active is not None else None
    return Funnel(account, day, tuple(steps), idle)


# --- Output and activity -----------------------------------------------------------------------
@dataclass(frozen=True)
class MetricRow:
    """One number of a list with the line it took: a place per column, None where unknown."""

    label: str
    text: str
    points: tuple[str, ...]
    value: Number
    kind: Kind

    @property
    def cells(self) -> tuple[Cell, ...]:
        return (Cell(self.label), Cell(lines=self.points, style="wide"), Cell(self.text))


def _complete_to(day: date | None) -> str:
    return f"Complete to {figures.day(day)}. " if day else ""


@dataclass(frozen=True)
class Output(Listing):
    rows: tuple[MetricRow, ...]
    to: date | None

    @property
    def views(self) -> tuple[View, ...]:
        return (
            View(
                title="Claude Code output",
                heads=(Head("Measure"), Head("Over time"), Head("In all", is_number=True)),
                rows=tuple(row.cells for row in self.rows),
                hides_heads=True,
            ),
        )

    @property
    def note(self) -> str:
        return (
            f"{_complete_to(self.to)}This is a rough guide: not every session aims at a commit, "
            "and lines of code are not value."
        )


_CLAUDE_CODE = "claude_code"
_CODE = (
    "code_sessions",
    "code_commits",
    "code_pull_requests",
    "code_lines_added",
    "code_lines_removed",
    "accept_rate",
)


@widget(
    "claude-code",
    title="Claude Code output",
    kind=Listing,
    definition="""
        What Claude Code counted itself. Accept rate: accepted edits by proposed edits. Cost per
        commit: all cost of Claude Code by its commits; where it is no product of its own, the
        provider's estimate.
    """,
    details="""
        Sessions, commits, pull requests, lines added and removed as Claude Code counts them, of
        all connections that count it; accept rate is accepted by proposed edits. *Cost per
        commit* is all cost of the product Claude Code by its commits, over the days whose
        activity is known, of the connections that bill it as a product. The Console does not:
        *Estimated cost* is Anthropic's estimate there, and *Estimated cost per commit* that by
        the commits there. The two are never mixed. This is a rough guide: not every session aims
        at a commit, and lines of code are not value.
    """,
    width=4,
)
def code_output(scope: Scope) -> WidgetResult:
    """Return the output of Claude Code and its cost per commit and session."""
    empty, missing = _no_activity(scope, "claude_code")
    if empty:
        return WidgetResult(Table((), ()), empty=empty, missing=missing)
    interval = _sparks(scope)
    by_account = scope.ask(*_CODE, group_by=(interval, "billing_account"))
    report = by_account.by(interval)
    rows = [*_measured(report, interval), *_code_prices(scope, by_account.connections)]
    return WidgetResult(
        shown=Output(tuple(rows), report.coverage.known_to),
        empty=when_empty(report, "activity of Claude Code"),
        spec=scope.spec("code_commits", "code_pull_requests", "code_sessions", "code_lines_added"),
        figure=report.totals[1],
        table=_measured_table(rows),
        notes=_left_out(scope, *_CODE),
        missing=missing,
    )


def _code_prices(scope: Scope, connections: Sequence[Connection]) -> Iterator[MetricRow]:
    """Return the cost per commit over the days whose activity is known.

    Where a provider bills Claude Code as a product of its own, that is its cost. Where it only
    estimates what Claude Code took of another product, the estimate stands by itself.
    """
    counting = activity_queries.with_surface(connections, _CLAUDE_CODE)
    estimating = [c for c in counting if any(feed_names(c, Source(_CLAUDE_CODE)))]
    billing = [c for c in counting if c not in estimating]

    if billing:
        of_code = Filter("service", (_CLAUDE_CODE,))
        _, prices = _prices(scope, "cost", billing, of_code)
        for word, each in prices:
            yield MetricRow(f"Cost per {word}", figures.usd(each), (), each, Kind.USD)
    if estimating:
        amount, prices = _prices(scope, "code_estimated_cost", estimating)
        yield MetricRow("Estimated cost", figures.usd(amount), (), amount, Kind.USD)
        for word, each in prices:
            yield MetricRow(f"Estimated cost per {word}", figures.usd(each), (), each, Kind.USD)


_PRICED = {"commit": "code_commits", "session": "code_sessions"}


def _prices(
    scope: Scope, metric: str, of: Sequence[Connection], *also: Filter
) -> tuple[Number, list[tuple[str, Decimal | None]]]:
    """Return what a metric came to, and its part per commit and per session.

    Both sides are of the days that both know, by connection.
    """
    by, accounts = ("day", "billing_account"), _accounts(of)
    amounts = scope.ask(metric, group_by=by, also=(accounts, *also))
    counts = scope.ask(*_PRICED.values(), group_by=by, also=(accounts,))
    prices: list[tuple[str, Decimal | None]] = []
    for place, word in enumerate(_PRICED):
        spent = made = Decimal()
        is_known = False
        for connection in of:
            for day in _ended(amounts, connection) & _ended(counts, connection):
                amount = amounts.values((day, connection.label))[0]
                count = counts.values((day, connection.label))[place]
                if amount is not None and count is not None:
                    spent, made, is_known = spent + amount, made + count, True
        prices.append((word, _each(spent if is_known else None, made)))
    return amounts.by().totals[0], prices


def _ended(report: Report, connection: Connection) -> frozenset[date]:
    """Return the complete, known days of a report with one source."""
    part = report.coverage.part(connection.pk, report.spec.sources[0])
    return part.ended if part else frozenset()


def _accounts(connections: Iterable[Connection]) -> Filter:
    return Filter("billing_account", tuple(connection.label for connection in connections))


def _each(cost: Number, count: Number) -> Decimal | None:
    return None if cost is None or not count else Decimal(cost) / Decimal(count)


_SURFACES = (
    "chat_messages",
    "cowork_messages",
    "cowork_actions",
    "office_messages",
    "design_messages",
)
_NEWER = ("science_messages", "tag_messages")  # shown where anybody used them
_SURFACE_OF = {
    "chat_messages": "chat",
    "cowork_messages": "cowork",
    "cowork_actions": "cowork",
    "office_messages": "office_agent",
    "design_messages": "claude_design",
    "science_messages": "science",
    "tag_messages": "claude_tag",
}


@dataclass(frozen=True)
class Surfaces(Listing):
    rows: tuple[tuple[MetricRow, Number], ...]  # with how many people
    to: date | None
    is_several: bool

    @property
    def views(self) -> tuple[View, ...]:
        return (
            View(
                title="Activity in chat, Cowork, Office and Design",
                heads=(
                    Head("Activity"),
                    Head("Over time", is_hidden=True),
                    Head("Count", is_number=True),
                    Head("People", is_number=True),
                ),
                rows=tuple((*row.cells, Cell(figures.count(people))) for row, people in self.rows),
            ),
        )

    @property
    def note(self) -> str:
        basis = (
            "A person can be in several connections, so people are not added up. Choose one "
            "connection."
            if self.is_several
            else "Each person counts once over all these days."
        )
        return f"{_complete_to(self.to)}{basis}"


@widget(
    "activity",
    title="Chat, Cowork, Office, Design",
    kind=Listing,
    definition="""
        Messages and actions in these days, and how many different people there were.
    """,
    details="""
        Messages and actions in the range, and how many different people there were, each counted
        once.
    """,
    width=4,
)
def surfaces(scope: Scope) -> WidgetResult:
    """Return the use of chat, Cowork, Office and Design, with the number of people."""
    empty, missing = _no_activity(scope, *_SURFACE_OF.values())
    if empty:
        return WidgetResult(Table((), ()), empty=empty, missing=missing)
    interval = _sparks(scope)
    names = (*_SURFACES, *_NEWER)
    report = scope.ask(*names, group_by=(interval,))
    people = activity_queries.activity(
        report.connections, scope.window, scope.values_of("project_id")
    )
    several = len(people) > 1
    done = next(iter(people.values())) if len(people) == 1 else None
    measured = list(_measured(report, interval))
    rows = tuple(
        (row, done.products.get(_SURFACE_OF[name], 0) if done else None)
        for name, row in zip(names, measured, strict=True)
        if name in _SURFACES or row.value
    )
    return WidgetResult(
        shown=Surfaces(rows, report.coverage.known_to, several),
        empty=when_empty(report, "activity"),
        spec=scope.spec("chat_messages", "cowork_messages", "office_messages", "design_messages"),
        figure=report.totals[0],
        table=Table(
            (
                Column("activity", "Activity", Kind.TEXT),
                Column("count", "Count", Kind.COUNT),
                Column("people", "People", Kind.COUNT),
            ),
            tuple((row.label, row.value, count) for row, count in rows),
        ),
        notes=_left_out(scope, *_SURFACES),
        missing=missing,
    )


def _no_activity(scope: Scope, *surfaces: str) -> tuple[str, tuple[Lack, ...]]:
    """Explain why no activity in these products is reported; "" if it is. Name the silent feeds."""
    every = engine.connections_of(scope.organization, scope.filters)
    telling = activity_queries.with_surface(every, *surfaces)
    if not telling:
        return _NO_ACTIVITY, ()
    return "", _silent(scope, every, telling, "does not report this activity")


def _sparks(scope: Scope) -> Interval:
    """Return the intervals of a sparkline, about a dozen."""
    return "day" if len(scope.window) <= 31 else "week"


def _measured(report: Report, interval: Interval) -> Iterator[MetricRow]:
    """Every metric of a report whose only grouping is that interval."""
    across = pivot.columns(replace(report.spec, interval=interval), report.coverage)
    rows = [report.values((column.start,)) for column in across]
    for at, metric in enumerate(report.spec.metric_objects):
        total = report.totals[at]
        yield MetricRow(
            metric.label,
            _written(metric, total),
            sparkline([row[at] for row in rows]),
            total,
            Kind(metric.unit.value),
        )


def _written(metric: Metric, value: Number) -> str:
    """Return counts in full unless they are longer than their column."""
    is_long = metric.unit is Unit.COUNT and value is not None and value >= 1_000_000
    return figures.tokens(value) if is_long else figures.figure(value, metric.unit)


def sparkline(values: Sequence[Number]) -> tuple[str, ...]:
    """Return line segments on a plane of 100 by 20, broken at unknown values."""
    known = [float(value) for value in values if value is not None]
    highest = max(known, default=0) or 1
    runs: list[list[str]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        x = round(100 * (at + 0.5) / len(values), 1)
        runs[-1].append(f"{x},{round(19 - 18 * float(value) / highest, 1)}")
    return tuple(" ".join(run) for run in runs if len(run) > 1)


def _measured_table(rows: Sequence[MetricRow]) -> Table:
    return Table(
        (Column("measure", "Measure", Kind.TEXT), Column("value", "Value", Kind.COUNT)),
        tuple((row.label, Quantity(row.value, row.kind)) for row in rows),
    )


# --- Skills, connectors, projects --------------------------------------------------------------
@dataclass(frozen=True)
class Catalog:
    """Kind of item, with the metric that counts its uses and the words for both."""

    metric: str
    label: str
    one: str
    word: str

    @property
    def measure(self) -> Measure:
        (single,) = METRICS[self.metric].measures
        return single


SKILLS = Catalog("skill_uses", "Skills", "Skill", "Uses")
CATALOGS = (
    SKILLS,
    Catalog("connector_calls", "Connectors", "Connector", "Calls"),
    Catalog("plugin_uses", "Plugins", "Plugin", "Uses"),
    Catalog("project_messages", "Projects", "Project", "Messages"),
)
SHOWN = 6


@dataclass(frozen=True)
class CatalogSection:
    catalog: Catalog
    used: tuple[activity_queries.ItemUsage, ...]

    @property
    def first(self) -> tuple[activity_queries.ItemUsage, ...]:
        return self.used[:SHOWN]

    @property
    def more(self) -> int:
        return max(0, len(self.used) - SHOWN)

    @property
    def is_span(self) -> bool:
        return any(one.is_span for one in self.used)

    @property
    def view(self) -> View:
        return View(
            title=self.catalog.label,
            heads=(
                Head(self.catalog.one),
                Head("People" if self.is_span else "People, best day", is_number=True),
                Head(self.catalog.word, is_number=True),
            ),
            rows=tuple(
                (
                    Cell(one.name or one.subject),
                    Cell(figures.count(one.people)),
                    Cell(figures.count(one.uses)),
                )
                for one in self.first
            ),
            width=6,
            note=f"{self.more} more below, as table." if self.more else "",
            style="tight",
        )


@dataclass(frozen=True)
class CatalogSections(Listing):
    sections: tuple[CatalogSection, ...]

    @property
    def views(self) -> tuple[View, ...]:
        return tuple(section.view for section in self.sections)


@widget(
    "catalog",
    title="Skills, connectors, projects",
    kind=Listing,
    definition="""
        Explicit uses in these days. People of several days are only added up where the provider
        did it; otherwise it is the most on one day.
    """,
    details="""
        Uses within the range. *People* are those of the whole range where the provider counted
        it, otherwise the most on one day, as marked: people of several days cannot be added up.
    """,
    width=7,
)
def catalog(scope: Scope) -> WidgetResult:
    """Return the most used items with the number of people."""
    every = engine.connections_of(scope.organization, scope.filters)
    shelves = []
    known: set[Connection] = set()
    for shelf in CATALOGS:
        feed, paths = shelf.measure.source.value, shelf.measure.paths
        telling = activity_queries.with_feed(every, feed)
        if telling:
            known.update(telling)
            usages = activity_queries.top_items(telling, feed, paths, scope.window)
            shelves.append(CatalogSection(shelf, tuple(usages)))
    shelves = [shelf for shelf in shelves if shelf.used]
    skills = [one.uses for shelf in shelves for one in shelf.used if shelf.catalog is SKILLS]
    return WidgetResult(
        shown=CatalogSections(tuple(shelves)),
        spec=scope.spec(*(shelf.metric for shelf in CATALOGS), group_by=("item",)),
        figure=add_known(skills) if skills else None,
        empty="" if shelves else _NOT_READ_YET if known else _NO_CATALOG,
        table=Table(
            (
                Column("kind", "Kind", Kind.TEXT),
                Column("name", "Name", Kind.TEXT),
                Column("id", "ID", Kind.WORD),
                Column("uses", "Uses", Kind.COUNT),
                Column("people", "People", Kind.COUNT),
                Column("people_on", "People are", Kind.TEXT),
            ),
            tuple(
                (
                    shelf.catalog.one,
                    one.name or one.subject,
                    one.subject,
                    one.uses,
                    one.people,
                    "of all days" if one.is_span else "the most on one day",
                )
                for shelf in shelves
                for one in shelf.used
            ),
        ),
        notes=_left_out(scope, "seats"),
        missing=_silent(scope, every, [*known], "does not report these uses"),
    )
