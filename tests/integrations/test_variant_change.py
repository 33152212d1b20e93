"""A connection that changes its API variant keeps every fact."""

from datetime import UTC, date, datetime

import pytest
import time_machine

from integrations import sync
from integrations.connectors.records import TOKEN_MEASURES
from integrations.data_quality.verification import verify
from integrations.encryption import Secret
from integrations.models import (
    CostFact,
    DayCheck,
    FeedDay,
    Restatement,
    SyncRun,
    SyncWindow,
    UsageFact,
)
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # the instant of an export
DAY = date(2026, 11, 18)
MEASURES = {
    "claude-enterprise": {"effective_cost", "list_cost", "requests", "total_tokens"},
    "claude-console": {"effective_cost", *TOKEN_MEASURES},
}


@pytest.fixture(
    params=[
        ("claude-enterprise", "sk-ant-api01-sandbox-campus"),
        ("claude-console", "sk-ant-admin01-sandbox-my-org"),
    ],
    ids=lambda param: param[0],
)
def connection(request, sandbox):
    """Its key is in the beta: it may use both."""
    slug, key = request.param
    with time_machine.travel(NOON, tick=False):
        yield make_connection(make_organization(), connector_slug=slug, credential=Secret(key))


def read_metered(connection, api_variant):
    connection.options = {"dialect": api_variant}
    connection.save()
    days = {feed.name: [DAY] if feed.is_metered else [] for feed in connection.connector.feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, Window.last(1, today=DAY), days=days)
    return list(sync.run_inline(run, wait=lambda seconds: None))


def stored():
    return [list(model.objects.order_by("pk").values()) for model in (CostFact, UsageFact)]


@pytest.mark.parametrize(("first", "then"), [("reports", "successors"), ("successors", "reports")])
def test_switching_the_api_variant_changes_no_total(connection, first, then):
    read_metered(connection, first)
    before = stored()
    FeedDay.objects.update(watermark=None)  # as if a new export had landed

    windows = read_metered(connection, then)

    assert {window.state for window in windows} == {SyncWindow.State.UNCHANGED}
    assert stored() == before
    assert all(before)
    assert not Restatement.objects.exists()


def test_totals_are_checked_and_verified_in_the_beta_reports(connection):
    read_metered(connection, "successors")

    measures = MEASURES[connection.connector_slug]
    assert {check.measure for check in DayCheck.objects.all()} == measures
    assert all(check.reported == check.stored for check in DayCheck.objects.all())
    verified = verify(connection)
    assert (verified.compared, verified.differences) == (len(measures), ())
