"""Service accounts, which the Console's Admin keys only number, get their names here."""

from datetime import date

import pytest
from django.urls import reverse

from accounts.models import AuditEvent, Role
from integrations.connections import OperationError
from integrations.connectors.records import PersonRef
from integrations.loading.writing import people_ids
from integrations.models import Person, Resource
from integrations.service_accounts import (
    ServiceAccount,
    name_service_account,
    service_accounts,
)
from integrations.window import Window
from reports import engine
from reports.catalog import resource_names
from reports.engine.spec import ReportSpec
from tests.factories import (
    feed_day,
    make_connection,
    make_member,
    make_organization,
    make_person,
    usage,
)

pytestmark = pytest.mark.django_db

CI, BOT = "svac_ci", "svac_bot"


@pytest.fixture
def console():
    """`CI` used tokens and owns a key; `BOT` only owns one; Ann and a named service are others."""
    console = make_connection(make_organization(), "platform", "claude-console")
    ci = make_person(console, CI, kind="service")
    make_person(console, "user_ann", name="Ann", email="ann@example.com")
    make_person(console, "svac_security", kind="service", name="Claude Security")
    for key, owner, kind in (
        ("key_1", CI, "service"),
        ("key_2", BOT, "service"),
        ("key_3", "user_ann", "user"),
    ):
        Resource.objects.create(
            connection=console,
            kind="api_key_id",
            external_id=key,
            name=f"runner {key}",
            attributes={"owner": owner, "owner_type": kind},
        )
    usage(console, "2026-11-01", person=ci, api_key_id="key_1", output_tokens=7)
    for feed in ("usage", "people_usage"):
        feed_day(console, feed, date(2026, 11, 1))
    return console


@pytest.fixture
def manager(console, client):
    client.force_login(make_member(console.organization, Role.BILLING_ADMIN))
    return client


def post(client, external_id, name, organization="demo", label="platform"):
    return client.post(
        reverse("integrations:name_service_account", args=[organization, label]),
        {"external_id": external_id, "name": name},
    )


def names(console):
    return {one.external_id: one.name for one in service_accounts(console)}


def test_those_that_the_provider_does_not_name_are_listed_with_their_keys(console):
    assert service_accounts(console) == [
        ServiceAccount(BOT, "", ("runner key_2",)),
        ServiceAccount(CI, "", ("runner key_1",)),
    ]


def test_a_name_is_used_in_every_report_and_recorded(console, manager):
    response = post(manager, CI, "  Continuous integration ")
    post(manager, BOT, "Bot")

    assert response.status_code == 302
    assert response["Location"].endswith("/claude-console/?connection=platform#accounts-h")
    spec = ReportSpec(
        ("output_tokens",), Window(date(2026, 11, 1), date(2026, 11, 2)), group_by=("user_name",)
    )
    report = engine.run(console.organization, spec)
    assert {row.keys: row.values for row in report.rows} == {("Continuous integration",): (7,)}
    owners = resource_names.of([console], ["api_key_owner"])
    assert owners["api_key_owner", CI] == "Continuous integration"
    assert owners["api_key_owner", BOT] == "Bot"  # although it never used anything
    page = manager.get(response["Location"]).content.decode()
    assert 'value="Continuous integration"' in page
    event = AuditEvent.objects.get(verb="service_account.named", target=CI)
    assert event.details == {
        "connection": "platform",
        "before": "",
        "after": "Continuous integration",
    }


def test_an_import_keeps_the_name_until_it_is_taken_away(console):
    name_service_account(console, actor=None, external_id=CI, name="Continuous integration")

    people_ids(console, {CI: PersonRef(CI, name="ci-runner", kind="service", state="active")})
    assert names(console)[CI] == "Continuous integration"

    name_service_account(console, actor=None, external_id=CI, name="")
    people_ids(console, {CI: PersonRef(CI, name="ci-runner", kind="service", state="active")})
    assert Person.objects.get(external_id=CI).name == "ci-runner"


def test_the_same_name_again_changes_nothing(console):
    name_service_account(console, actor=None, external_id=CI, name="CI")
    name_service_account(console, actor=None, external_id=CI, name="CI")

    assert AuditEvent.objects.filter(verb="service_account.named").count() == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 101, "Write at most 100 characters."),
        ("sk-ant-admin01-abcdefghij", "This looks like an API key. Remove it"),
    ],
)
def test_a_name_that_makes_no_sense_is_refused_beside_its_field(console, manager, name, problem):
    response = post(manager, CI, name)

    assert response.status_code == 422
    assert problem in response.content.decode()
    assert names(console)[CI] == ""


@pytest.mark.parametrize("external_id", ["user_ann", "svac_security", "svac_other"])
def test_nothing_but_nameless_service_accounts_of_the_connection_is_named(
    console, manager, external_id
):
    make_person(make_connection(console.organization, "other"), "svac_other", kind="service")

    assert post(manager, external_id, "Mine").status_code == 404
    assert not Person.objects.filter(name="Mine").exists()
    with pytest.raises(OperationError):
        name_service_account(console, actor=None, external_id=external_id, name="Mine")


def test_another_tenant_and_a_viewer_name_nothing(console, client):
    stranger = make_member(make_organization("rival", "Rival"), Role.ADMIN)
    client.force_login(stranger)
    assert post(client, CI, "Mine").status_code == 404
    assert post(client, CI, "Mine", organization="rival").status_code == 404

    client.force_login(make_member(console.organization, Role.VIEWER))
    assert post(client, CI, "Mine").status_code == 403
    assert names(console)[CI] == ""
