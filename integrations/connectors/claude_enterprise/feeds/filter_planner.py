"""Plan filters that keep every response below the cap of groups a day.

Plain arithmetic over what is already known: nothing here asks anybody.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain
from operator import or_

from integrations.connectors.records import NOT_READ

Values = tuple[str | None, ...]  # of the dimensions that have a filter, in their order
Filter = dict[int, frozenset[str | None]]  # place of a dimension to the values to keep


class FilterPlanner:
    """Plans questions. `days` holds the rows to expect of each group, day by day.

    No row may be lost, so an answer has to stay below `cap`. Null can be filtered for in the
    dimension at the place `null_filter` and in no other.
    """

    def __init__(self, days: Sequence[Mapping[Values, int]], cap: int, null_filter: int) -> None:
        self._cap = cap
        self._null_filter = null_filter
        # Sets of groups are integers with a bit for each: the search counts them very often.
        bits = {group: 1 << n for n, group in enumerate(sorted({*chain(*days)}, key=str))}
        self._everything = (1 << len(bits)) - 1
        self._having: dict[tuple[int, str | None], int] = defaultdict(int)
        for group, bit in bits.items():
            for place, value in enumerate(group):
                self._having[place, value] |= bit
        self._days: list[dict[int, int]] = []  # rows of a group to the groups with so many
        for day in days:
            alike: dict[int, int] = defaultdict(int)
            for group, rows in day.items():
                alike[rows] |= bits[group]
            self._days.append(alike)
        self._counted: dict[int, int] = {}

    def of(self, wanted: set[Values]) -> list[Filter] | None:
        """Return few queries, by a simple search, that read every wanted group completely.

        None if there are none, because values without a filter hide too much.
        """
        places = range(len(next(iter(wanted)))) if wanted else ()
        return self._plan({}, wanted, tuple(places))

    def _plan(
        self, asked: Filter, wanted: set[Values], places: tuple[int, ...]
    ) -> list[Filter] | None:
        if not wanted:
            return []
        if self._fits(asked):
            return [asked]
        plans = [self._split(asked, wanted, places, place) for place in places]
        complete = (plan for plan in plans if plan is not None)
        return min(complete, key=lambda plan: (len(plan), sum(map(len, plan))), default=None)

    def _split(
        self, asked: Filter, wanted: set[Values], places: tuple[int, ...], place: int
    ) -> list[Filter] | None:
        """Ask for the values of one dimension in bins, and for what has none in another way."""
        others = tuple(other for other in places if other != place)
        values = {group[place] for group in wanted if self._has_filter(place, group[place])}
        if not values:
            return None
        rest = {group for group in wanted if group[place] not in values}
        plan = self._plan(asked, rest, others)
        bins: list[Filter] = []
        single: dict[str | None, Filter] = {
            value: {**asked, place: frozenset({value})} for value in values
        }
        for value in sorted(values, key=lambda one: (-self._rows(single[one]), one or "")):
            if plan is None:
                return None
            alone = single[value]
            if not self._fits(alone):
                inner = self._plan(alone, {g for g in wanted if g[place] == value}, others)
                plan = None if inner is None else plan + inner
                continue
            for number, known in enumerate(bins):
                together: Filter = {**known, place: known[place] | {value}}
                if self._fits(together):
                    bins[number] = together
                    break
            else:
                bins.append(alone)
        return None if plan is None else plan + bins

    def _has_filter(self, place: int, value: str | None) -> bool:
        return value != NOT_READ and (value is not None or place == self._null_filter)

    def _fits(self, asked: Filter) -> bool:
        return self._rows(asked) < self._cap

    def _rows(self, asked: Filter) -> int:
        """Return the number of rows of the fullest day."""
        inside = self._everything
        for place, values in asked.items():
            inside &= reduce(or_, (self._having[place, value] for value in values))
        if inside not in self._counted:
            self._counted[inside] = max(
                sum(rows * (groups & inside).bit_count() for rows, groups in day.items())
                for day in self._days
            )
        return self._counted[inside]
