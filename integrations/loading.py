"""Make the stored days of one window equal to what the provider sent.

Pages are spooled to disk day by day while they arrive, so memory follows the largest day and not
the window. Then one short transaction replaces the days whose content differs from what is
stored; a day that did not change is not written at all. What vanished upstream vanishes here.

For every (day, meter) the people's lines plus the line without a person equal the
organization-wide line: `_balance` keeps that true after either side was written.
"""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import IO, Any

import msgspec
from django.db import connection as database
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from integrations.connectors.base import Feed, PayloadError, SnapshotMoved, Table
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    Page,
    PersonRef,
    Record,
    TotalRecord,
)
from integrations.models import (
    Connection,
    CostFact,
    CostTotal,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    Person,
    Restatement,
    UsageFact,
    UsageTotal,
)
from integrations.models.dimensions import METER_FIELDS
from integrations.window import Window, midnight

COST_MEASURES = ("amount_usd", "list_amount_usd")
USAGE_MEASURES = (
    "requests",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "web_searches",
)
TOKEN_MEASURES = USAGE_MEASURES[1:6]
_USD_PLACES = 12  # of the column: a finer amount is refused, because storing it would round it


@dataclass(frozen=True)
class Loaded:
    """What one window brought. `changed` are the days that were written."""

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
) -> Loaded:
    """Read `pages` to their end, then replace the days of `window` that differ.

    Stops after the first page when its export is the one already stored for every day of the
    window. `fence` runs first inside the transaction and raises if the writer has lost its
    right to write. Raises what reading raises, and then has stored nothing.
    """
    known = {
        row.day: row
        for row in FeedDay.objects.filter(
            connection=connection, feed=feed.name, day__gte=window.start, day__lt=window.end
        )
    }
    with _Spool(window) as spool:
        for number, page in enumerate(pages):
            if number == 0 and _same_export(feed, window, page, known):
                with transaction.atomic():
                    fence()
                    _mark_days(connection, feed, known.values(), page.watermark)
                return Loaded(0, 0, page.watermark, (), unchanged_export=True)
            spool.add(page)
        return _store(connection, feed, spool, known, fence)


def _same_export(feed: Feed, window: Window, page: Page, known: dict[date, FeedDay]) -> bool:
    """True if every day of the window is stored from the export that serves this page."""
    if page.watermark is None:
        return False
    covered = [day for day in window if midnight(day) < page.watermark]
    return bool(covered) and all(
        day in known and known[day].watermark == page.watermark for day in covered
    )


class _Spool:
    """The records of one window on disk, a file per day, and who was seen."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.people: dict[str, PersonRef] = {}
        self.watermark: datetime | None = None
        self.rows = 0
        self.pages = 0
        self._files: dict[date, IO[bytes]] = {}
        self._encoder = msgspec.msgpack.Encoder()

    def __enter__(self) -> "_Spool":
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, page: Page) -> None:
        if self.pages and page.watermark != self.watermark:
            raise SnapshotMoved(
                "New data was published while we were reading.", code="snapshot_moved"
            )
        self.pages += 1
        self.watermark = page.watermark
        for record in page.records:
            self._add_record(record)

    def _add_record(self, record: Record) -> None:
        if record.day not in self.window:
            raise PayloadError(
                f"The provider sent {record.day}, which was not asked for.", code="payload"
            )
        person = getattr(record, "person", None)
        if person is not None:
            self.people[person.external_id] = _newest(self.people.get(person.external_id), person)
        if isinstance(record, CostRecord):
            _check_precision(record.amount_usd)
            _check_precision(record.list_amount_usd)
        if not isinstance(record, TotalRecord):
            self.rows += 1
        if record.day not in self._files:
            # Closed together in __exit__; small days never touch the disk.
            self._files[record.day] = tempfile.SpooledTemporaryFile(1 << 18)  # noqa: SIM115
        packed = self._encoder.encode(_line(record))
        self._files[record.day].write(len(packed).to_bytes(4, "big") + packed)

    def day(self, day: date) -> list[bytes]:
        """The day's lines in canonical order, each once: equal content is equal bytes."""
        file = self._files.get(day)
        if file is None:
            return []
        file.seek(0)
        lines = set()
        while size := file.read(4):
            lines.add(file.read(int.from_bytes(size, "big")))
        return sorted(lines)


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """A record as it is spooled: its kind, key and numbers, person by id only."""

    kind: str
    day: date
    person: str
    key: tuple[str, ...]
    numbers: tuple[Any, ...]


_decode = msgspec.msgpack.Decoder(_Line).decode


def _line(record: Record) -> _Line:
    if isinstance(record, TotalRecord):
        return _Line("total", record.day, "", (record.measure,), (_plain(record.value),))
    person = record.person.external_id if record.person else ""
    if isinstance(record, EngagementRecord):
        pairs = [(path, _plain(value)) for path, value in sorted(record.values.items())]
        numbers = tuple(chain.from_iterable(pairs))
        return _Line("engagement", record.day, person, (record.subject, record.name), numbers)
    key = tuple(getattr(record.meter, name) for name in METER_FIELDS)
    if isinstance(record, CostRecord):
        amounts = (record.amount_usd, record.list_amount_usd)
        return _Line("cost", record.day, person, key, tuple(map(_plain_or_none, amounts)))
    counts = tuple(_plain_or_none(getattr(record, name)) for name in USAGE_MEASURES)
    return _Line("usage", record.day, person, key, counts)


def _plain(value: Decimal | int) -> str:
    """One spelling for one number: 412.8, never 412.80 or 4.128E+2."""
    if isinstance(value, int):
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain_or_none(value: Decimal | int | None) -> str | None:
    return None if value is None else _plain(value)


def _check_precision(amount: Decimal | None) -> None:
    if amount is None:
        return
    if not amount.is_finite() or -int(amount.normalize().as_tuple().exponent) > _USD_PLACES:
        raise PayloadError(
            f"An amount has more than {_USD_PLACES} decimal places or is not a number.",
            code="payload",
        )


def _newest(old: PersonRef | None, new: PersonRef) -> PersonRef:
    """Attributes of the newer sighting; what it does not say is kept."""
    if old is None:
        return new
    return PersonRef(
        new.external_id,
        new.email or old.email,
        new.name or old.name,
        new.kind or old.kind,
        new.state or old.state,
    )


def _store(
    connection: Connection,
    feed: Feed,
    spool: _Spool,
    known: dict[date, FeedDay],
    fence: Callable[[], None],
) -> Loaded:
    watermark = spool.watermark
    dated = feed.table is not Table.ENGAGEMENT
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
        writer = _DayWriter(connection, feed, spool)
        changed: list[date] = []
        confirmed: list[FeedDay] = []
        written = 0
        for day in spool.window:
            lines = spool.day(day)
            covered = bool(lines) or _answered(feed, spool.window, day, watermark)
            if not covered and day not in known:
                continue
            digest = hashlib.sha256(b"\n".join(lines)).digest()
            if day in known and bytes(known[day].content_hash) == digest:
                confirmed.append(known[day])
                continue
            decoded = [_decode(line) for line in lines]
            written += writer.replace(day, decoded, known.get(day))
            _save_feed_day(connection, feed, day, digest, len(lines), watermark)
            changed.append(day)
        if changed and dated:
            _balance(connection, feed.table, changed)
            _check_days(connection, feed.table, changed)
        _mark_days(connection, feed, confirmed, watermark)
    return Loaded(spool.rows, written, watermark, tuple(changed))


def _answered(feed: Feed, window: Window, day: date, watermark: datetime | None) -> bool:
    """True if having no lines for the day means that nothing happened, not that nobody knows."""
    if feed.table is Table.ENGAGEMENT:
        return len(window) == 1  # the provider was asked for this day alone and did not refuse
    return watermark is not None and midnight(day) < watermark


def _lock(connection: Connection, table: Table) -> None:
    """One writer per connection and fact table: two that race on a day break each other."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [connection.pk, f"facts:{table}"]
        )


# --- Days ----------------------------------------------------------------------------------


def day_state(feed: Feed, day: date, watermark: datetime | None, read_at: datetime) -> str:
    """Incomplete until the export covers the whole day, final once it can no longer change."""
    known_at = watermark or read_at
    if known_at < midnight(day + timedelta(days=1)):
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
) -> None:
    now = timezone.now()
    FeedDay.objects.update_or_create(
        connection=connection,
        feed=feed.name,
        day=day,
        defaults={
            "state": day_state(feed, day, watermark, now),
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
        state = day_state(feed, row.day, watermark, now)
        if (state, watermark) != (row.state, row.watermark):
            row.state, row.watermark, row.read_at = state, watermark, now
            moved.append(row)
    FeedDay.objects.bulk_update(moved, ["state", "watermark", "read_at"])


# --- Dimensions ----------------------------------------------------------------------------


class _Meters:
    """Ids of a connection's meters by key; unseen ones are added."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[tuple[str, ...], int] = {
            tuple(row[1:]): row[0]
            for row in Meter.objects.filter(connection=connection).values_list("id", *METER_FIELDS)
        }

    def __getitem__(self, key: tuple[str, ...]) -> int:
        if key not in self._ids:
            names: dict[str, Any] = dict(zip(METER_FIELDS, key, strict=True))
            meter, _ = Meter.objects.get_or_create(connection=self._connection, **names)
            self._ids[key] = meter.pk
        return self._ids[key]


def _people_ids(connection: Connection, people: dict[str, PersonRef]) -> dict[str, int]:
    """Add the unseen, update the changed, and return every id by external id."""
    stored = {
        person.external_id: person
        for person in Person.objects.filter(connection=connection, external_id__in=people)
    }
    new, moved = [], []
    for external_id, ref in people.items():
        person = stored.get(external_id)
        if person is None:
            new.append(
                Person(
                    connection=connection,
                    external_id=external_id,
                    email=ref.email,
                    name=ref.name,
                    kind=ref.kind or Person.Kind.USER,
                    state=ref.state or Person.State.ACTIVE,
                )
            )
            continue
        seen = PersonRef(external_id, person.email, person.name, person.kind, person.state)
        now = _newest(seen, ref)
        if now != seen:
            person.email, person.name, person.kind, person.state = (
                now.email,
                now.name,
                now.kind,
                now.state,
            )
            moved.append(person)
    # Two feeds may meet the same new person at once: the second takes the first one's row.
    Person.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    Person.objects.bulk_update(moved, ["email", "name", "kind", "state"], batch_size=1000)
    return dict(
        Person.objects.filter(connection=connection, external_id__in=people).values_list(
            "external_id", "id"
        )
    )


# --- Facts ---------------------------------------------------------------------------------


class _DayWriter:
    """Replaces days of one feed of one connection, inside the caller's transaction."""

    def __init__(self, connection: Connection, feed: Feed, spool: _Spool) -> None:
        self._connection = connection
        self._feed = feed
        self._watermark = spool.watermark
        self._people = _people_ids(connection, spool.people)
        self._meters = _Meters(connection)

    def replace(self, day: date, lines: Sequence[_Line], before: FeedDay | None) -> int:
        """Make the stored rows of `day` equal to `lines`; return the rows written."""
        if self._feed.table is Table.ENGAGEMENT:
            return self._replace_engagement(day, lines, before)
        return self._replace_metered(day, lines, before)

    def _replace_engagement(self, day: date, lines: Sequence[_Line], before: FeedDay | None) -> int:
        stored = EngagementFact.objects.filter(
            connection=self._connection, feed=self._feed.name, day=day
        )
        old = _activity(stored.values_list("values", flat=True)) if _was_complete(before) else {}
        stored._raw_delete(stored.db)  # nothing points at facts: no need to collect
        rows, values = [], []
        for line in lines:
            numbers = {path: Decimal(text) for path, text in _items(line)}
            values.append(numbers)
            subject, name = line.key
            person = self._people.get(line.person)
            key = (self._connection.pk, self._feed.name, day, subject)
            rows.append((*key, name, person, _json(numbers).decode()))
        _refuse_doubles(rows, key_length=4)
        columns = ["connection_id", "feed", "day", "subject", "name", "person_id", "values"]
        _copy(EngagementFact._meta.db_table, columns, rows)
        self._restate(day, "activity", old, _activity(values), before)
        return len(rows)

    def _replace_metered(self, day: date, lines: Sequence[_Line], before: FeedDay | None) -> int:
        model, measures, measure, parts = _metered(self._feed)
        by_person = self._feed.grain == "person"
        stored = model.objects.filter(connection=self._connection, day=day)
        columns = ["connection_id", "day", "meter_id"]
        if by_person:
            stored = stored.filter(person__isnull=False)
            columns.append("person_id")
        old = _sums_by_meter(stored, parts) if _was_complete(before) else {}
        stored._raw_delete(stored.db)  # nothing points at facts: no need to collect

        rows = []
        new: dict[str, Decimal] = defaultdict(Decimal)
        totals: dict[str, Decimal] = {}
        for line in lines:
            if line.kind == "total":
                totals[line.key[0]] = Decimal(line.numbers[0])
                continue
            key: tuple[Any, ...] = (self._connection.pk, day, self._meters[line.key])
            if by_person:
                key = (*key, self._people[line.person])
            rows.append((*key, *line.numbers))
            numbers = dict(zip(measures, line.numbers, strict=True))
            new[_meter_name(line.key)] += sum(Decimal(numbers[part] or 0) for part in parts)
        _refuse_doubles(rows, key_length=len(columns))
        _copy(model._meta.db_table, [*columns, *measures], rows)
        self._restate(day, measure, old, new, before)
        if not by_person:
            self._replace_totals(day, totals)
        return len(rows)

    def _replace_totals(self, day: date, totals: dict[str, Decimal]) -> None:
        """Keep what the provider says the day sums to; `_check_days` adds what we stored."""
        key = {"connection": self._connection, "feed": self._feed.name, "day": day}
        DayCheck.objects.filter(**key).delete()
        DayCheck.objects.bulk_create(
            DayCheck(**key, measure=measure, reported=value, stored=0)
            for measure, value in totals.items()
        )

    def _restate(
        self,
        day: date,
        measure: str,
        old: dict[str, Decimal],
        new: dict[str, Decimal],
        before: FeedDay | None,
    ) -> None:
        """Keep that a complete day changed, and where."""
        if before is None or not _was_complete(before):
            return
        zero = Decimal()
        moved = [
            {
                "meter": name,
                "old": _plain(old.get(name, zero)),
                "new": _plain(new.get(name, zero)),
            }
            for name in sorted({*old, *new})
            if old.get(name, zero) != new.get(name, zero)
        ]
        if not moved:
            return  # a person's name for a line changed, not a number of the day
        Restatement.objects.create(
            connection=self._connection,
            feed=self._feed.name,
            day=day,
            measure=measure,
            old=sum(old.values(), zero),
            new=sum(new.values(), zero),
            old_watermark=before.watermark,
            new_watermark=self._watermark,
            meters=moved,
        )


def _was_complete(before: FeedDay | None) -> bool:
    """True if the day had ended when it was stored: a change since then is a restatement."""
    return before is not None and before.state != FeedDay.State.INCOMPLETE


def _refuse_doubles(rows: Sequence[tuple[Any, ...]], *, key_length: int) -> None:
    keys = {row[:key_length] for row in rows}
    if len(keys) != len(rows):
        raise PayloadError(
            "The provider sent two different numbers for the same day, user and meter.",
            code="payload",
        )


def _metered(feed: Feed) -> tuple[Any, tuple[str, ...], str, tuple[str, ...]]:
    """The model a feed fills, its measures, and the one measure restatements are told in."""
    by_person = feed.grain == "person"
    if feed.table is Table.COST:
        cost = CostFact if by_person else CostTotal
        return cost, COST_MEASURES, "amount_usd", ("amount_usd",)
    usage = UsageFact if by_person else UsageTotal
    return usage, USAGE_MEASURES, "total_tokens", TOKEN_MEASURES


def _copy(table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    with database.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


_json = msgspec.json.Encoder(decimal_format="number").encode


def _items(line: _Line) -> Iterator[tuple[str, str]]:
    """The numbers of an engagement line: keys and values in turn."""
    return zip(line.numbers[::2], line.numbers[1::2], strict=True)


def _activity(values: Iterable[dict[str, Any]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for item in values:
        for path, number in item.items():
            sums[path] += number
    return sums


def _meter_name(key: tuple[str, ...]) -> str:
    return " · ".join(value for value in key if value)


def _sums_by_meter(rows: Any, measures: Sequence[str]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    names = [f"meter__{name}" for name in METER_FIELDS]
    for row in rows.values(*names).annotate(
        **{f"sum_{measure}": Sum(measure) for measure in measures}
    ):
        key = _meter_name(tuple(row[name] for name in names))
        sums[key] = sum((Decimal(row[f"sum_{name}"] or 0) for name in measures), Decimal(0))
    return sums


# --- Balance -------------------------------------------------------------------------------


def _total_feeds(connection: Connection, table: Table) -> list[str]:
    return [
        feed.name
        for feed in connection.connector.feeds
        if feed.table is table and feed.grain == "total"
    ]


def _balance(connection: Connection, table: Table, days: Sequence[date]) -> None:
    """Rewrite the lines without a person: organization-wide minus people, per day and meter.

    Only for days whose organization-wide lines are known; others have no such line.
    """
    fact, total, measures = (
        (CostFact, CostTotal, COST_MEASURES)
        if table is Table.COST
        else (UsageFact, UsageTotal, USAGE_MEASURES)
    )
    facts = fact._meta.db_table
    total_feeds = [
        f.name for f in connection.connector.feeds if (f.table, f.grain) == (table, "total")
    ]
    known = list(
        FeedDay.objects.filter(connection=connection, feed__in=total_feeds, day__in=days)
        .values_list("day", flat=True)
        .distinct()
    )
    # A number unknown on one side makes the difference unknown, not zero.
    sums = ", ".join(
        f"CASE WHEN bool_or({name} IS NULL) THEN NULL ELSE sum(sign * {name}) END AS {name}"
        for name in measures
    )
    columns = ", ".join(measures)
    nonzero = " OR ".join(f"sum(sign * {name}) <> 0" for name in measures)
    scope: dict[str, Any] = {"connection": connection.pk, "days": list(days), "known": known}
    with database.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {facts} WHERE connection_id = %(connection)s"  # noqa: S608 - own names
            " AND day = ANY(%(days)s) AND person_id IS NULL",
            scope,
        )
        cursor.execute(
            f"INSERT INTO {facts} (connection_id, day, meter_id, {columns})"  # noqa: S608
            f" SELECT connection_id, day, meter_id, {sums} FROM ("
            f"  SELECT connection_id, day, meter_id, 1 AS sign, {columns}"
            f"  FROM {total._meta.db_table}"
            "   WHERE connection_id = %(connection)s AND day = ANY(%(known)s)"
            f"  UNION ALL SELECT connection_id, day, meter_id, -1, {columns} FROM {facts}"
            "   WHERE connection_id = %(connection)s AND day = ANY(%(known)s)"
            "   AND person_id IS NOT NULL"
            f" ) lines GROUP BY connection_id, day, meter_id HAVING {nonzero}",
            scope,
        )


def _check_days(connection: Connection, table: Table, days: Sequence[date]) -> None:
    """Compare what the facts of a day sum to with the provider's own total."""
    feeds = _total_feeds(connection, table)
    checks = list(DayCheck.objects.filter(connection=connection, feed__in=feeds, day__in=days))
    if not checks:
        return
    fact, measures = (
        (CostFact, COST_MEASURES) if table is Table.COST else (UsageFact, USAGE_MEASURES)
    )
    stored = {
        row["day"]: row
        for row in fact.objects.filter(connection=connection, day__in=days)
        .values("day")
        .annotate(**{f"sum_{name}": Sum(name) for name in measures})
    }
    for check in checks:
        row = stored.get(check.day, {})
        parts = TOKEN_MEASURES if check.measure == "total_tokens" else (check.measure,)
        check.stored = sum((Decimal(row.get(f"sum_{part}") or 0) for part in parts), Decimal())
    DayCheck.objects.bulk_update(checks, ["stored"])
