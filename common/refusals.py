"""Requests that were refused a moment ago, remembered by each web process.

Shared by the web server, which delays their repetition, and the middleware, which answers it
without looking again. It is a shortcut only: forgetting an entry costs a query.
"""

import hashlib
import re
import time
from typing import Any

_MAX_ENTRIES = 2_000  # a few kilobytes each
_COOKIE = re.compile(rb"\r\ncookie:[ \t]*([^\r\n]*)", re.IGNORECASE)
_entries: dict[bytes, tuple[float, Any]] = {}


def key_of(target: str, cookies: str) -> bytes:
    """Identify an address, without its query, and a session. A digest: cookies are secrets."""
    path = target.partition("?")[0]
    return hashlib.sha256(f"{path}\n{cookies.strip()}".encode("latin-1", "replace")).digest()


def key_of_head(head: bytes) -> bytes | None:
    """Identify a GET request by the bytes of its head; None for any other, or without a cookie."""
    if not head.startswith(b"GET ") or not (cookies := _COOKIE.search(head)):
        return None
    target = head[4:].partition(b" ")[0]
    return key_of(target.decode("latin-1"), cookies[1].decode("latin-1"))


def remember(key: bytes, response: Any, seconds: float) -> None:
    """Repeat a response for so many seconds."""
    if len(_entries) >= _MAX_ENTRIES:
        _entries.clear()
    _entries[key] = (time.monotonic() + seconds, response)


def recall(key: bytes) -> Any | None:
    """Return the response to repeat, or None."""
    until, response = _entries.get(key, (0.0, None))
    return response if time.monotonic() < until else None
