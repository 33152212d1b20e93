"""A connection that changes its dialect keeps every fact."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations import sync
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

CAMPUS = "sk-ant-api01-sandbox-campus"  # in the beta: may use both


def read_metered(connection):
    day = timezone.now().date() - timedelta(days=2)
    days = {feed.name: [day] if feed.is_metered else [] for feed in connection.connector.feeds}
    window = Window.last(1, today=day)
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
    return list(sync.work(run, wait=lambda seconds: None))


def test_switching_the_dialect_changes_no_total(sandbox):
    connection = make_connection(make_organization(), credential=Secret(CAMPUS))
    connection.options = {"dialect": "reports"}
    connection.save()
    read_metered(connection)
    before = [list(model.objects.order_by("pk").values()) for model in (CostFact, UsageFact)]
    FeedDay.objects.update(watermark=None)  # as if a new export had landed

    connection.options = {"dialect": "successors"}
    connection.save()
    windows = read_metered(connection)

    assert {window.state for window in windows} == {SyncWindow.State.UNCHANGED}
    assert [list(m.objects.order_by("pk").values()) for m in (CostFact, UsageFact)] == before
    assert all(before)
    assert {check.measure for check in DayCheck.objects.all()} == {
        *("amount_usd", "list_amount_usd", "requests", "total_tokens")
    }
    assert all(check.reported == check.stored for check in DayCheck.objects.all())
    assert not Restatement.objects.exists()
