from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from accounts.models import Organization
from integrations.connectors.base import Feed, Table
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.models import Connection, FeedDay
from integrations.window import Window
from tests.factories import feed_day, make_connection, make_organization

COUNTED = next(feed.surfaces for feed in ClaudeEnterprise.feeds if feed.name == "users")


def a_feed(
    name: str, table: Table, grain: Any, surfaces: Mapping[str, tuple[str, ...]] | None = None
) -> Feed:
    return Feed(
        name=name,
        label=name,
        table=table,
        grain=grain,
        window_days=31,
        refresh_days=lambda today: Window.last(1, today=today),
        closes_on=lambda day: day,
        read=lambda client, window: iter(()),
        surfaces=surfaces or {},
    )


@pytest.fixture(autouse=True)
def feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the feeds as reports know them, whatever the connector learns later."""
    monkeypatch.setattr(
        ClaudeEnterprise,
        "feeds",
        (
            a_feed("all_cost", Table.COST, "total"),
            a_feed("person_cost", Table.COST, "person"),
            a_feed("person_usage", Table.USAGE, "person"),
            a_feed("summaries", Table.ENGAGEMENT, "total"),
            a_feed("users", Table.ENGAGEMENT, "person", COUNTED),
        ),
    )


@pytest.fixture
def organization(db: None) -> Organization:
    return make_organization()


@pytest.fixture
def connection(organization: Organization) -> Connection:
    return make_connection(organization)


def know(
    connection: Connection,
    first: str,
    last: str,
    state: str = FeedDay.State.FINAL,
    feeds: tuple[str, ...] = ("all_cost", "person_cost", "person_usage"),
) -> None:
    """Every feed has read these days, both included."""
    end = date.fromisoformat(last) + timedelta(days=1)
    for day in Window(date.fromisoformat(first), end):
        for feed in feeds:
            feed_day(connection, feed, day, state)
