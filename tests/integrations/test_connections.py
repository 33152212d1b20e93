"""Test, connect, replace, disconnect: what is refused, what is stored, and where the key is not."""

import io
import json
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.utils import timezone

from accounts.models import AuditEvent
from integrations import connections, sync
from integrations.connectors import get_connector
from integrations.connectors.base import ActionNeeded, TransientError
from integrations.encryption import Secret, UnreadableSecret
from integrations.models import Connection, SyncRun
from integrations.status.connections import status_of
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")
KEY = "sk-ant-api01-sandbox-my-org"


@pytest.fixture
def organization(sandbox):
    return make_organization()


def connect(organization, label="my-org", key=KEY, proof=None, **options):
    if proof is None:
        proof = connections.test(organization, CONNECTOR, label=label, key=key).proof
    return connections.connect(
        organization, CONNECTOR, actor=None, label=label, key=key, proof=proof, **options
    )


def run_command(monkeypatch, *arguments, key=KEY):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_a_tested_connection_is_saved_and_its_import_planned(organization):
    connection = connect(organization)

    assert connection.credential == Secret(KEY)
    assert connection.key_hint == "-org"
    run = connection.runs.get()
    assert run.kind == SyncRun.Kind.IMPORT
    assert len(run.window) == 90


def test_nothing_is_saved_without_the_proof_of_exactly_these_values(organization):
    other = make_organization("other", "Other Inc.")
    proof = connections.test(organization, CONNECTOR, label="my-org", key=KEY).proof

    for changed in (
        {"proof": ""},
        {"proof": "made-up"},
        {"proof": proof, "label": "another"},
        {"proof": proof, "key": "sk-ant-api01-sandbox-labs"},
    ):
        with pytest.raises(connections.OperationError, match="Test the connection first"):
            connect(organization, **changed)
    with pytest.raises(connections.OperationError, match="Test the connection first"):
        connect(other, proof=proof)
    assert not Connection.objects.exists()


def test_a_proof_goes_stale(organization, time_machine):
    proof = connections.test(organization, CONNECTOR, label="my-org", key=KEY).proof
    time_machine.move_to(timezone.now() + timedelta(minutes=31))

    with pytest.raises(connections.OperationError):
        connect(organization, proof=proof)


@pytest.mark.parametrize(
    ("suffix", "code", "kind"),
    [
        ("revoked", "key_rejected", ActionNeeded),
        ("noscope", "scope_missing", ActionNeeded),
        ("off", "access_denied", ActionNeeded),
        ("missing", "not_found", ActionNeeded),
        ("busy", "rate_limited", TransientError),
        ("outage", "outage", TransientError),
    ],
)
def test_each_failure_has_its_own_sentence_and_stores_nothing(organization, suffix, code, kind):
    tested = connections.test(
        organization, CONNECTOR, label="my-org", key=f"sk-ant-api01-sandbox-{suffix}"
    )

    assert not tested.ok
    assert tested.proof == ""
    assert (type(tested.problem), tested.problem.code) == (kind, code)
    assert tested.problem.repair
    assert not Connection.objects.exists()


def test_the_sentences_differ(organization):
    keys = [f"sk-ant-api01-sandbox-{name}" for name in ("revoked", "noscope", "off", "missing")]
    keys += [f"sk-ant-api01-sandbox-{name}" for name in ("busy", "outage")]
    keys += ["sk-ant-admin01-abcdef", "sk-ant-api03-abcdef", "hello"]

    sentences = {
        str(connections.test(organization, CONNECTOR, label="my-org", key=key).problem)
        for key in keys
    }

    assert len(sentences) == len(keys)


@pytest.mark.parametrize("label", ["My Org!", "-a", "a_b", "", "a" * 51, "my-org\n"])
def test_a_label_is_a_slug(organization, label):
    if label == "my-org\n":
        assert connections.test(organization, CONNECTOR, label=label, key=KEY).ok  # trimmed
        return
    with pytest.raises(connections.OperationError) as refused:
        connections.test(organization, CONNECTOR, label=label, key=KEY)
    assert refused.value.field == "label"


def test_a_label_is_taken_once_per_organization(organization):
    connect(organization)

    with pytest.raises(connections.OperationError) as refused:
        connections.test(organization, CONNECTOR, label="my-org", key=KEY)
    assert refused.value.field == "label"


def test_the_same_provider_organization_twice_is_refused_by_the_name_of_the_first(organization):
    connect(organization)

    with pytest.raises(connections.OperationError, match="already connected, as my-org") as refused:
        connections.test(organization, CONNECTOR, label="second", key=KEY)
    states = {check.label: check.state for check in refused.value.checks}
    assert states["Key accepted"] == states["Cost data"] == "passed"
    assert states["Organization recognized"] == "failed"


def test_a_key_of_another_organization_does_not_replace_this_one(organization):
    connection = connect(organization)

    with pytest.raises(connections.OperationError, match="another organization"):
        connections.replace_key(connection, actor=None, key="sk-ant-api01-sandbox-labs")
    connection.refresh_from_db()
    assert connection.credential == Secret(KEY)


def test_sync_now_goes_on_with_the_stored_key_once_access_is_mended(organization):
    connection = connect(organization)
    run = connection.runs.get()
    Connection.objects.update(
        state="action_needed",
        problem="Denied.",
        problem_code="access_denied",
        problem_repair="Ask.",
        problem_since=timezone.now(),
    )
    connection.refresh_from_db()
    assert status_of(connection).can_resume_with_same_key

    assert connections.sync_now(connection, actor=None) == run

    connection.refresh_from_db()
    assert (connection.state, connection.problem, connection.problem_since) == ("active", "", None)
    assert connection.credential == Secret(KEY)
    assert sync.claim(run) is not None


def test_a_rejected_key_is_not_offered_to_go_on(organization):
    connection = connect(organization)
    connection.state, connection.problem_code = "action_needed", "key_rejected"

    assert not status_of(connection).can_resume_with_same_key


def test_only_a_disconnected_connection_can_be_deleted(organization):
    connection = connect(organization)

    with pytest.raises(connections.OperationError, match="Disconnect my-org before"):
        connections.delete(connection, actor=None)


def test_every_act_is_in_the_audit_trail_and_the_key_is_not(organization):
    connection = connect(organization)
    connections.sync_now(connection, actor=None)
    connections.disconnect(connection, actor=None)
    connections.delete(connection, actor=None)

    events = list(AuditEvent.objects.order_by("pk"))
    assert [event.verb for event in events] == [
        "connection.connected",
        "connection.sync_requested",
        "connection.disconnected",
        "connection.deleted",
    ]
    assert not any(KEY in json.dumps([e.target, e.details, e.actor_name]) for e in events)


# --- The secret ----------------------------------------------------------------------------


def test_the_database_holds_ciphertext(organization):
    connect(organization)
    with database.cursor() as cursor:
        cursor.execute("SELECT credential FROM integrations_connection")
        stored = bytes(cursor.fetchone()[0])

    assert KEY.encode() not in stored


def test_a_backup_of_rows_does_not_carry_the_secret(organization):
    connect(organization)
    output = io.StringIO()
    call_command("dumpdata", "integrations.connection", stdout=output)

    assert KEY not in output.getvalue()
    with database.cursor() as cursor:
        cursor.execute("SELECT credential FROM integrations_connection")
        assert bytes(cursor.fetchone()[0]).decode() not in output.getvalue()


def test_a_secret_shows_nothing_of_itself():
    secret = Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_keys_rotate(organization, settings, capsys):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CREDENTIALS_KEYS = [old]
    connection = make_connection(organization, credential=Secret(KEY))

    settings.CREDENTIALS_KEYS = [new, old]
    call_command("rotate_credentials")
    settings.CREDENTIALS_KEYS = [new]
    connection.refresh_from_db()
    assert connection.credential == Secret(KEY)

    settings.CREDENTIALS_KEYS = [old]
    connection.refresh_from_db()  # the rest of the row can still be read
    with pytest.raises(UnreadableSecret):
        connection.credential.reveal()
    with pytest.raises(CommandError, match="my-org"):
        call_command("rotate_credentials")


# --- The same operations from a shell ------------------------------------------------------


def test_connect_command_saves_and_queues_the_import(organization, monkeypatch):
    output = run_command(
        monkeypatch, "connect", "claude-enterprise", "my-org", "--organization=demo"
    )

    assert output == "my-org is connected. The import is queued.\n"
    assert Connection.objects.get().runs.get().kind == SyncRun.Kind.IMPORT


def test_connect_command_without_import_plans_nothing(organization, monkeypatch):
    run_command(
        monkeypatch,
        "connect",
        "claude-enterprise",
        "my-org",
        "--organization=demo",
        "--no-import",
    )
    assert not SyncRun.objects.exists()


@pytest.mark.parametrize(
    ("connector", "label", "organization_slug", "key", "reason"),
    [
        ("claude-enterprise", "my-org", "demo", "sk-ant-api01-sandbox-revoked", "rejected"),
        ("claude-enterprise", "my-org", "demo", "sk-ant-admin01-abcdef", "Console"),
        ("claude-enterprise", "My Org", "demo", KEY, "small letters"),
        ("claude-enterprise", "my-org", "nobody", KEY, "no organization nobody"),
        ("claude-nothing", "my-org", "demo", KEY, "Known: claude-enterprise"),
    ],
)
def test_connect_command_refuses_with_2_and_stores_nothing(
    organization, monkeypatch, connector, label, organization_slug, key, reason
):
    with pytest.raises(CommandError, match=reason) as refused:
        run_command(
            monkeypatch,
            "connect",
            connector,
            label,
            f"--organization={organization_slug}",
            key=key,
        )
    assert refused.value.returncode == 2
    assert not Connection.objects.exists()


def test_sync_command_reads_and_summarizes(organization, monkeypatch):
    make_connection(organization, "labs", credential=Secret("sk-ant-api01-sandbox-labs"))
    output = run_command(monkeypatch, "sync", "labs", "--organization=demo", "--days=3")

    assert output.startswith("labs: ")
    assert "9 windows" in output or "windows" in output


def test_sync_command_fails_when_the_key_is_refused(organization, monkeypatch):
    make_connection(organization, "labs", credential=Secret("sk-ant-api01-sandbox-revoked"))
    with pytest.raises(CommandError, match="rejected"):
        run_command(monkeypatch, "sync", "labs", "--organization=demo", "--days=3")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nobody"],
        ["my-org", "--days=0"],
        ["my-org", "--days=3", "--since=2026-10-01"],
        ["my-org", "--until=2026-10-01"],
        ["my-org", "--since=2026-10-02", "--until=2026-10-02"],
        ["my-org", "--since=2025-01-01"],
    ],
)
def test_sync_command_refuses_what_makes_no_sense(organization, monkeypatch, arguments):
    make_connection(organization, credential=Secret(KEY))
    with pytest.raises(CommandError) as refused:
        run_command(monkeypatch, "sync", *arguments, "--organization=demo")
    assert refused.value.returncode == 2


def test_create_organization_makes_the_first_admin(monkeypatch):
    output = run_command(
        monkeypatch,
        "create_organization",
        "acme",
        "--name=Acme Inc.",
        "--admin=Ada@Example.com",
        key="correct horse battery staple",
    )
    assert "ada@example.com is its Admin" in output


@pytest.mark.parametrize("password", ["", "12345678", "short"])
def test_create_organization_refuses_a_weak_password_and_makes_nothing(monkeypatch, password):
    with pytest.raises(CommandError) as refused:
        run_command(
            monkeypatch,
            "create_organization",
            "acme",
            "--name=Acme",
            "--admin=ada@example.com",
            key=password,
        )
    assert refused.value.returncode == 2
