"""Compare a provider's second report, such as a beta, with the total that counts, day by day.

A report may break numbers down further than the authoritative one and still not come to the same
sum: it leaves out organizations, or holds cost that the other lacks. Both are imported, so every
import renews the comparison, and nothing is asked for it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from integrations.connectors.base import Connector, Feed, Table
from integrations.connectors.records import TOKEN_MEASURES
from integrations.models import ActivityByDay, Connection, DayCheck, FeedDay
from integrations.window import Window

# What is compared, and the parts that add up to it: measures of the authoritative total, which are
# also paths of the second report.
_COMPARED: dict[Table, tuple[str, tuple[str, ...]]] = {
    Table.COST: ("effective_cost", ("effective_cost",)),
    Table.USAGE: ("total_tokens", TOKEN_MEASURES),
}


@dataclass(frozen=True)
class DayDifference:
    """One day on which the second report and the total that counts disagree."""

    day: date
    total: Decimal
    second: Decimal

    @property
    def difference(self) -> Decimal:
        """Second report minus the total that counts."""
        return self.second - self.total


@dataclass(frozen=True)
class VariantComparison:
    """A second report beside the total that counts, over the complete days that both know.

    `second_feed` and `total_feed` name the two; `total` and `second` are their sums over those
    `days`. `differences` are the days that disagree, oldest first.
    """

    second_feed: Feed
    total_feed: Feed
    measure: str
    days: int
    total: Decimal
    second: Decimal
    differences: tuple[DayDifference, ...]

    @property
    def difference(self) -> Decimal:
        """Second report minus the total that counts, over all compared days."""
        return self.second - self.total


def compare_variants(
    connection: Connection, window: Window | None = None
) -> list[VariantComparison]:
    """Compare each second report of the connection; `window` None: all days that are stored."""
    return [
        _compare(connection, second, total, window)
        for second, total in second_reports(connection.connector)
    ]


def second_reports(connector: Connector) -> list[tuple[Feed, Feed]]:
    """Return the feeds of second reports, each with the feed whose total counts."""
    pairs = ((feed, connector.feed(feed.compared_with)) for feed in connector.feeds)
    return [(second, total) for second, total in pairs if total is not None]


def _compare(
    connection: Connection, second: Feed, total: Feed, window: Window | None
) -> VariantComparison:
    measure, parts = _COMPARED[total.table]
    days = {} if window is None else {"day__gte": window.start, "day__lt": window.end}
    complete = FeedDay.objects.filter(connection=connection, **days).exclude(
        state=FeedDay.State.INCOMPLETE
    )
    both = set(complete.filter(feed=total.name).values_list("day", flat=True)) & set(
        complete.filter(feed=second.name).values_list("day", flat=True)
    )
    totals: dict[date, dict[str, Decimal]] = defaultdict(dict)
    for day, part, reported in DayCheck.objects.filter(
        connection=connection, feed=total.name, measure__in=parts, **days
    ).values_list("day", "measure", "reported"):
        totals[day][part] = reported
    documents = dict(
        ActivityByDay.objects.filter(connection=connection, feed=second.name, **days).values_list(
            "day", "values"
        )
    )
    compared = []
    for day in sorted(both):
        total_parts = [totals[day].get(part) for part in parts]
        # A complete day without any document is a measured zero.
        second_parts = [documents[day].get(part) for part in parts] if day in documents else [0]
        if None not in total_parts and None not in second_parts:
            compared.append(DayDifference(day, _sum(total_parts), _sum(second_parts)))
    return VariantComparison(
        second_feed=second,
        total_feed=total,
        measure=measure,
        days=len(compared),
        total=sum((one.total for one in compared), Decimal()),
        second=sum((one.second for one in compared), Decimal()),
        differences=tuple(one for one in compared if one.difference),
    )


def _sum(numbers: Iterable[Decimal | int | None]) -> Decimal:
    """Add numbers up; the caller has made sure that all are known."""
    return sum((Decimal(number) for number in numbers if number is not None), Decimal())
