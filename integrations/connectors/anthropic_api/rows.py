"""What rows of Anthropic's reports have in common: days, cents, and being sent once.

Here cents become dollars. Feeds of both products translate with these.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from typing import Any, Protocol

from integrations.connectors.anthropic_api.refusals import unexpected
from integrations.connectors.base import PayloadError, SnapshotMoved
from integrations.window import Window, midnight

_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])


class Exported(Protocol):
    """An answer that names the export it was served from."""

    @property
    def data_refreshed_at(self) -> datetime | None: ...


class Read:
    """What has to hold over all pages of one read: one export, and every row once."""

    def __init__(self) -> None:
        self.watermark: datetime | None = None
        self._pages = 0
        self._rows: dict[int, int] = {}  # 64-bit hashes of key and numbers: 100 bytes a row

    def check(self, report: Exported) -> None:
        """Raise `SnapshotMoved` if this page comes from another export than those before."""
        if self._pages and report.data_refreshed_at != self.watermark:
            raise SnapshotMoved(
                "Anthropic published new data while we were reading.",
                code="snapshot_moved",
                repair="Nothing to do. We read these days again from their start.",
            )
        self._pages += 1
        self.watermark = report.data_refreshed_at

    def is_new(self, key: tuple[object, ...], numbers: tuple[object, ...]) -> bool:
        """False for a row we have had. Raises `SnapshotMoved` if its numbers were others."""
        name, fingerprint = hash(key), hash(numbers)
        known = self._rows.get(name)
        if known is None:
            self._rows[name] = fingerprint
            return True
        if known != fingerprint:
            raise SnapshotMoved(
                "Anthropic sent two different numbers for the same row: its data moved while we "
                "were reading.",
                code="snapshot_moved",
                repair="Nothing to do. We read these days again from their start.",
            )
        return False


@lru_cache(maxsize=512)
def day_of(instant: str | None) -> date:
    """The UTC day of an RFC 3339 midnight; raises `PayloadError`."""
    try:
        found = datetime.fromisoformat(instant or "")
    except ValueError:
        raise odd("an instant that is not a date") from None
    if found.utcoffset() != timedelta(0) or found != midnight(found.date()):
        raise odd(f"{instant}, which is not midnight UTC, as a day")
    return found.date()


def day_in(window: Window, instant: str | None) -> date:
    """The same, and it was asked for."""
    day = day_of(instant)
    if day not in window:
        raise odd(f"{day}, which was not asked for")
    return day


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def usd(cents: Decimal) -> Decimal:
    """Exactly: "41280.000000" cents are 412.80 dollars."""
    if not cents.is_finite():
        raise odd("an amount that is not a number")
    try:
        return _EXACT.scaleb(cents, -2)
    except (Inexact, InvalidOperation):
        raise odd("an amount with too many digits") from None


def in_dollars(currency: str | None) -> None:
    """Raise `PayloadError` for an amount in another currency than US dollars."""
    if currency not in (None, "USD"):
        raise odd(f"an amount in {currency}; we only know US dollars")


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, int | Decimal]]:
    """Every number below `value` with its dotted path, also of fields nobody knows yet."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        yield path, value


def odd(what: str) -> PayloadError:
    """An answer whose content makes no sense."""
    return unexpected(f"Anthropic sent {what}.")
