"""Ask the provider for its ungrouped totals again and compare them with what is stored.

What was never read cannot agree: it is named as not compared. Where a provider answers in two
versions, totals of the newer one are also compared with those of the older one, because a report
cannot vouch for itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from integrations import sync
from integrations.connectors.base import (
    AskDifferently,
    ConnectorError,
    Feed,
    NotAvailable,
    SnapshotMoved,
    Table,
)
from integrations.connectors.records import (
    COST_MEASURES,
    TOKEN_MEASURES,
    USAGE_MEASURES,
    TotalRecord,
)
from integrations.models import Connection, CostFact, FeedDay, SyncRun, UsageFact
from integrations.variants import VariantComparison, compare_variants
from integrations.window import Window

_RESTARTS = 3
_MOST_REFUSALS = 20
_SETTLING = timedelta(days=4)  # how long two versions may tell a day from different exports


@dataclass(frozen=True)
class Mismatch:
    """One day whose stored sum is not the provider's total. `stored` None: not stored at all.

    `is_independent` says that the total is one of the other version of the report.
    """

    day: date
    measure: str
    reported: Decimal
    stored: Decimal | None
    is_independent: bool = False


@dataclass(frozen=True)
class NotCompared:
    """A feed, or days of it, for which nothing could be compared. `window` None: all of it."""

    feed: Feed
    window: Window | None
    reason: str


@dataclass(frozen=True)
class VerificationResult:
    """Number of compared totals, those that differ, and what could not be compared.

    `variants` are second reports beside the totals that count, as they are stored. Where they
    differ, nothing stored is wrong, so they are apart from `differences`.
    """

    compared: int
    differences: tuple[Mismatch, ...]
    not_compared: tuple[NotCompared, ...] = ()
    variants: tuple[VariantComparison, ...] = ()


def verify(connection: Connection) -> VerificationResult:
    """Compare every day that was imported and that the provider still answers for.

    Raises `ConnectorError` if the provider answers for nothing.
    """
    connector = connection.connector
    compared = 0
    differences: list[Mismatch] = []
    not_compared: list[NotCompared] = []
    problems: list[ConnectorError] = []
    metered = [feed for feed in connector.feeds if feed.is_metered]
    totals = [feed for feed in metered if feed.grain == "total"]
    for options, is_independent in _ways(connection):
        with _open(connection, options) as client:
            for feed in totals:
                try:
                    count, mismatches = _verify_feed(connection, feed, client, is_independent)
                except ConnectorError as exc:
                    problems.append(exc)
                    if not is_independent or exc.status not in {400, 403, 404}:
                        not_compared.append(NotCompared(feed, None, str(exc)))
                    continue
                compared += count
                differences += mismatches
    for feed in metered:
        not_compared += _never_read(connection, feed)
    if problems and not compared:
        raise problems[0]
    variants = tuple(compare_variants(connection))
    return VerificationResult(compared, tuple(differences), tuple(not_compared), variants)


def _ways(connection: Connection) -> Iterator[tuple[Mapping[str, str], bool]]:
    """Return the options to read with: those of imports, and those of an independent total."""
    yield connection.options, False
    other = connection.connector.independent_way(connection.options)
    if other is not None:
        yield other, True


def _open(connection: Connection, options: Mapping[str, str]) -> AbstractContextManager[Any]:
    return connection.connector.open(replace(sync.access(connection), options=options))


def _verify_feed(
    connection: Connection, feed: Feed, client: object, is_independent: bool
) -> tuple[int, list[Mismatch]]:
    """Return the number of compared totals of the feed, and the mismatches."""
    last = timezone.now().date() - _SETTLING if is_independent else date.max
    compared, differences = 0, []
    for window in _imported(connection, feed):
        totals = [total for total in _totals(feed, client, window) if total.day <= last]
        compared += len(totals)
        for mismatch in _compare(connection, feed, window, totals):
            differences.append(replace(mismatch, is_independent=is_independent))
    return compared, differences


def _imported(connection: Connection, feed: Feed) -> list[Window]:
    """From the first to the last stored day, in windows of one question each."""
    days = FeedDay.objects.filter(connection=connection, feed=feed.name).order_by("day")
    first, last = days.first(), days.last()
    if first is None or last is None:
        return []
    return Window(first.day, last.day + timedelta(days=1)).split(feed.window_days)


def _never_read(connection: Connection, feed: Feed) -> list[NotCompared]:
    """Return the days that imports covered and that are over, but that are not stored."""
    today = timezone.now().date()
    earliest = connection.connector.earliest_day(today)
    asked = {
        day
        for start, end in SyncRun.objects.filter(connection=connection).values_list("start", "end")
        for day in Window(start, end)
        if earliest <= day < today
    }
    known = set(
        FeedDay.objects.filter(connection=connection, feed=feed.name).values_list("day", flat=True)
    )
    if not known:
        return [NotCompared(feed, None, "No day of it was ever read.")]
    missing = sorted(asked - known)
    return [NotCompared(feed, span, "Never read.") for span in _spans(missing)]


def _spans(days: list[date]) -> Iterator[Window]:
    """Yield runs of consecutive sorted days."""
    start: date | None = None
    for at, day in enumerate(days):
        start = start or day
        following = day + timedelta(days=1)
        if at + 1 == len(days) or days[at + 1] != following:
            yield Window(start, following)
            start = None


def _totals(feed: Feed, client: object, window: Window) -> list[TotalRecord]:
    """Return the totals of a read, which are its first page; its rows are not requested.

    Read again if new data is published meanwhile, or if the question has to be a smaller one.
    """
    restarts = refusals = 0
    while True:
        try:
            page = next(feed.read(client, window))
        except NotAvailable:
            return []
        except AskDifferently:
            refusals += 1
            if refusals == _MOST_REFUSALS:
                raise
        except SnapshotMoved:
            restarts += 1
            if restarts == _RESTARTS:
                raise
        else:
            return [record for record in page.records if isinstance(record, TotalRecord)]


def _compare(
    connection: Connection, feed: Feed, window: Window, totals: Iterable[TotalRecord]
) -> Iterator[Mismatch]:
    known = set(
        FeedDay.objects.filter(connection=connection, feed=feed.name).values_list("day", flat=True)
    )
    sums = _sums(connection, feed.table, window)
    for total in totals:
        stored = sums.get((total.day, total.measure), Decimal()) if total.day in known else None
        if stored != total.value:
            yield Mismatch(total.day, total.measure, total.value, stored)


def _sums(connection: Connection, table: Table, window: Window) -> dict[tuple[date, str], Decimal]:
    """Return the sum of the facts of each day, by (day, measure)."""
    model, measures = (
        (CostFact, COST_MEASURES) if table is Table.COST else (UsageFact, USAGE_MEASURES)
    )
    facts = model.objects.filter(connection=connection).within(window)
    sums: dict[tuple[date, str], Decimal] = {}
    for row in facts.values("day").annotate(**{f"sum_{name}": Sum(name) for name in measures}):
        totals = {name: Decimal(row[f"sum_{name}"] or 0) for name in measures}
        if table is Table.USAGE:
            totals["total_tokens"] = sum((totals[name] for name in TOKEN_MEASURES), Decimal())
        sums |= {(row["day"], name): value for name, value in totals.items()}
    return sums
