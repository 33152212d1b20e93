"""What a connector stored that the settings no longer name is shown, and breaks nothing else."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from integrations import connections, sync
from integrations.encryption import Secret
from integrations.models import Connection
from integrations.status.connections import retained
from integrations.status.words import ARCHIVED
from integrations.window import Window
from tests.factories import (
    cost,
    day_check,
    feed_day,
    make_connection,
    make_member,
    make_organization,
    make_token,
)

pytestmark = pytest.mark.django_db

SLUG = "claude-console"
SENTENCE = "This installation no longer has the connector claude-console."
KEY = "sk-ant-admin01-sandbox-my-org"


@pytest.fixture
def organization(installed):
    installed("integrations.connectors.claude_enterprise.ClaudeEnterprise")
    return make_organization()


@pytest.fixture
def connection(organization):
    """Platform brought 12.50 while its connector was still there."""
    made = make_connection(
        organization, "platform", SLUG, credential=Secret(KEY), next_sync_at=timezone.now()
    )
    cost(made, "2026-11-20", "12.50", product="messages_api")
    feed_day(made, "cost", "2026-11-20")
    day_check(made, "cost", "2026-11-20", "12.50")
    return made


@pytest.fixture
def admin(client, organization):
    client.force_login(make_member(organization, Role.ADMIN, "ines@example.com"))
    return client


def url(name, *arguments):
    return reverse(f"integrations:{name}", args=["demo", *arguments])


def text(client, address):
    response = client.get(address)
    assert response.status_code == 200, address
    return response.content.decode()


def test_every_page_of_it_says_what_is_the_matter_or_goes_without(admin, connection):
    sync.plan(connection, "manual", Window.last(2, today=timezone.now().date()))

    for address in (url("index"), url("card", SLUG), url("manage", SLUG)):
        assert SENTENCE in text(admin, address)
    for address in (
        url("health"),
        url("checks"),
        url("restatements"),
        url("log"),
        url("run", connection.runs.get().pk),
        url("progress", "platform"),
        url("feeds", "platform"),
        url("rename", "platform"),
        url("inquire", SLUG) + "?connection=platform",
        reverse("dashboards:genai", args=["demo"]),
        reverse("reports:products", args=["demo"]),
    ):
        assert "platform" in text(admin, address)


def test_its_card_leads_to_what_can_still_be_done(admin, connection):
    page = text(admin, url("manage", SLUG))

    assert "Not installed" in page
    for operation in ("rename", "disconnect"):
        assert url(operation, "platform") in page
    for operation in ("sync_now", "replace_key"):
        assert url(operation, "platform") not in page
    assert url("connect", SLUG) not in page
    assert admin.get(url("connect", SLUG)).status_code == 404
    assert admin.get(url("replace_key", "platform")).status_code == 404


def test_another_organization_has_no_page_for_it(admin, connection):
    Connection.objects.update(organization=make_organization("theirs"))

    assert admin.get(url("manage", SLUG)).status_code == 404
    assert admin.get(url("card", SLUG)).status_code == 404


def test_its_history_stays_in_reports_under_its_slug(admin, connection):
    address = reverse("reports:explore", args=["demo"])

    page = text(admin, f"{address}?provider={SLUG}&from=2026-11-20&to=2026-11-20")

    assert "$12.50" in page


def test_the_api_knows_it_without_feeds(client, organization, connection):
    make_token(make_member(organization), "sgt_x")
    headers = {"Authorization": "Bearer sgt_x"}

    (entry,) = client.get("/api/v1/connections", headers=headers).json()
    health = client.get("/api/v1/connections/platform/health", headers=headers).json()

    assert (entry["status"], entry["provider"]) == ("Not installed", SLUG)
    assert entry["sentence"].startswith(SENTENCE)
    assert health["feeds"] == []


def test_it_is_not_read_and_holds_up_nobody_else(organization, connection):
    due = make_connection(organization, "my-org", next_sync_at=timezone.now() - timedelta(hours=1))
    run = sync.plan(due, "manual", Window.last(1, today=timezone.now().date()))
    Connection.objects.filter(pk=connection.pk).update(connector_slug=due.connector_slug)
    theirs = sync.plan(Connection.objects.get(pk=connection.pk), "manual", run.window)
    Connection.objects.filter(pk=connection.pk).update(connector_slug=SLUG)

    assert sync.runs_to_wake(timezone.now()) == [run]
    run.delete()
    theirs.delete()
    assert sync.due_refreshes(timezone.now()) == [due]


@pytest.mark.parametrize("operation", [connections.sync_now, connections.backfill])
def test_reading_it_is_refused_with_what_to_do(connection, operation):
    with pytest.raises(connections.OperationError, match="no longer has the connector") as refused:
        operation(connection, actor=None)

    assert "CONNECTORS" in refused.value.repair
    assert not connection.runs.exists()


def test_it_can_be_disconnected_and_archived(admin, connection):
    admin.post(url("disconnect", "platform"))
    assert "Disconnected" in text(admin, url("index"))
    admin.post(url("delete", "platform"), {"history": "keep", "confirm": "platform"})

    page = text(admin, url("archive"))

    assert "platform" in page
    assert url("replace_key", "platform") not in page
    assert retained(connection.organization)[0].status is ARCHIVED
