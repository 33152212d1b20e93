"""How far days are known, and of which days the cost is known and the cost per user is not."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import IntEnum

from integrations.connectors.base import Table
from integrations.models import Connection, FeedDay


class DayState(IntEnum):
    """From worst to best, so that the worst of several is their minimum."""

    UNKNOWN = 0
    INCOMPLETE = 1
    PROVISIONAL = 2
    FINAL = 3


STATES = {
    FeedDay.State.INCOMPLETE.value: DayState.INCOMPLETE,
    FeedDay.State.PROVISIONAL.value: DayState.PROVISIONAL,
    FeedDay.State.FINAL.value: DayState.FINAL,
}


def worst(feeds: Sequence[Mapping[date, DayState]]) -> dict[date, DayState]:
    """Return the days that every feed knows, each in the worst of their states."""
    first, *others = feeds
    return {
        day: min([state, *(other[day] for other in others)])
        for day, state in first.items()
        if all(day in other for other in others)
    }


def unnamed_days(
    totals: Sequence[Mapping[date, DayState]], people: Sequence[Mapping[date, DayState]]
) -> frozenset[date]:
    """Return the days whose total is known, and whose people are not, or to an earlier hour only.

    A provider that never names people has none: what it charges belongs to no user for good.
    """
    if not (totals and people):
        return frozenset()
    named = worst(people)
    return frozenset(
        day
        for day, state in worst(totals).items()
        if day not in named or named[day] is DayState.INCOMPLETE < state
    )


def cost_feeds(connection: Connection) -> tuple[list[str], list[str]]:
    """Return the feeds of cost: those of the whole organization, and those of people."""
    feeds = [feed for feed in connection.connector.feeds if feed.table is Table.COST]
    return (
        [feed.name for feed in feeds if feed.grain == "total"],
        [feed.name for feed in feeds if feed.grain == "person"],
    )
