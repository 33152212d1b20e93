"""Parsing shared by feeds of both products: days, cents and numbers.

Here cents become dollars. Feeds of both products translate with these.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Protocol

from integrations.connectors.anthropic.errors import unexpected
from integrations.connectors.base import PayloadError, SnapshotMoved
from integrations.exact import EXACT, is_storable
from integrations.window import Window, midnight

Number = int | Decimal


class Snapshot(Protocol):
    """An answer that names the export it was served from."""

    @property
    def data_refreshed_at(self) -> datetime | None: ...


class SnapshotGuard:
    """Guard that all pages of one read come from the same snapshot."""

    def __init__(self) -> None:
        self.watermark: datetime | None = None
        self._pages = 0

    def check(self, report: Snapshot) -> None:
        """Raise `SnapshotMoved` if this page comes from another export than those before."""
        if self._pages and report.data_refreshed_at != self.watermark:
            raise SnapshotMoved(
                "Anthropic published new data during the read.",
                code="snapshot_moved",
                repair="These days are read again automatically.",
            )
        self._pages += 1
        self.watermark = report.data_refreshed_at


@lru_cache(maxsize=512)
def day_of(instant: str | None) -> date:
    """Return the UTC day of a midnight, with or without a zone; raise `PayloadError`."""
    try:
        parsed = datetime.fromisoformat(instant or "")
    except (ValueError, TypeError):
        raise payload_error("an instant that is not a date") from None
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    if parsed.utcoffset() != timedelta(0) or parsed != midnight(parsed.date()):
        raise payload_error(f"{instant}, which is not midnight UTC, as a day")
    return parsed.date()


def requested_day(window: Window, instant: str | None) -> date:
    """Return the UTC day of a midnight and require that it was requested."""
    day = day_of(instant)
    if day not in window:
        raise payload_error(f"{day}, which was not asked for")
    return day


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def usd(cents: Decimal) -> Decimal:
    """Exactly, whatever the number of decimals: "41280.000000" cents are 412.80 dollars."""
    if not is_storable(cents):
        raise payload_error("an amount that is not a number, or one of a thousand digits")
    return EXACT.scaleb(cents, -2)


def in_dollars(currency: str | None) -> None:
    """Raise `PayloadError` for an amount in another currency than US dollars."""
    if currency is not None and currency.upper() != "USD":
        raise payload_error(f"an amount in {currency}; we only know US dollars")


def numbers(value: Any, path: str = "", *, all_count: bool = False) -> Iterator[tuple[str, Number]]:
    """Yield every number below `value` with its dotted path, including undeclared fields.

    A count may be written as text. With `all_count`, everything below is a count; otherwise names
    distinguish counts from ids.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, f"{path}.{name}" if path else name, all_count=all_count)
    elif isinstance(value, str):
        if all_count or path.endswith("_count"):
            number = _counted(value)
            if number is not None:
                yield path, number
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        if not is_storable(Decimal(value)):
            raise payload_error("a number of a thousand digits")
        yield path, value


def _counted(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if is_storable(number) else None


def payload_error(what: str) -> PayloadError:
    """Return the error for a response whose content is invalid."""
    return unexpected(f"Anthropic sent {what}.")
