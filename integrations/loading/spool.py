"""What arrives from a provider, kept on disk until a whole window is there.

Memory follows the largest day and not the window: records are spooled in one file a day.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import IO, Any

import msgspec
from msgspec.structs import replace

from integrations.connectors.base import PayloadError, SnapshotMoved
from integrations.connectors.records import (
    USAGE_MEASURES,
    CostRecord,
    EngagementRecord,
    Page,
    PersonRef,
    Record,
    ResourceRef,
    TotalRecord,
)
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
        # Two for a day: lines, and apart from them lines that have a spelling.
        self._files: dict[tuple[date, bool], IO[bytes]] = {}
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
        spelling = getattr(record, "spelling", "")
        place = (record.day, bool(spelling))
        if place not in self._files:
            # Closed together in __exit__; small days never touch the disk.
            self._files[place] = tempfile.SpooledTemporaryFile(1 << 18)  # noqa: SIM115
        packed = self._encoder.encode((line(record), spelling) if spelling else line(record))
        self._files[place].write(len(packed).to_bytes(4, "big") + packed)

    def day(self, day: date) -> list[bytes]:
        """The day's lines in canonical order, each once: equal content is equal bytes.

        Raises `SnapshotMoved` if one row came with two different numbers and a spelling.
        """
        spelled = _added_up(map(_decode_spelled, self._read(day, True)))
        return sorted(self._read(day, False).union(map(self._encoder.encode, spelled)))

    def _read(self, day: date, spelled: bool) -> set[bytes]:
        file = self._files.get((day, spelled))
        lines: set[bytes] = set()
        if file is not None:
            file.seek(0)
            while size := file.read(4):
                lines.add(file.read(int.from_bytes(size, "big")))
        return lines


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A record as it is spooled: its kind, key and numbers, person by id only."""

    kind: str
    day: date
    person: str
    key: tuple[str, ...]
    numbers: tuple[Any, ...]


decode = msgspec.msgpack.Decoder(Line).decode
_decode_spelled = msgspec.msgpack.Decoder(tuple[Line, str]).decode


def line(record: Record) -> Line:
    if isinstance(record, TotalRecord):
        return Line("total", record.day, "", (record.measure,), (plain(record.value),))
    person = record.person.external_id if record.person else ""
    if isinstance(record, EngagementRecord):
        pairs = [(path, plain(value)) for path, value in sorted(record.values.items())]
        numbers = tuple(chain.from_iterable(pairs))
        # Labels only where there are some: a day without them keeps its content hash.
        labels = chain.from_iterable(sorted(record.labels.items()))
        key = (record.subject, str(record.days), record.name, *labels)
        return Line("engagement", record.day, person, key, numbers)
    meter = tuple(getattr(record.meter, name) for name in METER_FIELDS)
    if isinstance(record, CostRecord):
        amounts = (record.amount_usd, record.list_amount_usd)
        return Line("cost", record.day, person, meter, tuple(map(plain_or_none, amounts)))
    counts = tuple(plain_or_none(getattr(record, name)) for name in USAGE_MEASURES)
    return Line("usage", record.day, person, meter, counts)


def _added_up(lines: Iterable[tuple[Line, str]]) -> Iterator[Line]:
    """One line of those that differ in their spelling only."""
    found: dict[Line, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    for spelled, spelling in lines:
        known = found[replace(spelled, numbers=())]
        if known.setdefault(spelling, spelled.numbers) != spelled.numbers:
            raise two_numbers()
    for key, spellings in found.items():
        yield replace(key, numbers=tuple(map(_sum, zip(*spellings.values(), strict=True))))


def _sum(numbers: Iterable[str | None]) -> str | None:
    """What one of them does not know, the sum does not know."""
    total = Decimal()
    for number in numbers:
        if number is None:
            return None
        total += Decimal(number)
    return plain(total)


def two_numbers() -> SnapshotMoved:
    return SnapshotMoved(
        "The provider sent two different numbers for the same day, user and meter.",
        code="snapshot_moved",
        repair="Nothing to do. We read these days again from their start.",
    )


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
