"""Spans of UTC days: the ranges, intervals and comparisons a report can name."""

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

from integrations.window import Window

Interval = Literal["day", "week", "month", "quarter"]
INTERVALS: tuple[Interval, ...] = get_args(Interval)
CUSTOM = "custom"


# --- Ranges ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Range:
    label: str
    window: Callable[[date], Window]


def _to_date(interval: str) -> Callable[[date], Window]:
    return lambda today: Window(first_day(interval, today), today + timedelta(days=1))


def _last(interval: str) -> Callable[[date], Window]:
    def window(today: date) -> Window:
        end = first_day(interval, today)
        return Window(first_day(interval, end - timedelta(days=1)), end)

    return window


def _days(count: int) -> Callable[[date], Window]:
    return lambda today: Window.last(count, today=today)


def _last_12_months(today: date) -> Window:
    """Return the twelve whole months before this one."""
    end = first_day("month", today)
    return Window(plus_months(end, -12), end)


RANGES: dict[str, Range] = {
    "today": Range("Today", _to_date("day")),
    "yesterday": Range("Yesterday", _last("day")),
    "7d": Range("Last 7 days", _days(7)),
    "30d": Range("Last 30 days", _days(30)),
    "90d": Range("Last 90 days", _days(90)),
    "365d": Range("Last 365 days", _days(365)),
    "wtd": Range("This week", _to_date("week")),
    "last_week": Range("Last week", _last("week")),
    "mtd": Range("This month", _to_date("month")),
    "last_month": Range("Last month", _last("month")),
    "qtd": Range("Quarter to date", _to_date("quarter")),
    "last_quarter": Range("Last quarter", _last("quarter")),
    "12m": Range("Last 12 months", _last_12_months),
    "ytd": Range("Year to date", lambda t: Window(date(t.year, 1, 1), t + timedelta(days=1))),
}


# --- Intervals ---------------------------------------------------------------------------------
def first_day(interval: str, day: date) -> date:
    """Return the first day of its day, ISO week, month or quarter."""
    if interval == "week":
        return day - timedelta(days=day.weekday())
    if interval == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(day=1) if interval == "month" else day


def last_day(interval: str, start: date) -> date:
    """Return the last day of the day, ISO week, month or quarter that begins on `start`."""
    if interval == "week":
        return start + timedelta(days=6)
    if interval == "month":
        return _month_end(start)
    if interval == "quarter":
        return _month_end(plus_months(start, 2))
    return start


def split_into_intervals(window: Window, interval: str) -> Iterator[Window]:
    """Split a window into days, weeks, months or quarters, oldest first; edges may be partial."""
    day = window.start
    while day < window.end:
        end = min(last_day(interval, first_day(interval, day)) + timedelta(days=1), window.end)
        yield Window(day, end)
        day = end


def spans(days: Iterable[date]) -> Iterator[Window]:
    """Neighboring days together, oldest first."""
    start = last = None
    for day in sorted(days):
        if start and last and day - last > timedelta(days=1):
            yield Window(start, last + timedelta(days=1))
            start = None
        start, last = start or day, day
    if start and last:
        yield Window(start, last + timedelta(days=1))


def plus_months(day: date, months: int) -> date:
    """Return the same day of another month, or its last day if that month is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


# --- Comparisons -------------------------------------------------------------------------------
@dataclass(frozen=True)
class Shift:
    """Distance to the comparison period: a number of days or of months."""

    days: int = 0
    months: int = 0

    def align(self, day: date, window: Window) -> date:
        """Map an earlier day to its day of `window`: 31 January becomes 28 February."""
        return max(plus_months(day, self.months) + timedelta(days=self.days), window.start)

    def earlier(self, day: date) -> date | None:
        """Return the earlier day to compare a day with; None if that month is too short.

        31 October is compared with no day of a month of 30, so both sides have as many days.
        """
        moved = day - timedelta(days=self.days)
        candidate = plus_months(moved, -self.months)
        return candidate if candidate.day == moved.day or not self.months else None

    def before(self, window: Window) -> Window:
        """Return the previous period: whole months for whole months, otherwise as many days."""
        start, last = (
            plus_months(day, -self.months) - timedelta(days=self.days)
            for day in (window.start, window.last_day)
        )
        if self.months and _is_whole_months(window):
            last = _month_end(last)
        return Window(start, last + timedelta(days=1))


# The same days of the period before, for a period that has begun.
TO_DATE = {
    "wtd": Shift(days=7),
    "mtd": Shift(months=1),
    "qtd": Shift(months=3),
    "ytd": Shift(months=12),
}


def shift_of(comparison: str, window: Window, range_: str) -> Shift:
    """Return the distance to the comparison period.

    What began with a week, month, quarter or year is compared with the same days of the one before.
    """
    if comparison == "previous" and range_ in TO_DATE:
        return TO_DATE[range_]
    return COMPARISONS[comparison].shift(window)


def _previous(window: Window) -> Shift:
    """As many days as the window has; as many months if it is made of months."""
    if _is_whole_months(window):
        start, last = window.start, window.last_day
        return Shift(months=(last.year - start.year) * 12 + last.month - start.month + 1)
    return Shift(days=len(window))


def _is_whole_months(window: Window) -> bool:
    return window.start.day == 1 and window.end.day == 1


@dataclass(frozen=True)
class Comparison:
    label: str
    shift: Callable[[Window], Shift]


COMPARISONS: dict[str, Comparison] = {
    "previous": Comparison("The period before", _previous),
    "month": Comparison("A month ago", lambda window: Shift(months=1)),
    "year": Comparison("A year ago", lambda window: Shift(months=12)),
}
