"""Decode an answer although some of it has another shape than documented.

An answer as documented takes the strict and fast way. Otherwise each row is read by itself: null
where a map or a list is due is unknown or empty, a count may be text or have a fraction of zero, an
instant may lack its zone, text may hold halves of surrogate pairs. A row that still makes no sense
is kept out, counted and shown, and costs the others nothing.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from integrations.connectors.anthropic.errors import unexpected
from integrations.connectors.base import Feed, NotAvailable, PayloadError
from integrations.connectors.records import KeptOut, Page
from integrations.window import Window

Answer = TypeVar("Answer")
# An instant without a zone would not compare with others, so it is parsed leniently.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]

_ROWS = ("data", "results", "summaries")  # the lists whose items are kept out one by one
_DAYS = ("starting_at", "date")  # where a row or a bucket says its day
_MOST_REASONS = 20  # kept of one read
_ANOTHER_SHAPE = 10  # rows that make no sense before a read without a good one is refused


class Tally:
    """Rows skipped by one read: how many of which day, and why. A client has one.

    Day None: the row does not say, so no day of the window is whole.
    """

    def __init__(self) -> None:
        self.accepted = 0  # rows that were read one by one and made sense
        self._new: Counter[tuple[date | None, str]] = Counter()
        self._days: set[date | None] = set()

    def note(self, day: date | None, reason: str) -> None:
        known = (day, reason) in self._new or len(self._new) < _MOST_REASONS
        self._new[day, reason if known else "Other reasons."] += 1
        self._days.add(day)

    def guard(self, day: date | None = None) -> "_Guard":
        """Keep out the row that is translated in here if it makes no sense."""
        return _Guard(self, day)

    def spoils(self, day: date) -> bool:
        """Return True if a row of this day was skipped, or may have been."""
        return day in self._days or None in self._days

    def take(self) -> tuple[KeptOut, ...]:
        """Hand over what was noted since the last time."""
        kept_out = tuple(KeptOut(day, reason, rows) for (day, reason), rows in self._new.items())
        self._new.clear()
        return kept_out


class _Guard:
    __slots__ = ("_day", "_tally")

    def __init__(self, tally: Tally, day: date | None) -> None:
        self._tally = tally
        self._day = day

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, traceback: object) -> bool:
        if not isinstance(problem, PayloadError):
            return False
        self._tally.note(self._day, str(problem))
        self._tally.accepted -= 1
        return True


def reporting_skipped_rows(feed: Feed) -> Feed:
    """Wrap a feed so that its pages list the rows skipped in the responses behind them.

    Every connector wraps its feeds in this. A read that kept out many rows and accepted none
    raises: that is another shape of the whole report. A few rows are broken rows, also where their
    days have no others. Rows that make sense and bring no record, such as cost outside Slack in a
    report by channel, count as accepted.
    """

    @wraps(feed.read)
    def read(client: Any, window: Window) -> Iterator[Page]:
        client.kept_out = Tally()
        page: Page | None = None
        has_rows, rejected = False, 0
        reasons: list[KeptOut] = []
        for page in feed.read(client, window):
            reasons += (kept_out := client.kept_out.take())[: _MOST_REASONS - len(reasons)]
            rejected += sum(one.rows for one in kept_out)
            has_rows = has_rows or bool(page.records or page.people or page.resources)
            yield replace(page, kept_out=kept_out) if kept_out else page
        kept_out = client.kept_out.take()
        rejected += sum(one.rows for one in kept_out)
        is_empty = not has_rows and client.kept_out.accepted <= 0
        if is_empty and (rejected >= _ANOTHER_SHAPE or (rejected and page is None)):
            raise unexpected([*reasons, *kept_out][0].reason)
        if kept_out and page is not None:
            yield replace(page, records=(), people=(), resources=(), kept_out=kept_out)

    return replace(feed, read=read)


class Decoder(Generic[Answer]):
    """Decodes a body into a struct. Fractions of open rows become Decimal, not float."""

    def __init__(self, type_: Any) -> None:
        self._strict: Callable[[bytes], Answer] = msgspec.json.Decoder(
            type_, float_hook=Decimal
        ).decode
        self._info = inspect.type_info(type_)

    def __call__(self, content: bytes, kept_out: Tally) -> Answer:
        """Raise `msgspec.DecodeError` for what is no JSON, `ValidationError` for another shape."""
        try:
            return self._strict(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = _parsed(content)
        if not isinstance(body, dict):
            raise msgspec.ValidationError("not an object")
        answer: Answer = _LenientConverter(kept_out, body, self._info).convert(body, self._info)
        return answer


def _parsed(content: bytes) -> Any:
    """Decode the body as Python does, which accepts a byte order mark and lone surrogates."""
    try:
        text = content.decode("utf-8-sig", "surrogateescape")
        return json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise msgspec.DecodeError("not complete JSON") from None


def _no_number(word: str) -> None:
    raise ValueError(word)


class _LenientConverter:
    """Reads one body, whose type is `info`, row by row."""

    def __init__(self, kept_out: Tally, body: Mapping[str, Any], info: Any) -> None:
        self._kept_out = kept_out
        self._body = body
        names = {field.name for field in info.fields} if hasattr(info, "fields") else set()
        self._names_export = "data_refreshed_at" in names
        self._day: date | None = None

    def convert(self, value: Any, info: Any) -> Any:
        """Convert the value to its type; raise `ValidationError`."""
        if isinstance(info, inspect.Metadata):
            info = info.type
        if isinstance(info, inspect.UnionType):
            if value is None:
                return None
            info = next(one for one in info.types if not isinstance(one, inspect.NoneType))
            info = info.type if isinstance(info, inspect.Metadata) else info
        match info:
            case inspect.StructType():
                return self._struct(value, info)
            case inspect.ListType():
                return [self.convert(item, info.item_type) for item in _of(list, value)]
            case inspect.DictType():
                return _of(dict, value)
            case inspect.IntType():
                return whole(value)
            case inspect.DecimalType() | inspect.FloatType():
                return number(value)
            case inspect.StrType():
                return str(value) if _is_number(value) else _of(str, value)
            case inspect.BoolType():
                return _of(bool, value)
            case inspect.DateTimeType():
                return instant(value)
        return value

    def _struct(self, value: Any, info: inspect.StructType) -> Any:
        value, fields = _of(dict, value), {}
        before, self._day = self._day, _day_in(value) or self._day
        for field in info.fields:
            item = value.get(field.encode_name)
            if field.name in _ROWS and _is_list(field.type):
                if item is None and not _takes_null(field.type):
                    item = self._no_rows(value)
                if item is not None:
                    fields[field.name] = self._rows(item, field.type)
            elif item is None and not _takes_null(field.type):
                if field.required:
                    raise msgspec.ValidationError(f"no {field.encode_name}")
            elif item is not None or field.encode_name in value:
                fields[field.name] = self.convert(item, field.type)
            elif field.required:
                raise msgspec.ValidationError(f"no {field.encode_name}")
        self._day = before
        return info.cls(**fields)

    def _no_rows(self, value: Mapping[str, Any]) -> list[Any]:
        """Null instead of rows: none if an export covers them, and otherwise not known."""
        if self._body.get("data_refreshed_at"):
            return []
        if value is not self._body:
            self._kept_out.note(self._day, "Anthropic sent a day without the list of its rows.")
            return []
        if self._names_export:
            return []  # without an export nothing is known, which loading understands
        raise NotAvailable(
            "Anthropic answered without a list of rows.",
            code="not_available",
            repair="The next refresh tries again.",
        )

    def _rows(self, items: Any, info: Any) -> list[Any]:
        if isinstance(info, inspect.UnionType):
            info = next(one for one in info.types if isinstance(one, inspect.ListType))
        rows = []
        for item in _of(list, items):
            try:
                rows.append(self.convert(item, info.item_type))
                self._kept_out.accepted += not _holds_rows(info.item_type)
            except msgspec.ValidationError as exc:
                day = _day_in(item) if isinstance(item, dict) else None
                reason = f"Anthropic sent a row of another shape than documented: {exc}."
                self._kept_out.note(day or self._day, reason)
        return rows


def _is_list(info: Any) -> bool:
    types = info.types if isinstance(info, inspect.UnionType) else (info,)
    return any(isinstance(one, inspect.ListType) for one in types)


def _holds_rows(info: Any) -> bool:
    """Return True for a bucket, whose rows are counted instead of itself."""
    return any(field.name in _ROWS for field in getattr(info, "fields", ()))


def _takes_null(info: Any) -> bool:
    if isinstance(info, inspect.AnyType):
        return True
    types = info.types if isinstance(info, inspect.UnionType) else ()
    return any(isinstance(one, inspect.NoneType) for one in types)


def _of(type_: type, value: Any) -> Any:
    if not isinstance(value, type_):
        wanted = {list: "a list", dict: "an object", str: "text", bool: "yes or no"}[type_]
        raise msgspec.ValidationError(f"not {wanted} where one is due")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def number(value: Any) -> Decimal:
    """Convert a number, also one written as text; raise `ValidationError`."""
    if _is_number(value) or isinstance(value, str):
        try:
            parsed = Decimal(value)
        except InvalidOperation:
            pass
        else:
            if parsed.is_finite():
                return parsed
    raise msgspec.ValidationError("no number where one is due")


def whole(value: Any) -> int:
    """Convert a count, also "12" or 12.0; raise `ValidationError`."""
    parsed = number(value)
    if parsed.adjusted() > 30 or parsed != parsed.to_integral_value():
        raise msgspec.ValidationError("no whole number where one is due")
    return int(parsed)


def instant(value: Any) -> datetime:
    """Convert an instant, in UTC without a zone, or a date. Raise `ValidationError`."""
    try:
        parsed = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise msgspec.ValidationError("an instant that is not a date") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _day_in(row: Mapping[str, Any]) -> date | None:
    for name in _DAYS:
        if isinstance(row.get(name), str):
            try:
                return instant(row[name]).date()
            except msgspec.ValidationError:
                return None
    return None
