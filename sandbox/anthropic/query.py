"""Reading the parameters of a request, strictly, and the cursors that continue it."""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

OLDEST = date(2026, 1, 1)


class ApiError(Exception):
    """An answer other than 200. `more` stands beside type and message in its body.

    Some bodies do not repeat the request id: `has_request_id`.
    """

    has_request_id = True

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.headers = dict(headers or {})
        self.more = more


def bad_request(message: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message)


def refuse_many_dimensions(names: Collection[str], most: int = 5) -> None:
    """400 as the live API writes it, for more `group_by[]` than a question may name."""
    if len(names) > most:
        error = bad_request(f"Cannot specify more than {most} group_by[] dimensions.")
        error.has_request_id = False
        raise error


class Query:
    """The query string of one request. What it does not allow raises 400."""

    def __init__(self, text: str, *, allowed: set[str]) -> None:
        self._values: dict[str, list[str]] = defaultdict(list)
        for name, value in parse_qsl(text, keep_blank_values=True):
            self._values[name].append(value)
        # Stricter than the API may be: a misspelt parameter should not pass unnoticed.
        for name in self._values:
            if name not in allowed:
                raise bad_request(f"{name}: unknown parameter.")

    def text(self, name: str) -> str | None:
        values = self._values.get(name, [])
        if len(values) > 1:
            raise bad_request(f"{name}: may be given once.")
        return values[0] if values else None

    def choice(self, name: str, choices: tuple[str, ...], default: str | None) -> str | None:
        value = self.text(name)
        if value is None:
            return default
        if value not in choices:
            raise bad_request(f"{name}: must be one of {', '.join(choices)}.")
        return value

    def list(self, name: str, *, among: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return the distinct values of `name[]` in their order."""
        values = tuple(dict.fromkeys(self._values.get(f"{name}[]", [])))
        if len(values) > 100:
            raise bad_request(f"{name}[]: at most 100 values.")
        for value in values:
            if among is not None and value not in among:
                raise bad_request(f"{name}[]: unsupported value {value!r}.")
        return values

    def flag(self, name: str) -> bool:
        return self.choice(name, ("true", "false"), "false") == "true"

    def limit(self, default: int, highest: int) -> int:
        value = self.text("limit")
        if value is None:
            return default
        if not value.isdecimal() or not 1 <= int(value) <= highest:
            raise bad_request(f"limit: must be between 1 and {highest}.")
        return int(value)

    def instant(self, name: str) -> datetime | None:
        """Parse an RFC 3339 instant, which needs a zone."""
        value = self.text(name)
        if value is None:
            return None
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise bad_request(f"{name}: must be an RFC 3339 timestamp.") from None
        if parsed.tzinfo is None or "T" not in value:
            raise bad_request(f"{name}: must be an RFC 3339 timestamp with a time zone.")
        return parsed.astimezone(UTC)

    def day(self, name: str) -> date | None:
        value = self.text(name)
        if value is None:
            return None
        try:
            if len(value) != 10:
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            raise bad_request(f"{name}: must be a date, YYYY-MM-DD.") from None

    def fingerprint(self, path: str) -> str:
        """Names the query without its cursor."""
        rest = sorted((name, values) for name, values in self._values.items() if name != "page")
        return hashlib.sha256(json.dumps([path, rest]).encode()).hexdigest()[:16]


def cursor(query: Query, path: str, offset: int, state: str) -> str:
    """Return an opaque cursor to `offset`; `state` must be unchanged when it comes back."""
    content = json.dumps([query.fingerprint(path), offset, state])
    return "page_" + base64.urlsafe_b64encode(content.encode()).decode()


def open_cursor(query: Query, path: str) -> tuple[int, str] | None:
    """(offset, state) of the cursor sent along, None without one; 400 if it fits no more."""
    page = query.text("page")
    if page is None:
        return None
    try:
        content: Any = json.loads(base64.urlsafe_b64decode(page.removeprefix("page_")))
        fingerprint, offset, state = content
        fits = fingerprint == query.fingerprint(path) and isinstance(offset, int) and offset > 0
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise bad_request("cursor does not match current query parameters")
    return offset, state


def check_range(start: datetime, end: datetime, *, now: datetime, longest: timedelta) -> None:
    """Apply the rules that all ranges of instants share."""
    if end <= start:
        raise bad_request("ending_at: must be after starting_at.")
    if end - start > longest:
        raise bad_request(f"The range is longer than {longest.days} days.")
    if start.date() < OLDEST:
        raise bad_request("starting_at: data starts at 2026-01-01.")
    if start < now - timedelta(days=366):
        raise bad_request("starting_at: must be within the last 365 days.")
