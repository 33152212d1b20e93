"""How far the numbers can be trusted: what is in, final, missing, restated, and adds up."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from integrations.connectors.base import Feed
from integrations.models import Connection, DayCheck, FeedDay, Restatement
from integrations.window import Window
from reports import queries
from reports.coverage import STATES, DayState
from reports.dashboard.answers import Answer, Column, Kind, Table
from reports.dashboard.scope import Scope
from reports.reconciliation import CENT


@dataclass(frozen=True)
class Stretch:
    """Neighboring days that are equally sure, in percent of the strip."""

    state: str
    x: float
    width: float


@dataclass(frozen=True)
class Strip:
    """One feed of one connection over the days that are looked at."""

    account: str
    label: str
    stretches: tuple[Stretch, ...]
    final: int
    open: int
    incomplete: int
    missing: int

    @property
    def text(self) -> str:
        """What the strip shows, in words."""
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
class Health:
    strips: tuple[Strip, ...]
    is_several: bool
    checked: int
    differing: int
    restated: Decimal
    restated_days: int


def health(scope: Scope) -> Answer:
    """Every feed of every connection, day by day, and the checks of these days."""
    every = queries.connections_of(scope.organization, scope.filters)
    strips = tuple(_strips(every, scope.window))
    days = Q(day__gte=scope.window.start, day__lt=scope.window.end)
    checks = DayCheck.objects.filter(days, connection__in=every).aggregate(
        all=Count("pk"),
        off=Count(
            "pk",
            filter=Q(reported__gt=F("stored") + CENT / 2) | Q(reported__lt=F("stored") - CENT / 2),
        ),
    )
    amount, count = restated(every)
    return Answer(
        shown=Health(strips, len(every) > 1, checks["all"], checks["off"], amount, count),
        empty="" if every else "Nothing is connected yet.",
        table=Table(
            (
                Column("billing_account", "Connection", Kind.TEXT),
                Column("feed", "Feed", Kind.TEXT),
                Column("final", "Final days", Kind.COUNT),
                Column("open", "Can still change", Kind.COUNT),
                Column("incomplete", "Incomplete", Kind.COUNT),
                Column("missing", "Without data", Kind.COUNT),
            ),
            tuple((s.account, s.label, s.final, s.open, s.incomplete, s.missing) for s in strips),
        ),
    )


def restated(connections: Sequence[Connection]) -> tuple[Decimal, int]:
    """By how much complete days moved since yesterday in US dollars, and how many days."""
    totals = Q(pk__in=[])
    for connection in connections:
        names = [f.name for f in _feeds(connection) if f.grain == "total"]
        totals |= Q(connection=connection, feed__in=names)
    found = Restatement.objects.filter(
        totals, measure="amount_usd", at__gte=timezone.now() - timedelta(days=1)
    ).aggregate(moved=Sum(F("new") - F("old")), days=Count("day", distinct=True))
    return found["moved"] or Decimal(), found["days"]


def _feeds(connection: Connection) -> list[Feed]:
    try:
        return [feed for feed in connection.connector.feeds if not feed.is_newest_only]
    except KeyError:  # stored by a connector the settings no longer name
        return []


def _strips(connections: Sequence[Connection], window: Window) -> Iterator[Strip]:
    known: dict[tuple[int, str], dict[date, DayState]] = defaultdict(dict)
    days = FeedDay.objects.filter(
        connection__in=connections, day__gte=window.start, day__lt=window.end
    )
    for connection_id, name, day, state in days.values_list(
        "connection_id", "feed", "day", "state"
    ):
        known[connection_id, name][day] = STATES[state]
    for connection in connections:
        for feed in _feeds(connection):
            yield _strip(connection.label, feed.label, window, known[connection.pk, feed.name])


def _strip(account: str, label: str, window: Window, known: dict[date, DayState]) -> Strip:
    states = [known.get(day, DayState.UNKNOWN) for day in window]
    stretches, at = [], 0
    for state, run in groupby(states):
        count = len(list(run))
        stretches.append(
            Stretch(
                state.name.lower(),
                round(100 * at / len(states), 3),
                round(100 * count / len(states), 3),
            )
        )
        at += count
    return Strip(
        account,
        label,
        tuple(stretches),
        final=states.count(DayState.FINAL),
        open=states.count(DayState.PROVISIONAL),
        incomplete=states.count(DayState.INCOMPLETE),
        missing=states.count(DayState.UNKNOWN),
    )
