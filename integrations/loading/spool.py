"""Spool of a provider's records on disk until a window is complete.

Memory follows the largest day and not the window: records are spooled in one file a day.
"""

import dataclasses
import tempfile
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import IO

import msgspec
from msgspec.structs import replace

from integrations import text
from integrations.connectors.base import PayloadError, SnapshotMoved
from integrations.connectors.records import (
    METER_FIELDS,
    CostRecord,
    EngagementRecord,
    KeptOut,
    MeterKey,
    Page,
    PersonRef,
    Record,
    ResourceRef,
    TotalRecord,
    UsageRecord,
)
from integrations.exact import EXACT
from integrations.window import Window

# Ids of resources: shortened like their own key, and short enough for an index of rollups.
_ID_FIELDS = {"organization_id", "workspace_id", "api_key_id"}
_LARGE = 2**63  # from here on msgpack has no signed integer


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
        self._encoder = msgspec.msgpack.Encoder(order="deterministic")
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
        kept = [self._stored(record) for record in records]
        packed = [self._encoder.encode(record) for record in kept]
        fingerprint = blake2b(b"\n".join(packed), digest_size=16).digest()
        if packed and fingerprint in self._seen:
            return
        self._seen.add(fingerprint)
        for record, content in zip(kept, packed, strict=True):
            if not isinstance(record, TotalRecord):
                self.rows += 1
                self._days_with_rows.add(record.day)
            if record.day not in self._files:
                # Closed together in __exit__; small days never touch the disk.
                self._files[record.day] = tempfile.SpooledTemporaryFile(1 << 18)  # noqa: SIM115
            self._files[record.day].write(len(content).to_bytes(4, "big") + content)

    def _meet(self, person: PersonRef) -> None:
        self.people[person.external_id] = merge_person(self.people.get(person.external_id), person)

    def _stored(self, record: Record) -> Record:
        if record.day not in self.window:
            raise PayloadError(
                f"The provider sent {record.day}, which was not asked for.", code="payload"
            )
        if not isinstance(record, TotalRecord) and record.person is not None:
            self._meet(stored_person(record.person))
        return stored(record)

    def day(self, day: date) -> list[bytes]:
        """Return the day's records in canonical order, so that equal content is equal bytes."""
        file = self._files.get(day)
        packed: list[bytes] = []
        if file is not None:
            file.seek(0)
            while size := file.read(4):
                packed.append(file.read(int.from_bytes(size, "big")))
        return sorted(packed)


decode = msgspec.msgpack.Decoder(Record).decode


def stored(record: Record) -> Record:
    """Return the record as it is kept: every text can be stored, one number has one spelling.

    Only the id of its person is kept, so that a new name changes no content.
    """
    if isinstance(record, CostRecord):
        return CostRecord(
            record.day,
            _meter(record.meter),
            _id_alone(record.person),
            canonical(record.effective_cost),
            None if record.list_cost is None else canonical(record.list_cost),
        )
    if isinstance(record, UsageRecord):
        return replace(record, meter=_meter(record.meter), person=_id_alone(record.person))
    if isinstance(record, EngagementRecord):
        subject, name = _subject(record.subject, record.name)
        return replace(
            record,
            subject=subject,
            name=name,
            person=_id_alone(record.person),
            values={_path(path): _number(value) for path, value in record.values.items()},
            labels={name: text.key(value) for name, value in record.labels.items()},
        )
    return replace(record, value=canonical(record.value))


# --- Text that can be stored ---------------------------------------------------------------


@lru_cache(maxsize=8192)
def _meter(meter: MeterKey) -> MeterKey:
    values = {
        name: text.key(getattr(meter, name), text.LONGEST_KEY if name in _ID_FIELDS else None)
        for name in METER_FIELDS
    }
    attributes = sorted((name, text.key(it, None)) for name, it in meter.attributes if it)
    return replace(meter, attributes=tuple(attributes), **values)


@lru_cache(maxsize=8192)
def _path(path: str) -> str:
    return text.key(path, None)


@lru_cache(maxsize=8192)
def _id_alone(person: PersonRef | None) -> PersonRef | None:
    return person and PersonRef(stored_person(person).external_id)


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
    return dataclasses.replace(resource, external_id=external_id, name=name, attributes=attributes)


def _subject(id: str, name: str) -> tuple[str, str]:
    """Id and name; the whole of an id that had to change stands in for a name that is missing."""
    stored = text.key(id)
    return stored, text.label(name) or ("" if stored == id else text.label(id))


# --- Numbers -------------------------------------------------------------------------------


def canonical(value: Decimal | int) -> Decimal:
    """Return an equal number whose text is the same for all that equal it."""
    return Decimal(value).normalize(EXACT)


def _number(value: Decimal | int) -> Decimal | int:
    """Return an integer for a whole number that fits into one, so that 3 and 3.0 are the same."""
    if isinstance(value, int):
        return value if abs(value) < _LARGE else canonical(value)
    number = canonical(value)
    return int(number) if abs(number) < _LARGE and number == number.to_integral_value() else number


def plain(value: Decimal | int) -> str:
    """One spelling for one number: 412.8, never 412.80 or 4.128E+2."""
    if isinstance(value, int):
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_or_none(value: Decimal | int | None) -> str | None:
    return None if value is None else plain(value)


def merge_person(old: PersonRef | None, new: PersonRef) -> PersonRef:
    """Attributes of the newer sighting; what it does not say is kept."""
    if old is None or old == new:
        return new
    return PersonRef(
        new.external_id,
        new.email or old.email,
        new.name or old.name,
        new.kind or old.kind,
        new.state or old.state,
        new.role or old.role,
    )
