"""Estimate how far back an import can reach, and its minimum of requests."""

from dataclasses import dataclass, replace
from datetime import date
from math import ceil

from django.conf import settings

from integrations.connectors.base import Connector
from integrations.window import Window


@dataclass(frozen=True)
class ImportEstimate:
    """Days to import. `minutes` is None where requests are not paced.

    `empty_days` is set where the provider does not say how far back it goes: reading stops
    behind so many days without any use, so there may be far fewer days than these.
    """

    window: Window
    requests: int
    minutes: int | None
    empty_days: int = 0

    @property
    def days(self) -> int:
        return len(self.window)

    @property
    def title(self) -> str:
        return f"{self.days} days"


def default_range(connector: Connector, today: date) -> ImportEstimate:
    """Return what a new connection imports by default."""
    window = Window.last(settings.IMPORT_DAYS, today=today)
    return _cost(connector, window.not_before(connector.earliest_day(today)) or window)


def full_history(connector: Connector, today: date) -> ImportEstimate:
    """All the provider still answers for, today included."""
    estimate = _cost(connector, Window.since(connector.earliest_day(today), today=today))
    return replace(estimate, empty_days=max(feed.empty_days for feed in connector.feeds))


def _cost(connector: Connector, window: Window) -> ImportEstimate:
    requests = 0
    for feed in connector.feeds:
        oldest = feed.oldest_day(window.last_day) if feed.oldest_day else window.start
        answered = window.not_before(oldest)
        if answered and not feed.filled_by:
            requests += len(feed.windows(answered))
    pace = connector.requests_per_minute
    return ImportEstimate(window, requests, ceil(requests / pace) if pace else None)
