"""Days that the Analytics API has, and how long their numbers can change."""

from datetime import date, timedelta

from integrations.connectors.anthropic.parsing import yesterday
from integrations.connectors.base import NotAvailable
from integrations.window import Window

OLDEST_DAY = date(2026, 1, 1)  # nothing older is served
LONGEST_RANGE = 31  # days per query of the cost and usage reports


def earliest_day(today: date) -> date:
    """Return the oldest day the API has: 365 days back, and never before 2026."""
    return max(OLDEST_DAY, today - timedelta(days=365))


def closes_on(day: date) -> date:
    """30 days after the day has ended and 7 days after its month has, whichever is later.

    The documentation names the first, newer texts the second: we wait for both.
    """
    next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return max(day + timedelta(days=31), next_month + timedelta(days=7))


def open_period(today: date) -> Window:
    """Return the days whose cost and usage can still change, today included."""
    this_month = today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    # Two days longer than `closes_on` asks: a closed day is read once more.
    month = last_month if today.day <= 9 else this_month
    return Window(min(today - timedelta(days=31), month), today + timedelta(days=1))


def revised_days(today: date) -> Window:
    """Return the days whose activity is still revised."""
    return Window(today - timedelta(days=7), today)


def published_days(window: Window) -> Window:
    """Return the part of the window that can be published: today follows tomorrow."""
    end = min(window.end, yesterday() + timedelta(days=1))
    if end <= window.start:
        raise NotAvailable(
            f"Activity of {window} is not there yet.",
            code="not_available",
            repair="Activity of a day is published the day after, from 10:00 UTC.",
        )
    return Window(window.start, end)
