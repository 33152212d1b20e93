"""Widgets of people: top users, cost per user, and the largest increases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from math import ceil
from urllib.parse import urlencode

from integrations.models import Person
from reports.catalog import labels
from reports.catalog.metrics import UNKNOWN_USER, Number, add_known
from reports.dashboard.declaration import widget
from reports.dashboard.kinds import Bar, BarGroup, Breakdown, Cell, Head, Listing, View
from reports.dashboard.results import (
    Change,
    Column,
    Kind,
    Table,
    WidgetResult,
    change,
    finality_rule,
    lacking,
    ratio_of,
    share_of,
    span,
    subtract,
    when_empty,
)
from reports.dashboard.scope import Scope
from reports.dashboard.spend import length
from reports.engine import Keys, People, Report, Row
from reports.engine.spec import Filter
from reports.templatetags import figures

TOP = 10
RISING = 5
_ONLY_UNATTRIBUTED = "None of the spend of these days is attributed to a user."
_COST = Column("cost", "Spend", Kind.USD)
_CHANGE = Column("change", "Change", Kind.CHANGE)
_TOKENS = Column("tokens", "Tokens", Kind.TOKENS)


@dataclass(frozen=True)
class PersonLabel:
    """A person as a row names them. `tag` says what is unusual: deleted, service."""

    id: str
    name: str
    detail: str = ""
    tag: str = ""


def names(scope: Scope, ids: Sequence[str]) -> dict[str, PersonLabel]:
    """Name the people listed under these identifiers, in two queries.

    A person of several rows has the oldest name and email that any of them has, and counts as
    deleted only if all of them are.
    """
    known = People.of(scope.organization).identities
    people = Person.objects.filter(connection__organization=scope.organization)
    wanted = [*ids, *(other for other, id in known.ids.items() if id in {*ids})]
    rows: dict[str, list[Person]] = {id: [] for id in ids}
    for person in people.filter(external_id__in=wanted).order_by("pk"):
        for id in {person.external_id, known.value("user_id", person.external_id)} & rows.keys():
            rows[id].append(person)
    return {id: _named(id, same) if same else PersonLabel(id, id) for id, same in rows.items()}


def _named(id: str, rows: Sequence[Person]) -> PersonLabel:
    email = next((row.email for row in rows if row.email), "")
    name = next((row.name for row in rows if row.name), "") or email or id
    kind = "" if rows[0].kind == Person.Kind.USER else rows[0].get_kind_display().lower()
    is_deleted = all(row.state == Person.State.DELETED for row in rows)
    return PersonLabel(
        id,
        labels.visible(name),
        detail=(email if email != name else "") or id,
        tag="deleted" if is_deleted else kind,
    )


# --- Top users ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class UserSpend:
    """`length` is that of the bar beside the largest."""

    who: PersonLabel
    cost: Number
    length: float
    moved: Change
    tokens: Number
    model: str
    last_day: date | None


@dataclass(frozen=True)
class Remainder:
    """Amounts not in the rows above: other people, unattributed, and the total."""

    label: str
    detail: str
    cost: Number
    moved: Change
    tokens: Number


@dataclass(frozen=True)
class Ranking(Listing):
    spenders: tuple[UserSpend, ...]
    rest: tuple[Remainder, ...]
    against: str
    rule: str
    query: str  # of the dashboard, to which a link adds a person

    @property
    def views(self) -> tuple[View, ...]:
        return (
            View(
                title="Top users by spend",
                heads=(
                    Head("User", style="pin"),
                    Head("Spend", is_number=True),
                    Head("Beside the largest", is_hidden=True, style="wide"),
                    Head(f"Change {self.against}".strip(), is_number=True),
                    Head("Tokens", is_number=True),
                    Head("Top model"),
                    Head("Last active"),
                ),
                rows=tuple(self._row(one) for one in self.spenders),
                foot=tuple(
                    (
                        Cell(one.label, one.detail, style="pin"),
                        Cell(figures.usd(one.cost)),
                        Cell(style="nil"),
                        Cell(change=one.moved),
                        Cell(figures.tokens(one.tokens)),
                        Cell(style="nil"),
                        Cell(style="nil"),
                    )
                    for one in self.rest
                ),
                rule=self.rule,
                style="cardy",
            ),
        )

    def _row(self, one: UserSpend) -> tuple[Cell, ...]:
        who = one.who
        link = _link(self.query, who.id)
        return (
            Cell(who.name, who.detail, link=link, tag=who.tag, style="pin"),
            Cell(figures.usd(one.cost)),
            Cell(length=one.length, style="nil"),
            Cell(change=one.moved),
            Cell(figures.tokens(one.tokens)),
            Cell(one.model or "–", style="mono nowrap"),
            Cell(figures.day(one.last_day), style="nowrap"),
        )


def _link(query: str, person: str) -> str:
    """Return the query of the dashboard with the filter by one person."""
    return f"{query}&{urlencode({'project_id': person})}"


@widget(
    "top-users",
    title="Top users by spend",
    kind=Listing,
    definition="""
        Cost that belongs to a person’s account. Cost of API keys and automation has no user and a
        row of its own.
    """,
    details="""
        The ten people with the highest cost; other people together; cost without a user. *Top
        model* is the one most was spent on, *last active* the last day with cost, both within the
        range.
    """,
    width=12,
)
def top_users(scope: Scope) -> WidgetResult:
    """Return the ten users with the highest cost, all others, and the unattributed cost."""
    report = scope.ask("cost", "total_tokens", group_by=("user_id",))
    everybody = sorted(
        (row for row in _of_people(report) if row.values[0] is not None),
        key=lambda row: (-(row.values[0] or 0), row.keys),
    )
    ids = [str(row.keys[0]) for row in everybody[:TOP]]
    who = names(scope, ids)
    details = _details(scope, ids) if ids else {}
    movement = _movement(scope, report, ids)
    largest = everybody[0].values[0] if everybody else None
    spenders = tuple(
        UserSpend(
            who=who[str(row.keys[0])],
            cost=row.values[0],
            length=length(row.values[0], largest),
            moved=movement.of(row.keys),
            tokens=row.values[1],
            model=details.get(str(row.keys[0]), ("", None))[0],
            last_day=details.get(str(row.keys[0]), ("", None))[1],
        )
        for row in everybody[:TOP]
    )
    against = change(movement.few).label if movement.few and movement.few.before else ""
    rest = tuple(_rest(report, movement, {(id,) for id in ids}, len(everybody) - len(ids)))
    return WidgetResult(
        shown=Ranking(spenders, rest, against, finality_rule(report), scope.query),
        empty=when_empty(report, "spend"),
        spec=scope.spec("cost", "total_tokens", group_by=("user_id",), limit=TOP),
        figure=report.totals[0],
        table=_ranking_table(spenders, rest),
        others=scope.cut_by("rbac_group_id", "Spend by group", report.connections),
        missing=lacking(scope, report),
    )


def _details(scope: Scope, ids: Sequence[str]) -> dict[str, tuple[str, date | None]]:
    """Return the model with most cost for each user, and the last active day."""
    who = (Filter("user_id", tuple(ids)),)
    models: dict[str, tuple[str, Decimal]] = {}
    for row in scope.ask("cost", group_by=("user_id", "sku"), also=who).rows:
        id, model = map(str, row.keys)
        cost = Decimal(row.values[0] or 0)
        if model and cost > models.get(id, ("", Decimal()))[1]:
            models[id] = (model, cost)
    last: dict[str, date] = {}
    for row in scope.ask("cost", group_by=("user_id", "day"), also=who).rows:
        id, day = str(row.keys[0]), row.keys[1]
        if isinstance(day, date) and row.values[0]:
            last[id] = max(day, last.get(id, day))
    return {id: (models.get(id, ("", Decimal()))[0], last.get(id)) for id in ids}


@dataclass(frozen=True)
class _Movement:
    """Change of the cost of some people and of all; the difference is that of all others.

    So the days of other people need not be read again. None: there is nothing to compare with.
    """

    few: Report | None
    whole: Report | None

    def of(self, keys: Keys) -> Change:
        row = self.few and self.few.row(keys)
        return Change(ratio_of(row.values[0], row.before[0]) if row else None, "")

    def of_all(self) -> Change:
        if self.whole is None or self.whole.before is None:
            return Change(None, "")
        return Change(ratio_of(self.whole.totals[0], self.whole.before.totals[0]), "")

    def of_others(self) -> Change:
        few, whole = self.few, self.whole
        if few is None or few.before is None or whole is None or whole.before is None:
            return Change(None, "")
        now = subtract(whole.totals[0], few.totals[0])
        return Change(ratio_of(now, subtract(whole.before.totals[0], few.before.totals[0])), "")


def _movement(scope: Scope, report: Report, ids: Sequence[str]) -> _Movement:
    """Return the change of these people, of unattributed cost, and of all."""
    whole = replace(report.spec, metrics=("cost",))
    few = replace(whole, filters=(*whole.filters, Filter("user_id", (*ids, *_NOT_PEOPLE))))
    previous = scope.run_previous(few)
    return _Movement(previous, previous and scope.run_previous(replace(whole, group_by=())))


# What is no person, and what it is.
_NOT_PEOPLE = {
    "": "API keys, automation and similar",
    UNKNOWN_USER: "The cost per user of some days has not been read",
}


def _of_people(report: Report) -> Iterator[Row]:
    return (row for row in report.rows if row.keys[0] not in _NOT_PEOPLE)


def _rest(
    report: Report, movement: _Movement, top: set[tuple[str]], count: int
) -> Iterator[Remainder]:
    """Return other people, unattributed cost, and the total."""
    if count:
        people = "1 person" if count == 1 else f"{count:,} people"
        others = [row.values for row in _of_people(report) if row.keys not in top]
        yield Remainder(
            "Other users",
            people,
            add_known(cost for cost, _ in others),
            movement.of_others(),
            add_known(tokens for _, tokens in others),
        )
    for key, detail in _NOT_PEOPLE.items():
        if any(row.keys == (key,) for row in report.rows):
            cost, tokens = report.values((key,))
            yield Remainder(labels.label("user_id", key), detail, cost, movement.of((key,)), tokens)
    yield Remainder("Total", "", report.totals[0], movement.of_all(), report.totals[1])


def _ranking_table(spenders: Sequence[UserSpend], rest: Sequence[Remainder]) -> Table:
    return Table(
        (
            Column("user", "User", Kind.TEXT),
            Column("user_id", "User ID", Kind.WORD),
            _COST,
            _CHANGE,
            _TOKENS,
            Column("top_model", "Top model", Kind.WORD),
            Column("last_active", "Last active", Kind.DAY),
        ),
        (
            *(
                (s.who.name, s.who.id, s.cost, s.moved.ratio, s.tokens, s.model, s.last_day)
                for s in spenders
            ),
            *((r.label, "", r.cost, r.moved.ratio, r.tokens, "", None) for r in rest),
        ),
    )


# --- What one of them costs --------------------------------------------------------------------
@dataclass(frozen=True)
class HistogramBin:
    """So many people cost between `low` and `high`; `high` None is open."""

    low: Decimal
    high: Decimal | None
    count: int
    length: float

    @property
    def label(self) -> str:
        return f"${self.low:f} – ${self.high:f}" if self.high is not None else f"over ${self.low:f}"


@dataclass(frozen=True)
class CostDistribution(Breakdown):
    """Distribution of cost over people. Percentiles are costs of actual people."""

    mean: Number
    p50: Decimal
    p90: Decimal
    p99: Decimal
    people: int
    bins: tuple[HistogramBin, ...]
    tenth: int  # how many people are the top tenth
    tenth_share: Decimal | None  # of the cost of all people

    @property
    def numbers(self) -> tuple[tuple[str, str], ...]:
        named = (("Mean", self.mean), ("p50", self.p50), ("p90", self.p90), ("p99", self.p99))
        return tuple((label, figures.usd(value)) for label, value in named)

    @property
    def groups(self) -> tuple[BarGroup, ...]:
        bars = tuple(Bar(one.label, one.length, (Cell(f"{one.count}"),)) for one in self.bins)
        return (BarGroup(bars, label="People by what they cost"),)

    @property
    def note(self) -> str:
        people = "person" if self.people == 1 else "people"
        top = (
            "The user with the highest cost accounts"
            if self.tenth == 1
            else f"The {self.tenth} users with the highest cost account"
        )
        share = figures.share(self.tenth_share)
        return f"{self.people} {people} with cost. {top} for {share} of it."


@widget(
    "cost-per-user",
    title="Cost per active user",
    kind=Breakdown,
    definition="""
        All spend by the people who used tokens. p50, p90 and p99 are percentiles of the cost per
        person.
    """,
    details="""
        `cost_per_active_user`: all cost by the people with usage. p50, p90 and p99 are the cost
        of a real person: the smallest that at least 50, 90 or 99 percent of all people with cost
        do not exceed.
    """,
    width=4,
)
def per_user(scope: Scope) -> WidgetResult:
    """All cost by people with usage, and how far single people are from that."""
    report = scope.ask("cost_per_active_user", "cost", "people", group_by=("user_id",))
    mean = report.totals[0]
    costs = sorted(
        Decimal(row.values[1])
        for row in _of_people(report)
        if row.values[1] is not None and row.values[1] > 0
    )
    answer = WidgetResult(
        empty=when_empty(report, "spend") or ("" if costs else _ONLY_UNATTRIBUTED),
        spec=scope.spec("cost_per_active_user", "cost", "people"),
        figure=mean,
        table=Table((), ()),
        missing=lacking(scope, report.by()),
    )
    return answer if not costs else _with_spread(answer, costs, mean)


def _with_spread(answer: WidgetResult, costs: Sequence[Decimal], mean: Number) -> WidgetResult:
    tenth = ceil(len(costs) / 10)
    spread = CostDistribution(
        mean=mean,
        p50=percentile(costs, 50),
        p90=percentile(costs, 90),
        p99=percentile(costs, 99),
        people=len(costs),
        bins=_bins(costs),
        tenth=tenth,
        tenth_share=share_of(sum(costs[-tenth:], Decimal()), sum(costs, Decimal())),
    )
    rows = (
        ("Mean, all cost by people with usage", mean),
        ("p50", spread.p50),
        ("p90", spread.p90),
        ("p99", spread.p99),
    )
    columns = (Column("measure", "Measure", Kind.TEXT), Column("cost", "Cost per user", Kind.USD))
    return replace(answer, shown=spread, table=Table(columns, rows))


def percentile(ordered: Sequence[Decimal], percent: int) -> Decimal:
    """Return the smallest cost that this percentage of the people does not exceed."""
    return ordered[max(ceil(len(ordered) * percent / 100), 1) - 1]


_STEPS = tuple(
    Decimal(text)
    for text in [
        "1",
        "2",
        "5",
        "10",
        "20",
        "50",
        "100",
        "200",
        "500",
        "1000",
        "2000",
        "5000",
        "10000",
    ]
)


def _bins(costs: Sequence[Decimal]) -> tuple[HistogramBin, ...]:
    """People by cost, in steps that grow as costs do; empty ends are left out."""
    edges = [Decimal(), *_STEPS]
    counts = [sum(low < cost <= high for cost in costs) for low, high in pairwise(edges)]
    counts.append(sum(cost > edges[-1] for cost in costs))
    highs: list[Decimal | None] = [*edges[1:], None]
    used = [at for at, count in enumerate(counts) if count]
    largest = max(counts)
    return tuple(
        HistogramBin(edges[at], highs[at], counts[at], length(counts[at], largest))
        for at in range(used[0], used[-1] + 1)
    )


# --- Rising ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Increase:
    label: str
    is_identifier: bool
    now: Number
    before: Number
    more: Decimal
    id: str = ""

    @property
    def moved(self) -> Change:
        """None for what was not there before: a rise from nothing has no percentage."""
        return Change(ratio_of(self.now, self.before), "")


@dataclass(frozen=True)
class Increases(Listing):
    users: tuple[Increase, ...]
    models: tuple[Increase, ...]
    now: str
    against: str
    query: str  # of the dashboard, to which a link adds a person

    @property
    def views(self) -> tuple[View, ...]:
        return (
            self._view("People whose spend rose most", "User", self.users, "No user’s spend rose."),
            self._view(
                "Models whose spend rose most", "Model", self.models, "No model’s spend rose."
            ),
        )

    def _view(self, title: str, first: str, rows: tuple[Increase, ...], empty: str) -> View:
        return View(
            title=title,
            heads=(Head(first), Head("More", is_number=True), Head("Change", is_number=True)),
            rows=tuple(
                (
                    Cell(
                        one.label,
                        f"{figures.usd(one.before)} → {figures.usd(one.now)}",
                        link=_link(self.query, one.id) if one.id else "",
                        style="mono" if one.is_identifier else "",
                    ),
                    Cell(f"+{figures.usd(one.more)}"),
                    Cell(change=one.moved) if one.before else Cell("new"),
                )
                for one in rows
            ),
            width=6,
            empty=empty,
            style="tight",
        )

    @property
    def note(self) -> str:
        return f"{self.now} beside {self.against}."


@widget(
    "rising",
    title="Rising",
    kind=Listing,
    definition="""
        The people and models whose spend grew by the most dollars, comparing complete days with
        the days before.
    """,
    details="""
        People and models by how many dollars their cost grew between the days before and the
        complete days of the range.
    """,
    width=7,
)
def rising(scope: Scope) -> WidgetResult:
    """Return the people and the models whose cost grew most, in dollars."""
    asked = scope.spec("cost", group_by=("user_id",))
    by_user = scope.run_previous(asked)
    columns = (
        Column("kind", "Kind", Kind.TEXT),
        Column("name", "Name", Kind.TEXT),
        Column("before", "Before", Kind.USD),
        Column("now", "Now", Kind.USD),
        Column("more", "More", Kind.USD),
    )
    if by_user is None or by_user.before is None:
        report = scope.ask("cost")
        reason = "There are no earlier complete days to compare with."
        return WidgetResult(
            table=Table(columns, ()),
            empty=when_empty(report, "spend") or reason,
            spec=report.spec,
            figure=report.totals[0],
        )
    # Asked one by one: both at once are too many groups for any rollup.
    by_model = scope.run_previous(replace(asked, group_by=("sku",)))
    users = _risers(by_user)
    who = names(scope, [riser.id for riser in users])
    users = tuple(Increase(who[r.id].name, False, r.now, r.before, r.more, r.id) for r in users)
    models = _risers(by_model) if by_model else ()
    rows = tuple(
        (kind, riser.label, riser.before, riser.now, riser.more)
        for kind, risers in (("user", users), ("model", models))
        for riser in risers
    )
    return WidgetResult(
        shown=Increases(
            users,
            models,
            span(by_user.spec.window),
            span(by_user.before.spec.window),
            scope.query,
        ),
        empty=when_empty(by_user, "spend"),
        # The same days as the report compares; its total is that of all of them.
        spec=replace(asked, compare="previous"),
        figure=scope.ask("cost").totals[0],
        table=Table(columns, rows),
    )


def _risers(compared: Report) -> tuple[Increase, ...]:
    risers = []
    for row in compared.rows:
        now, before = row.values[0], row.before[0]
        if (
            row.keys[0] not in ("", UNKNOWN_USER)
            and now is not None
            and before is not None
            and now > before
        ):
            word = str(row.keys[0])
            risers.append(Increase(word, True, now, before, Decimal(now - before), word))
    return tuple(sorted(risers, key=lambda riser: (-riser.more, riser.label))[:RISING])
