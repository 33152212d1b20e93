"""Make the stored days of one window equal to what the provider sent.

Pages are spooled to disk day by day while they arrive, so memory follows the largest day and not
the window. Then one short transaction replaces the days whose content differs from what is
stored; a day that did not change is not written at all. What vanished upstream vanishes here.

For every (day, meter) the people's lines plus the line without a person equal the
organization-wide line: `write_unattributed` keeps that true after either side was written.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from integrations.connectors.base import Feed, Table
from integrations.connectors.records import Page
from integrations.loading.rollups import roll_up, roll_up_activity
from integrations.loading.spool import Spool, decode
from integrations.loading.unattributed import check_days, write_unattributed
from integrations.loading.writing import DayWriter, people_ids, store_resources
from integrations.models import Connection, DayCheck, FeedDay
from integrations.window import Window, midnight


@dataclass(frozen=True)
class Loaded:
    """Result of one window. `changed` are the days that were written."""

    rows: int
    rows_written: int
    watermark: datetime | None
    changed: tuple[date, ...]
    unchanged_export: bool = False


def load(
    connection: Connection,
    feed: Feed,
    window: Window,
    pages: Iterable[Page],
    *,
    fence: Callable[[], None] = lambda: None,
    anew: bool = False,
) -> Loaded:
    """Read `pages` to their end, then replace the days of `window` that differ.

    Stops after the first page when its export is the one already stored for every day of the
    window, unless it shall be read `anew`. `fence` runs first inside the transaction and raises
    if the writer has lost its right to write. Raises what reading raises, and then has stored
    nothing.
    """
    known = {
        row.day: row
        for row in FeedDay.objects.filter(
            connection=connection, feed=feed.name, day__gte=window.start, day__lt=window.end
        )
    }
    with Spool(window) as spool:
        for number, page in enumerate(pages):
            if number == 0 and not anew and _same_export(feed, window, page, known):
                with transaction.atomic():
                    fence()
                    _mark_days(connection, feed, known.values(), page.watermark)
                return Loaded(0, 0, page.watermark, (), unchanged_export=True)
            spool.add(page)
        return _store(connection, feed, spool, known, fence)


def _same_export(feed: Feed, window: Window, page: Page, known: dict[date, FeedDay]) -> bool:
    """Return True if all days of the window are stored from the export of this page."""
    if page.watermark is None:
        return False
    covered = [day for day in window if midnight(day) < page.watermark]
    return bool(covered) and all(
        day in known and known[day].watermark == page.watermark for day in covered
    )


def _store(
    connection: Connection,
    feed: Feed,
    spool: Spool,
    known: dict[date, FeedDay],
    fence: Callable[[], None],
) -> Loaded:
    if not feed.has_days:
        return _store_names(connection, feed, spool, fence)
    watermark = spool.watermark
    dated = feed.is_metered or feed.exported
    if dated and watermark is None and not spool.rows:
        # Nothing is published for any of these days: unknown, which is not zero.
        return Loaded(0, 0, None, ())
    with transaction.atomic():
        _lock(connection, feed.table)
        fence()
        known = {
            row.day: row
            for row in FeedDay.objects.filter(
                connection=connection,
                feed=feed.name,
                day__gte=spool.window.start,
                day__lt=spool.window.end,
            )
        }
        writer = DayWriter(connection, feed, spool)
        store_resources(connection, spool.resources)
        changed: list[date] = []
        confirmed: list[FeedDay] = []
        written = 0
        for day in spool.window:
            packed = spool.day(day)
            kept_out = spool.kept_out(day)
            lost_all = spool.lost_all(day)
            covered = bool(packed) or lost_all or _answered(feed, spool.window, day, watermark)
            if day in known:
                if _is_older(watermark, known[day].watermark):
                    continue  # a server that lags behind: what it says we have had
            elif not covered:
                continue
            digest = hashlib.sha256(b"\n".join(packed)).digest()
            # A day none of whose rows made sense keeps the numbers of an earlier read.
            if day in known and (lost_all or bytes(known[day].content_hash) == digest):
                known[day].kept_out, known[day].kept_out_reason = kept_out
                confirmed.append(known[day])
                continue
            records = [decode(record) for record in packed]
            written += writer.replace(day, records, known.get(day))
            _save_feed_day(connection, feed, day, digest, len(packed), watermark, kept_out)
            changed.append(day)
        if changed and feed.is_metered:
            write_unattributed(connection, feed.table, changed)
            check_days(connection, feed.table, changed)
            roll_up(connection, feed.table, changed)
        elif changed and feed.grain == "person":
            roll_up_activity(connection, feed, changed)
        _mark_days(connection, feed, confirmed, watermark)
    return Loaded(spool.rows, written, watermark, tuple(changed))


def _is_older(watermark: datetime | None, stored: datetime | None) -> bool:
    return watermark is not None and stored is not None and watermark < stored


def _store_names(
    connection: Connection, feed: Feed, spool: Spool, fence: Callable[[], None]
) -> Loaded:
    """Keep what people and resources are called. Their day is the one on which they were read."""
    with transaction.atomic():
        fence()
        written = store_resources(connection, spool.resources)
        people_ids(connection, spool.people)
        names = sorted(map(repr, [*spool.people.values(), *spool.resources.values()]))
        digest = hashlib.sha256("\n".join(names).encode()).digest()
        day = spool.window.last_day
        _save_feed_day(connection, feed, day, digest, len(names), None, spool.kept_out(day))
    return Loaded(len(names), written, None, (day,) if written else ())


def _answered(feed: Feed, window: Window, day: date, watermark: datetime | None) -> bool:
    """Return True if a day without rows means no use, rather than unknown use."""
    if not (feed.is_metered or feed.exported):
        return len(window) == 1  # the provider was asked for this day alone and did not refuse
    return watermark is not None and midnight(day) < watermark


def _lock(connection: Connection, table: Table) -> None:
    """One writer per connection and fact table: two that race on a day break each other."""
    with database.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '60s'")  # no writer waits for ever
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [connection.pk, f"facts:{table}"]
        )


# --- Days ----------------------------------------------------------------------------------


def day_state(
    feed: Feed, day: date, watermark: datetime | None, read_at: datetime, kept_out: int = 0
) -> str:
    """Incomplete until the export covers the whole day, final once it can no longer change.

    A day of which rows had to be kept out stays incomplete: what they say is not known.
    """
    known_at = watermark or read_at
    if kept_out or known_at < midnight(day + timedelta(days=1)):
        return FeedDay.State.INCOMPLETE
    if known_at >= midnight(feed.closes_on(day)):
        return FeedDay.State.FINAL
    return FeedDay.State.PROVISIONAL


def _save_feed_day(
    connection: Connection,
    feed: Feed,
    day: date,
    digest: bytes,
    rows: int,
    watermark: datetime | None,
    kept_out: tuple[int, str],
) -> None:
    now = timezone.now()
    count, reason = kept_out
    FeedDay.objects.update_or_create(
        connection=connection,
        feed=feed.name,
        day=day,
        defaults={
            "state": day_state(feed, day, watermark, now, count),
            "kept_out": count,
            "kept_out_reason": reason,
            "watermark": watermark,
            "content_hash": digest,
            "rows": rows,
            "read_at": now,
        },
    )


def _mark_days(
    connection: Connection, feed: Feed, days: Iterable[FeedDay], watermark: datetime | None
) -> None:
    """Unchanged days: note the newer export and what it makes of their state, if anything."""
    now = timezone.now()
    moved = []
    for row in days:
        state = day_state(feed, row.day, watermark, now, row.kept_out)
        if (state, watermark) != (row.state, row.watermark) or row.kept_out:
            row.state, row.watermark, row.read_at = state, watermark, now
            moved.append(row)
    if not moved:
        return
    FeedDay.objects.bulk_update(
        moved, ["state", "watermark", "read_at", "kept_out", "kept_out_reason"]
    )
    DayCheck.objects.filter(
        connection=connection, feed=feed.name, day__in=[row.day for row in moved]
    ).update(watermark=watermark)
