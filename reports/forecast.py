"""What the days ahead will cost, by what the same weekdays cost before.

Each weekday is smoothed on its own, and a week further back counts half as much: a Tuesday is
expected to cost what the last Tuesdays did. The range is honest about the method, not about a
model: it holds how far the same method was off, over as many days at the same distance, from
every day of the past it can be tried on. Days that are not known are left out, never taken for
zero. `docs/decisions/0007-…` has the numbers that led here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import ceil

WEEKS = 13  # weekdays that are looked back at; older ones have no weight left
FIRST_WEEKS = 3  # of history before a day on which the method is tried
FEWEST_TRIALS = 8  # for a range that says something
TENTH = Decimal("0.1")
_HALF = Decimal("0.5")


@dataclass(frozen=True)
class Estimate:
    """What is expected, and the range that held eight of ten earlier trials."""

    expected: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True)
class Forecast:
    """`known` are the numbers of complete days, with gaps where nothing is known."""

    known: Mapping[date, Decimal]

    @property
    def last_day(self) -> date | None:
        return max(self.known, default=None)

    def expected(self, day: date, *, since: date | None = None) -> Decimal | None:
        """By the same weekdays up to `since` (the last known day); None without any."""
        until = since or self.last_day
        if until is None:
            return None
        behind = (until - day).days % 7
        weighted, weights, weight = Decimal(), Decimal(), Decimal(1)
        for week in range(WEEKS):
            value = self.known.get(until - timedelta(days=behind + 7 * week))
            if value is not None:
                weighted += weight * value
                weights += weight
            weight *= _HALF
        return weighted / weights if weights else None

    def estimate(self, days: Iterable[date]) -> Estimate | None:
        """All of these days together; None if there is too little history to try it on."""
        wanted = sorted(days)
        last = self.last_day
        if last is None or not wanted:
            return None
        expected = self._sum(wanted, last)
        ratios = self._trials([(day - last).days for day in wanted if day > last])
        if expected is None or len(ratios) < FEWEST_TRIALS:
            return None
        low, high = _quantile(ratios, TENTH), _quantile(ratios, 1 - TENTH)
        return Estimate(
            expected,
            low=expected * min(low, Decimal(1)),
            high=expected * max(high, Decimal(1)),
        )

    def _sum(self, days: Sequence[date], since: date) -> Decimal | None:
        total = Decimal()
        for day in days:
            value = self.expected(day, since=since)
            if value is None:
                return None
            total += value
        return total

    def _trials(self, distances: Sequence[int]) -> list[Decimal]:
        """What came of what was expected so many days ahead, from each day of the past."""
        if not distances:
            return []
        first, last = min(self.known), max(self.known)
        found = []
        origin = first + timedelta(days=7 * FIRST_WEEKS - 1)
        while origin + timedelta(days=max(distances)) <= last:
            days = [origin + timedelta(days=distance) for distance in distances]
            come = [day for day in days if day in self.known]
            expected = self._sum(come, origin) if come else None
            if expected:
                found.append(sum((self.known[day] for day in come), Decimal()) / expected)
            origin += timedelta(days=1)
        return found


def _quantile(values: Sequence[Decimal], part: Decimal) -> Decimal:
    """The smallest value that at least this part of all does not exceed."""
    return sorted(values)[max(ceil(part * len(values)), 1) - 1]
