"""What arrives from a provider, kept on disk until a whole window is there.

Memory follows the largest day and not the window: records are spooled in one file a day.
"""

import tempfile
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import IO, Any

import msgspec

from integrations.connectors.base import PayloadError, SnapshotMoved
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    Page,
    PersonRef,
    Record,
    ResourceRef,
    TotalRecord,
)
from integrations.loading.measures import USAGE_MEASURES
from integrations.models.dimensions import METER_FIELDS
from integrations.window import Window

_USD_PLACES = 12  # of the column: a finer amount is refused, because storing it would round it


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

    def __enter__(self) -> "Spool":
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
        for person in page.people:
            self._meet(person)
        for resource in page.resources:
            self.resources[resource.kind, resource.external_id] = resource
        for record in page.records:
            self._add_record(record)

    def _meet(self, person: PersonRef) -> None:
        self.people[person.external_id] = newest(self.people.get(person.external_id), person)

    def _add_record(self, record: Record) -> None:
        if record.day not in self.window:
            raise PayloadError(
                f"The provider sent {record.day}, which was not asked for.", code="payload"
            )
        person = getattr(record, "person", None)
        if person is not None:
            self._meet(person)
        if isinstance(record, CostRecord):
            check_precision(record.amount_usd)
            check_precision(record.list_amount_usd)
        if not isinstance(record, TotalRecord):
            self.rows += 1
        if record.day not in self._files:
            # Closed together in __exit__; small days never touch the disk.
            self._files[record.day] = tempfile.SpooledTemporaryFile(1 << 18)  # noqa: SIM115
        packed = self._encoder.encode(line(record))
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


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A record as it is spooled: its kind, key and numbers, person by id only."""

    kind: str
    day: date
    person: str
    key: tuple[str, ...]
    numbers: tuple[Any, ...]


decode = msgspec.msgpack.Decoder(Line).decode


def line(record: Record) -> Line:
    if isinstance(record, TotalRecord):
        return Line("total", record.day, "", (record.measure,), (plain(record.value),))
    person = record.person.external_id if record.person else ""
    if isinstance(record, EngagementRecord):
        pairs = [(path, plain(value)) for path, value in sorted(record.values.items())]
        numbers = tuple(chain.from_iterable(pairs))
        key = (record.subject, str(record.days), record.name)
        return Line("engagement", record.day, person, key, numbers)
    meter = tuple(getattr(record.meter, name) for name in METER_FIELDS)
    if isinstance(record, CostRecord):
        amounts = (record.amount_usd, record.list_amount_usd)
        return Line("cost", record.day, person, meter, tuple(map(plain_or_none, amounts)))
    counts = tuple(plain_or_none(getattr(record, name)) for name in USAGE_MEASURES)
    return Line("usage", record.day, person, meter, counts)


def plain(value: Decimal | int) -> str:
    """One spelling for one number: 412.8, never 412.80 or 4.128E+2."""
    if isinstance(value, int):
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain_or_none(value: Decimal | int | None) -> str | None:
    return None if value is None else plain(value)


def check_precision(amount: Decimal | None) -> None:
    if amount is None:
        return
    if not amount.is_finite() or -int(amount.normalize().as_tuple().exponent) > _USD_PLACES:
        raise PayloadError(
            f"An amount has more than {_USD_PLACES} decimal places or is not a number.",
            code="payload",
        )


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
    )
