"""A small company on 25 November 2026, whose every number can be worked out by hand."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.http import QueryDict

from integrations.connectors.base import Table
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.models import Connection, FeedDay, Person
from integrations.window import Window, midnight
from reports.dashboard.results import WidgetResult
from reports.dashboard.scope import Scope
from reports.dashboard.widgets import WIDGETS
from tests.factories import activity, cost, make_person, usage
from tests.reports.conftest import a_feed

TODAY = date(2026, 11, 25)
ENGAGEMENT = ("summaries", "users", "skills")


FEEDS = ("all_cost", "person_cost", "person_usage")


def know(
    connection: Connection,
    first: str,
    last: str,
    state: str = FeedDay.State.FINAL,
    feeds: tuple[str, ...] = FEEDS,
) -> None:
    """Every feed has read these days, both included: months of them in one statement."""
    end = date.fromisoformat(last) + timedelta(days=1)
    FeedDay.objects.bulk_create(
        FeedDay(
            connection=connection, feed=feed, day=day, state=state, content_hash=b"\0" * 32,
            rows=1, read_at=midnight(end), watermark=midnight(end),
        )
        for day in Window(date.fromisoformat(first), end)
        for feed in feeds
    )  # fmt: skip


@pytest.fixture(autouse=True)
def more_feeds(feeds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    skills = a_feed("skills", Table.ENGAGEMENT, "person")
    monkeypatch.setattr(ClaudeEnterprise, "feeds", (*ClaudeEnterprise.feeds, skills))


@pytest.fixture
def ask(organization: Any) -> Callable[..., WidgetResult]:
    """Ask one widget by name."""

    def answer(name: str, query: str = "", today: date = TODAY) -> WidgetResult:
        scope = Scope.from_query(organization, QueryDict(query), today=today)
        return WIDGETS[name].ask(scope)

    return answer


@pytest.fixture
def ann(connection: Connection) -> Person:
    return make_person(connection, "user_ann", name="Ann Ito", email="ann@example.com")


@pytest.fixture
def bo(connection: Connection) -> Person:
    return make_person(connection, "user_bo", email="bo@example.com", state="deleted")


@pytest.fixture
def company(connection: Connection, ann: Person, bo: Person) -> Connection:
    """Two people and an API key. October is final, November can change, the 25th has not ended."""
    know(connection, "2026-08-01", "2026-10-31")
    know(connection, "2026-11-01", "2026-11-24", "provisional")
    know(connection, "2026-11-25", "2026-11-25", "incomplete")
    know(connection, "2026-10-01", "2026-11-23", "provisional", feeds=ENGAGEMENT)
    code = {"product": "claude_code", "model": "opus"}
    # October: 40 + 20 = 60, all of it up to the 24th.
    cost(connection, "2026-10-05", "40", list_amount="50", person=ann, **code)
    cost(connection, "2026-10-20", "20", list_amount="20", person=bo, product="chat", model="haiku")
    # November: 60 + 30 + 10 = 100 complete, 5 more today.
    cost(connection, "2026-11-02", "60", list_amount="75", person=ann, speed="fast", **code)
    cost(connection, "2026-11-03", "30", list_amount="30", person=bo, product="chat", model="opus")
    cost(connection, "2026-11-10", "10", list_amount="10", product="claude_code")
    cost(connection, "2026-11-25", "5", list_amount="5", person=ann, **code)
    usage(
        connection, "2026-10-05", person=ann, requests=1, cache_read_tokens=50,
        uncached_input_tokens=50, **code,
    )  # fmt: skip
    usage(
        connection, "2026-11-02", person=ann, requests=3, cache_read_tokens=60,
        uncached_input_tokens=20, cache_write_5m_tokens=10, cache_write_1h_tokens=10,
        output_tokens=100, **code,
    )  # fmt: skip
    usage(connection, "2026-11-03", person=bo, requests=1, output_tokens=8, product="chat")
    for day, active in (("2026-11-22", 30), ("2026-11-23", 31)):
        activity(
            connection, day, assigned_seat_count=40, pending_invite_count=4,
            daily_active_user_count=10, weekly_active_user_count=20,
            monthly_active_user_count=active, chat_daily_active_user_count=3,
            chat_weekly_active_user_count=6, chat_monthly_active_user_count=9,
        )  # fmt: skip
    for day in ("2026-10-29", "2026-11-05", "2026-11-12", "2026-11-19"):  # once in each week
        activity(connection, day, person=ann, **work(sessions=2, messages=1))
    activity(connection, "2026-11-19", person=bo, **work(messages=4))
    return connection


def work(sessions: int = 0, messages: int = 0) -> dict[str, Any]:
    """Return a day's activity: per session a commit, ten lines and nine of ten edits accepted."""
    code, tools = "claude_code_metrics__core_metrics", "claude_code_metrics__tool_actions"
    values: dict[str, Any] = {
        f"{code}__distinct_session_count": sessions,
        f"{code}__commit_count": sessions,
        f"{code}__pull_request_count": 0,
        f"{code}__lines_of_code__added_count": 10 * sessions,
        f"{code}__lines_of_code__removed_count": sessions,
        "chat_metrics__message_count": messages,
        "cowork_metrics__message_count": 0,
        "cowork_metrics__action_count": 0,
        "design_metrics__message_count": 0,
    }
    for tool in ("edit_tool", "multi_edit_tool", "notebook_edit_tool", "write_tool"):
        is_used = tool == "edit_tool"
        values[f"{tools}__{tool}__accepted_count"] = 9 * sessions * is_used
        values[f"{tools}__{tool}__rejected_count"] = sessions * is_used
    for app in ("excel", "outlook", "powerpoint", "word"):
        values[f"office_metrics__{app}__message_count"] = 0
    return values
