"""Ask for smaller pages where an answer would be too large for the API."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from integrations.connectors.anthropic.errors import UNEXPECTED
from integrations.connectors.anthropic.limits import Learned
from integrations.connectors.base import ConnectorError

_REFUSED = 400
# A refusal with a code of its own is about something else than the size of the answer.
_UNEXPLAINED = {UNEXPECTED, "not_available"}

Page = TypeVar("Page")


def shrinking(
    name: str,
    largest: int,
    learned: Learned,
    read: Callable[[int], Iterator[Page]],
    *,
    find_fault: Callable[[ConnectorError], Any],
    ask_for_less: Callable[[ConnectorError], None] | None = None,
) -> Iterator[Page]:
    """Yield the pages of `read(limit)`, halving `limit` as long as the first one is refused.

    `find_fault` raises what is wrong, unless it can only be the size of the answer; it is called
    before the first smaller page. `ask_for_less` is called where a single row is too much. The
    limit that is answered is kept under `name`.
    """
    full = limit = learned.limit(name, largest)
    while True:
        pages = read(limit)
        try:
            first = next(pages, None)
        except ConnectorError as exc:
            if exc.status != _REFUSED or exc.code not in _UNEXPLAINED:
                raise
            if limit == full:
                find_fault(exc)
            if limit == 1:
                if ask_for_less is not None:
                    ask_for_less(exc)
                raise
            limit //= 2
            continue
        if limit != full:
            learned.shrink(name, limit)
        if first is not None:
            yield first
            yield from pages
        return
