"""One status of a feed: no page, answer or notice can contradict another.

One broken fixture is shown everywhere. What every place has to say was worked out by hand.
"""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest
import time_machine
from django.urls import reverse

from accounts.models import Role
from integrations import notices
from integrations.encryption import Secret
from integrations.models import Connection, FeedDay, Notice, SyncRun, SyncWindow
from integrations.status.connections import read_statuses, status_of
from integrations.status.coverage import read_coverage
from integrations.status.days import DayState
from integrations.window import Window
from tests.factories import make_connection, make_member, make_organization, make_token

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "sgt_0123456789012345678901234567890123456789"
# Feed → status, complete to, what is wrong, what to do.
EXPECTED = {
    "organization_cost": ("Up to date", "22 Nov, 08:00", "", ""),
    "user_cost": ("Failed", "20 Nov, 08:00", "Anthropic sent nonsense.", "Report it."),
    "organization_usage": (
        "Delayed",
        "22 Nov, 08:00",
        "Anthropic has no such days.",
        "Wait a day.",
    ),
    "user_usage": ("Queued", "–", "", ""),
    "skills": (
        "Partly read",
        "21 Nov",
        "2 rows of 1 day are kept out, so this day is incomplete. An amount in EUR.",
        "",
    ),
    "connectors": ("Failed", "–", "Anthropic closed this report.", "Ask the Primary Owner."),
    "groups": ("Not available", "–", "This needs another scope.", "Add read:groups to the key."),
}


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOON, tick=False):
        yield


def run(connection, hours_ago, **feeds):
    """Store a finished run; a feed is `"done"` or (state, error, code, repair)."""
    at = NOON - timedelta(hours=hours_ago)
    stored = SyncRun.objects.create(
        connection=connection, kind="refresh", state="done", start="2026-11-19", end="2026-11-23",
        created_at=at, finished_at=at,
    )  # fmt: skip
    for position, (feed, outcome) in enumerate(feeds.items()):
        state, error, code, repair = ("done", "", "", "") if outcome == "done" else outcome
        SyncWindow.objects.create(
            run=stored, feed=feed, position=position, start="2026-11-19", end="2026-11-23",
            state=state, attempts=1, started_at=at, finished_at=at,
            error=error, error_code=code, error_repair=repair,
        )  # fmt: skip


def know(connection, feed, day, state="provisional", read_to=None, **fields):
    """Store that a day is known, by a snapshot of 08:00 on the day `read_to`."""
    FeedDay.objects.create(
        connection=connection, feed=feed, day=date(2026, 11, day), state=state,
        content_hash=b"", rows=1, read_at=NOON,
        watermark=read_to and datetime(2026, 11, read_to, 8, tzinfo=UTC), **fields,
    )  # fmt: skip


@pytest.fixture
def broken():
    connection = make_connection(
        make_organization(), credential=Secret("sk-ant-api01-sandbox-my-org"), key_hint="-org"
    )
    failed = ("failed", "Anthropic sent nonsense.", "payload", "Report it.")
    closed = ("failed", "Anthropic closed this report.", "access_denied", "Ask the Primary Owner.")
    late = ("unavailable", "Anthropic has no such days.", "not_published", "Wait a day.")
    run(connection, 100, organization_usage="done")
    run(connection, 12, user_cost=failed)
    run(
        connection,
        6,
        organization_cost="done",
        user_cost=failed,
        organization_usage=late,
        skills="done",
        connectors=closed,
        groups=(
            *("unavailable", "This needs another scope.", "optional_scope"),
            "Add read:groups to the key.",
        ),
    )
    know(connection, "organization_cost", 19, "final")
    know(connection, "organization_cost", 20, read_to=20)
    know(connection, "organization_cost", 21, read_to=22)
    know(connection, "user_cost", 20, read_to=20)
    know(connection, "organization_usage", 21, read_to=22)
    spoilt = {"kept_out": 2, "kept_out_reason": "An amount in EUR."}
    know(connection, "skills", 20, "incomplete", **spoilt)
    know(connection, "skills", 21)
    return connection


@pytest.fixture
def admin(client, broken):
    client.force_login(make_member(broken.organization, Role.BILLING_ADMIN))
    return client


def text_of(html):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def rows_of(page, connection):
    """Return the text of the row of each expected feed."""
    rows = {
        text_of(row.split("</th>", 1)[0]): text_of(row.split("</th>", 1)[1])
        for row in re.findall(
            r"<tr[^>]*>(?:(?!</tr>).)*<th scope=\"row\">.*?</tr>", page, re.DOTALL
        )
    }
    return {name: rows[connection.connector.feed(name).label] for name in EXPECTED}


def read(client, name, *arguments):
    response = client.get(reverse(name, args=["demo", *arguments]))
    assert response.status_code == 200
    return response


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("integrations:manage", ["claude-enterprise"]),
        ("integrations:feeds", ["my-org"]),
        ("integrations:health", []),
    ],
)
def test_pages_show_state_date_problem_and_repair_of_each_feed(admin, broken, name, arguments):
    rows = rows_of(read(admin, name, *arguments).content.decode(), broken)

    for feed, (word, complete_to, problem, repair) in EXPECTED.items():
        row = rows[feed]
        assert row.startswith(word), feed
        assert complete_to in row, feed
        assert repair in row, feed
        if feed == "skills" and name == "integrations:health":  # it names the days
            assert "20 Nov: 2 rows are kept out. An amount in EUR." in row
        else:
            assert problem in row, feed


def test_the_api_answers_the_same(client, broken):
    make_token(make_member(broken.organization, Role.BILLING_ADMIN), SECRET)
    headers = {"authorization": f"Bearer {SECRET}"}

    answer = client.get("/api/v1/connections/my-org/health", headers=headers).json()

    feeds = {feed["name"]: feed for feed in answer["feeds"]}
    for name, (word, complete_to, problem, repair) in EXPECTED.items():
        feed = feeds[name]
        assert feed["status"] == word
        assert (feed["error"] or feed["kept_out"], feed["repair"]) == (problem, repair)
        reached = feed["complete_to"] or feed["complete_day"]
        assert (reached is None) == (complete_to == "–")
    assert feeds["user_cost"]["complete_to"] == "2026-11-20T08:00:00Z"
    assert feeds["organization_cost"]["final_to"] == "2026-11-19"
    (connection,) = client.get("/api/v1/connections", headers=headers).json()
    assert connection["status"] == "Partly failing"
    assert connection["cost_complete_to"] == "2026-11-22T08:00:00Z"
    assert connection["repair"] == "Report it."


def test_the_dashboard_strip_says_the_same(admin, broken):
    query = "?range=7d"
    response = admin.get(reverse("dashboards:widget_csv", args=["demo", "health"]) + query)
    content = b"".join(response) if response.streaming else response.content
    lines = {
        line["feed"]: line for line in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    }

    for name, (word, complete_to, problem, repair) in EXPECTED.items():
        feed = broken.connector.feed(name)
        if feed.is_newest_only:
            continue
        line = lines[feed.label]
        assert (line["status"], line["complete_to"]) == (word, complete_to)
        assert (line["problem"], line["repair"]) == (problem, repair)


def test_card_top_bar_and_notices_speak_of_the_worst_feed(admin, broken):
    label = broken.connector.feed("user_cost").label
    other = broken.connector.feed("connectors").label
    page = text_of(read(admin, "integrations:index").content.decode())
    manage = text_of(read(admin, "integrations:manage", "claude-enterprise").content.decode())
    notices.detect(NOON)

    sentence = f"{label} failed in its last 2 runs: Anthropic sent nonsense. Also failing: {other}."
    for text in (page, manage):
        assert "Partly failing" in text
        assert f"{sentence} Report it." in text
        assert "Complete to 22 Nov, 08:00 UTC" in text
    (notice,) = Notice.objects.all()
    assert notice.text == f"{label} of my-org is not read: Anthropic sent nonsense."
    assert notice.repair == "Report it."
    assert "Complete to 22 Nov, 08:00 UTC" in text_of(
        read(admin, "dashboards:genai").content.decode()
    )


def test_the_connection_has_the_worst_state_and_the_earliest_date_of_its_feeds(broken):
    status = status_of(broken)

    assert status.status.word == "Partly failing"
    assert status.cost_complete_to == datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert status.final_to == date(2026, 11, 19)
    assert [feed.name for feed in status.failing_feeds] == ["user_cost", "connectors"]


def test_queries_do_not_grow_with_rows_or_connections(broken, django_assert_num_queries):
    def count(number):
        with django_assert_num_queries(number):
            return read_statuses(connections)

    connections = [broken]
    count(5)
    for number in range(4):
        other = make_connection(broken.organization, f"org-{number}")
        run(other, 6, organization_cost="done", user_cost="done")
        connections.append(other)
    FeedDay.objects.bulk_create(
        FeedDay(
            connection=broken, feed="user_cost", day=date(2025, 1, 1) + timedelta(days=day),
            state="final", content_hash=b"", rows=1, read_at=NOON,
        )
        for day in range(400)
    )  # fmt: skip
    connections = list(Connection.objects.order_by("label"))
    count(5)


def test_spans_hold_every_day_with_its_state(broken):
    coverage = read_coverage([broken])[broken.pk, "organization_cost"]

    assert coverage.days == {
        date(2026, 11, 19): DayState.FINAL,
        date(2026, 11, 20): DayState.PROVISIONAL,
        date(2026, 11, 21): DayState.PROVISIONAL,
    }
    assert [len(span.window) for span in coverage.spans] == [1, 2]
    days = Window(date(2026, 11, 17), date(2026, 11, 23))
    skills = read_coverage([broken], {"user_cost"}, days)
    assert set(skills) == {(broken.pk, "user_cost")}
    assert skills[broken.pk, "user_cost"].missing(days) == [
        Window(date(2026, 11, 17), date(2026, 11, 20))
    ]
