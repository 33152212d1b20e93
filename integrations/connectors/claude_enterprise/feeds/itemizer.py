"""Reads what an organization's totals are made of, around the cap of groups a day."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date

from integrations.connectors.anthropic_api.lines import Numbers, Values, total
from integrations.connectors.anthropic_api.rows import Read
from integrations.connectors.claude_enterprise.feeds.metered import USAGE_CUT, Ask, Kind
from integrations.window import Window

Lines = dict[date, dict[Values, Numbers]]


class Itemizer:
    """Lines by every dimension, as complete as queries can make them.

    A day that does not sum to its total is narrowed by one dimension, value by value, then, where
    even one value has too many groups, by another, and so on. Every query asks for the whole
    window, as one request holds 31 days and must be served by the same export. `cap` is how many
    groups of a day the API gives; None is all, and then nothing is narrowed.
    """

    MOST_QUERIES = 80

    def __init__(
        self,
        ask: Ask,
        kind: Kind,
        window: Window,
        read: Read,
        totals: dict[date, Numbers],
        cap: int | None,
    ) -> None:
        self._ask = ask
        self._kind = kind
        self._window = window
        self._read = read
        self._totals = totals
        self._cap = cap
        self._queries = 0
        self._lines: Lines = {}

    def lines(self) -> Lines:
        self._lines = self._grouped(self._kind.cut, {})
        short = {day for day, whole in self._totals.items() if self._lacks(day, {}, whole)}
        if short and self._cap is not None:
            self._narrow({}, self._order(short, self._cap), short, self._cap)
        return self._lines

    def _order(self, days: set[date], cap: int) -> list[str]:
        """The dimensions as few queries need them: by the hundred groups that we have seen.

        First those of which no value is likely to pass the cap again, fewest values first.
        """

        def cost(dimension: str) -> tuple[bool, int]:
            place = self._kind.cut.index(dimension)
            rows = Counter(
                (day, values[place]) for day in days for values in self._lines.get(day, ())
            )
            largest = max(rows.values(), default=0)
            if 2 * largest > cap:
                return True, largest
            return False, len({value for _, value in rows})

        return sorted(USAGE_CUT, key=cost)

    def _narrow(
        self, cut: dict[str, str | None], dimensions: Sequence[str], days: set[date], cap: int
    ) -> None:
        """Close the gap of `days` inside `cut`, value by value of the first dimension."""
        dimension, *rest = dimensions
        names = (*cut, dimension)
        parts = self._grouped(names, cut)
        wanting: dict[str | None, set[date]] = defaultdict(set)
        for day in days:
            for values, whole in parts.get(day, {}).items():
                inner = dict(zip(names, values, strict=True))
                if self._lacks(day, inner, whole):
                    wanting[inner[dimension]].add(day)
        for value, short in sorted(wanting.items(), key=lambda item: item[0] or ""):
            if self._queries >= self.MOST_QUERIES:
                return
            inner = {**cut, dimension: value}
            capped = short
            if _filter(dimension, value) is not None:
                found = self._grouped(self._kind.cut, inner)
                for day in short:
                    self._lines.setdefault(day, {}).update(found.get(day, {}))
                capped = {day for day in short if len(found.get(day, {})) >= cap}
            if capped and rest:
                self._narrow(inner, rest, capped, cap)

    def _lacks(self, day: date, cut: dict[str, str | None], whole: Numbers) -> bool:
        """Do our lines of the day inside the cut not sum to the whole, in a number both know?"""
        places = [(self._kind.cut.index(name), value) for name, value in cut.items()]
        known = total(
            (
                numbers
                for values, numbers in self._lines.get(day, {}).items()
                if all(values[place] == value for place, value in places)
            ),
            self._kind.measures,
        )
        return any(
            None not in pair and pair[0] != pair[1] for pair in zip(known, whole, strict=True)
        )

    def _grouped(self, names: Sequence[str], cut: dict[str, str | None]) -> Lines:
        """One read grouped by `names`, of the rows inside `cut`."""
        self._queries += 1
        filters = {
            f"{name}s": [wanted]
            for name, value in cut.items()
            if (wanted := _filter(name, value)) is not None
        }
        lines: Lines = {}
        seen = Read()
        for part in self._ask(self._window, group_by=names, filters=filters):
            self._read.check(part)
            for day, _, values, numbers in part.lines:
                inside = all(
                    name not in cut or value == cut[name]
                    for name, value in zip(names, values, strict=True)
                )
                if inside and seen.is_new((day, values), numbers):
                    lines.setdefault(day, {})[values] = numbers
        return lines


def _filter(dimension: str, value: str | None) -> str | None:
    """The filter that selects a value; None if the API has none. Most nulls have none."""
    if dimension == "inference_geo" and value is None:
        return "not_available"
    return value
