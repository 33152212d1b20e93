"""Decides which windows of which feeds are read, and writes them down as rows.

A run is a set of windows, each one feed over a few days. Planning asks no provider.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, Min, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from integrations.connectors.base import Feed, Table
from integrations.connectors.records import METER_FIELDS, NOT_READ
from integrations.data_start import is_before_data
from integrations.models import (
    Connection,
    CostByMeter,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    SyncRun,
    SyncWindow,
    UsageByMeter,
)
from integrations.window import Window, midnight

_RETRY_AFTER = timedelta(days=14)  # what is refused within this time may only be too recent
_RETENTION = timedelta(days=60)  # how long the windows of a finished run are kept


def plan_import(
    connection: Connection, *, today: date, days: int | None = None, actor: User | None = None
) -> SyncRun:
    """Plan to read history: the newest `days` days, or as many as the provider still has.

    Days that are here already are not read again: refreshes do that.
    """
    connector = connection.connector
    earliest = connector.earliest_day(today)
    window = Window.last(days, today=today) if days else Window(earliest, today + timedelta(1))
    window = window.not_before(earliest) or Window.last(1, today=today)
    known = defaultdict(set)
    for feed, day in FeedDay.objects.filter(
        connection=connection, day__gte=window.start, day__lt=window.end
    ).values_list("feed", "day"):
        known[feed].add(day)
    unknown = {
        feed.name: [
            day
            for day in window
            if not feed.has_days
            or any(day not in known[each.name] for each in (feed, *connector.filled_by(feed)))
        ]
        for feed in connector.feeds
    }
    return plan(connection, SyncRun.Kind.IMPORT, window, actor=actor, days=unknown)


def plan_refresh(
    connection: Connection,
    *,
    today: date,
    kind: str = SyncRun.Kind.REFRESH,
    actor: User | None = None,
) -> SyncRun:
    """Plan to read again what can still have changed, and what is missing since the import."""
    needed = {
        feed.name: _days_to_read(connection, feed, today) for feed in connection.connector.feeds
    }
    days = [day for days_of_feed in needed.values() for day in days_of_feed] or [today]
    window = Window(min(days), max(days) + timedelta(1))
    return plan(connection, kind, window, actor=actor, days=needed)


def plan(
    connection: Connection,
    kind: str,
    window: Window,
    *,
    actor: User | None = None,
    days: dict[str, list[date]] | None = None,
) -> SyncRun:
    """Store a run over `window` and its windows; an active run is returned instead of a second.

    `days` limits each feed to some days. Order: feed by feed as the connector lists them, newest
    days first, so that the screen fills early. Feeds of single days come last, day by day.
    """
    windows: list[tuple[Feed, Window]] = []
    for feed in connection.connector.feeds:
        windows += _windows_for(feed, window if days is None else days[feed.name])
    windows = _day_by_day(windows)
    try:
        with transaction.atomic():
            run = SyncRun.objects.create(
                connection=connection,
                kind=kind,
                start=window.start,
                end=window.end,
                requested_by=actor,
            )
            _store(run, windows)
    except IntegrityError:
        active = active_run(connection)
        if active is None:
            raise
        return active
    return run


def _windows_for(feed: Feed, days: Iterable[date]) -> list[tuple[Feed, Window]]:
    """Windows of the feed that cover the sorted days, newest first; none if another fills it."""
    if feed.filled_by:
        return []
    if feed.oldest_day:
        oldest = feed.oldest_day(timezone.now().date())
        days = (day for day in days if day >= oldest)
    spans = list(_ranges(days))
    if feed.is_newest_only:
        spans = spans[-1:]
    return [(feed, part) for span in reversed(spans) for part in feed.windows(span)]


def _day_by_day(windows: list[tuple[Feed, Window]]) -> list[tuple[Feed, Window]]:
    """Move feeds that are read day by day to the end, all feeds of the newest day first.

    Otherwise no day of activity would be complete before the last feed has begun.
    """
    others: list[tuple[Feed, Window]] = []
    single: list[tuple[Feed, Window]] = []
    for feed, window in windows:
        is_single = feed.is_daily_batch and feed.window_days == 1
        (single if is_single else others).append((feed, window))
    return others + sorted(single, key=lambda window: window[1].start, reverse=True)


def _store(
    run: SyncRun,
    windows: Iterable[tuple[Feed, Window]],
    *,
    after: int = -1,
    is_recheck: bool = False,
) -> None:
    SyncWindow.objects.bulk_create(
        SyncWindow(
            run=run,
            feed=feed.name,
            start=part.start,
            end=part.end,
            position=position,
            is_recheck=is_recheck,
        )
        for position, (feed, part) in enumerate(windows, after + 1)
    )


def plan_rechecks(run: SyncRun) -> bool:
    """Add windows that read both sides again where sums do not agree; True if there are any.

    Once for each outcome: a difference that a second reading confirms stands, and is shown.
    """
    if run.windows.filter(is_recheck=True).exists():
        return False
    connection = run.connection
    earliest = connection.connector.earliest_day(timezone.now().date())
    checks = DayCheck.objects.failing().filter(
        connection=connection, reread_at=None, day__gte=earliest
    )
    wrong: dict[str, set[date]] = defaultdict(set)
    for check in checks:
        feed = connection.connector.feed(check.feed)
        if feed is not None:
            wrong[feed.table].add(check.day)
    windows = [
        window
        for feed in connection.connector.feeds
        for window in _windows_for(feed, sorted(wrong.get(feed.table, ())))
    ]
    last = run.windows.aggregate(last=Max("position"))["last"]
    _store(run, windows, after=-1 if last is None else last, is_recheck=True)
    DayCheck.objects.filter(pk__in=[check.pk for check in checks]).update(reread_at=timezone.now())
    return bool(windows)


def clear_watermarks(connection: Connection, *, today: date) -> None:
    """Have the next refresh read what can still change anew, whatever export it is from."""
    for feed in connection.connector.feeds:
        if feed.is_metered or feed.exported:
            days = feed.refresh_days(today)
            FeedDay.objects.filter(
                connection=connection, feed=feed.name, day__gte=days.start, day__lt=days.end
            ).update(watermark=None)


def queue_days_not_read(
    connection: Connection, *, today: date, answered_again: Mapping[str, Iterable[str]]
) -> bool:
    """Have the next refresh read older days by dimensions that are not refused any more.

    `answered_again` are those of which a part may be refused still: fields of meters by table,
    labels by feed of documents. Days of the open period are read again anyway. Return whether
    there are any others.
    """
    connector, queued = connection.connector, 0
    refused = connector.refused_dimensions(connection.options)
    for table, by_meter in ((Table.COST, CostByMeter), (Table.USAGE, UsageByMeter)):
        again = answered_again.get(table, ())
        fields = {name: name for name in METER_FIELDS}
        fields |= {it.name: f"attributes__{it.name}" for it in connector.catalog.metered_attributes}
        meters = Meter.objects.filter(connection=connection).filter(
            reduce(
                or_,
                (
                    Q(**{field: NOT_READ})
                    for name, field in fields.items()
                    if name in again or name not in refused.get(table, ())
                ),
            )
        )
        days = by_meter.objects.filter(
            connection=connection, meter__in=meters, day__gte=connector.earliest_day(today)
        ).values("day")
        for feed in connector.feeds:
            if feed.table == table:
                queued += _queue(connection, feed, days, today)
    for feed in connector.feeds:
        labels = answered_again.get(feed.name, ())
        if feed.table == Table.ENGAGEMENT and labels:
            lacks_label = reduce(or_, (Q(**{f"labels__{name}": NOT_READ}) for name in labels))
            days = EngagementFact.objects.filter(
                lacks_label,
                connection=connection,
                feed=feed.name,
                day__gte=connector.earliest_day(today),
            ).values("day")
            # What comes along with another feed is read by asking for that one.
            asked = connector.feed(feed.filled_by) or feed
            queued += _queue(connection, asked, days, today)
    return bool(queued)


def _queue(connection: Connection, feed: Feed, days: QuerySet[Any], today: date) -> int:
    """Have the next refresh read these days of the feed, if it would not; return how many.

    A closed day that is provisional is read once more, whatever export it is from.
    """
    return FeedDay.objects.filter(
        connection=connection,
        feed=feed.name,
        day__in=days,
        day__lt=feed.refresh_days(today).start,
        state=FeedDay.State.FINAL,
    ).update(state=FeedDay.State.PROVISIONAL, watermark=None)


def prune(now: datetime) -> None:
    """Forget the windows of runs that ended long ago, and refreshes altogether.

    Imports and manual runs stay: the first day of the history is read from them.
    """
    old = SyncRun.objects.filter(finished_at__lt=now - _RETENTION).exclude(
        state=SyncRun.State.ACTIVE
    )
    SyncWindow.objects.filter(run__in=old)._raw_delete(SyncWindow.objects.db)
    old.filter(kind=SyncRun.Kind.REFRESH).delete()


def active_run(connection: Connection) -> SyncRun | None:
    return SyncRun.objects.filter(connection=connection, state=SyncRun.State.ACTIVE).first()


def _days_to_read(connection: Connection, feed: Feed, today: date) -> list[date]:
    """Return the open period and older days that are unknown or were not read since they closed.

    A day the provider refused is asked for again once a day while it may come, then monthly.
    """
    if feed.is_newest_only:  # read once a day
        newest = {day for part in feed.windows(Window.last(1, today=today)) for day in part}
        read = FeedDay.objects.filter(connection=connection, feed=feed.name, day__in=newest)
        return [] if read.count() == len(newest) else [today]
    recent = feed.refresh_days(today)
    open_days = list(recent)
    if feed.is_daily_batch:
        had = _known_and_read_on(connection, feed, today)
        open_days = [day for day in recent if day not in had]
    first = SyncRun.objects.filter(connection=connection).aggregate(first=Min("start"))["first"]
    if first is None or first >= recent.start:
        return open_days
    older = Window(max(first, connection.connector.earliest_day(today)), recent.start)
    stored = FeedDay.objects.filter(
        connection=connection, feed=feed.name, day__gte=older.start, day__lt=older.end
    )
    states = dict(stored.values_list("day", "state"))
    # A row that makes no sense is asked for again once a day, not with every refresh.
    lacking = stored.filter(kept_out__gt=0, read_at__gte=midnight(today))
    read_today = set(lacking.values_list("day", flat=True))
    for other in connection.connector.filled_by(feed):  # days that one of them lacks are unknown
        known = FeedDay.objects.filter(connection=connection, feed=other.name)
        states = {day: states[day] for day in known.values_list("day", flat=True) if day in states}
    refused = _recently_unavailable(connection, feed, today)
    first_known = min(states, default=older.end)
    has_start = first_known > older.start and is_before_data(
        connection, feed, Window(older.start, first_known)
    )
    wanted = [
        day
        for day in older
        if not (has_start and day < first_known) and day not in read_today
        if (day not in refused if day not in states else _is_due(feed, day, states[day], today))
    ]
    return [*wanted, *open_days]


def _known_and_read_on(connection: Connection, feed: Feed, today: date) -> set[date]:
    known = set(
        FeedDay.objects.filter(connection=connection, feed=feed.name).values_list("day", flat=True)
    )
    read = SyncWindow.objects.filter(
        run__connection=connection,
        feed=feed.name,
        state__in=[SyncWindow.State.DONE, SyncWindow.State.UNCHANGED],
        finished_at__gte=midnight(today),
    ).values_list("start", "end")
    return {day for start, end in read for day in Window(start, end)} & known


def _is_due(feed: Feed, day: date, state: str, today: date) -> bool:
    """Return True for a stored closed day that has not been read since it closed."""
    if state == FeedDay.State.INCOMPLETE:
        return True
    return state == FeedDay.State.PROVISIONAL and feed.closes_on(day) < today


def _recently_unavailable(connection: Connection, feed: Feed, today: date) -> set[date]:
    """Days the provider would not answer for when it was last asked, too recently to ask again."""
    now = timezone.now()
    refused = SyncWindow.objects.filter(
        run__connection=connection,
        feed=feed.name,
        state=SyncWindow.State.UNAVAILABLE,
        finished_at__gte=now - timedelta(days=30),
    ).values_list("start", "end", "finished_at")
    return {
        day
        for start, end, asked_at in refused
        for day in Window(start, end)
        if day < today - _RETRY_AFTER or (asked_at and asked_at >= now - timedelta(days=1))
    }


def _ranges(days: Iterable[date]) -> Iterator[Window]:
    """Cover sorted days by as few windows as have no other days in them."""
    start = previous = None
    for day in days:
        if previous is None or day - previous > timedelta(days=1):
            if start is not None and previous is not None:
                yield Window(start, previous + timedelta(days=1))
            start = day
        previous = day
    if start is not None and previous is not None:
        yield Window(start, previous + timedelta(days=1))
