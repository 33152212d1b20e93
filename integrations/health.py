"""How far each feed of a connection is known, day by day, and what is done about what is missing.

Reads with a fixed number of queries, however many days and feeds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby, takewhile
from typing import Literal

from django.db.models import Min, Q
from django.utils import timezone

from integrations.connectors.base import Feed
from integrations.days import STATES, cost_feeds, unnamed_days
from integrations.failing import failing_feeds
from integrations.models import Connection, FeedDay, SyncRun, SyncWindow
from integrations.window import Window

# What a mark of the strip is: final, still changing, not there yet, missing, the double rule.
Mark = Literal["f", "p", "n", "g", "k"]


@dataclass(frozen=True)
class Gap:
    """Days that should be there and are not, and what is done about it."""

    window: Window
    reason: str


@dataclass(frozen=True)
class Coverage:
    """One feed over the days of the page. `final_to` is the last day before the first open one.

    `complete_to` is the instant of its newest export, or the end of its newest day where the
    provider names no export. Feeds of names have no days: they were read, or not. `failure` says
    that its last runs failed, and `spoilt` are days of which rows were kept out.
    """

    label: str
    marks: tuple[Mark, ...]
    complete_to: datetime | None
    newest_day: date | None
    final_to: date | None
    read_at: datetime | None
    gaps: tuple[Gap, ...]
    sentence: str
    failure: str = ""
    spoilt: tuple[Gap, ...] = ()

    @property
    def is_known(self) -> bool:
        return self.read_at is not None


@dataclass(frozen=True)
class Health:
    """Every feed of one connection over the same days."""

    connection: Connection
    window: Window
    feeds: tuple[Coverage, ...]
    unnamed_days: int = 0  # whose cost is known, and whose cost per user is not

    @property
    def has_gaps(self) -> bool:
        return any(feed.gaps or feed.failure or feed.spoilt for feed in self.feeds)


def health(connection: Connection, *, today: date, days: int | None) -> Health:
    """Return the coverage of the newest `days` days, or of all since the first import."""
    first = _first_day(connection) or today
    window = Window(first, today + timedelta(days=1))
    if days is not None:
        window = Window.last(days, today=today)
    known: dict[str, dict[date, FeedDay]] = {}
    stored = FeedDay.objects.filter(connection=connection, day__gte=window.start)
    for row in stored.defer("content_hash"):
        known.setdefault(row.feed, {})[row.day] = row
    reasons = _Reasons(connection, today)
    failing = {one.feed: one for one in failing_feeds([connection]).get(connection.pk, ())}
    feeds = []
    for feed in connection.connector.feeds:
        days_known = known.get(feed.name, {})
        coverage = _coverage(feed, window, max(first, window.start), days_known, reasons)
        failure = failing[feed.name].sentence if feed.name in failing else ""
        feeds.append(replace(coverage, failure=failure, spoilt=tuple(_spoilt(days_known))))
    return Health(connection, window, tuple(feeds), _unnamed_days(connection, known))


def _unnamed_days(connection: Connection, known: Mapping[str, Mapping[date, FeedDay]]) -> int:
    """How many days have a cost and no cost per user, where the provider tells it at all."""
    totals, people = (
        [{day: STATES[row.state] for day, row in known.get(name, {}).items()} for name in names]
        for names in cost_feeds(connection)
    )
    return len(unnamed_days(totals, people))


def _spoilt(known: Mapping[date, FeedDay]) -> Iterator[Gap]:
    """Days of which rows were kept out, newest first, neighbors of one reason together."""
    by_reason: dict[str, list[FeedDay]] = {}
    for day in sorted(known):
        if known[day].kept_out:
            by_reason.setdefault(known[day].kept_out_reason, []).append(known[day])
    for reason, rows in by_reason.items():
        for span in _spans(row.day for row in rows):
            count = sum(row.kept_out for row in rows if row.day in span)
            word = "row is" if count == 1 else "rows are"
            yield Gap(span, f"{count:,} {word} kept out. {reason}")


def _first_day(connection: Connection) -> date | None:
    first: date | None = SyncRun.objects.filter(connection=connection).aggregate(f=Min("start"))[
        "f"
    ]
    return first


def _coverage(
    feed: Feed, window: Window, first: date, known: Mapping[date, FeedDay], reasons: "_Reasons"
) -> Coverage:
    newest = known[max(known)] if known else None
    watermarks = [row.watermark for row in known.values() if row.watermark]
    if feed.is_newest_only:
        return Coverage(
            label=feed.label,
            marks=(),
            complete_to=None,
            newest_day=None,
            final_to=None,
            read_at=newest.read_at if newest else None,
            gaps=(),
            sentence="",
        )
    missing = [day for day in window if newest and first <= day < newest.day and day not in known]
    gaps = tuple(Gap(span, reasons.of(feed.name, span)) for span in _spans(missing))
    if newest is None and (failure := reasons.failure(feed.name)):  # such as a closed report
        gaps = (Gap(Window(first, window.end), failure),)
    final_to = _final_to(window, known)
    marks = tuple(_marks(window, known, set(missing), final_to))
    return Coverage(
        label=feed.label,
        marks=marks,
        complete_to=max(watermarks, default=None),
        newest_day=newest.day if newest else None,
        final_to=final_to,
        read_at=max((row.read_at for row in known.values()), default=None),
        gaps=gaps,
        sentence=_sentence(feed, newest, final_to, marks, missing),
    )


def _final_to(window: Window, known: Mapping[date, FeedDay]) -> date | None:
    """Return the last final day before the first known one that can still change."""
    days = [day for day in window if day in known]
    final = list(takewhile(lambda day: known[day].state == FeedDay.State.FINAL, days))
    return final[-1] if final else None


def _marks(
    window: Window, known: Mapping[date, FeedDay], missing: set[date], final_to: date | None
) -> Iterator[Mark]:
    """One mark per day, and the double rule after the last closed one."""
    for day in window:
        row = known.get(day)
        if row is None:
            yield "g" if day in missing else "n"
        elif row.state == FeedDay.State.FINAL:
            yield "f"
        else:
            yield "p" if row.state == FeedDay.State.PROVISIONAL else "n"
        if day == final_to:
            yield "k"


def _sentence(
    feed: Feed,
    newest: FeedDay | None,
    final_to: date | None,
    marks: Sequence[Mark],
    missing: Sequence[date],
) -> str:
    """Describe the coverage strip in words for screen readers."""
    if newest is None:
        return f"{feed.label}: nothing is known yet."
    parts = [f"final to {_short(final_to)}" if final_to else "no day is final yet"]
    changing = marks.count("p")
    if changing:
        parts.append(f"{changing} day{'' if changing == 1 else 's'} can still change")
    if missing:
        parts.append(f"{len(missing)} day{' is' if len(missing) == 1 else 's are'} missing")
    if newest.state == FeedDay.State.INCOMPLETE:
        parts.append(f"{_short(newest.day)} is incomplete")
    return f"{feed.label}: {', '.join(parts)}."


def _spans(days: Iterable[date]) -> Iterator[Window]:
    """Yield runs of consecutive sorted days."""
    for _, run in groupby(enumerate(days), lambda item: item[1].toordinal() - item[0]):
        run_of_days = [day for _, day in run]
        yield Window(run_of_days[0], run_of_days[-1] + timedelta(days=1))


def _short(day: date) -> str:
    return f"{day.day} {day:%b}"


class _Reasons:
    """Why days are missing, by what was last tried to read them."""

    def __init__(self, connection: Connection, today: date) -> None:
        self._connection = connection
        self._today = today
        states = SyncWindow.State
        self._tried = list(
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

    def failure(self, feed: str) -> str:
        """Why the last try to read any day of the feed failed; "" if it did not."""
        last = next((window for window in self._tried if window.feed == feed), None)
        if last is None or last.state != SyncWindow.State.FAILED:
            return ""
        return f"{last.error} The next refresh tries again."

    def of(self, feed: str, span: Window) -> str:
        window = next(
            (w for w in self._tried if w.feed == feed and span.start in w.window),
            None,
        )
        publisher = self._connection.connector.publisher
        if self._connection.is_disconnected:
            return "The connection is disconnected, so nothing newer is imported."
        if window is None:
            return "The next refresh reads these days."
        match window.state:
            case SyncWindow.State.UNAVAILABLE:
                often = "daily" if (self._today - span.last_day).days <= 14 else "once a month"
                return f"{publisher} has nothing for these days; we ask again {often}."
            case SyncWindow.State.FAILED:
                return f"{window.error} The next refresh tries again."
        return "These days are being read."
