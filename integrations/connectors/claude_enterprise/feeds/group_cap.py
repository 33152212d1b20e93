"""Reads what an organization's totals are made of, around the cap of groups a day."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from integrations.connectors.anthropic.limits import Filters
from integrations.connectors.anthropic.parsing import SnapshotGuard
from integrations.connectors.anthropic.reports import Numbers, Values, add_measures, total
from integrations.connectors.claude_enterprise.feeds.filter_planner import FilterPlanner
from integrations.connectors.claude_enterprise.feeds.metered import (
    USAGE_DIMENSIONS,
    MeasureSet,
    ReportQuery,
)
from integrations.connectors.records import NOT_READ
from integrations.window import Window

Lines = dict[date, dict[Values, Numbers]]
_NULL_FILTER = "inference_geo"  # the one dimension that can be filtered for null


class CappedReportReader:
    """Rows by every dimension, as complete as queries can make them.

    Where days do not sum to their totals, coarser dimensions that have no component of prices tell
    what they lack, and as few filtered queries as that needs bring it. Where even the coarser
    rows are cut off, days are narrowed by one dimension, value by value, then, where one value has
    too many groups, by another, and so on. Every query asks for the whole window, as one request
    holds 31 days and must be served by the same export. `cap` is how many groups of a day the API
    gives; None is all, and then nothing is narrowed.
    """

    MOST_QUERIES = 80

    def __init__(
        self,
        ask: ReportQuery,
        kind: MeasureSet,
        window: Window,
        read: SnapshotGuard,
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
        self._lines = self._grouped(self._kind.dimensions, {})
        short = self._truncated_days()
        if short and self._cap is not None and self._kind.dimensions != USAGE_DIMENSIONS:
            self._complete(short, self._cap)
            short = self._truncated_days()
        if short and self._cap is not None:
            self._narrow({}, self._order(short, self._cap), short, self._cap)
        return self._lines

    def _truncated_days(self) -> set[date]:
        return {day for day, whole in self._totals.items() if self._is_missing(day, {}, whole)}

    def _complete(self, days: set[date], cap: int) -> None:
        """Ask for what the days lack by filters that take several values at once."""
        known = self._grouped(USAGE_DIMENSIONS, {})
        if any(len(known.get(day, {})) >= cap for day in days):
            return
        size = len(USAGE_DIMENSIONS)
        seen = Counter((day, values[:size]) for day in self._lines for values in self._lines[day])
        rows: dict[Values, int] = {}  # of a group: as many as on the day on which most are seen
        for (_, group), count in seen.items():
            rows[group] = max(rows.get(group, 0), count)
        most = max(rows.values(), default=1)
        lacking = {
            group
            for day in days
            for group, whole in known.get(day, {}).items()
            if self._is_missing(day, dict(zip(USAGE_DIMENSIONS, group, strict=True)), whole)
        }
        cover = FilterPlanner(
            [{group: rows.get(group, most) for group in known.get(day, {})} for day in days],
            cap,
            USAGE_DIMENSIONS.index(_NULL_FILTER),
        )
        for asked in cover.of(lacking) or ():
            if self._queries < self.MOST_QUERIES:
                read = self._grouped(
                    self._kind.dimensions,
                    {USAGE_DIMENSIONS[place]: asked[place] for place in asked},
                )
                for day in days:
                    self._lines.setdefault(day, {}).update(read.get(day, {}))

    def _order(self, days: set[date], cap: int) -> list[str]:
        """Order dimensions by the hundred known groups, so that few queries are needed.

        First those of which no value is likely to pass the cap again, fewest values first.
        """

        def cost(dimension: str) -> tuple[bool, int]:
            place = self._kind.dimensions.index(dimension)
            rows = Counter(
                (day, values[place]) for day in days for values in self._lines.get(day, ())
            )
            largest = max(rows.values(), default=0)
            if 2 * largest > cap:
                return True, largest
            return False, len({value for _, value in rows})

        return sorted(USAGE_DIMENSIONS, key=cost)

    def _narrow(
        self, scope: dict[str, str | None], dimensions: Sequence[str], days: set[date], cap: int
    ) -> None:
        """Close the gap of `days` inside `scope`, value by value of the first dimension."""
        dimension, *rest = dimensions
        names = (*scope, dimension)
        parts = self._grouped(names, _only(scope))
        wanting: dict[str | None, set[date]] = defaultdict(set)
        for day in days:
            for values, whole in parts.get(day, {}).items():
                inner = dict(zip(names, values, strict=True))
                if self._is_missing(day, inner, whole):
                    wanting[inner[dimension]].add(day)
        for value, short in sorted(wanting.items(), key=lambda item: item[0] or ""):
            if self._queries >= self.MOST_QUERIES:
                return
            inner = {**scope, dimension: value}
            capped = short
            if _filter(dimension, value) is not None:
                grouped = self._grouped(self._kind.dimensions, _only(inner))
                for day in short:
                    self._lines.setdefault(day, {}).update(grouped.get(day, {}))
                capped = {day for day in short if len(grouped.get(day, {})) >= cap}
            if capped and rest:
                self._narrow(inner, rest, capped, cap)

    def _is_missing(self, day: date, scope: dict[str, str | None], whole: Numbers) -> bool:
        """Return True if the rows of the day inside the filter do not sum to its total."""
        places = [(self._kind.dimensions.index(name), value) for name, value in scope.items()]
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

    def _grouped(self, names: Sequence[str], scope: Mapping[str, frozenset[str | None]]) -> Lines:
        """One read grouped by `names`, of the rows inside `scope`."""
        self._queries += 1
        lines: Lines = {}
        for part in self._ask(self._window, group_by=names, filters=_filters(scope)):
            self._read.check(part)
            for day, _, values, numbers in part.rows:
                inside = all(
                    name not in scope or value in scope[name]
                    for name, value in zip(names, values, strict=True)
                )
                if inside:
                    sums = lines.setdefault(day, {})
                    sums[values] = (
                        add_measures(sums[values], numbers) if values in sums else numbers
                    )
        return lines


def _only(scope: Mapping[str, str | None]) -> dict[str, frozenset[str | None]]:
    return {name: frozenset({value}) for name, value in scope.items()}


def _filters(scope: Mapping[str, frozenset[str | None]]) -> Filters:
    """Return the parameters, except for dimensions in which no filter selects a value."""
    wanted = {name: [_filter(name, value) for value in values] for name, values in scope.items()}
    return {
        f"{name}s": sorted(filter(None, asked))
        for name, asked in wanted.items()
        if None not in asked
    }


def _filter(dimension: str, value: str | None) -> str | None:
    """Return the filter for a value; None if the API has none, as for most nulls."""
    if value == NOT_READ:
        return None
    if dimension == _NULL_FILTER and value is None:
        return "not_available"
    return value
