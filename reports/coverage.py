"""Finality of the days of a report: unknown, incomplete, provisional or final."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Self

from integrations.models import Connection
from integrations.status.coverage import read_coverage
from integrations.status.days import DayState, unnamed_days, worst
from integrations.window import Window
from reports.catalog.metrics import Source


@dataclass(frozen=True)
class SourceCoverage:
    """Days one connection knows of one source: those that every feed it needs has read.

    `is_whole`: a feed of the whole organization is among them, so nothing is left out.
    `names_people`: so is a feed of people, or will be when it is read. `unnamed` are the days with
    a known total and unknown people: what no person accounts for there belongs to people not known
    yet. `last_day` is set for a disconnected connection, of which nothing is expected afterwards.
    `only` are the days that count, if not all do.
    """

    connection_id: int
    source: Source
    states: Mapping[date, DayState]
    is_whole: bool
    last_day: date | None = None
    names_people: bool = True
    unnamed: frozenset[date] = frozenset()
    shows_unnamed: bool = True  # False for a report of certain people alone
    only: frozenset[date] | None = None

    @cached_property
    def first_day(self) -> date | None:
        """The first day known. What is before may never come: `Coverage.late` tells of it."""
        return min(self._shown, default=None)

    @cached_property
    def _shown(self) -> frozenset[date]:
        """The days of which a report shows anything."""
        return self.unnamed.union(self.states) if self.shows_unnamed else frozenset(self.states)

    @cached_property
    def ended(self) -> frozenset[date]:
        """The days that are over and known."""
        return frozenset(d for d, state in self.states.items() if state >= DayState.PROVISIONAL)

    def state(self, day: date) -> DayState:
        """Return the state of a day; one that lacks only its people is incomplete, not unknown."""
        is_partly = day in self._shown
        return self.states.get(day, DayState.INCOMPLETE if is_partly else DayState.UNKNOWN)

    def limited(self, days: frozenset[date]) -> "SourceCoverage":
        """As if only these days existed."""
        return replace(
            self,
            states={day: state for day, state in self.states.items() if day in days},
            unnamed=self.unnamed & days,
            only=days,
        )

    def expects(self, day: date) -> bool:
        if self.only is not None and day not in self.only:
            return False
        return self.last_day is None or day <= self.last_day

    def is_expected(self, day: date) -> bool:
        return self.first_day is not None and self.first_day <= day and self.expects(day)


@dataclass(frozen=True)
class Coverage:
    """Coverage of the days of one window. Days have the state of the worst part."""

    window: Window
    parts: tuple[SourceCoverage, ...]

    def state(self, day: date) -> DayState:
        """Unknown if no part knows the day; incomplete if one has a hole there; else the worst."""
        states = [part.state(day) for part in self.parts if part.is_expected(day)]
        if not any(states):
            return DayState.UNKNOWN
        return max(min(states), DayState.INCOMPLETE)

    @cached_property
    def late(self) -> dict[int, date | None]:
        """Connections that others are ahead of, with the first day they know, None for none.

        A second connection, or one that is still being imported, must not turn every day of the
        first into an incomplete one: it is named instead.
        """
        starts = [part.first_day for part in self.parts if part.first_day]
        earliest = min(starts, default=None)
        last_days: dict[int, date | None] = {}
        for part in self.parts:
            late = part.first_day is None or (earliest and part.first_day > earliest)
            if earliest and late and part.expects(earliest):
                known = last_days.get(part.connection_id, date.min)
                first = part.first_day
                last_days[part.connection_id] = max(first, known) if first and known else None
        return last_days

    @cached_property
    def states(self) -> dict[date, DayState]:
        """Every day of the window, oldest first."""
        return {day: self.state(day) for day in self.window}

    def state_of(self, window: Window) -> DayState:
        """Of several days together: incomplete as soon as one of them is, or is not known."""
        states = {self.states[day] for day in window}
        if states == {DayState.UNKNOWN}:
            return DayState.UNKNOWN
        return max(min(states), DayState.INCOMPLETE)

    def known_days(self, source: Source) -> set[date]:
        """Days of the window that at least one connection knows of this source."""
        parts = (part for part in self.parts if part.source is source)
        return {day for part in parts for day in part.states if day in self.window}

    @cached_property
    def final_to(self) -> date | None:
        """The last final day; None if there is none."""
        final = [day for day, state in self.states.items() if state is DayState.FINAL]
        return final[-1] if final else None

    @cached_property
    def known_to(self) -> date | None:
        """The last day that has ended and is known."""
        known = [d for d, state in self.states.items() if state >= DayState.PROVISIONAL]
        return known[-1] if known else None

    @property
    def days(self) -> int:
        """Number of its days that any part knows."""
        return len({day for part in self.parts for day in part.states})

    @property
    def is_complete(self) -> bool:
        """Return True if every day of every connection is over and known."""
        return not self.late and not self.count(DayState.UNKNOWN, DayState.INCOMPLETE)

    def count(self, *states: DayState) -> int:
        return sum(state in states for state in self.states.values())

    def is_known(self, source: Source, window: Window, connection_ids: frozenset[int]) -> bool:
        """Return True if these connections know every expected day, and at least one."""
        parts = [
            part
            for part in self.parts
            if part.source is source and part.connection_id in connection_ids
        ]
        return any(day in part.states for part in parts for day in window) and all(
            day in part.states or not part.expects(day) for part in parts for day in window
        )

    def is_whole(self, source: Source) -> bool:
        """Return True if these numbers include unattributed use."""
        parts = [part for part in self.parts if part.source is source]
        return bool(parts) and all(part.is_whole for part in parts)

    def part(self, connection_id: int, source: Source) -> SourceCoverage | None:
        """Return the coverage of one source of one connection; None if it has no such source."""
        return self._by_key.get((connection_id, source))

    @cached_property
    def _by_key(self) -> dict[tuple[int, Source], SourceCoverage]:
        return {(part.connection_id, part.source): part for part in self.parts}

    def limited(self, days: Mapping[tuple[int, Source], frozenset[date]], window: Window) -> Self:
        """As if only these days of every connection and source existed."""
        parts = (p.limited(days.get((p.connection_id, p.source), frozenset())) for p in self.parts)
        return replace(self, window=window, parts=tuple(parts))

    def lacking(self, part: SourceCoverage) -> frozenset[date]:
        """Return the days that another connection completed and this one does not know."""
        return frozenset(
            day
            for other in self.parts
            if other.source is part.source and other is not part
            for day in other.ended
            if not part.state(day) and part.expects(day)
        )

    @cached_property
    def unnamed_days(self) -> int:
        """Number of days, over all connections, with a known total and unknown people."""
        return sum(len(part.unnamed) for part in self.parts)


def read(
    connections: Sequence[Connection],
    window: Window,
    sources: Iterable[Source],
    *,
    by_person: bool,
    shows_unnamed: bool = True,
) -> Coverage:
    """Coverage of these connections, in one query.

    A total is known when the feeds of the whole organization are; who it belongs to needs the
    feeds of people, too. A source without a feed of the whole organization rests on those alone.
    """
    asked = []
    for connection in connections:
        for source in sources:
            totals, people = feed_names(connection, source)
            if totals or people:
                asked.append((connection, source, totals, people))
    feeds = {feed for *_, totals, people in asked for feed in (*totals, *people)}
    known = read_coverage(connections, feeds, window)
    parts = []
    for connection, source, totals, people in asked:
        needed = totals + people if by_person or not totals else totals
        states = worst([known[connection.pk, feed].days for feed in needed])
        unnamed = unnamed_days(
            [known[connection.pk, feed].days for feed in totals],
            [known[connection.pk, feed].days for feed in people],
        )
        # A disconnected connection owes no day after the last it has brought.
        last_day = max(states, default=date.min) if connection.is_disconnected else None
        parts.append(
            SourceCoverage(
                connection.pk,
                source,
                states,
                is_whole=bool(totals),
                last_day=last_day,
                names_people=bool(people),
                unnamed=unnamed,
                shows_unnamed=shows_unnamed,
            )
        )
    return Coverage(window, tuple(parts))


def feed_names(connection: Connection, source: Source) -> tuple[list[str], list[str]]:
    """Return the feeds that fill a source, for the organization and for people."""
    feeds = [feed for feed in connection.connector.feeds if source.is_provided_by(feed)]
    return (
        [feed.name for feed in feeds if feed.grain == "total"],
        [feed.name for feed in feeds if feed.grain == "person"],
    )
