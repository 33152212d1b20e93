"""Spool of a provider's records on disk until a window is complete.

Memory follows the largest day and not the window: records are spooled in one file a day.
"""

import tempfile
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import IO, Any

import msgspec

from integrations import text
from integrations.connectors.base import PayloadError, SnapshotMoved
from integrations.connectors.records import (
    METER_FIELDS,
    USAGE_MEASURES,
    CostRecord,
    EngagementRecord,
    KeptOut,
    MeterKey,
    Page,
    PersonRef,
    Record,
    ResourceRef,
    TotalRecord,
)
from integrations.window import Window

# Ids of resources: the same cut as their own key, and short enough for an index of rollups.
_ID_FIELDS = {"organization_id", "workspace_id", "api_key_id"}


class Spool:
    """The records of one window on disk, a file per day, and who was seen."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.people: dict[str, PersonRef] = {}
        self.resources: dict[tuple[str, str], ResourceRef] = {}
        self.watermark: datetime | None = None
        self.rows = 0
        self.pages = 0
        self._files: dict[date, IO[bytes]] = {}
        self._encoder = msgspec.msgpack.Encoder()
        self._seen: set[bytes] = set()  # fingerprints of pages
        self._kept_out: dict[date | None, list[KeptOut]] = {}
        self._days_with_rows: set[date] = set()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *exc: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, page: Page) -> None:
        if self.pages and page.watermark != self.watermark:
            raise SnapshotMoved("New data was published during the read.", code="snapshot_moved")
        self.pages += 1
        self.watermark = page.watermark
        for person in page.people:
            self._meet(stored_person(person))
        for resource in page.resources:
            stored = stored_resource(resource)
            self.resources[stored.kind, stored.external_id] = stored
        for kept_out in page.kept_out:
            self._kept_out.setdefault(kept_out.day, []).append(kept_out)
        self._add_records(page.records)

    def kept_out(self, day: date) -> tuple[int, str]:
        """Return the number of skipped rows of the day, and the reason of the first.

        Rows that do not say their day count for every day.
        """
        rows = [*self._kept_out.get(day, ()), *self._kept_out.get(None, ())]
        return sum(one.rows for one in rows), text.label(rows[0].reason)[:500] if rows else ""

    def lost_all(self, day: date) -> bool:
        """Return True if rows of this day were kept out and no other row of it arrived."""
        return day in self._kept_out and day not in self._days_with_rows

    def _add_records(self, records: tuple[Record, ...]) -> None:
        """Keep the records of a page. The same page sent again counts once.

        Rows with one key are different: within one read they are parts of one fact, and are added
        up when their day is written.
        """
        lines = [self._line(record) for record in records]
        packed = [self._encoder.encode(line) for line in lines]
        fingerprint = blake2b(b"\n".join(packed), digest_size=16).digest()
        if packed and fingerprint in self._seen:
            return
        self._seen.add(fingerprint)
        for line, content in zip(lines, packed, strict=True):
            if line.kind != "total":
                self.rows += 1
                self._days_with_rows.add(line.day)
            if line.day not in self._files:
                # Closed together in __exit__; small days never touch the disk.
                self._files[line.day] = tempfile.SpooledTemporaryFile(1 << 18)  # noqa: SIM115
            self._files[line.day].write(len(content).to_bytes(4, "big") + content)

    def _meet(self, person: PersonRef) -> None:
        self.people[person.external_id] = newest(self.people.get(person.external_id), person)

    def _line(self, record: Record) -> "Line":
        if record.day not in self.window:
            raise PayloadError(
                f"The provider sent {record.day}, which was not asked for.", code="payload"
            )
        person = getattr(record, "person", None)
        if person is not None:
            person = stored_person(person)
            self._meet(person)
        return line(record, person.external_id if person else "")

    def day(self, day: date) -> list[bytes]:
        """Return the day's lines in canonical order, so that equal content is equal bytes."""
        file = self._files.get(day)
        lines: list[bytes] = []
        if file is not None:
            file.seek(0)
            while size := file.read(4):
                lines.append(file.read(int.from_bytes(size, "big")))
        return sorted(lines)


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A record as it is spooled: its kind, key and numbers, person by id only."""

    kind: str
    day: date
    person: str
    key: tuple[str, ...]
    numbers: tuple[Any, ...]


decode = msgspec.msgpack.Decoder(Line).decode


def line(record: Record, person: str) -> Line:
    """Return the record as spooled, with storable texts only. `person` is its stored id."""
    if isinstance(record, TotalRecord):
        return Line("total", record.day, "", (record.measure,), (plain(record.value),))
    if isinstance(record, EngagementRecord):
        pairs = [(text.key(path, None), plain(value)) for path, value in record.values.items()]
        numbers = tuple(chain.from_iterable(sorted(pairs)))
        # Labels only where there are some: a day without them keeps its content hash.
        labels = sorted((name, text.key(value)) for name, value in record.labels.items())
        subject, name = _subject(record.subject, record.name)
        key = (subject, str(record.days), name, *chain.from_iterable(labels))
        return Line("engagement", record.day, person, key, numbers)
    meter = _meter(record.meter)
    if isinstance(record, CostRecord):
        amounts = (record.amount_usd, record.list_amount_usd)
        return Line("cost", record.day, person, meter, tuple(map(plain_or_none, amounts)))
    counts = tuple(plain_or_none(getattr(record, name)) for name in USAGE_MEASURES)
    return Line("usage", record.day, person, meter, counts)


# --- Text that can be stored ---------------------------------------------------------------


@lru_cache(maxsize=8192)
def _meter(meter: MeterKey) -> tuple[str, ...]:
    values = (
        text.key(getattr(meter, name), text.LONGEST_KEY if name in _ID_FIELDS else None)
        for name in METER_FIELDS
    )
    # Attributes only where there are some: a day without them keeps its content hash.
    attributes = sorted((name, text.key(it, None)) for name, it in meter.attributes if it)
    return (*values, *chain.from_iterable(attributes))


@lru_cache(maxsize=8192)
def stored_person(person: PersonRef) -> PersonRef:
    external_id, name = _subject(person.external_id, person.name)
    return replace(
        person,
        external_id=external_id,
        name=name,
        email=text.label(person.email),
        kind=text.label(person.kind),
        role=text.label(person.role),
    )


def stored_resource(resource: ResourceRef) -> ResourceRef:
    external_id, name = _subject(resource.external_id, resource.name)
    attributes = resource.attributes
    if attributes is not None:
        attributes = {text.key(key, None): text.label(it) for key, it in attributes.items()}
    return replace(resource, external_id=external_id, name=name, attributes=attributes)


def _subject(id: str, name: str) -> tuple[str, str]:
    """Id and name; the whole of an id that had to change stands in for a name that is missing."""
    stored = text.key(id)
    return stored, text.label(name) or ("" if stored == id else text.label(id))


# --- Numbers -------------------------------------------------------------------------------


def plain(value: Decimal | int) -> str:
    """One spelling for one number: 412.8, never 412.80 or 4.128E+2."""
    if isinstance(value, int):
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_or_none(value: Decimal | int | None) -> str | None:
    return None if value is None else plain(value)


def newest(old: PersonRef | None, new: PersonRef) -> PersonRef:
    """Attributes of the newer sighting; what it does not say is kept."""
    if old is None:
        return new
    return PersonRef(
        new.external_id,
        new.email or old.email,
        new.name or old.name,
        new.kind or old.kind,
        new.state or old.state,
        new.role or old.role,
    )
