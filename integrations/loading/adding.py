"""Add up what one read says about one key in several rows: parts of one fact.

Providers promise no key of rows that we did not group ourselves, and a dimension of tomorrow splits
those we did. A later read replaces the earlier one; nothing is added up across reads.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from integrations.connectors.base import Connector, Feed
from integrations.connectors.records import is_sum
from integrations.exact import EXACT, add

Number = Decimal | int | None


def add_known(one: Number, other: Number) -> Number:
    """Add two numbers; what one side does not know, the sum does not know."""
    return None if one is None or other is None else add(one, other)


def sum_measures(one: Sequence[Number], other: Sequence[Number]) -> tuple[Number, ...]:
    return tuple(add_known(left, right) for left, right in zip(one, other, strict=True))


class Documents:
    """Merges the numbers of documents of one feed, path by path.

    Sums are added; of distinct counts and levels the largest is kept, as no part says how far they
    overlap. A path that one part alone has is kept as it is.
    """

    def __init__(self, connector: Connector, feed: Feed) -> None:
        self._kinds = _kinds(connector, feed.name)

    def merge(self, into: dict[str, Decimal], numbers: dict[str, Decimal]) -> None:
        for path, number in numbers.items():
            known = into.get(path)
            if known is None:
                into[path] = number
            elif self.is_sum(path):
                into[path] = EXACT.add(known, number)
            else:
                into[path] = max(known, number)

    def is_sum(self, path: str) -> bool:
        """Return True as declared for the path; for an undeclared field, by its name."""
        kind = self._kinds.get(path)
        if kind is not None:
            return kind == "sum"
        return is_sum(path)


@cache
def _kinds(connector: Connector, feed: str) -> dict[str, str]:
    return {
        path: metric.kind
        for metric in connector.catalog.metrics
        if feed in metric.feeds
        for path in (*metric.paths, *metric.optional_paths)
    }
