"""Slack channels, which the Analytics API reports by id only, get their names here."""

from datetime import date

import pytest
from django.urls import reverse

from accounts.models import AuditEvent, Role
from integrations.connections import OperationError
from integrations.identifier_names import (
    NamedDimension,
    NamedIdentifier,
    name_identifier,
    named_dimensions,
)
from integrations.models import EngagementFact, Resource
from integrations.window import Window
from reports import engine
from reports.engine.spec import ReportSpec
from tests.factories import (
    feed_day,
    make_connection,
    make_member,
    make_organization,
)

pytestmark = pytest.mark.django_db

CHANNEL = "slack_channel_id"
SUPPORT, SALES = "C0SUPPORT", "C0SALES"
SPEC = ReportSpec(("cost",), Window(date(2026, 11, 1), date(2026, 11, 2)), group_by=(CHANNEL,))


@pytest.fixture
def connection():
    """Two channels with cost, and what the provider does not itemize."""
    connection = make_connection(make_organization(), "my-org")
    for channel, dollars in ((SUPPORT, 3), (SALES, 2), ("not_itemized", 1)):
        EngagementFact.objects.create(
            connection=connection,
            feed="slack_channel_cost",
            day=date(2026, 11, 1),
            subject=channel,
            values={"effective_cost": dollars, "list_cost": dollars},
        )
    feed_day(connection, "slack_channel_cost", date(2026, 11, 1))
    return connection


@pytest.fixture
def manager(connection, client):
    client.force_login(make_member(connection.organization, Role.BILLING_ADMIN))
    return client


def post(client, name, external_id=SUPPORT, dimension=CHANNEL, organization="demo"):
    return client.post(
        reverse("integrations:name_identifier", args=[organization, "my-org"]),
        {"dimension": dimension, "external_id": external_id, "name": name},
    )


def test_reported_ids_are_listed_without_those_that_are_no_channel(connection):
    assert named_dimensions(connection) == [
        NamedDimension(
            CHANNEL,
            "Slack channel",
            (NamedIdentifier(CHANNEL, SALES, ""), NamedIdentifier(CHANNEL, SUPPORT, "")),
        )
    ]


def test_a_name_stands_on_page_and_in_files_and_is_recorded(connection, manager):
    response = post(manager, "  #support ")

    assert response.status_code == 302
    assert response["Location"].endswith("?connection=my-org#names-slack_channel_id")
    assert 'value="#support"' in manager.get(response["Location"]).content.decode()
    report = engine.run(connection.organization, SPEC)
    named = [row[:2] for row in report.text_rows()]
    assert [SUPPORT, "#support"] in named
    assert [SALES, ""] in named
    page = manager.get(reverse("reports:explore", args=["demo"]) + f"?{SPEC.to_query()}")
    assert "#support" in page.content.decode()
    event = AuditEvent.objects.get(verb="identifier.named", target=SUPPORT)
    assert event.details == {
        "connection": "my-org",
        "dimension": CHANNEL,
        "before": "",
        "after": "#support",
    }


def test_an_empty_name_shows_the_id_again_and_the_same_name_changes_nothing(connection):
    for name in ("#support", "#support", ""):
        name_identifier(connection, actor=None, dimension=CHANNEL, external_id=SUPPORT, name=name)

    assert Resource.objects.get(external_id=SUPPORT).name == ""
    assert AuditEvent.objects.filter(verb="identifier.named").count() == 2


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 101, "Write at most 100 characters."),
        ("sk-ant-admin01-abcdefghij", "This looks like an API key. Remove it"),
    ],
)
def test_a_name_that_makes_no_sense_is_refused_beside_its_field(manager, name, problem):
    response = post(manager, name)

    assert response.status_code == 422
    assert problem in response.content.decode()
    assert not Resource.objects.exclude(name="").exists()


@pytest.mark.parametrize(
    ("external_id", "dimension"),
    [("C0OTHER", CHANNEL), ("not_itemized", CHANNEL), (SUPPORT, "rbac_group_id"), (SUPPORT, "x")],
)
def test_nothing_but_reported_channels_is_named(connection, manager, external_id, dimension):
    assert post(manager, "Mine", external_id, dimension).status_code == 404
    with pytest.raises(OperationError):
        name_identifier(
            connection, actor=None, dimension=dimension, external_id=external_id, name="Mine"
        )


def test_another_tenant_and_a_viewer_name_nothing(connection, client):
    client.force_login(make_member(make_organization("rival", "Rival"), Role.ADMIN))
    assert post(client, "Mine").status_code == 404
    assert post(client, "Mine", organization="rival").status_code == 404

    client.force_login(make_member(connection.organization, Role.VIEWER))
    assert post(client, "Mine").status_code == 403
    assert not Resource.objects.filter(name="Mine").exists()
