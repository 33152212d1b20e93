"""Which days of each feed are known, with their finality: one query, one row per span of days."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import groupby

from django.db import connection as database

from integrations.models import Connection
from integrations.status.days import STATES, DayState
from integrations.window import Window

# Neighboring days of one state have the same difference of day and row number.
_SPANS = """
    SELECT connection_id, feed, state, min(day), max(day), max(watermark), max(read_at),
           sum(kept_out), kept_out_reason
    FROM (
        SELECT *, day - (row_number() OVER (
            PARTITION BY connection_id, feed, state, kept_out > 0, kept_out_reason ORDER BY day
        ))::int AS island
        FROM integrations_feedday
        WHERE connection_id = ANY(%(connections)s)
          AND (%(feeds)s::text[] IS NULL OR feed = ANY(%(feeds)s))
          AND (%(start)s::date IS NULL OR day >= %(start)s)
          AND (%(end)s::date IS NULL OR day < %(end)s)
    ) AS days
    GROUP BY connection_id, feed, state, kept_out > 0, kept_out_reason, island
    ORDER BY connection_id, feed, min(day)
"""


@dataclass(frozen=True)
class Span:
    """Neighboring days of one feed in one state.

    `watermark` and `read_at` are the newest of its days, `kept_out` the sum of rows kept out.
    """

    window: Window
    state: DayState
    watermark: datetime | None
    read_at: datetime
    kept_out: int
    kept_out_reason: str


@dataclass(frozen=True)
class FeedCoverage:
    """Known days of one feed, as spans in the order of their days."""

    spans: tuple[Span, ...] = ()

    @cached_property
    def days(self) -> dict[date, DayState]:
        return {day: span.state for span in self.spans for day in span.window}

    @property
    def first_day(self) -> date | None:
        return self.spans[0].window.start if self.spans else None

    @property
    def newest_day(self) -> date | None:
        return self.spans[-1].window.last_day if self.spans else None

    @property
    def is_newest_day_incomplete(self) -> bool:
        return bool(self.spans) and self.spans[-1].state is DayState.INCOMPLETE

    @property
    def complete_to(self) -> datetime | None:
        """Watermark of the newest snapshot; None if the provider names none."""
        return max((span.watermark for span in self.spans if span.watermark), default=None)

    @property
    def complete_day(self) -> date | None:
        """Last day that had ended for the provider."""
        complete = [span for span in self.spans if span.state is not DayState.INCOMPLETE]
        return complete[-1].window.last_day if complete else None

    @property
    def final_to(self) -> date | None:
        """Last final day before the first known one that can still change."""
        last: date | None = None
        for span in self.spans:
            if span.state is not DayState.FINAL:
                break
            last = span.window.last_day
        return last

    @property
    def read_at(self) -> datetime | None:
        """When the provider last confirmed any day."""
        return max((span.read_at for span in self.spans), default=None)

    @property
    def kept_out(self) -> tuple[Span, ...]:
        """Spans of which rows were kept out."""
        return tuple(span for span in self.spans if span.kept_out)

    def within(self, window: Window) -> dict[date, DayState]:
        """Return the known days of `window`."""
        return {day: state for day, state in self.days.items() if day in window}

    def missing(self, window: Window) -> list[Window]:
        """Return the spans of `window` before the newest known day that are not known."""
        newest = self.newest_day
        if newest is None:
            return []
        return consecutive(day for day in window if day < newest and day not in self.days)


def read_coverage(
    connections: Sequence[Connection],
    feeds: Collection[str] | None = None,
    window: Window | None = None,
) -> Mapping[tuple[int, str], FeedCoverage]:
    """Return the coverage by connection and feed; of these feeds and days only, if given."""
    spans: dict[tuple[int, str], list[Span]] = defaultdict(list)
    with database.cursor() as cursor:
        cursor.execute(
            _SPANS,
            {
                "connections": [connection.pk for connection in connections],
                "feeds": None if feeds is None else sorted(feeds),
                "start": window.start if window else None,
                "end": window.end if window else None,
            },
        )
        for pk, feed, state, first, last, watermark, read_at, kept_out, reason in cursor:
            days = Window(first, last + timedelta(days=1))
            spans[pk, feed].append(Span(days, STATES[state], watermark, read_at, kept_out, reason))
    known = {key: FeedCoverage(tuple(rows)) for key, rows in spans.items()}
    return defaultdict(FeedCoverage, known)


def consecutive(days: Iterable[date]) -> list[Window]:
    """Join sorted days to windows without gaps."""
    windows = []
    for _, run in groupby(enumerate(days), lambda item: item[1].toordinal() - item[0]):
        neighbors = [day for _, day in run]
        windows.append(Window(neighbors[0], neighbors[-1] + timedelta(days=1)))
    return windows
