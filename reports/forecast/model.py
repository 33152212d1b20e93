"""Forecast of future days from the known ones.

A structural time series (statsmodels): a level that drifts and a pattern of the week that changes
slowly. It takes a day that is not known for what it is, never for zero. Sums over several days come
from drawn futures, because days that lie side by side are off together. An estimate is no money:
it is rounded to cents. `docs/decisions/0007-…` has the numbers that led here.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

MAX_HISTORY_DAYS = 366  # days that are looked back at: older ones say little, and take time
MIN_HISTORY_DAYS = 42  # known days, of these
MAX_HORIZON_DAYS = 190  # days ahead
SIMULATIONS = 1000
DECILES = (0.1, 0.9)
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Estimate:
    """Expected value with the 80 % prediction interval."""

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

    def expected(self, day: date) -> Decimal | None:
        """Return the expected value of an unknown day; None without enough history."""
        estimates = self.estimate([day])
        return estimates.expected if estimates else None

    def estimate(self, days: Iterable[date]) -> Estimate | None:
        """All of these days together; None if there is too little history, or they are too far."""
        wanted, last = sorted(days), self.last_day
        if last is None or not wanted or (wanted[-1] - last).days > MAX_HORIZON_DAYS:
            return None
        first = max(min(self.known), last - timedelta(days=MAX_HISTORY_DAYS - 1))
        if wanted[0] < first or sum(day >= first for day in self.known) < MIN_HISTORY_DAYS:
            return None
        history = (first + timedelta(days=at) for at in range((last - first).days + 1))
        return _estimate(
            tuple(None if (n := self.known.get(day)) is None else float(n) for day in history),
            tuple((day - first).days for day in wanted),
        )


@lru_cache(maxsize=256)
def _estimate(history: tuple[float | None, ...], places: tuple[int, ...]) -> Estimate:
    """Estimate the days at these positions; those within the history are its gaps."""
    import numpy as np

    within, futures = _futures(history)
    sums = np.zeros(SIMULATIONS)
    for place in places:
        ahead = place - len(history)
        sums += within[place] if ahead < 0 else futures[ahead]
    low, high = np.quantile(sums, DECILES)
    expected = min(max(float(np.mean(sums)), low), high)
    return Estimate(_rounded(expected), _rounded(low), _rounded(high))


@lru_cache(maxsize=32)
def _futures(history: tuple[float | None, ...]) -> tuple[Any, Any]:
    """Return the fitted history, and each future day in each simulation.

    Arrays of (days of the history) and (days ahead, futures). Nothing costs less than nothing,
    unless the history has credits.
    """
    # Not above: these take a second and 140 MB, in a process that may never be asked.
    import numpy as np
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    values = np.array([np.nan if number is None else number for number in history])
    scale = float(np.nanmean(np.abs(values))) or 1.0
    # The best that was found is what is wanted. A series without any noise never converges.
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", "covariance is not symmetric", RuntimeWarning)
    fitted = UnobservedComponents(values / scale, level="local level", seasonal=7).fit(disp=0)
    drawn = fitted.simulate(
        MAX_HORIZON_DAYS, anchor="end", repetitions=SIMULATIONS, rng=np.random.default_rng(0)
    )
    futures = np.asarray(drawn).reshape(MAX_HORIZON_DAYS, SIMULATIONS)
    lowest = -np.inf if np.nanmin(values) < 0 else 0
    return np.maximum(fitted.predict(), lowest) * scale, np.maximum(futures, lowest) * scale


def _rounded(number: float) -> Decimal:
    return Decimal(number).quantize(_CENT)
