"""The sync log and the health of feeds: what was read, how it went, what to do."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from integrations import log, sync
from integrations.encryption import Secret
from integrations.models import Connection, SyncRun, SyncWindow
from integrations.status.connections import status_of
from integrations.window import Window
from tests.factories import feed_day, make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

KEY = "sk-ant-api01-sandbox-my-org"
NOW = datetime(2026, 11, 22, 16, 4, tzinfo=UTC)


@pytest.fixture
def organization(sandbox):
    return make_organization()


@pytest.fixture
def viewer(client, organization):
    client.force_login(make_member(organization, Role.VIEWER))
    return client


@pytest.fixture
def connection(organization):
    return make_connection(organization, credential=Secret(KEY))


def make_run(connection, *parts, at=NOW, state="done", **fields):
    """Create a run with one window per dict; days, feed and state have defaults."""
    run = SyncRun.objects.create(
        connection=connection,
        kind="refresh",
        state=state,
        start="2026-11-01",
        end="2026-11-23",
        created_at=at,
        finished_at=at + timedelta(seconds=95) if state != "active" else None,
        **fields,
    )
    for position, part in enumerate(parts):
        part = {"feed": "organization_cost", "state": "done", "attempts": 1, **part}
        done = {"started_at": at, "finished_at": at + timedelta(seconds=9)}
        if part["state"] in {"pending", "running"}:
            done["finished_at"] = None
        SyncWindow.objects.create(
            run=run, position=position, start="2026-11-01", end="2026-11-23", **done | part
        )
    return run


def url(name, *arguments):
    return reverse(f"integrations:{name}", args=["demo", *arguments])


def page(client, address):
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


FAILED = {
    "feed": "user_cost",
    "state": "failed",
    "error": "Anthropic answered in another shape. A field is missing.",
    "error_code": "payload",
    "error_repair": "Report it.",
    "request_id": "req_42",
}


# --- The log -----------------------------------------------------------------------------
def test_a_run_says_what_it_read_and_how_it_went(viewer, connection):
    make_run(connection, {"requests": 3, "rows": 1200}, {**FAILED, "requests": 2}, state="failed")

    text = page(viewer, url("log"))

    assert "1 Nov to 22 Nov" in text
    assert "Failed" in text
    assert "1 of 2 parts with an error" in text
    assert '<td data-l="Requests" class="num">5</td>' in text
    assert '<td data-l="Rows" class="num">1,200</td>' in text
    assert '<td data-l="Took" class="num">2 min</td>' in text


def test_parts_that_were_stopped_are_no_errors(viewer, connection):
    stopped = {"state": "failed", "error": "Stopped.", "error_code": "stopped"}
    make_run(connection, {"rows": 5}, stopped, stopped, state="stopped")

    assert "1 of 3 parts read" in page(viewer, url("log"))
    assert "No matching runs" in page(viewer, url("log") + "?result=errors")


def test_one_asks_for_a_connection_or_for_errors(viewer, organization, connection):
    other = make_connection(organization, "other")
    make_run(connection, FAILED, state="failed")
    make_run(connection, at=NOW + timedelta(hours=6))
    make_run(other)

    assert "1–3 of 3 runs" in page(viewer, url("log"))
    assert "1–2 of 2 runs" in page(viewer, url("log") + "?connection=my-org")
    assert "1–1 of 1 run<" in page(viewer, url("log") + "?connection=my-org&result=errors")
    assert "No run had an error for other." in page(
        viewer, url("log") + "?connection=other&result=errors"
    )
    assert viewer.get(url("log") + "?connection=nobody").status_code == 404


def test_runs_come_in_pages_newest_first(viewer, connection):
    for number in range(51):
        make_run(connection, at=NOW + timedelta(hours=number))

    first, second = page(viewer, url("log")), page(viewer, url("log") + "?page=2")

    assert "1–50 of 51 runs" in first
    assert 'href="?page=2"' in first
    assert "51–51 of 51 runs" in second
    assert "22 Nov, 16:04:00" in second
    assert page(viewer, url("log") + "?page=nonsense") == first or "1–50 of 51" in first


def test_days_the_provider_does_not_have_are_no_error(connection):
    run = make_run(connection, {"state": "unavailable", "error": "Not there yet."})

    (entry,) = log.entries([run])

    assert entry.troubles == 0


def test_a_run_shows_each_part_with_error_repair_and_request_id(viewer, connection):
    run = make_run(connection, {"requests": 3}, FAILED, state="failed")

    text = page(viewer, url("run", run.pk))

    assert "<b>Anthropic answered in another shape.</b> A field is missing. Report it." in text
    assert "req_42" in text
    assert "Cost per user" in text
    only = page(viewer, url("run", run.pk) + "?result=errors")
    assert "1–1 of 1 part<" in only


def test_a_run_of_the_sandbox_can_be_read_in_the_log(viewer, connection):
    run = sync.plan(connection, SyncRun.Kind.MANUAL, Window.last(2, today=timezone.now().date()))
    list(sync.run_inline(run, wait=lambda seconds: None))

    text = page(viewer, url("run", run.pk))

    assert "Organization cost" in text
    assert "req_" in text


# --- Feeds -------------------------------------------------------------------------------
def health(connection, name):
    return next(feed for feed in status_of(connection).feeds if feed.name == name)


def test_a_feed_that_works(connection):
    now = timezone.now()
    make_run(connection, {"requests": 3, "rows": 40}, {"requests": 1, "rows": 2}, at=now)
    feed_day(connection, "organization_cost", "2026-11-21")

    feed = health(connection, "organization_cost")

    assert feed.status.word == "Up to date"
    assert (feed.requests, feed.rows) == (4, 42)
    assert f"{feed.complete_day}" == "2026-11-21"
    assert feed.last_success_at == now + timedelta(seconds=9)


def test_what_was_never_tried_is_unknown_not_zero(connection):
    feed = health(connection, "users")

    assert feed.status.word == "Queued"
    assert (feed.requests, feed.rows, feed.last_attempt_at, feed.last_success_at) == (None,) * 4


@pytest.mark.parametrize(
    ("part", "word"),
    [
        (FAILED, "Failed"),
        ({"state": "running"}, "Running"),
        ({"state": "pending", "error": "x", "error_code": "rate_limited"}, "Paused (rate limit)"),
        ({"state": "pending", "error": "x", "error_code": "outage"}, "Delayed"),
    ],
)
def test_the_last_run_decides_the_word(connection, part, word):
    make_run(connection, {"feed": "user_cost"}, at=timezone.now() - timedelta(hours=6))
    make_run(connection, {**part, "feed": "user_cost"}, at=timezone.now(), state="active")

    assert health(connection, "user_cost").status.word == word


def test_a_refused_key_is_the_feed_s_action_needed(connection):
    part = {"state": "pending", "error": "Rejected.", "error_code": "key_rejected"}
    make_run(connection, part, at=timezone.now(), state="active")
    Connection.objects.update(state="action_needed", problem="Rejected.")
    connection.refresh_from_db()

    assert health(connection, "organization_cost").status.word == "Action needed"


def test_what_stops_every_feed_is_said_once_and_not_of_those_that_were_not_tried(
    client, organization, connection
):
    """One feed met the refusal; 20 others only wait, and go on by themselves."""
    part = {"state": "pending", "error": "Rejected.", "error_code": "key_rejected"}
    make_run(connection, {**part, "error_repair": "Paste it."}, at=timezone.now(), state="active")
    Connection.objects.update(
        state="action_needed", problem="Rejected.", problem_repair="Paste it again."
    )
    connection.refresh_from_db()

    assert (health(connection, "organization_cost").error, health(connection, "users").error) == (
        "Rejected.",
        "",
    )
    words = [(feed.status.word, feed.outlook) for feed in status_of(connection).feeds]
    assert words.count(("Action needed", "Resumes automatically")) == 1
    assert words.count(("Waiting", "Resumes automatically")) == len(words) - 1
    client.force_login(make_member(organization, Role.BILLING_ADMIN))
    text = page(client, url("feeds", "my-org"))
    assert text.count("<b>Nothing is read until my-org works again.</b> Paste it again.") == 1
    assert text.count(">Replace key</a>") == 1
    assert "Paste it.<" not in text


def test_a_feed_in_the_middle_of_a_run_that_waits_is_not_running(connection):
    run = make_run(connection, {}, {"state": "pending"}, at=timezone.now(), state="active")
    assert health(connection, "organization_cost").status.word == "Running"

    run.not_before = timezone.now() + timedelta(minutes=5)
    run.save()

    assert health(connection, "organization_cost").status.word == "Waiting"
    assert health(connection, "organization_cost").outlook == ""


def test_a_feed_that_is_late_without_an_error_is_asked_for_again(connection):
    make_run(connection, {}, at=timezone.now() - timedelta(days=4))

    feed = health(connection, "organization_cost")

    assert (feed.status.word, feed.outlook) == (
        "Delayed",
        "Read again with the next refresh",
    )


@pytest.mark.parametrize(
    ("state", "word"), [("disconnected", "Disconnected"), ("deleting", "Deleting")]
)
def test_what_is_off_needs_no_repair(connection, state, word):
    make_run(connection, FAILED, at=timezone.now(), state="failed")
    Connection.objects.update(state=state, credential=None)
    connection.refresh_from_db()

    feed = health(connection, "user_cost")

    assert (feed.status.word, feed.error, feed.outlook) == (word, "", "")


def test_a_day_that_is_not_over_is_not_complete(connection):
    feed_day(connection, "users", "2026-11-20")
    feed_day(connection, "users", "2026-11-21", "incomplete")

    assert f"{health(connection, 'users').complete_day}" == "2026-11-20"


def test_missing_days_are_a_problem_only_when_it_lasts(connection):
    not_there = {"state": "unavailable", "error": "Anthropic has no such days."}
    make_run(connection, {}, at=timezone.now() - timedelta(days=2))
    make_run(connection, not_there, at=timezone.now())
    assert health(connection, "organization_cost").status.word == "Up to date"
    assert health(connection, "organization_cost").error == ""

    SyncRun.objects.filter(windows__state="done").delete()

    assert health(connection, "organization_cost").status.word == "Delayed"
    assert health(connection, "organization_cost").error == "Anthropic has no such days."


def test_what_a_key_was_never_meant_to_read_is_not_late(connection):
    refused = {"state": "unavailable", "error": "Needs a scope.", "error_code": "optional_scope"}
    make_run(connection, {**refused, "feed": "groups"}, at=timezone.now())

    assert health(connection, "groups").status.word == "Not available"
    assert health(connection, "groups").error == "Needs a scope."


def test_what_was_stopped_on_purpose_is_not_wrong(connection):
    make_run(
        connection,
        {"state": "failed", "error": "Stopped.", "error_code": "stopped"},
        at=timezone.now(),
        state="stopped",
    )
    Connection.objects.update(state="disconnected", credential=None)
    connection.refresh_from_db()

    feed = health(connection, "organization_cost")
    assert (feed.status.word, feed.error) == ("Disconnected", "")


def test_status_takes_five_queries_however_many_runs(connection, django_assert_num_queries):
    for number in range(4):
        make_run(connection, {}, FAILED, at=NOW + timedelta(hours=number))

    with django_assert_num_queries(5):
        status_of(connection)


def test_what_is_unknown_is_a_dash_on_the_page(client, organization, connection):
    client.force_login(make_member(organization, Role.BILLING_ADMIN))

    text = page(client, url("feeds", "my-org"))

    assert '<td data-l="Rows, last run" class="num nil">–</td>' in text
    assert '<td data-l="Requests" class="num nil">–</td>' in text
    assert "None" not in text


def test_the_page_shows_the_feeds_of_who_needs_it_most(client, organization, connection):
    client.force_login(make_member(organization, Role.BILLING_ADMIN))
    make_connection(organization, "broken", state="action_needed", problem="Rejected.")
    make_run(connection, FAILED, at=timezone.now(), state="failed")
    manage = url("manage", "claude-enterprise")

    assert "Feeds of broken" in page(client, manage)
    text = page(client, f"{manage}?connection=my-org")
    assert "Feeds of my-org" in text
    assert "Anthropic answered in another shape. A field is missing. <b>Report it.</b>" in text
    assert "req_42" in text
