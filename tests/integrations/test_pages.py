"""The pages of the connections: who may, what is said, what is stored, and where the key is not."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Role
from integrations import sync
from integrations.connectors import get_connector
from integrations.encryption import Secret
from integrations.models import Connection, SyncWindow
from tests.factories import make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")
KEY = "sk-ant-api01-sandbox-my-org"
HTMX = {"HX-Request": "true"}
TODAY = datetime(2026, 11, 22, tzinfo=UTC).date()


@pytest.fixture
def organization(sandbox):
    return make_organization()


@pytest.fixture
def as_role(client, organization):
    def sign_in(role):
        client.force_login(make_member(organization, role))
        return client

    return sign_in


@pytest.fixture
def admin(as_role):
    return as_role(Role.BILLING_ADMIN)


def url(name, **arguments):
    return reverse(f"integrations:{name}", kwargs={"organization_slug": "demo", **arguments})


def of_connector(name):
    return url(name, connector_slug="claude-enterprise")


def of_connection(name, label="my-org"):
    return url(name, label=label)


def connected(organization, label="my-org", **fields):
    fields.setdefault("credential", Secret(KEY))
    fields.setdefault("key_hint", "-org")
    return make_connection(organization, label, **{"provider_organization_id": "org_1"} | fields)


def page(client, address, **extra):
    response = client.get(address, **extra)
    assert response.status_code == 200, response
    return response.content.decode()


def proof_of(client, label="my-org", key=KEY):
    answer = client.post(of_connector("test"), {"label": label, "key": key}, headers=HTMX)
    found = re.search(r'name="proof" value="([^"]+)"', answer.content.decode())
    return found[1] if found else ""


# --- Who may -----------------------------------------------------------------------------
READERS = [("get", url("index")), ("get", of_connector("card"))]
MANAGERS = [
    ("get", of_connector("manage")),
    ("get", of_connector("connect")),
    ("post", of_connector("connect")),
    ("post", of_connector("test")),
    ("get", of_connection("progress")),
    ("get", of_connection("replace_key")),
    ("post", of_connection("replace_key")),
    ("get", of_connection("disconnect")),
    ("get", of_connection("delete")),
    ("post", of_connection("delete")),
    ("post", of_connection("sync_now")),
    ("post", of_connection("disconnect")),
]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANALYST])
@pytest.mark.parametrize(("method", "address"), MANAGERS)
def test_viewers_and_analysts_change_nothing(as_role, organization, role, method, address):
    connected(organization)
    before = list(Connection.objects.values())

    response = getattr(as_role(role), method)(address, {"confirm": "my-org", "key": KEY})

    assert response.status_code == 403
    assert list(Connection.objects.values()) == before
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize(("method", "address"), READERS)
def test_every_member_sees_the_cards(as_role, organization, role, method, address):
    connected(organization)

    assert getattr(as_role(role), method)(address).status_code == 200


@pytest.mark.parametrize("role", [Role.BILLING_ADMIN, Role.ADMIN])
@pytest.mark.parametrize(("method", "address"), MANAGERS)
def test_billing_profiles_admins_and_admins_get_in(as_role, organization, role, method, address):
    connected(organization)

    assert getattr(as_role(role), method)(address).status_code in {200, 302, 422}


@pytest.mark.parametrize("address", [of_connector("test"), of_connection("sync_now")])
def test_an_act_is_never_a_link(admin, organization, address):
    connected(organization)

    assert admin.get(address).status_code == 405


def test_who_is_turned_away_reads_who_can_help(as_role, organization):
    helper = make_member(organization, Role.BILLING_ADMIN)
    helper.name = "Ines Öztürk"
    helper.save()

    response = as_role(Role.VIEWER).get(of_connector("connect"))

    assert response.status_code == 403
    text = response.content.decode()
    assert "Billing Profiles Admin" in text
    assert "Ines Öztürk" in text


# --- The cards ---------------------------------------------------------------------------
def test_before_anything_is_connected_the_card_offers_to_connect(admin):
    text = page(admin, url("index"))

    assert "Anthropic (Analytics API)" in text
    assert "Not connected" in text
    assert f'href="{of_connector("connect")}">Connect <svg' in text
    assert "Analyze" not in text


def test_a_connected_card_offers_manage_and_analyze(admin, organization):
    connected(organization)

    text = page(admin, url("index"))

    assert f'href="{of_connector("manage")}">Manage' in text
    assert (
        "/o/demo/reports/explore/?provider=Anthropic+%28Analytics+API%29"
        "&amp;metrics=cost&amp;group_by=service&amp;range=30d" in text
    )
    assert "<dt>Organizations</dt><dd>1</dd>" in text


def test_a_viewer_may_analyze_but_not_manage(as_role, organization):
    connected(organization)

    text = page(as_role(Role.VIEWER), url("index"))

    assert "Analyze" in text
    assert "View only" in text
    assert of_connector("manage") not in text


def test_a_viewer_reads_who_can_connect(as_role, organization):
    make_member(organization, Role.ADMIN, "admin@example.com")

    text = page(as_role(Role.VIEWER), url("index"))

    assert "<b>admin@example.com</b>" in text
    assert of_connector("connect") not in text


def test_a_card_whose_import_has_not_begun_has_nothing_to_analyze(admin, organization):
    sync.plan_import(connected(organization), today=TODAY, days=90)

    text = page(admin, of_connector("card"))

    assert "Queued" in text
    assert "my-org is saved. The import starts within a minute." in text
    assert "Analyze" not in text
    assert "<progress" not in text


def test_a_card_without_a_living_connection_is_available_again(admin, organization):
    connected(organization, credential=None, state="disconnected")

    text = page(admin, url("index"))

    assert "Disconnected" in text
    assert "<dt>Organizations</dt><dd>1 disconnected</dd>" in text
    assert ">Available <small>1</small>" in text
    assert "Manage" in text


def test_a_card_that_needs_a_hand_says_why(admin, organization):
    connected(organization, state="action_needed", problem="Anthropic rejected the key.")

    text = page(admin, url("index"))

    assert "Needs attention" in text
    assert "my-org: Anthropic rejected the key." in text


@pytest.mark.parametrize(
    ("tab", "shown"), [("", True), ("others", True), ("data-ai", False), ("OTHERS", None)]
)
def test_each_tab_shows_its_kind(admin, tab, shown):
    response = admin.get(url("index"), {"tab": tab})

    if shown is None:
        assert response.status_code == 404
    else:
        assert ("card-claude-enterprise" in response.content.decode()) is shown


def test_a_tab_without_cards_says_so(admin):
    assert "Nothing in Data &amp; AI yet" in page(admin, url("index") + "?tab=data-ai")


@pytest.mark.parametrize(
    ("query", "found"),
    [("analytics", True), ("CLAUDE enterprise", True), ("my-org", True), ("snowflake", False)],
)
def test_search_looks_into_names_summaries_and_labels(admin, organization, query, found):
    connected(organization)

    text = page(admin, url("index") + f"?q={query}")

    assert ("card-claude-enterprise" in text) is found
    if not found:
        assert "No integration matches “snowflake”" in text


def test_while_one_types_only_the_cards_are_sent(admin):
    text = page(admin, url("index") + "?q=analytics&tab=others", headers=HTMX)

    assert "<html" not in text
    assert "1 integration in Others for analytics" in text
    assert 'id="tab-others" aria-controls="cards" aria-selected="true"' in text


def test_a_search_term_is_text_not_markup(admin):
    assert "<script>" not in page(admin, url("index") + "?q=<script>alert(1)</script>")


def test_a_card_looks_again_only_while_something_moves(admin, organization):
    connection = connected(organization)
    run = sync.plan_import(connection, today=TODAY, days=90)

    assert 'hx-trigger="every 5s"' in page(admin, of_connector("card"))

    run.windows.update(state=SyncWindow.State.DONE, finished_at=timezone.now())
    sync.settle(run)

    assert 'hx-trigger="every 5s"' not in page(admin, of_connector("card"))


def test_more_connections_take_no_more_queries(admin, organization, django_assert_max_num_queries):
    for number in range(8):
        connected(organization, f"org-{number}", provider_organization_id=f"org_{number}")
    with django_assert_max_num_queries(16):
        page(admin, url("index"))
    with django_assert_max_num_queries(16):
        page(admin, of_connector("manage"))


# --- Connect -----------------------------------------------------------------------------
def test_the_page_tells_the_sandbox_key_only_in_the_sandbox(admin, settings):
    assert "sk-ant-api01-sandbox-my-org" in page(admin, of_connector("connect"))

    settings.ANTHROPIC_BASE_URL = "https://api.anthropic.com"

    assert "sandbox" not in page(admin, of_connector("connect"))


def test_the_whole_way_by_plain_forms(admin, organization, django_capture_on_commit_callbacks):
    tested = admin.post(of_connector("test"), {"label": "my-org", "key": KEY})
    text = tested.content.decode()
    assert tested.status_code == 200
    assert "The connection works." in text
    assert "Scope read:analytics" in text
    assert not Connection.objects.exists()
    proof = re.search(r'name="proof" value="([^"]+)"', text)[1]

    with django_capture_on_commit_callbacks(execute=True):
        saved = admin.post(
            of_connector("connect"), {"label": "my-org", "key": KEY, "proof": proof}, follow=True
        )

    assert saved.redirect_chain == [(of_connector("manage"), 302)]
    assert "my-org is saved. The import has started." in saved.content.decode()
    connection = Connection.objects.get()
    assert connection.organization == organization
    assert connection.credential == Secret(KEY)
    assert connection.runs.get().kind == "import"
    assert AuditEvent.objects.get().verb == "connection.connected"


def test_saving_from_the_open_page_goes_to_manage(admin):
    values = {"label": "my-org", "key": KEY, "proof": proof_of(admin)}

    response = admin.post(of_connector("connect"), values, headers=HTMX)

    assert response["HX-Redirect"] == of_connector("manage")


@pytest.mark.parametrize(
    "changed",
    [{"proof": ""}, {"proof": "made:up"}, {"label": "other"}, {"key": f"{KEY}x"}],
    ids=["no proof", "invented proof", "another label", "another key"],
)
def test_nothing_is_saved_that_was_not_tested(admin, changed):
    values = {"label": "my-org", "key": KEY, "proof": proof_of(admin)} | changed

    response = admin.post(of_connector("connect"), values)

    assert response.status_code == 422
    assert "Test the connection first" in response.content.decode()
    assert not Connection.objects.exists()


@pytest.mark.parametrize("label", ["", "My Org!", "-org", "org-", "a/b", "ä", "x" * 51])
@pytest.mark.parametrize("name", ["test", "connect"])
def test_a_label_is_small_letters_digits_and_hyphens(admin, name, label):
    response = admin.post(of_connector(name), {"label": label, "key": KEY}, headers=HTMX)

    assert response.status_code == 422
    text = response.content.decode()
    assert 'href="#id_label"' in text
    assert re.search(r'id="label-e" hx-swap-oob="true"><svg', text)
    assert not Connection.objects.exists()


def test_a_label_is_taken_once(admin, organization):
    connected(organization)

    response = admin.post(of_connector("test"), {"label": "my-org", "key": KEY}, headers=HTMX)

    assert response.status_code == 422
    assert "my-org is taken by another connection." in response.content.decode()


def test_the_same_label_is_free_in_another_organization(admin):
    connected(make_organization("other", "Other Inc."))

    assert proof_of(admin)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("sk-ant-admin01-xyz", "This is an Admin key of the Claude Console."),
        ("sk-ant-api03-xyz", "This key runs models; it cannot read analytics."),
        ("sk-ant-api01-sandbox-revoked", "Anthropic rejected the key."),
        ("sk-ant-api01-sandbox-noscope", "read:analytics"),
        ("sk-ant-api01-sandbox-off", "switched off"),
        ("sk-ant-api01-sandbox-busy", "Too many requests."),
        ("sk-ant-api01-sandbox-outage", "Anthropic did not answer properly (503)."),
    ],
)
def test_every_failure_has_its_own_sentence_and_stores_nothing(admin, key, sentence, caplog):
    response = admin.post(of_connector("test"), {"label": "my-org", "key": key}, headers=HTMX)

    assert response.status_code == 200
    text = response.content.decode()
    assert sentence in text
    assert "To fix it:" in text
    assert 'name="proof"' not in text
    assert not Connection.objects.exists()
    assert key not in text
    assert key not in caplog.text


def test_what_the_provider_said_is_under_technical_details(admin):
    values = {"label": "my-org", "key": "sk-ant-api01-sandbox-revoked"}

    text = admin.post(of_connector("test"), values).content.decode()

    details = text.partition("<summary>Technical details</summary>")[2].partition("</details>")[0]
    assert "HTTP 401" in details
    assert "invalid or has been revoked" in details
    assert "request-id req_" in details


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain form", "htmx"])
@pytest.mark.parametrize("name", ["test", "connect"])
@pytest.mark.parametrize("label", ["my-org", "My Org!"])
def test_the_key_never_comes_back(admin, caplog, headers, name, label):
    response = admin.post(of_connector(name), {"label": label, "key": KEY + "9z"}, headers=headers)

    assert KEY + "9z" not in response.content.decode()
    assert KEY + "9z" not in str(response.headers)
    assert KEY + "9z" not in caplog.text


# --- Manage ------------------------------------------------------------------------------
def test_the_table_tells_what_one_needs_to_know(admin, organization):
    someone = make_member(organization, Role.ADMIN)
    someone.name = "Priya Raghunathan"
    someone.save()
    connected(organization, created_by=someone)

    text = page(admin, of_connector("manage"))

    assert "…-org" in text
    assert "added by Priya Raghunathan" in text
    assert "Connect Anthropic (Analytics API)" in text
    assert "billing_account=my-org" in text
    assert KEY not in text


def test_an_import_shows_its_steps_and_stops_asking_when_it_is_done(admin, organization):
    run = sync.plan_import(connected(organization), today=TODAY, days=90)

    assert "Import of my-org" in page(admin, of_connector("manage"))
    assert 'hx-trigger="every 5s"' in page(admin, of_connection("progress"), headers=HTMX)

    run.windows.update(state=SyncWindow.State.DONE, finished_at=timezone.now())
    sync.settle(run)

    text = page(admin, of_connection("progress"), headers=HTMX)
    assert 'hx-trigger="every 5s"' not in text
    assert "All days of my-org are in." in text
    assert 'id="status-my-org" hx-swap-oob="true"' in text


def test_a_problem_stands_under_its_row_with_the_repair(admin, organization):
    connected(
        organization,
        state="action_needed",
        problem="Anthropic rejected the key. It may be revoked.",
        problem_repair="Ask for a new one.",
        problem_since=timezone.now() - timedelta(hours=1),
    )

    text = page(admin, of_connector("manage"))

    assert "<b>Anthropic rejected the key.</b> It may be revoked." in text
    assert "Ask for a new one." in text
    assert f'href="{of_connection("replace_key")}"' in text


def test_a_run_that_waits_for_a_new_key_is_not_asked_about(admin, organization):
    connection = connected(organization)
    sync.plan_import(connection, today=TODAY, days=90)
    Connection.objects.update(
        state="action_needed", problem="Anthropic rejected the key.", problem_since=timezone.now()
    )

    assert 'hx-trigger="every 5s"' not in page(admin, of_connector("manage"))
    assert 'hx-trigger="every 5s"' not in page(admin, of_connector("card"))


def test_sync_now_starts_a_run(admin, organization):
    connection = connected(organization)

    response = admin.post(of_connection("sync_now"), follow=True)

    assert "Sync of my-org has started." in response.content.decode()
    assert connection.runs.get().kind == "manual"


def test_sync_now_of_a_disconnected_connection_says_why_not(admin, organization):
    connected(organization, credential=None, state="disconnected")

    response = admin.post(of_connection("sync_now"))

    assert response.status_code == 422
    assert "cannot sync" in response.content.decode()


def test_disconnecting_asks_first_and_keeps_the_history(admin, organization):
    connection = connected(organization)
    assert "Disconnect my-org?" in page(admin, of_connection("disconnect"))
    connection.refresh_from_db()
    assert connection.state == "active"

    response = admin.post(of_connection("disconnect"), follow=True)

    assert "my-org is disconnected. Its history is kept." in response.content.decode()
    connection.refresh_from_db()
    assert connection.state == "disconnected"
    assert connection.credential is None


def test_a_question_is_a_dialog_for_htmx_and_a_page_without(admin, organization):
    connected(organization)

    assert page(admin, of_connection("disconnect"), headers=HTMX).lstrip().startswith("<form")
    assert "<html" in page(admin, of_connection("disconnect"))


@pytest.mark.parametrize("typed", ["", "my", "my-org2", "MY-ORG"])
def test_deleting_asks_for_the_label(admin, organization, typed):
    connection = connected(organization, credential=None, state="disconnected")

    response = admin.post(of_connection("delete"), {"confirm": typed})

    assert response.status_code == 422
    connection.refresh_from_db()
    assert connection.state == "disconnected"


def test_deleting_runs_in_the_background(admin, organization):
    connection = connected(organization, credential=None, state="disconnected")

    response = admin.post(of_connection("delete"), {"confirm": "my-org"}, follow=True)

    assert "my-org is being deleted." in response.content.decode()
    connection.refresh_from_db()
    assert connection.state == "deleting"


def test_only_what_is_disconnected_can_be_deleted(admin, organization):
    connection = connected(organization)

    response = admin.post(of_connection("delete"), {"confirm": "my-org"})

    assert response.status_code == 422
    assert "Disconnect my-org before you delete it." in response.content.decode()
    connection.refresh_from_db()
    assert connection.state == "active"


def test_a_new_key_is_tested_before_it_replaces_the_old_one(admin, organization):
    connection = connected(organization)

    refused = admin.post(
        of_connection("replace_key"), {"key": "sk-ant-api01-sandbox-revoked"}, headers=HTMX
    )

    assert refused.status_code == 422
    assert "Anthropic rejected the key." in refused.content.decode()
    assert "sk-ant-api01-sandbox-revoked" not in refused.content.decode()
    connection.refresh_from_db()
    assert connection.credential == Secret(KEY)


def test_a_good_key_replaces_the_old_one_and_syncing_goes_on(admin, organization):
    found = admin.post(of_connector("test"), {"label": "x", "key": KEY}).content.decode()
    provider_organization = re.search(r"org_\w+|[0-9a-f-]{36}", found.partition("recognized")[2])[0]
    connection = make_connection(
        organization,
        provider_organization_id=provider_organization,
        credential=Secret("sk-ant-api01-old"),
        state="action_needed",
        problem="Anthropic rejected the key.",
    )

    response = admin.post(of_connection("replace_key"), {"key": KEY}, headers=HTMX)

    assert response["HX-Redirect"] == of_connector("manage")
    connection.refresh_from_db()
    assert connection.credential == Secret(KEY)
    assert connection.state == "active"
    assert connection.problem == ""


def test_an_unknown_connector_is_not_found(admin):
    assert admin.get(url("manage", connector_slug="nope")).status_code == 404


# --- What every page keeps ---------------------------------------------------------------
@pytest.mark.parametrize(
    "address",
    [
        url("index"),
        url("index") + "?tab=data-ai",
        of_connector("connect"),
        of_connector("manage"),
        of_connection("disconnect"),
        of_connection("delete"),
        of_connection("replace_key"),
    ],
)
def test_pages_fit_the_strict_content_security_policy(admin, organization, address):
    sync.plan_import(connected(organization), today=TODAY, days=90)

    response = admin.get(address)
    text = response.content.decode()

    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert response["Cache-Control"] == "private, no-store"
