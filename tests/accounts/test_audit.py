"""Audit log: every action is listed and filtered, and the file equals the page."""

import csv
import io
from datetime import UTC, datetime

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts import audit
from accounts.models import AuditEvent, Organization, Role
from integrations.models import CostFact
from tests.factories import cost, make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def ada(client, organization):
    user = make_member(organization, Role.BILLING_ADMIN, "ada@example.com")
    client.force_login(user)
    return user


@pytest.fixture
def omar(organization):
    return make_member(organization, Role.ADMIN, "omar@example.com")


def happened(organization, actor, action, target, at, **details):
    with time_machine.travel(datetime.fromisoformat(at).replace(tzinfo=UTC), tick=False):
        audit.record(organization, actor, action, target, **details)


@pytest.fixture
def three_acts(organization, ada, omar):
    happened(organization, None, "organization.created", "demo", "2026-11-20T09:00")
    happened(organization, ada, "connection.key_replaced", "my-org", "2026-11-21T23:59:59")
    happened(
        organization,
        omar,
        "member.role_changed",
        "eve@example.com",
        "2026-11-22T00:00",
        role="Viewer → Analyst",
    )


def rows(client, query=""):
    text = client.get(f"/o/demo/audit/{query}").content.decode().partition("<tbody>")[2]
    return [name for name in ("demo", "my-org", "eve@example.com") if f">{name}<" in text]


def test_the_page_shows_each_act_in_words(client, three_acts):
    text = client.get("/o/demo/audit/").content.decode()

    for shown in (
        "Member: role changed",
        "role: Viewer → Analyst",
        "22 Nov 2026, 00:00:00",
        "Connection: key replaced",
        "command line",
    ):
        assert shown in text
    assert text.index("Member: role changed</td>") < text.index("Connection: key replaced</td>")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?act=connection.key_replaced", ["my-org"]),
        ("?who=omar@example.com", ["eve@example.com"]),
        ("?who=command line", ["demo"]),
        ("?since=2026-11-21", ["my-org", "eve@example.com"]),
        ("?until=2026-11-21", ["demo", "my-org"]),  # the whole day, to its last second
        ("?since=2026-11-21&until=2026-11-21", ["my-org"]),
        ("?act=connection.key_replaced&who=omar@example.com", []),
        ("?act=no.such_act", []),
    ],
)
def test_filters_keep_what_was_asked_for(client, three_acts, query, expected):
    assert rows(client, query) == expected


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?since=yesterday", "Write the day as 2026-11-22."),
        ("?since=2026-11-22&until=2026-11-21", "The last day is before the first day."),
    ],
)
@pytest.mark.parametrize("address", ["audit/", "audit.csv"])
def test_a_day_that_is_none_is_named(client, three_acts, address, query, sentence):
    response = client.get(f"/o/demo/{address}{query}")

    assert response.status_code == 422
    assert sentence in response.content.decode()


def test_an_empty_log_says_so_and_so_does_a_filter_without_a_find(client, ada):
    assert "No actions yet" in client.get("/o/demo/audit/").content.decode()
    assert (
        "No action matches these filters." in client.get("/o/demo/audit/?act=x.y").content.decode()
    )


def test_fifty_acts_a_page_and_the_filters_stay(client, ada, organization):
    for number in range(51):
        audit.record(organization, ada, "connection.sync_requested", f"org-{number}")

    text = client.get("/o/demo/audit/?act=connection.sync_requested").content.decode()

    assert "1–50 of 51 actions" in text
    assert 'href="?act=connection.sync_requested&amp;page=2"' in text
    second = client.get("/o/demo/audit/?act=connection.sync_requested&page=2").content.decode()
    assert ">org-0<" in second
    assert ">org-1<" not in second


def test_the_page_asks_the_same_number_of_questions_for_few_and_many(
    client, ada, organization, django_assert_num_queries
):
    audit.record(organization, ada, "connection.sync_requested", "org-0")
    with CaptureQueriesContext(connection) as few:
        client.get("/o/demo/audit/")
    for number in range(1, 40):
        audit.record(organization, ada, "connection.sync_requested", f"org-{number}")

    with django_assert_num_queries(len(few)):
        client.get("/o/demo/audit/")


def download(client, query=""):
    response = client.get(f"/o/demo/audit.csv{query}")
    return response, list(
        csv.reader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig")))
    )


def test_the_file_has_the_same_acts_and_is_an_act_itself(client, three_acts):
    response, lines = download(client, "?since=2026-11-21&until=2026-11-22")

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="demo-audit-log-' in response["Content-Disposition"]
    assert lines == [
        ["at_utc", "who", "act", "on_what", "details"],
        [
            "2026-11-22T00:00:00Z",
            "omar@example.com",
            "member.role_changed",
            "eve@example.com",
            '{"role": "Viewer → Analyst"}',
        ],
        ["2026-11-21T23:59:59Z", "ada@example.com", "connection.key_replaced", "my-org", ""],
    ]
    noted = AuditEvent.objects.get(verb="audit_log.downloaded")
    assert (noted.actor_name, noted.target) == (
        "ada@example.com",
        "from 2026-11-21, to 2026-11-22",
    )


def test_a_spreadsheet_does_not_take_a_cell_for_a_formula(client, ada, organization):
    happened(organization, ada, "report.saved", "=1+1", "2026-11-22T10:00")

    _, lines = download(client, "?act=report.saved")

    assert lines[1][3] == "'=1+1"


@pytest.mark.parametrize("letters", [200, 5000])
def test_a_long_filter_is_noted_as_far_as_it_fits(client, ada, letters):
    download(client, f"?act={'x' * letters}")

    noted = AuditEvent.objects.get(verb="audit_log.downloaded")
    assert noted.target[:200] == "x" * 200
    assert noted.target.endswith("x" if letters == 200 else "…")


def test_an_act_of_another_organization_is_not_there(client, ada):
    other = make_organization("other", "Other Inc.")
    audit.record(other, None, "connection.connected", "their-org")

    assert "their-org" not in client.get("/o/demo/audit/").content.decode()
    assert "their-org" not in str(download(client)[1])


# --- It only grows -----------------------------------------------------------------------
CHANGES = [
    "UPDATE accounts_auditevent SET actor_name = 'nobody'",
    "UPDATE accounts_auditevent SET details = '{}'",
    "UPDATE accounts_auditevent SET actor_id = NULL, verb = 'x'",
    "UPDATE accounts_auditevent SET at = at - interval '1 day'",
    "DELETE FROM accounts_auditevent",
]


@pytest.mark.parametrize("statement", [*CHANGES, "TRUNCATE accounts_auditevent"])
def test_the_database_refuses_to_change_an_entry(three_acts, statement):
    before = list(AuditEvent.objects.order_by("pk").values())

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL spendglass.truncate_audit_log = off")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending would stop a TRUNCATE
        with (
            pytest.raises(IntegrityError, match="cannot be changed or deleted"),
            transaction.atomic(),
        ):
            cursor.execute(statement)

    assert list(AuditEvent.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("statement", [*CHANGES, "TRUNCATE accounts_organization CASCADE"])
def test_no_setting_of_a_session_lets_an_entry_be_changed(three_acts, statement):
    """`replica` switches usual triggers off, and a TRUNCATE of another table may reach this one."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL spendglass.truncate_audit_log = off")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        with (
            pytest.raises(IntegrityError, match="cannot be changed or deleted"),
            transaction.atomic(),
        ):
            cursor.execute(statement)


def test_the_entries_of_a_deleted_account_keep_its_name(three_acts, ada):
    ada.delete()

    event = AuditEvent.objects.get(verb="connection.key_replaced")
    assert (event.actor, event.actor_name) == (None, "ada@example.com")


def test_only_the_log_of_an_organization_that_is_erased_goes(three_acts, organization):
    other = make_organization("other")
    audit.record(other, None, "organization.created", "other")

    with audit.erasing(organization):
        with pytest.raises(IntegrityError), transaction.atomic():
            other.delete()
        organization.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        other.delete()

    assert [event.target for event in AuditEvent.objects.all()] == ["other"]


def test_the_command_erases_an_organization_once_it_is_confirmed(three_acts, organization):
    linked = make_connection(organization)
    cost(linked, "2026-11-02", "1")
    make_organization("other")

    with pytest.raises(CommandError, match="--confirm demo"):
        call_command("delete_organization", "demo")
    with pytest.raises(CommandError, match="no organization"):
        call_command("delete_organization", "nowhere", "--confirm=nowhere")
    assert Organization.objects.count() == 2

    call_command("delete_organization", "demo", "--confirm=demo")

    assert [left.slug for left in Organization.objects.all()] == ["other"]
    assert not AuditEvent.objects.exists()
    assert not CostFact.objects.exists()
