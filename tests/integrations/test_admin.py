"""The operator's admin: everything can be looked at, nothing inconsistent written, no secret."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent, Delivery, EmailChange, MailContent
from integrations import notices, sync
from integrations.connectors.records import USAGE_MEASURES
from integrations.encryption import Secret
from integrations.models import (
    Connection,
    ExpertInquiry,
    Resource,
    ResourceVersion,
    Restatement,
    SyncRun,
    UsageTotal,
)
from integrations.window import Window
from tests.factories import (
    make_connection,
    make_invitation,
    make_member,
    make_meter,
    make_organization,
    make_token,
)

pytestmark = pytest.mark.django_db

KEY = "sk-ant-api01-sandbox-labs"
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def connection(sandbox):
    """Create a connection with a row of every model."""
    organization = make_organization()
    member = make_member(organization)
    make_token(member)
    make_invitation(organization)
    EmailChange.objects.create(user=member, email="new@example.com", expires_at=timezone.now())
    Group.objects.create(name="operators")
    mail = MailContent.objects.create(subject="Spend", text="Monday's report")
    Delivery.objects.create(to="ines@example.com", content=mail)
    connection = make_connection(organization, credential=Secret(KEY), key_hint="labs")
    audit.record(organization, None, "connection.connected", connection.label)
    yesterday = timezone.now().date() - timedelta(days=1)
    run = sync.plan(
        connection, SyncRun.Kind.IMPORT, Window(yesterday - timedelta(days=3), yesterday)
    )
    list(sync.run_inline(run, wait=lambda seconds: None))
    resource = Resource.objects.create(
        connection=connection, kind="workspace_id", external_id="wrkspc_1"
    )
    ResourceVersion.objects.create(
        resource=resource, since=date(2026, 11, 20), attributes={"tag:team": "platform"}
    )
    meter = make_meter(connection, product="chat")
    zeros = dict.fromkeys(USAGE_MEASURES, 0)
    UsageTotal.objects.create(connection=connection, day=yesterday, meter=meter, **zeros)
    Restatement.objects.create(
        connection=connection,
        feed="user_cost",
        day=yesterday,
        measure="effective_cost",
        old=1,
        new=2,
    )
    notices.detect(timezone.now())
    ExpertInquiry.objects.create(
        organization=organization,
        connector_slug=connection.connector_slug,
        label=connection.label,
        question="Why?",
        reply_to="ines@example.com",
    )
    return connection


@pytest.fixture
def unread(sandbox):
    """Create a connection that has read nothing yet."""
    return make_connection(make_organization(), credential=Secret(KEY), key_hint="labs")


def page(client, model, name="changelist", *args):
    return client.get(
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)
    )


def test_every_model_can_be_listed_and_searched(admin_client, connection):
    for model in MODELS:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert admin.site._registry[model].search_fields, model
        assert admin_client.get(url).status_code == 200, model
        assert admin_client.get(url, {"q": "my-org"}).status_code == 200, model


def test_every_row_can_be_opened_and_shows_no_secret(admin_client, connection):
    for model in MODELS:
        content = page(admin_client, model, "change", model._default_manager.first().pk)

        assert content.status_code == 200, model
        assert KEY not in content.content.decode(), model
        assert b"gAAAA" not in content.content, model  # nor its ciphertext


def test_what_syncing_wrote_nobody_writes(admin_client, connection):
    for model in MODELS:
        if model._meta.app_label != "integrations":
            continue
        row = model._default_manager.first()
        assert page(admin_client, model, "add").status_code == 403, model
        assert page(admin_client, model, "delete", row.pk).status_code == 403, model


def operate(client, connection, operation, method="post", **typed):
    url = reverse("admin:integrations_connection_operate", args=[connection.pk, operation])
    return getattr(client, method)(url, typed, follow=True)


def test_the_buttons_of_a_connection_do_what_they_say(admin_client, connection):
    assert (
        "Connection my-org: The key works."
        in operate(admin_client, connection, "test").content.decode()
    )
    assert "Sync queued." in operate(admin_client, connection, "sync").content.decode()
    assert connection.runs.filter(kind=SyncRun.Kind.MANUAL).count() == 1
    assert "Disconnected" in operate(admin_client, connection, "disconnect").content.decode()
    connection.refresh_from_db()
    assert connection.state == Connection.State.DISCONNECTED
    refused = operate(admin_client, connection, "test").content.decode()
    assert "it has no key to test" in refused


def test_an_operator_renames_replaces_the_key_and_imports_everything(admin_client, unread):
    def said(operation, typed=""):
        text = operate(admin_client, unread, operation, typed=typed).content.decode()
        unread.refresh_from_db()
        return text

    assert "It was called my-org." in said("rename", "labs")
    assert unread.label == "labs"
    assert "Connection labs: " in said("rename", "No Label!")
    assert unread.label == "labs"
    assert "Import of everything since 2026-01-01 queued." in said("import")
    wrong = said("replace-key", "sk-ant-api01-nobody-knows-it")
    assert "Syncing resumes" not in wrong
    assert "nobody-knows-it" not in wrong
    assert unread.credential.reveal() == KEY
    assert "The new key is stored" in said("replace-key", KEY)
    assert [event.verb for event in AuditEvent.objects.order_by("pk")] == [
        "connection.renamed",
        "connection.import_requested",
        "connection.key_replaced",
    ]


@pytest.mark.parametrize(("operation", "state"), [("archive", "archived"), ("erase", "deleting")])
def test_an_operator_deletes_what_is_disconnected_and_named(admin_client, unread, operation, state):
    assert (
        "before you delete it"
        in operate(admin_client, unread, operation, typed="my-org").content.decode()
    )
    operate(admin_client, unread, "disconnect")
    assert (
        "Type my-org to confirm"
        in operate(admin_client, unread, operation, typed="my").content.decode()
    )

    operate(admin_client, unread, operation, typed="my-org")

    unread.refresh_from_db()
    assert unread.state == state


def test_the_list_says_the_status_words_of_the_pages_without_a_query_a_row(
    admin_client, connection, django_assert_max_num_queries
):
    organization = connection.organization
    for number in range(8):
        made = make_connection(organization, f"org-{number}", credential=Secret(KEY))
        sync.plan_import(made, today=timezone.now().date(), days=3)
    make_connection(organization, "past", state="archived")

    with django_assert_max_num_queries(14):
        text = page(admin_client, Connection).content.decode()

    assert text.count("Queued") == 8
    assert 'field-status">Archived<' in text
    assert 'field-status">Connected<' in text


def test_a_run_leads_to_its_parts_and_does_not_list_a_thousand_of_them(admin_client, unread):
    run = sync.plan_import(unread, today=timezone.now().date(), days=3)
    run.windows.filter(position=0).update(state="done")
    waiting = run.windows.count() - 1

    text = page(admin_client, SyncRun, "change", run.pk).content.decode()

    assert f"{waiting + 1} parts</a>: {waiting} waiting, 1 done" in text
    address = reverse("admin:integrations_syncwindow_changelist")
    assert f'href="{address}?run__id__exact={run.pk}"' in text
    listed = admin_client.get(f"{address}?run__id__exact={run.pk}").content.decode()
    assert f"{waiting + 1} sync windows" in listed


def test_the_admin_says_times_as_the_pages_do(admin_client, unread):
    Connection.objects.update(next_sync_at=datetime(2026, 11, 22, 16, 5, tzinfo=UTC))

    assert "22 Nov 2026, 16:05 UTC" in page(admin_client, Connection).content.decode()


def test_buttons_need_a_post_and_a_known_operation(admin_client, connection):
    assert operate(admin_client, connection, "sync", "get").status_code == 405
    assert operate(admin_client, connection, "explode").status_code == 404


def test_the_list_offers_the_same_operations(admin_client, connection):
    url = reverse("admin:integrations_connection_changelist")
    chosen = {"action": "sync_now", "_selected_action": [connection.pk]}
    assert "Sync queued." in admin_client.post(url, chosen, follow=True).content.decode()


def test_staff_without_permission_only_look(client, django_user_model, connection):
    from django.contrib.auth.models import Permission

    staff = django_user_model.objects.create_user("staff@example.com", "x", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_connection"))
    client.force_login(staff)

    shown = page(client, Connection, "change", connection.pk).content.decode()
    assert "Sync now" not in shown
    assert operate(client, connection, "sync").status_code == 403
