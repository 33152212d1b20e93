"""Ask the provider for its ungrouped totals again and compare them with what is stored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import count

from django.db.models import Sum

from integrations import sync
from integrations.connectors.base import Feed, NotAvailable, SnapshotMoved, Table
from integrations.connectors.records import (
    COST_MEASURES,
    TOKEN_MEASURES,
    USAGE_MEASURES,
    TotalRecord,
)
from integrations.models import Connection, CostFact, FeedDay, UsageFact
from integrations.window import Window

_RESTARTS = 3


@dataclass(frozen=True)
class Difference:
    """One day whose stored sum is not the provider's total. `stored` None: not stored at all."""

    day: date
    measure: str
    reported: Decimal
    stored: Decimal | None


@dataclass(frozen=True)
class Verified:
    """How many totals were compared, and those that differ."""

    compared: int
    differences: tuple[Difference, ...]


def verify(connection: Connection) -> Verified:
    """Compare every stored day that the provider still answers for. Raises `ConnectorError`."""
    compared = 0
    differences: list[Difference] = []
    with connection.connector.open(sync.access(connection)) as client:
        for feed in connection.connector.feeds:
            if not feed.is_metered or feed.grain != "total":
                continue
            for window in _stored_days(connection, feed):
                totals = _totals(feed, client, window)
                compared += len(totals)
                differences += _compare(connection, feed, window, totals)
    return Verified(compared, tuple(differences))


def _stored_days(connection: Connection, feed: Feed) -> list[Window]:
    days = FeedDay.objects.filter(connection=connection, feed=feed.name).order_by("day")
    first, last = days.first(), days.last()
    if first is None or last is None:
        return []
    return Window(first.day, last.day + timedelta(days=1)).split(feed.window_days)


def _totals(feed: Feed, client: object, window: Window) -> list[TotalRecord]:
    """The totals of a read, which are its first page: its lines are never asked for.

    Read again if new data is published meanwhile.
    """
    for restart in count(1):
        try:
            page = next(feed.read(client, window))
        except NotAvailable:
            return []
        except SnapshotMoved:
            if restart == _RESTARTS:
                raise
        else:
            return [record for record in page.records if isinstance(record, TotalRecord)]
    raise AssertionError("unreachable")


def _compare(
    connection: Connection, feed: Feed, window: Window, totals: Iterable[TotalRecord]
) -> Iterator[Difference]:
    known = set(
        FeedDay.objects.filter(connection=connection, feed=feed.name).values_list("day", flat=True)
    )
    sums = _sums(connection, feed.table, window)
    for total in totals:
        stored = sums.get((total.day, total.measure), Decimal()) if total.day in known else None
        if stored != total.value:
            yield Difference(total.day, total.measure, total.value, stored)


def _sums(connection: Connection, table: Table, window: Window) -> dict[tuple[date, str], Decimal]:
    """What the facts of each day sum to, by (day, measure)."""
    model, measures = (
        (CostFact, COST_MEASURES) if table is Table.COST else (UsageFact, USAGE_MEASURES)
    )
    facts = model.objects.filter(connection=connection).within(window)
    sums: dict[tuple[date, str], Decimal] = {}
    for row in facts.values("day").annotate(**{f"sum_{name}": Sum(name) for name in measures}):
        found = {name: Decimal(row[f"sum_{name}"] or 0) for name in measures}
        if table is Table.USAGE:
            found["total_tokens"] = sum((found[name] for name in TOKEN_MEASURES), Decimal())
        sums |= {(row["day"], name): value for name, value in found.items()}
    return sums
