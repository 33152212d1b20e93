"""Coverage of each feed of a connection as Data health draws it, with the reasons of its gaps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from django.db.models import Q
from django.utils import timezone

from integrations.models import Connection, SyncWindow
from integrations.status.connections import ConnectionStatus
from integrations.status.coverage import FeedCoverage
from integrations.status.days import DayState
from integrations.status.feeds import FeedStatus
from integrations.window import Window

# What a mark of the strip is: final, still changing, not there yet, missing, the double rule.
Mark = Literal["f", "p", "n", "g", "k"]
_MARKS: Mapping[DayState, Mark] = {
    DayState.INCOMPLETE: "n",
    DayState.PROVISIONAL: "p",
    DayState.FINAL: "f",
}


@dataclass(frozen=True)
class Gap:
    """Days that should be known and are not, and what is done about it."""

    window: Window
    reason: str


@dataclass(frozen=True)
class FeedStrip:
    """Status of one feed with a mark per day. `spoilt` are days of which rows were kept out."""

    feed: FeedStatus
    marks: tuple[Mark, ...]
    gaps: tuple[Gap, ...]
    spoilt: tuple[Gap, ...]
    sentence: str

    @property
    def label(self) -> str:
        return self.feed.label

    @property
    def final_to(self) -> date | None:
        return self.feed.final_to

    @property
    def read_at(self) -> datetime | None:
        return self.feed.coverage.read_at

    @property
    def is_known(self) -> bool:
        return self.read_at is not None

    @property
    def has_nothing_missing(self) -> bool:
        return self.is_known and not self.gaps and not self.spoilt


@dataclass(frozen=True)
class CoveragePage:
    """Every feed of one connection over the same days."""

    status: ConnectionStatus
    window: Window
    feeds: tuple[FeedStrip, ...]

    @property
    def connection(self) -> Connection:
        return self.status.connection

    @property
    def unnamed_days(self) -> int:
        """How many days have a known cost and an unknown cost per user."""
        return len(self.status.unread_days)

    @property
    def has_gaps(self) -> bool:
        return any(strip.gaps or strip.spoilt or strip.feed.problem for strip in self.feeds)


def coverage_page(status: ConnectionStatus, *, today: date, days: int | None) -> CoveragePage:
    """Return the strips of the newest `days` days, or of all since the first import."""
    first = status.first_planned_day or today
    window = Window(first, today + timedelta(days=1))
    if days is not None:
        window = Window.last(days, today=today)
    reasons = _Reasons(status.connection, today)
    expected = Window(max(first, window.start), window.end)
    return CoveragePage(
        status, window, tuple(_strip(feed, window, expected, reasons) for feed in status.feeds)
    )


def _strip(feed: FeedStatus, window: Window, expected: Window, reasons: "_Reasons") -> FeedStrip:
    coverage = feed.coverage
    if feed.feed.is_newest_only:
        return FeedStrip(feed, (), (), (), "")
    missing = coverage.missing(expected)
    gaps = tuple(Gap(span, reasons.of(feed, span)) for span in missing)
    unknown = {day for span in missing for day in span}
    marks = tuple(_marks(window, coverage, unknown))
    return FeedStrip(
        feed=feed,
        marks=marks,
        gaps=gaps,
        spoilt=tuple(_spoilt(coverage, window)),
        sentence=_sentence(feed, marks, len(unknown)),
    )


def _spoilt(coverage: FeedCoverage, window: Window) -> Iterator[Gap]:
    """Yield the days of the window of which rows were kept out."""
    for span in coverage.kept_out:
        if span.window.last_day >= window.start:
            rows = "row is" if span.kept_out == 1 else "rows are"
            yield Gap(span.window, f"{span.kept_out:,} {rows} kept out. {span.kept_out_reason}")


def _marks(window: Window, coverage: FeedCoverage, missing: set[date]) -> Iterator[Mark]:
    """Yield one mark per day, and the double rule after the last closed one."""
    final_to = coverage.final_to
    for day in window:
        state = coverage.days.get(day)
        yield ("g" if day in missing else "n") if state is None else _MARKS[state]
        if day == final_to:
            yield "k"


def _sentence(feed: FeedStatus, marks: Sequence[Mark], missing: int) -> str:
    """Describe the coverage strip in words for screen readers."""
    newest = feed.coverage.newest_day
    if newest is None:
        return f"{feed.label}: nothing is known yet."
    parts = [f"final to {_short(feed.final_to)}" if feed.final_to else "no day is final yet"]
    changing = marks.count("p")
    if changing:
        parts.append(f"{changing} day{'' if changing == 1 else 's'} can still change")
    if missing:
        parts.append(f"{missing} day{' is' if missing == 1 else 's are'} missing")
    if feed.coverage.is_newest_day_incomplete:
        parts.append(f"{_short(newest)} is incomplete")
    return f"{feed.label}: {', '.join(parts)}."


def _short(day: date) -> str:
    return f"{day.day} {day:%b}"


class _Reasons:
    """Why days are missing, by the last attempt to read them."""

    def __init__(self, connection: Connection, today: date) -> None:
        self._connection = connection
        self._today = today
        states = SyncWindow.State
        self._attempts = list(
            SyncWindow.objects.filter(run__connection=connection)
            .filter(
                Q(state__in=[states.PENDING, states.RUNNING])
                | Q(
                    state__in=[states.UNAVAILABLE, states.FAILED],
                    finished_at__gte=timezone.now() - timedelta(days=31),
                )
            )
            .order_by("-pk")
            .only("feed", "start", "end", "state", "error", "error_repair")
        )

    def of(self, feed: FeedStatus, span: Window) -> str:
        name = feed.feed.filled_by or feed.name
        attempt = next(
            (one for one in self._attempts if one.feed == name and span.start in one.window), None
        )
        publisher = self._connection.connector.publisher
        if self._connection.is_disconnected:
            return "The connection is disconnected, so nothing newer is imported."
        if attempt is None:
            return "The next refresh reads these days."
        match attempt.state:
            case SyncWindow.State.UNAVAILABLE:
                often = "daily" if (self._today - span.last_day).days <= 14 else "once a month"
                return f"{publisher} has nothing for these days; we ask again {often}."
            case SyncWindow.State.FAILED:
                return f"{attempt.error} {attempt.error_repair or 'The next refresh tries again.'}"
        return "These days are being read."
