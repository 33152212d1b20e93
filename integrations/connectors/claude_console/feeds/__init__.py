"""Declare the feeds of the Claude Console: the report of each and the table it fills.

Anthropic states neither a watermark nor a final date for the legacy reports. A read counts as
complete up to some minutes before, and a day as final after 35 days, the longest period in which
other reports are known to change. The beta reports name their snapshot.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any, Literal

from integrations.connectors.anthropic.beta_reports import oldest_day
from integrations.connectors.anthropic.tolerance import reporting_skipped_rows
from integrations.connectors.base import Feed, Table
from integrations.connectors.claude_console.client import LONGEST_RANGE
from integrations.connectors.claude_console.feeds import beta
from integrations.connectors.claude_console.feeds.activity import (
    BY_MODEL,
    read_claude_code,
    read_claude_code_by_model,
)
from integrations.connectors.claude_console.feeds.lists import (
    read_api_keys,
    read_members,
    read_workspaces,
)
from integrations.connectors.claude_console.feeds.reports import (
    read_cost,
    read_usage,
    read_usage_of_people,
)
from integrations.connectors.records import Page
from integrations.window import Window

Reader = Callable[[Any, Window], Iterator[Page]]
Grain = Literal["total", "person"]

_OPEN = 35  # days for which cost and usage are read again
_OPEN_ACTIVITY = 3
# Without any use: longer than a project pauses, and few requests. Claude Code is asked day by day.
_EMPTY = 186
_EMPTY_ACTIVITY = 93


def _closes_on(day: date) -> date:
    return day + timedelta(days=_OPEN)


def _open_days(today: date) -> Window:
    # A day longer than `_closes_on` asks: a closed day is read once more.
    return Window(today - timedelta(days=_OPEN + 1), today + timedelta(days=1))


def _activity_closes_on(day: date) -> date:
    return day + timedelta(days=_OPEN_ACTIVITY + 1)


def _open_activity(today: date) -> Window:
    return Window(today - timedelta(days=_OPEN_ACTIVITY), today + timedelta(days=1))


def _today(today: date) -> Window:
    return Window.last(1, today=today)


def _names(name: str, label: str, read: Reader, grain: Grain = "total") -> Feed:
    """Build a feed that lists what exists now, read once a day."""
    return Feed(
        name=name,
        label=label,
        table=Table.NAMES,
        grain=grain,
        window_days=LONGEST_RANGE,
        refresh_days=_today,
        closes_on=_activity_closes_on,
        read=read,
    )


def _metered(name: str, label: str, table: Table, read: Reader, grain: Grain = "total") -> Feed:
    """Cost or tokens: days that move for weeks."""
    return Feed(
        name=name,
        label=label,
        table=table,
        grain=grain,
        window_days=LONGEST_RANGE,
        refresh_days=_open_days,
        closes_on=_closes_on,
        read=read,
        empty_days=_EMPTY,
    )


def _claude_code(name: str, label: str, read: Reader, filled_by: str = "") -> Feed:
    """Build the feed of developer activity, read day by day."""
    return Feed(
        name=name,
        label=label,
        table=Table.ENGAGEMENT,
        grain="person",
        window_days=1,
        refresh_days=_open_activity,
        closes_on=_activity_closes_on,
        read=read,
        empty_days=_EMPTY_ACTIVITY,
        surfaces={}
        if filled_by
        else {"claude_code": ("claude_code_metrics.core_metrics.distinct_session_count",)},
        filled_by=filled_by,
    )


def _beta(name: str, label: str, read: Reader, compared_with: str) -> Feed:
    """Build a feed of beta reports: documents that enter no sum of cost or usage."""
    return Feed(
        name=name,
        label=label,
        table=Table.ENGAGEMENT,
        grain="person",
        window_days=LONGEST_RANGE,
        refresh_days=_open_days,
        closes_on=_closes_on,
        read=read,
        exported=True,
        oldest_day=oldest_day,
        compared_with=compared_with,
    )


# In the order in which an import reads them: names come first, so that no id is left without.
_FEEDS = (
    _names("workspaces", "Workspaces", read_workspaces),
    _names("api_keys", "API keys", read_api_keys),
    _names("members", "Members", read_members, "person"),
    _metered("cost", "Organization cost", Table.COST, read_cost),
    _metered("usage", "Organization tokens", Table.USAGE, read_usage),
    _metered("people_usage", "Tokens per person", Table.USAGE, read_usage_of_people, "person"),
    _claude_code("claude_code", "Claude Code activity", read_claude_code),
    _claude_code(
        BY_MODEL, "Claude Code by model", read_claude_code_by_model, filled_by="claude_code"
    ),
    _beta("beta_cost", "Cost by key, person and product (beta)", beta.read_cost, "cost"),
    _beta("beta_usage", "Tokens by key, person and product (beta)", beta.read_usage, "usage"),
)

# Invalid rows are skipped in every feed, and reported.
FEEDS = tuple(map(reporting_skipped_rows, _FEEDS))
