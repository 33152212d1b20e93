"""An organization may lose one way to be asked and find another: its facts stay."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations import connections, sync
from integrations.encryption import Secret
from integrations.models import (
    Connection,
    CostFact,
    DayCheck,
    FeedDay,
    Restatement,
    SyncRun,
    SyncWindow,
    UsageFact,
)
from integrations.window import Window
from sandbox.anthropic.query import ApiError
from sandbox.claude_console import beta_reports as console_beta_reports
from sandbox.claude_enterprise import beta_reports, reports
from sandbox.claude_enterprise.company import companies
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

# In the beta: may be asked in both ways.
CAMPUS = "sk-ant-api01-sandbox-campus"
PLATFORM = "sk-ant-admin01-sandbox-my-org"


def connected(slug, key):
    return make_connection(
        make_organization(),
        connector_slug=slug,
        credential=Secret(key),
        options={"dialect": "successors"},
    )


@pytest.fixture
def connection(sandbox):
    return connected("claude-enterprise", CAMPUS)


@pytest.fixture(params=[("claude-enterprise", CAMPUS), ("claude-console", PLATFORM)])
def either(request, sandbox):
    return connected(*request.param)


@pytest.fixture
def close_the_beta(monkeypatch):
    """Refuse the newer endpoints, by any answer that may mean it."""

    def close(status):
        def refuse(request, kind, **more):
            raise ApiError(status, "some_error", "Not for this organization.")

        monkeypatch.setattr(beta_reports, "report", refuse)
        monkeypatch.setattr(console_beta_reports, "report", refuse)

    return close


def read_a_day(connection):
    """Cost and usage of a day that can still change; the windows as they ended."""
    day = timezone.now().date() - timedelta(days=20)
    feeds = connection.connector.feeds
    days = {feed.name: [day] if feed.is_metered else [] for feed in feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, Window.last(1, today=day), days=days)
    for _ in sync.run_inline(run, wait=lambda seconds: None):
        pass
    return run.windows.order_by("position")


def facts():
    return [list(model.objects.order_by("pk").values()) for model in (CostFact, UsageFact)]


@pytest.mark.parametrize("status", [400, 403, 404])
def test_when_the_beta_closes_the_reports_are_asked_instead(either, close_the_beta, status, caplog):
    connection = either
    read_a_day(connection)
    before = facts()
    close_the_beta(status)
    FeedDay.objects.update(watermark=None)  # as if a new export had landed

    windows = read_a_day(connection)

    connection.refresh_from_db()
    assert connection.options == {"dialect": "reports"}
    assert connection.state == Connection.State.ACTIVE
    assert "were {'dialect': 'successors'}" in caplog.text
    assert all(before)
    assert facts() == before
    assert {window.state for window in windows} == {SyncWindow.State.UNCHANGED}
    assert [window.attempts for window in windows] == [2, *[1] * (len(windows) - 1)]
    assert not Restatement.objects.exists()


def test_what_can_still_change_is_read_the_new_way_whatever_export_it_is_from(
    connection, close_the_beta
):
    read_a_day(connection)
    close_the_beta(403)

    assert connections.test_stored(connection).ok

    windows = read_a_day(connection)
    assert {window.state for window in windows} == {SyncWindow.State.UNCHANGED}
    assert all(window.requests > 1 for window in windows if window.feed.startswith("organization"))
    assert not FeedDay.objects.filter(watermark=None).exists()


def test_the_next_test_of_the_connection_finds_the_newer_endpoints(either):
    connection = either
    Connection.objects.update(options={"dialect": "reports"})
    connection.refresh_from_db()
    read_a_day(connection)
    before = facts()

    assert connections.test_stored(connection).ok

    assert Connection.objects.get().options == {"dialect": "successors"}
    read_a_day(connection)
    assert facts() == before


HOLDING, GROUP = "sk-ant-api01-sandbox-holding", "sk-ant-api01-sandbox-group"


def test_a_parent_whose_child_is_hidden_from_the_newer_endpoints_is_read_by_the_older_ones(sandbox):
    connection = connected("claude-enterprise", HOLDING)

    sync.compare_ways(connection, today=timezone.now().date())

    connection.refresh_from_db()
    assert connection.options["dialect"] == "reports"
    (sentence,) = connection.not_read
    assert "they report" in sentence
    assert "child organizations with HIPAA readiness" in sentence


def test_visible_children_are_reported_separately(sandbox):
    connection = connected("claude-enterprise", GROUP)
    sync.compare_ways(connection, today=timezone.now().date())

    read_a_day(connection)

    assert connection.options["dialect"] == "successors"
    children = set(CostFact.objects.values_list("meter__organization_id", flat=True))
    assert children == {child.id for child in companies()[GROUP].children}
    assert set(UsageFact.objects.values_list("meter__organization_id", flat=True)) == children
    assert not DayCheck.objects.exclude(excess=0).exists()


def test_children_of_a_console_organization_are_reported_separately(sandbox, monkeypatch):
    children = ("11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002")
    monkeypatch.setattr(
        console_beta_reports, "child_of", lambda line: children[line.workspace.is_default]
    )
    connection = connected("claude-console", PLATFORM)
    sync.compare_ways(connection, today=timezone.now().date())
    assert connection.options["parent"] == "yes"

    read_a_day(connection)

    for facts in (CostFact, UsageFact):
        named = facts.objects.values_list("meter__organization_id", "meter__workspace_id")
        assert {child for child, _ in named} == set(children)
        assert all((workspace == "default") == (child == children[1]) for child, workspace in named)
    assert not DayCheck.objects.exclude(excess=0).exists()


def test_another_spelling_of_the_organization_is_learned_from_what_is_read(connection, monkeypatch):
    """Headers have the tagged id, bodies of the older reports may have the UUID."""
    spelling = "0AF1C2D3-0000-4000-8000-000000000001"
    connection.provider_organization_id = companies()[CAMPUS].organization_id
    connection.options = {"dialect": "reports"}
    connection.save()
    organization_report = reports.organization_report
    monkeypatch.setattr(
        reports,
        "organization_report",
        lambda *asked: organization_report(*asked) | {"organization_id": spelling},
    )

    read_a_day(connection)

    connection.refresh_from_db()
    assert connection.other_organization_ids == [spelling.lower()]


def test_ways_are_compared_once_a_day_and_a_note_has_nothing_read_again(sandbox):
    today = timezone.now().date()
    connection = connected("claude-enterprise", HOLDING)
    assert sync.due_for_comparison(today) == [connection]
    sync.compare_ways(connection, today=today)
    read_a_day(connection)
    assert sync.due_for_comparison(today) == []
    assert sync.due_for_comparison(today + timedelta(days=1)) == [connection]

    sync.compare_ways(connection, today=today + timedelta(days=1))

    metered = [feed.name for feed in connection.connector.feeds if feed.is_metered]
    assert not FeedDay.objects.filter(feed__in=metered, watermark=None).exists()


def test_a_key_that_is_refused_meanwhile_is_left_to_the_next_sync(sandbox, caplog):
    connection = connected("claude-enterprise", "sk-ant-api01-sandbox-revoked")

    sync.compare_ways(connection, today=timezone.now().date())

    connection.refresh_from_db()
    assert connection.state == Connection.State.ACTIVE
    assert connection.options == {"dialect": "successors"}


def test_where_neither_way_is_open_the_feed_ends_and_no_other(
    connection, close_the_beta, monkeypatch
):
    close_the_beta(403)
    organization_report = reports.organization_report

    def refuse_cost(request, kind):
        if kind == "cost":
            raise ApiError(403, "permission_error", "No cost for this organization.")
        return organization_report(request, kind)

    monkeypatch.setattr(reports, "organization_report", refuse_cost)

    states = {window.feed: window.state for window in read_a_day(connection)}

    connection.refresh_from_db()
    assert connection.state == Connection.State.ACTIVE
    assert states == {
        "organization_cost": SyncWindow.State.FAILED,
        "user_cost": SyncWindow.State.DONE,
        "organization_usage": SyncWindow.State.DONE,
        "user_usage": SyncWindow.State.DONE,
    }
