"""Coverage of the numbers: known, final, missing, restated and reconciled days."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby

from django.db.models import Count, F, Q, Sum
from django.urls import reverse
from django.utils import timezone

from integrations.connectors.base import Table as Kept
from integrations.models import Connection, DayCheck, Restatement
from integrations.status.connections import ConnectionStatus, read_statuses
from integrations.status.days import DayState, unnamed_days
from integrations.status.feeds import FeedStatus
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import Source
from reports.coverage import feed_names
from reports.dashboard.declaration import widget
from reports.dashboard.kinds import Badge, Bar, BarGroup, Breakdown, Cell, Strip, StripSegment
from reports.dashboard.results import Column, Kind, Table, Value, WidgetResult
from reports.dashboard.scope import Scope
from reports.reconciliation import CENT
from reports.templatetags import figures


@dataclass(frozen=True)
class CoverageStrip:
    """One feed of a connection, or all of a kind, over the days that are looked at."""

    account: str
    label: str
    stretches: tuple[StripSegment, ...]
    final: int
    open: int
    incomplete: int
    missing: int

    @property
    def text(self) -> str:
        """Describe the strip in words."""
        parts = [
            f"{count} {word}"
            for count, word in (
                (self.final, "final"),
                (self.open, "can still change"),
                (self.incomplete, "incomplete"),
                (self.missing, "without data"),
            )
            if count
        ]
        return ", ".join(parts)


@dataclass(frozen=True)
class Health(Breakdown):
    strips: tuple[CoverageStrip, ...]
    is_several: bool
    checked: int
    differing: int
    restated: Decimal
    restated_days: int
    unnamed_days: int  # whose cost is known, and whose cost per user is not
    page: str  # URL of Data health

    @property
    def groups(self) -> tuple[BarGroup, ...]:
        bars = (
            Bar(
                f"{strip.account}: {strip.label}" if self.is_several else strip.label,
                cells=(Cell(strip.text, style="small muted"),),
                strip=Strip(strip.stretches, strip.text),
            )
            for strip in self.strips
        )
        return (BarGroup(tuple(bars)),)

    @property
    def badges(self) -> tuple[Badge, ...]:
        return (self._checks, self._restatements)

    @property
    def _checks(self) -> Badge:
        if not self.checked:
            return Badge("No checks in these days yet", "off", "dash")
        if self.differing:
            text = (
                f"{self.differing} of {self.checked} daily checks differ from the provider’s total"
            )
            return Badge(text, "bad", "fail")
        if self.unnamed_days:
            days = "day" if self.unnamed_days == 1 else "days"
            return Badge(
                f"{self.checked} daily checks agree, but the cost per user of {self.unnamed_days} "
                f"{days} is not known",
                "warn",
                "clock",
            )
        text = f"All {self.checked} daily checks add up to the provider’s totals, to the cent"
        return Badge(text, "good", "ok")

    @property
    def _restatements(self) -> Badge:
        if not self.restated_days:
            return Badge("No complete day was restated since yesterday.")
        sign, days = "+" if self.restated > 0 else "", "day" if self.restated_days == 1 else "days"
        return Badge(
            f"{sign}{figures.usd(self.restated)} since yesterday, on {self.restated_days} {days} "
            "that had been complete."
        )

    @property
    def link(self) -> tuple[str, str]:
        return ("Data health", self.page)


@widget(
    "health",
    title="Data health",
    kind=Breakdown,
    definition="""
        Which days are imported, final or missing, and whether they agree with the provider’s own
        totals.
    """,
    details="""
        For the cost, the tokens and the activity of each connection, how many days are final, can
        still change, are incomplete or lack data: a day is as sure as the least sure of the feeds
        that have been read. The table has every feed by itself. *Checks*: every day whose stored
        sum was compared with the provider's own total. *Since yesterday*: by how much complete
        days were restated in the last 24 hours, in the feeds of the whole organization.
    """,
    width=12,
)
def health(scope: Scope) -> WidgetResult:
    """Return the finality of cost, tokens and activity by connection, and the checks.

    The table has every feed by itself.
    """
    every = engine.connections_of(scope.organization, scope.filters)
    statuses, window = read_statuses(every), scope.window
    days = Q(day__gte=scope.window.start, day__lt=scope.window.end)
    checks = DayCheck.objects.filter(days, connection__in=every).aggregate(
        all=Count("pk"),
        off=Count(
            "pk",
            filter=Q(reported__gt=F("stored") + CENT / 2) | Q(reported__lt=F("stored") - CENT / 2),
        ),
    )
    amount, count = restated(every)
    return WidgetResult(
        shown=Health(
            tuple(strip for one in statuses for strip in _kind_strips(one, window)),
            is_several=len(every) > 1,
            checked=checks["all"],
            differing=checks["off"],
            restated=amount,
            restated_days=count,
            page=reverse("integrations:health", args=[scope.organization.slug]),
            unnamed_days=len(frozenset().union(*(_unnamed(one, window) for one in statuses))),
        ),
        empty="" if every else "Nothing is connected yet.",
        # The same days of the same connections, with the check of their sum at its foot.
        spec=scope.without("service", "project_id").spec("cost", group_by=("billing_account",)),
        table=Table(
            (
                Column("billing_account", "Connection", Kind.TEXT),
                Column("feed", "Feed", Kind.TEXT),
                Column("status", "Status", Kind.TEXT),
                Column("complete_to", "Complete to", Kind.TEXT),
                Column("final_to", "Final to", Kind.DAY),
                Column("final", "Final days", Kind.COUNT),
                Column("open", "Can still change", Kind.COUNT),
                Column("incomplete", "Incomplete", Kind.COUNT),
                Column("missing", "Without data", Kind.COUNT),
                Column("problem", "Problem", Kind.TEXT),
                Column("repair", "What to do", Kind.TEXT),
            ),
            tuple(_feed_row(feed, window) for one in statuses for feed in _feeds(one)),
        ),
    )


def restated(connections: Sequence[Connection]) -> tuple[Decimal, int]:
    """By how much complete days moved since yesterday in US dollars, and how many days."""
    totals = Q(pk__in=[])
    for connection in connections:
        names = [f.name for f in connection.connector.feeds if f.grain == "total"]
        totals |= Q(connection=connection, feed__in=names)
    rows = Restatement.objects.filter(
        totals, measure="effective_cost", at__gte=timezone.now() - timedelta(days=1)
    ).aggregate(moved=Sum(F("new") - F("old")), days=Count("day", distinct=True))
    return rows["moved"] or Decimal(), rows["days"]


def _unnamed(status: ConnectionStatus, window: Window) -> frozenset[date]:
    """Return the days of the window whose cost is known and whose cost per user is not."""
    known = {feed.name: feed.coverage.within(window) for feed in status.feeds}
    totals, people = (
        [known[name] for name in names] for names in feed_names(status.connection, Source.COST)
    )
    return unnamed_days(totals, people)


KINDS = {Kept.COST: "Cost", Kept.USAGE: "Tokens", Kept.ENGAGEMENT: "Activity"}


def _feeds(status: ConnectionStatus) -> list[FeedStatus]:
    return [one for one in status.feeds if not one.feed.is_newest_only]


def _feed_row(feed: FeedStatus, window: Window) -> tuple[Value, ...]:
    """Return one feed: the state, dates and repair of its connection's page, and days by state."""
    strip = _strip(feed.connection.label, feed.label, window, feed.coverage.within(window))
    return (
        *(strip.account, strip.label, feed.status.word, feed.complete_text, feed.final_to),
        *(strip.final, strip.open, strip.incomplete, strip.missing),
        *(feed.error or feed.kept_out, feed.repair),
    )


def _kind_strips(status: ConnectionStatus, window: Window) -> Iterator[CoverageStrip]:
    """Yield one strip per kind, in which the least final feed decides a day.

    A feed that has read none may lie beyond what its key may read; the table shows it.
    """
    for table, label in KINDS.items():
        feeds = [one for one in _feeds(status) if one.feed.table is table]
        read = [known for one in feeds if (known := one.coverage.within(window))]
        worst = {
            day: min(days.get(day, DayState.UNKNOWN) for days in read) for day in window if read
        }
        if feeds:
            yield _strip(status.connection.label, label, window, worst)


def _strip(
    account: str, label: str, window: Window, known: Mapping[date, DayState]
) -> CoverageStrip:
    states = [known.get(day, DayState.UNKNOWN) for day in window]
    stretches, at = [], 0
    for state, run in groupby(states):
        count = len(list(run))
        stretches.append(
            StripSegment(
                state.name.lower(),
                round(100 * at / len(states), 3),
                round(100 * count / len(states), 3),
            )
        )
        at += count
    return CoverageStrip(
        account,
        label,
        tuple(stretches),
        final=states.count(DayState.FINAL),
        open=states.count(DayState.PROVISIONAL),
        incomplete=states.count(DayState.INCOMPLETE),
        missing=states.count(DayState.UNKNOWN),
    )
