"""What looks like a secret is nowhere: not in what providers sent, not in logs, not on any page."""

import io
import json
import logging
import re
from datetime import date, timedelta

import httpx
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization, User
from accounts.permissions import Role
from common.redaction import redact, redact_json
from config.logging_filters import WithoutSecrets, WithoutSecretsAfter
from integrations import notices, sync
from integrations.connectors.base import Access, ConnectorError
from integrations.connectors.claude_console import ClaudeConsole
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.encryption import Secret
from integrations.models import Notice, Person, Resource, SyncRun
from integrations.window import Window
from reports.engine.spec import ReportSpec
from tests.factories import make_connection, make_member, make_organization

KEY = "sk-ant-api03-" + "R2D2c3po" * 11 + "-igAA"
PASTED = "sk-ant-admin01-" + "Zx9_Yw8-" * 8


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        PASTED,
        "sk-ant-api01-sandbox-labs",
        "sgt_" + "a1B2" * 9,
        "ghp_" + "a1B2" * 9,
        "AKIA" + "ABCD1234EFGH5678",
        "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20,
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_secrets_are_recognized_by_their_shape(secret):
    cleaned = redact(f"The name is “{secret}”.")

    assert secret not in cleaned
    assert secret[8:] not in cleaned
    assert cleaned.startswith("The name is “[redacted ")


@pytest.mark.parametrize(
    "secret",
    [
        *(KEY, PASTED, "sgt_" + "a1B2" * 9, "glpat-" + "a1B2" * 6, "xoxb-" + "a1B2" * 6),
        *(f"gh{kind}_" + "a1B2" * 9 for kind in "pousr"),
        *("github_pat_" + "a1B2" * 11, "AKIA" + "ABCD1234EFGH5678", "ASIA" + "ABCD1234EFGH5678"),
        *("AIza" + "a1B2" * 9, "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20),
        "sk-proj-" + "a1B2" * 9,
    ],
)
def test_every_shape_is_recognized_in_json(secret):
    """The expression is asked only where one of its markers is: each shape needs one."""
    assert secret.encode() not in redact_json(b'{"name": "' + secret.encode() + b'"}')


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-R2D...igAA",  # Anthropic's own hint of a key
        "apikey_01Rj2N8SVvo6BePZj99NhmiT",
        "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ",
        "claude-sonnet-4-5-20250929",
        "task-force-management-of-the-northern-region",
        "page_MjAyNS0wNS0xNFQwMDowMDowMFosk-ant-notakeybutacursoratall",
        "ada@example.com",
    ],
)
def test_names_ids_hints_and_cursors_stay(text):
    assert redact(text) == text
    assert redact_json(text.encode()) == text.encode()


def test_two_secrets_stay_two():
    assert redact(KEY) != redact(PASTED)
    assert redact(KEY) == redact(KEY)


def test_a_given_secret_of_unknown_shape_is_redacted():
    assert "hunter2" not in redact("it was hunter2", "hunter2")


def test_json_that_escapes_more_than_it_must_hides_nothing():
    escaped = '{"name": "' + "".join(f"\\u{ord(letter):04x}" for letter in KEY) + '"}'

    body = redact_json(escaped.encode())

    assert json.loads(body)["name"].startswith("[redacted ")
    assert json.loads(redact_json(b'{"a": "\\\\u0041 \\u0022 \\u00e9"}')) == {"a": '\\u0041 " é'}


# --- From a provider -----------------------------------------------------------------------


def answering(status, document, headers=()):
    def answer(request):
        return httpx.Response(status, json=document, headers=dict(headers))

    return Access(
        key=KEY,
        base_url="https://api.anthropic.com",
        attempts=1,
        transport=httpx.MockTransport(answer),
    )


@pytest.mark.parametrize("connector", [ClaudeEnterprise(), ClaudeConsole()])
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500, 302, 418])
def test_an_error_that_repeats_the_key_does_not_show_it(connector, status):
    document = {"error": {"message": f"Bad key {KEY}, Got: [{KEY}] Needed: [{PASTED}]"}}
    headers = {"request-id": KEY, "anthropic-organization-id": PASTED}
    seen = []
    access = answering(status, {**document, "request_id": KEY}, headers.items())
    object.__setattr__(access, "observe", seen.append)

    with connector.open(access) as client, pytest.raises(ConnectorError) as caught:
        client.get("/v1/x", [], lambda body, kept_out: body)

    error = caught.value
    shown = [str(error), error.provider_message, error.repair, error.request_id, str(seen)]
    for secret in (KEY, PASTED):
        assert secret not in " ".join(shown)
    assert "[redacted " in error.provider_message or status in {302, 418}


def test_a_name_that_somebody_pasted_a_key_into_arrives_without_it():
    access = answering(200, {"data": [{"name": f"prod {PASTED}"}]})

    with ClaudeConsole().open(access) as client:
        body = client.get("/v1/x", [], lambda body, kept_out: body)

    name = json.loads(body)["data"][0]["name"]
    assert name.startswith("prod [redacted ")
    assert PASTED not in body.decode()


# --- In logs -------------------------------------------------------------------------------


@pytest.mark.parametrize("formatter", [WithoutSecrets(), WithoutSecretsAfter(logging.Formatter())])
def test_logs_hold_no_key_in_message_arguments_or_traceback(formatter):
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter)
    log = logging.Logger("test")
    log.addHandler(handler)

    try:
        raise ValueError(f"cannot send {KEY}")
    except ValueError:
        log.exception("Window %s of %s", PASTED, KEY)

    assert "Window [redacted " in output.getvalue()
    assert "ValueError: cannot send [redacted " in output.getvalue()
    assert KEY not in output.getvalue()
    assert PASTED not in output.getvalue()


# --- On Django's page of an error ------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_no_frame_of_a_debug_page_shows_the_key(settings, monkeypatch, accept):
    settings.DEBUG = True
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"  # nothing is sent: see below
    organization = make_organization()
    admin = make_member(organization, email="ada@example.com", role=Role.ADMIN)
    client = Client(raise_request_exception=False)
    client.force_login(admin)

    def fail_deep_inside(self, request):
        raise ZeroDivisionError(f"while sending {request.headers}")

    monkeypatch.setattr("httpcore.ConnectionPool.handle_request", fail_deep_inside)
    key = KEY.replace("api03", "api01")
    address = reverse("integrations:test", args=[organization.slug, "claude-enterprise"])
    response = client.post(address, {"label": "labs", "key": key}, headers={"accept": accept})

    page = response.content.decode()
    assert response.status_code == 500
    assert "ZeroDivisionError" in page
    assert "handle_request" in page  # the frames of libraries are there
    assert not any(key[at : at + 24] in page for at in range(len(key) - 24))
    for secret in (settings.SECRET_KEY, settings.CREDENTIALS_KEYS[0]):
        assert secret not in page


# --- Wherever it ends up ---------------------------------------------------------------------


@pytest.fixture
def pasted(monkeypatch, sandbox):
    """Let every name and message of the provider contain a pasted key."""
    spoiled = re.compile(rb'"(name|message|display_name)": *"')

    def spoil(body, *secrets):
        return redact_json(spoiled.sub(rb"\g<0>prod " + PASTED.encode() + b" ", body), *secrets)

    monkeypatch.setattr("integrations.connectors.anthropic.reading.redact_json", spoil)


def tables_that_hold(text):
    """Tables of which any column of any row holds the text."""
    holding = []
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(
                f'SELECT 1 FROM "{table}" AS one WHERE one::text LIKE %s LIMIT 1', [f"%{text}%"]
            )
            if cursor.fetchone():
                holding.append(table)
    return holding


def read_once(organization, label, slug, key):
    connection = make_connection(
        organization, label, slug, credential=Secret(key), provider_organization_id=label
    )
    end = timezone.now().date() - timedelta(days=10)
    run = sync.plan(connection, SyncRun.Kind.IMPORT, Window(end - timedelta(days=1), end))
    for _ in sync.run_inline(run, wait=lambda seconds: None):
        pass
    return end - timedelta(days=1)


@pytest.mark.django_db
def test_a_pasted_key_is_neither_stored_nor_shown(client, pasted):
    organization = make_organization()
    client.force_login(make_member(organization, role=Role.ADMIN))
    day = read_once(organization, "a", "claude-enterprise", "sk-ant-api01-sandbox-my-org")
    read_once(organization, "b", "claude-console", "sk-ant-admin01-sandbox-my-org")
    read_once(organization, "c", "claude-enterprise", "sk-ant-api01-sandbox-revoked")
    notices.detect(timezone.now())

    days = f"from={day}&to={day}"
    shown = [
        client.get(f"/o/demo/{path}")
        for path in (
            "integrations/",
            "integrations/log/",
            "audit/",
            "audit.csv",
            f"reports/explore/?metrics=cost&{days}&group_by=workspace_id",
            f"reports/explore.csv?metrics=cost&{days}&group_by=user_email,workspace_id",
        )
    ]

    assert Person.objects.filter(name__startswith="prod [redacted ").exists()
    assert Resource.objects.filter(name__startswith="prod [redacted ").exists()
    assert Notice.objects.count() == 3
    assert tables_that_hold(PASTED[:32]) == []
    texts = [b"".join(page).decode() for page in shown]
    assert not any(PASTED[:32] in text for text in texts)
    assert "prod [redacted " in texts[4]  # files hold identifiers instead of names


# --- What members type -----------------------------------------------------------------------

# As much of a key as fits into a label.
CUT = PASTED.lower().replace("_", "-")[:50].rstrip("-")
SENTENCE = "This looks like an API key. Remove it"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "arguments", "values"),
    [
        ("integrations:test", ["claude-enterprise"], {"label": CUT, "key": "sk-ant-api01-x"}),
        ("integrations:connect", ["claude-enterprise"], {"label": CUT, "key": "sk-ant-api01-x"}),
        ("integrations:rename", ["my-org"], {"label": CUT}),
        (
            "integrations:inquire",
            ["claude-enterprise"],
            {"question": f"Why is {PASTED} refused?", "reply_to": "ada@example.com"},
        ),
        ("reports:save", [], {"name": f"Spend of {PASTED}", "sharing": "private"}),
        ("tokens:index", [], {"name": PASTED, "scopes": ["read:reports"], "lifetime": "30"}),
    ],
)
def test_a_key_that_a_member_types_is_refused_and_not_shown_again(
    client, sandbox, name, arguments, values
):
    organization = make_organization()
    make_connection(organization, provider_organization_id="one")
    client.force_login(make_member(organization, role=Role.ADMIN))

    response = client.post(reverse(name, args=[organization.slug, *arguments]), values)

    page = response.content.decode()
    assert response.status_code == 422
    assert SENTENCE in page
    for typed in (CUT, PASTED):
        assert typed not in page
        assert tables_that_hold(typed[:32]) == []


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["explore/", "explore.csv", "save/"])
def test_a_key_as_a_filter_of_a_report_is_refused(client, path):
    organization = make_organization()
    client.force_login(make_member(organization, role=Role.ADMIN))

    response = client.get(f"/o/demo/reports/{path}?metrics=cost&service={PASTED}")

    assert response.status_code == 422
    assert "A value of the filter service looks like an API key." in response.content.decode()
    assert tables_that_hold(PASTED[:32]) == []


def test_the_hint_of_a_key_is_a_filter_like_any_other():
    query = "metrics=cost&api_key_id=sk-ant-api03-R2D...igAA"

    assert ReportSpec.from_query(query, today=date(2026, 11, 30)).filters


@pytest.mark.django_db
def test_a_key_typed_as_a_label_is_named_at_once_and_not_suggested(client):
    organization = make_organization()
    client.force_login(make_member(organization, role=Role.ADMIN))

    response = client.get(reverse("integrations:label", args=["demo"]), {"label": CUT})

    page = response.content.decode()
    assert "This looks like an API key." in page
    assert "my-org" in page
    assert CUT[:20] not in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("member_invite", {"email": f"{CUT}@example.com", "role": "viewer"}),
        ("change_email", {"email": f"{CUT}@example.com", "current": "x"}),
        ("profile", {"name": CUT}),
    ],
)
def test_a_key_as_an_address_or_a_name_of_a_person_is_refused(client, name, values):
    organization = make_organization()
    client.force_login(make_member(organization, role=Role.ADMIN))
    arguments = [organization.slug] if name == "member_invite" else []

    response = client.post(reverse(name, args=arguments), values)

    page = response.content.decode()
    assert response.status_code == 422
    assert SENTENCE in page
    assert CUT not in page
    assert tables_that_hold(CUT[:32]) == []


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["name", "slug"])
def test_a_key_as_a_name_of_an_organization_is_refused(field):
    organization = Organization(**{"slug": "demo", "name": "Demo", field: CUT})

    with pytest.raises(ValidationError, match="looks like an API key"):
        organization.full_clean()


@pytest.mark.django_db
def test_a_key_as_an_address_is_refused_in_the_admin_and_by_the_command(client):
    with pytest.raises(ValidationError, match="looks like an API key"):
        User(email=f"{CUT}@example.com", password="x").full_clean()
    with pytest.raises(CommandError, match="looks like an API key"):
        call_command("create_organization", "demo", name="Demo", admin=f"{CUT}@example.com")
    assert not Organization.objects.exists()
