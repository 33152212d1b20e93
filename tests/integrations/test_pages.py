"""The pages of the connections: who may, what is said, what is stored, and where the key is not."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Role
from integrations import connections, sync
from integrations.connectors import connectors, get_connector
from integrations.connectors.base import Check, Probe
from integrations.encryption import Secret
from integrations.models import Connection, SyncWindow
from tests.factories import (
    cost,
    feed_day,
    make_connection,
    make_member,
    make_organization,
    total,
)
from tests.pages import Page, squeeze

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


def of_connector(name, slug="claude-enterprise"):
    return url(name, connector_slug=slug)


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
    match = re.search(r'name="proof" value="([^"]+)"', answer.content.decode())
    return match[1] if match else ""


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
    assert f">Available <small>{len(connectors())}</small>" in text
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


def test_a_tab_without_cards_says_so(admin, installed):
    installed("integrations.connectors.claude_enterprise.ClaudeEnterprise")

    assert "Nothing in Data &amp; AI yet" in page(admin, url("index") + "?tab=data-ai")


@pytest.mark.parametrize(
    ("query", "expected"),
    [("analytics", True), ("CLAUDE enterprise", True), ("my-org", True), ("snowflake", False)],
)
def test_search_looks_into_names_summaries_and_labels(admin, organization, query, expected):
    connected(organization)

    text = page(admin, url("index") + f"?q={query}")

    assert ("card-claude-enterprise" in text) is expected
    if not expected:
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
    sync.close_if_done(run)

    assert 'hx-trigger="every 5s"' not in page(admin, of_connector("card"))


def test_more_connections_take_no_more_queries(admin, organization, django_assert_max_num_queries):
    for number in range(8):
        connection = connected(
            organization, f"org-{number}", provider_organization_id=f"org_{number}"
        )
        sync.plan_import(connection, today=TODAY, days=9)
    with django_assert_max_num_queries(23):  # two of them for feeds that fail
        page(admin, url("index"))
    with django_assert_max_num_queries(28):
        page(admin, of_connector("manage"))
    with django_assert_max_num_queries(18):
        page(admin, url("log"))


# --- Connect -----------------------------------------------------------------------------
@pytest.mark.parametrize("slug", ["claude-enterprise", "claude-console"])
def test_the_page_shows_sandbox_keys_only_where_the_sandbox_answers(admin, settings, slug):
    settings.ANTHROPIC_BASE_URL, settings.SANDBOX = "http://127.0.0.1:8001", True
    assert "-sandbox-my-org" in page(admin, of_connector("connect", slug))

    settings.SANDBOX = False  # this machine may run a proxy to the provider
    assert "sandbox" not in page(admin, of_connector("connect", slug))

    settings.ANTHROPIC_BASE_URL, settings.SANDBOX = "https://api.anthropic.com", True
    assert "sandbox" not in page(admin, of_connector("connect", slug))


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


def outcome(client, key):
    answer = client.post(of_connector("test"), {"label": "my-org", "key": key}, headers=HTMX)
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_a_key_that_opens_less_says_so_before_it_is_saved(admin):
    """The key of campus cannot list groups."""
    text = outcome(admin, "sk-ant-api01-sandbox-campus")
    assert (
        "It works, with one limit. Optional scope read:rbac_groups: Missing. Only groups with "
        "active members get their names. You can save it now." in text
    )
    assert "Optional scope read:rbac_groups : with a limit" in text

    assert "limit" not in outcome(admin, KEY)
    assert proof_of(admin, key="sk-ant-api01-sandbox-campus")


def test_several_limits_are_a_list():
    limits = (Check("Plan", "limited", "On seats."), Check("Cost data", "limited", "None yet."))
    tested = connections.TestResult(
        Probe("org_1", (Check("Key accepted", "passed"), *limits)), None, "proof"
    )

    text = Page(squeeze(render_to_string("integrations/_outcome.html", {"tested": tested})))

    assert "<b>It works, with two limits.</b> You can save it now." in text
    assert "<li>Plan: On seats.</li><li>Cost data: None yet.</li>" in text


def test_only_a_key_that_lacks_something_there_offers_the_note(admin):
    """Waiting out a rate limit needs no help."""
    assert "Copy note for the Primary Owner" in outcome(admin, "sk-ant-api01-sandbox-noscope")
    assert "Copy note" not in outcome(admin, "sk-ant-api01-sandbox-busy")
    console = url("test", connector_slug="claude-console")
    answer = admin.post(console, {"label": "x", "key": "sk-ant-admin01-sandbox-revoked"})
    assert "Copy note for the admin" in answer.content.decode()


def test_the_note_names_the_two_scopes_that_are_read(admin):
    text = page(admin, of_connector("connect"))

    note = text.partition('id="note">')[2].partition("</div>")[0]
    assert re.findall(r"<code>(read:\w+)</code>", note) == ["read:analytics", "read:rbac_groups"]
    assert "What each scope adds" in text
    assert "read:members" not in text


def test_pages_name_the_days_and_hours_of_this_installation(admin, organization, settings):
    settings.IMPORT_DAYS, settings.SYNC_INTERVAL = 30, timedelta(hours=2)
    for slug in connectors():
        text = page(admin, url("connect", connector_slug=slug))
        assert "<b>Up to 30 days</b>" in text
        assert "<b>Every 2 hours</b> the data is refreshed." in text
        assert "Refreshed every 2 hours" in page(admin, url("manage", connector_slug=slug))

    settings.SYNC_INTERVAL = timedelta(minutes=90)
    text = page(admin, url("index"))

    assert "imports up to 30 days and refreshes every 90 minutes." in text


def test_the_page_of_a_provider_says_what_it_does_not_report(admin):
    text = page(admin, url("manage", connector_slug="claude-console"))

    assert "Not reported by Anthropic" in text
    assert "Claude Code of people who sign in with a claude.ai subscription" in text
    assert "anthropics/claude-code#27780" in text
    assert "Not reported by" in page(admin, of_connector("manage"))


def test_one_chooses_90_days_or_everything(admin):
    days = (timezone.now().date() - datetime(2026, 1, 1, tzinfo=UTC).date()).days + 1
    text = page(admin, of_connector("connect"))
    assert "<b>90 days</b>, " in text
    assert "<b>Everything</b>, 1 Jan to " in text
    values = {"label": "my-org", "key": KEY, "proof": proof_of(admin), "history": "everything"}

    admin.post(of_connector("connect"), values)

    assert len(Connection.objects.get().runs.get().window) == days


def test_a_choice_says_how_many_requests_and_minutes_it_takes(admin, settings):
    settings.ANTHROPIC_REQUESTS_PER_MINUTE = 60
    feeds = CONNECTOR.feeds
    recent = sum(
        1 if feed.is_newest_only else -(-90 // feed.window_days)
        for feed in feeds
        if not feed.filled_by  # comes in the answers of another feed
    )

    text = " ".join(page(admin, of_connector("connect")).split())

    assert f"At least {recent:,} requests: {-(-recent // 60)} minute" in text


def test_the_day_a_key_ends_is_kept_if_it_is_known(admin):
    soon = timezone.now().date() + timedelta(days=20)
    values = {"label": "my-org", "key": KEY, "proof": proof_of(admin), "key_expires_on": f"{soon}"}

    admin.post(of_connector("connect"), values)

    assert Connection.objects.get().key_expires_on == soon
    assert f"expires {soon.day} {soon:%b %Y}" in page(admin, of_connector("manage"))


@pytest.mark.parametrize(
    ("written", "reason"),
    [("2020-01-01", "This day is past."), ("soon", "Write the day as 2026-12-31")],
)
def test_a_day_that_cannot_be_is_refused(admin, written, reason):
    values = {"label": "my-org", "key": KEY, "proof": proof_of(admin), "key_expires_on": written}

    response = admin.post(of_connector("connect"), values)

    assert response.status_code == 422
    assert reason in response.content.decode()
    assert not Connection.objects.exists()


@pytest.mark.parametrize(
    ("typed", "problem", "suggestion"),
    [
        ("", "", ""),
        ("my-org", "", ""),
        ("My Org!", "Use small letters, digits and hyphens, such as my-org.", "my-org"),
        ("taken", "taken is used by another connection. Choose another label.", "taken-3"),
        ("taken-2", "taken-2 is used by another connection.", "taken-2-2"),
        ("!", "Use small letters", "my-org"),
        ("x" * 51, "Use small letters", "x" * 46),
    ],
)
def test_a_label_is_checked_while_one_types(admin, organization, typed, problem, suggestion):
    for label in ("taken", "taken-2"):
        make_connection(organization, label)

    text = page(admin, url("label") + f"?label={quote(typed)}", headers=HTMX)

    assert (" hidden" in text) is (not problem)
    assert problem in text
    assert (f'data-use="{suggestion}">Use {suggestion}<' in text) is bool(suggestion)


def test_the_label_a_connection_has_is_no_problem_while_renaming(admin, organization):
    connected(organization)

    text = page(admin, url("label") + "?own=my-org&label=my-org", headers=HTMX)

    assert " hidden" in text


def test_an_organization_that_was_here_before_is_reconnected_not_doubled(admin, organization):
    tested = admin.post(of_connector("test"), {"label": "x", "key": KEY}).content.decode()
    known = re.search(r"org_\w+|[0-9a-f-]{36}", tested.partition("recognized")[2])[0]
    make_connection(organization, "old", state="archived", provider_organization_id=known)

    response = admin.post(of_connector("test"), {"label": "new", "key": KEY}, headers=HTMX)

    text = response.content.decode()
    assert "is already here, as old." in text
    assert f'href="{of_connection("replace_key", "old")}">Reconnect old' in text
    admin.post(of_connection("replace_key", "old"), {"key": KEY})
    assert Connection.objects.get().state == "active"


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
    assert "my-org is used by another connection." in response.content.decode()


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


def test_a_failed_test_shows_how_far_it_came(admin):
    values = {"label": "my-org", "key": "sk-ant-api01-sandbox-noscope"}

    text = admin.post(of_connector("test"), values, headers=HTMX).content.decode()

    lines = re.sub(r"<[^>]+>", " ", text[text.index('class="checks panel') :])
    words = " ".join(lines.split())
    assert "Key accepted Scope read:analytics : failed Missing. Organization recognized" in words
    assert text.index("checks panel") < text.index("Open an expert inquiry")


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
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    first = run.windows.order_by("position")[0]
    read = {"state": SyncWindow.State.DONE, "started_at": noon}
    run.windows.filter(feed=first.feed).update(**read, finished_at=noon + timedelta(seconds=31))
    assert "12:00 UTC, 31" in page(admin, of_connector("manage"))
    assert 'hx-trigger="every 5s"' in page(admin, of_connection("progress"), headers=HTMX)

    run.windows.update(state=SyncWindow.State.DONE, finished_at=timezone.now())
    sync.close_if_done(run)

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


@pytest.mark.parametrize(
    ("code", "offered"), [("access_denied", 2), ("billing", 2), ("key_rejected", 0)]
)
def test_going_on_with_the_stored_key_is_offered_where_it_can_be_good_again(
    admin, organization, code, offered
):
    """Under the row and above its feeds; the kebab has it always."""
    connected(
        organization,
        state="action_needed",
        problem="Stopped.",
        problem_code=code,
        problem_since=timezone.now(),
    )

    text = page(admin, of_connector("manage"))

    assert text.count(f'action="{of_connection("sync_now")}"') == offered + 1


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

    response = admin.post(of_connection("delete"), {"confirm": typed, "history": "erase"})

    assert response.status_code == 422
    connection.refresh_from_db()
    assert connection.state == "disconnected"


def test_deleting_runs_in_the_background(admin, organization):
    connection = connected(organization, credential=None, state="disconnected")

    response = admin.post(
        of_connection("delete"), {"confirm": "my-org", "history": "erase"}, follow=True
    )

    assert "my-org is being deleted." in response.content.decode()
    connection.refresh_from_db()
    assert connection.state == "deleting"


def test_deleting_may_keep_the_history(admin, organization):
    connection = connected(organization, credential=None, state="disconnected")
    cost(connection, "2026-11-20", "12.50", product="chat")

    response = admin.post(
        of_connection("delete"), {"confirm": "my-org", "history": "keep"}, follow=True
    )

    text = response.content.decode()
    assert "my-org is archived. Its history stays in reports." in text
    assert "No connections yet" in text
    assert "1 archived connection" in text
    report = admin.get(
        "/o/demo/reports/explore/?billing_account=my-org&from=2026-11-20&to=2026-11-20"
    )
    assert "$12.50" in report.content.decode()
    assert of_connection("replace_key") in page(admin, url("archive"))
    assert "Delete" not in page(admin, url("index"))


def test_deleting_does_not_guess_what_happens_to_the_history(admin, organization):
    connection = connected(organization, credential=None, state="disconnected")

    response = admin.post(of_connection("delete"), {"confirm": "my-org"})

    assert response.status_code == 422
    connection.refresh_from_db()
    assert connection.state == "disconnected"


def test_the_question_before_deleting_says_what_is_at_stake(admin, organization):
    connection = connected(organization, credential=None, state="disconnected")
    for day, amount in (("2026-11-19", "9400.50"), ("2026-11-20", "12.05")):
        feed_day(connection, "organization_cost", day)
        total(connection, day, amount)

    text = page(admin, of_connection("delete"))

    assert "2 days of history ($9,412.55, from 19 Nov 2026)" in text
    assert 'by <span class="nowrap">−$9,412.55</span>' in text


def test_an_archived_history_can_still_be_erased(admin, organization):
    connection = connected(organization, credential=None, state="archived")
    assert "Erase the history of my-org?" in page(admin, of_connection("delete"))

    admin.post(of_connection("delete"), {"confirm": "my-org", "history": "erase"})

    connection.refresh_from_db()
    assert connection.state == "deleting"


def test_erasing_shows_how_far_it_is(admin, organization):
    connected(
        organization, credential=None, state="deleting", rows_to_erase=1_204_331, rows_erased=40_000
    )

    text = page(admin, of_connector("manage"))

    assert "40,000 of 1,204,331 rows erased." in text
    assert '<progress id="erase-my-org" max="1204331" value="40000"' in " ".join(text.split())


def test_only_what_is_disconnected_can_be_deleted(admin, organization):
    connection = connected(organization)

    response = admin.post(of_connection("delete"), {"confirm": "my-org", "history": "keep"})

    assert response.status_code == 422
    assert "Disconnect my-org before you delete it." in response.content.decode()
    connection.refresh_from_db()
    assert connection.state == "active"


# --- Rename, import everything -----------------------------------------------------------
def test_renaming_says_what_becomes_of_saved_links(admin, organization):
    connected(organization)

    text = page(admin, of_connection("rename"))

    assert "Existing links that filter by my-org" in text
    assert "Saved reports and schedules are updated." in text
    assert 'value="my-org"' in text


def test_a_new_label_is_the_billing_account_of_the_past_too(admin, organization):
    connection = connected(organization)
    cost(connection, "2026-11-20", "12.50", product="chat")

    response = admin.post(of_connection("rename"), {"label": "acme"}, follow=True)

    assert "Label changed to acme." in response.content.decode()
    report = admin.get(
        "/o/demo/reports/explore/?billing_account=acme&from=2026-11-20&to=2026-11-20"
    )
    assert "$12.50" in report.content.decode()
    event = AuditEvent.objects.get()
    assert (event.verb, event.target, event.details) == (
        "connection.renamed",
        "acme",
        {"before": "my-org"},
    )


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "Enter a label"),
        ("My Org!", "Use small letters"),
        ("taken", "taken is used by another connection. Choose another label. taken-2 is free."),
        ("past", "past is used by an archived history."),
    ],
)
def test_a_label_that_cannot_be_stays_as_it_was(admin, organization, label, reason):
    connected(organization)
    make_connection(organization, "taken")
    make_connection(organization, "past", state="archived")

    response = admin.post(of_connection("rename"), {"label": label})

    assert response.status_code == 422
    assert reason in response.content.decode()
    assert Connection.objects.filter(label="my-org").exists()


def test_the_same_label_again_changes_nothing(admin, organization):
    connected(organization)

    admin.post(of_connection("rename"), {"label": "my-org"})

    assert not AuditEvent.objects.exists()


def test_everything_can_be_imported_later(admin, organization):
    connection = connected(organization)
    today = timezone.now().date()
    sync.plan_import(connection, today=today, days=90).windows.update(state="done")
    sync.close_finished_runs()
    feed_day(connection, "organization_cost", today - timedelta(days=89))
    assert of_connection("import_everything") in page(admin, of_connector("manage"))
    days = (today - datetime(2026, 1, 1, tzinfo=UTC).date()).days + 1
    words = " ".join(page(admin, of_connection("import_everything")).split())
    assert f"<b>{days} days</b>, from 1 Jan 2026" in words

    response = admin.post(of_connection("import_everything"), follow=True)

    assert "The import of my-org has started." in response.content.decode()
    run = connection.runs.get(state="active")
    assert (run.kind, f"{run.start}", len(run.window)) == ("import", "2026-01-01", days)
    assert of_connection("import_everything") not in page(admin, of_connector("manage"))


def test_everything_is_not_offered_when_it_is_here(admin, organization):
    feed_day(connected(organization), "organization_cost", "2026-01-01")

    assert of_connection("import_everything") not in page(admin, of_connector("manage"))


def test_an_import_waits_for_the_run_before_it(admin, organization):
    sync.plan_import(connected(organization), today=TODAY, days=9)

    response = admin.post(of_connection("import_everything"))

    assert response.status_code == 422
    assert "my-org is being read right now." in response.content.decode()


# --- A new key ---------------------------------------------------------------------------
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
    tested = admin.post(of_connector("test"), {"label": "x", "key": KEY}).content.decode()
    provider_organization = re.search(r"org_\w+|[0-9a-f-]{36}", tested.partition("recognized")[2])[
        0
    ]
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


def test_an_unknown_connector_returns_404(admin):
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
