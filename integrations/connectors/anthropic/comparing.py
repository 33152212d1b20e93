"""Compare legacy and beta reports before the beta is used.

A beta report does not say what it leaves out, nor that it leaves anything out: the report of a
parent organization lacks its children with HIPAA readiness. Only the legacy report shows it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from integrations.connectors.anthropic import beta_reports
from integrations.connectors.anthropic.reports import ReportPage, ReportRow
from integrations.connectors.base import (
    AskDifferently,
    ConnectorError,
    PayloadError,
    SnapshotMoved,
)
from integrations.window import Window, midnight

Place = tuple[date, str]  # a day, and what it is grouped by: "" is the whole organization
Reported = dict[Place, Decimal]

_MOST_REFUSALS = 20  # of one question: each leads to a smaller one


@dataclass(frozen=True)
class Difference:
    """The first place at which two versions disagree."""

    day: date
    older: Decimal
    newer: Decimal


def whole(read: Callable[[], Iterator[ReportPage]]) -> list[ReportPage]:
    """All parts of a read, asked again as often as the question has to be a smaller one."""
    for _ in range(_MOST_REFUSALS):
        try:
            return list(read())
        except AskDifferently as exc:
            problem = exc
    raise problem


def whole_if_open(read: Callable[[], Iterator[ReportPage]]) -> list[ReportPage] | None:
    """Return all parts of a read; None if the report is closed.

    A report whose answers cannot be read is as good as closed.
    """
    try:
        return whole(read)
    except ConnectorError as exc:
        if isinstance(exc, PayloadError | SnapshotMoved) or beta_reports.is_closed(exc):
            return None
        raise


def settled(window: Window, *complete_to: datetime | None) -> list[date]:
    """Return the days of the window that had ended in every export; none if one is unknown."""
    known = [instant for instant in complete_to if instant is not None]
    if len(known) < len(complete_to):
        return []
    return [day for day in window if midnight(day + timedelta(days=1)) <= min(known)]


def nonzero(
    parts: Iterable[ReportPage],
    days: Sequence[date],
    number: Callable[[ReportRow], Decimal | int | None],
    group: Callable[[ReportRow], str] = lambda line: "",
) -> Reported:
    """Return the values that are not zero, by day and dimension values."""
    sums: Reported = defaultdict(Decimal)
    for part in parts:
        for line in part.rows:
            if line.day in days:
                sums[line.day, group(line)] += number(line) or 0
    return {place: amount for place, amount in sums.items() if amount}


def difference(older: Reported, newer: Reported) -> Difference | None:
    """Return the first day on which the two disagree, or None if they agree."""
    apart = [place for place in {*older, *newer} if older.get(place) != newer.get(place)]
    if not apart:
        return None
    first, zero = min(apart), Decimal()
    return Difference(first[0], older.get(first, zero), newer.get(first, zero))


class Pair(NamedTuple):
    """The same numbers from both versions, and how they are written."""

    older: Iterable[ReportPage]
    newer: Iterable[ReportPage]
    number: Callable[[ReportRow], Decimal | int | None]
    unit: str


def pair_of_cost(older: Iterable[ReportPage], newer: Iterable[ReportPage]) -> Pair:
    return Pair(older, newer, lambda line: line.numbers[0], "${:f}")


def pair_of_tokens(older: Iterable[ReportPage], newer: Iterable[ReportPage], counts: slice) -> Pair:
    """Compare the sum of these counts; `None` counts nothing."""
    return Pair(
        older,
        newer,
        lambda line: sum(int(number) for number in line.numbers[counts] if number),
        "{:,} tokens",
    )


def disagreement(
    days: Sequence[date],
    pairs: Iterable[Pair],
    group: Callable[[ReportRow], str] = lambda line: "",
) -> str | None:
    """Say how the beta reports differ; "" if they do not; None if nothing shows it."""
    was_empty = True
    for pair in pairs:
        older, newer = (
            nonzero(parts, days, pair.number, group) for parts in (pair.older, pair.newer)
        )
        apart = difference(older, newer)
        if apart is not None:
            return (
                f"The beta reports are not used: for {date_in_words(apart.day)} they report "
                f"{pair.unit.format(apart.newer)} instead of {pair.unit.format(apart.older)}."
            )
        was_empty = was_empty and not older
    return None if was_empty else ""


NOTHING_TO_COMPARE = "The beta reports are not used: there was nothing yet to compare."


def refreshed(parts: Sequence[ReportPage]) -> datetime | None:
    """Return the instant up to which the first page is complete."""
    return parts[0].data_refreshed_at if parts else None


def date_in_words(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def instant_in_words(at: datetime | None) -> str:
    return f"{date_in_words(at)}, {at:%H:%M} UTC" if at else "no day yet"
