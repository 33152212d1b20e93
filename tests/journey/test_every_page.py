"""Every page as an Admin sees it, in light and dark, on desktop and phone.

Pages come from the table of permissions, so a new one is covered at once. With
`SCREENSHOTS=folder` (make screenshots) a screenshot of each is written there.
"""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Error, Page, expect

from accounts.models import Role
from integrations import notices, sync
from integrations.encryption import Secret
from integrations.models import Connection, ExpertInquiry, Notice, SyncRun, SyncWindow
from integrations.window import Window
from tests.factories import (
    PASSWORD,
    activity,
    cost,
    feed_day,
    make_connection,
    make_invitation,
    make_member,
    make_organization,
    make_person,
)
from tests.journey.screenshots import PICTURES, wrong
from tests.test_permissions import PAGES
from tests.test_tenancy import ADDRESSES, ARGUMENTS, address, make_one_of_each

pytestmark = pytest.mark.browser

KEY = "sk-ant-api01-sandbox-my-org"
DAYS = 90 if PICTURES else 5
INNER = [name for name, page in sorted(PAGES.items()) if page.get == 200]
OUTER = ["profile", "change_email", "change_password"]
CONSOLE = ["integrations:connect", "integrations:manage"]  # the pages a connector words itself


@pytest.fixture
def organization(transactional_db, sandbox, monkeypatch):
    """Create a company with a connection in every state, notices and a few days of data."""
    for name, value in {"organization_slug": "demo", "label": "my-org"}.items():
        monkeypatch.setitem(ARGUMENTS, name, value)
    organization = make_organization("demo", "Brightwater Logistics")
    ines = make_member(organization, Role.ADMIN, "ines@example.com", name="Ines Öztürk")
    make_member(
        organization,
        Role.ANALYST,
        "priya@example.com",
        name="Priya Raghunathan",
        membership_pk=ARGUMENTS["member_pk"],
    )
    make_invitation(organization, "tomas@example.com", pk=ARGUMENTS["invitation_pk"])
    healthy = make_one_of_each(organization)
    fill(healthy)
    platform(organization)
    others(organization)
    question = "The new key is accepted, but no cost of November arrives. Is it the plan?"
    ExpertInquiry.objects.update(
        question=question, label="emea-studio", asked_by=ines, reply_to=ines.email
    )
    Notice.objects.all().delete()
    notices.detect(timezone.now())
    return organization


def fill(connection: Connection) -> None:
    """Import some days from the sandbox."""
    fields = {"credential": Secret(KEY), "key_hint": "9fQ2", "provider_organization_id": "org_01Kq"}
    for name, value in fields.items():
        setattr(connection, name, value)
    connection.save()
    before = timezone.now() - timedelta(hours=7)
    connection.runs.update(created_at=before, finished_at=before + timedelta(seconds=40))
    window = Window.last(DAYS, today=timezone.now().date())
    run = sync.plan(connection, SyncRun.Kind.IMPORT, window)
    for _ in sync.run_inline(run, wait=lambda seconds: None):
        pass


def platform(organization) -> None:
    """Create a Console organization with workspaces and a person who uses both products."""
    today = timezone.now().date()
    console = make_connection(
        organization,
        "platform",
        "claude-console",
        credential=Secret("sk-ant-admin01-sandbox-my-org"),
        key_hint="Wq7c",
        provider_organization_id="8f3c1d2e-0000-4000-8000-000000000001",
    )
    for feed in console.connector.feeds:
        feed_day(console, feed.name, today, state="incomplete")
    cost(console, today, "7.65", product="messages_api", workspace_id="default")
    person = make_person(console, "user_there", email="ada.abebe@brightwater.example")
    activity(
        console,
        today,
        person=person,
        feed="claude_code",
        claude_code_metrics__estimated_cost_usd=2,
    )


def others(organization) -> None:
    now = timezone.now()
    make_connection(organization, "apac-pilot", state="disconnected")
    make_connection(organization, "pilot-2025", state="archived")
    make_connection(organization, "old-trial", state="deleting", rows_to_erase=90, rows_erased=40)
    make_connection(
        organization,
        "emea-studio",
        credential=Secret(KEY),
        key_hint="T7wd",
        provider_organization_id="org_01Pn8",
        state="action_needed",
        problem="Anthropic rejected the key. It may be revoked, expired or mistyped.",
        problem_repair="Paste it again. If that does not help, ask for a new one.",
        problem_since=now - timedelta(hours=20),
    )
    importing = make_connection(
        organization,
        "labs-seoul",
        credential=Secret(KEY),
        key_hint="c0Rk",
        provider_organization_id="org_01Vb5",
        key_expires_on=now.date() + timedelta(days=6),
    )
    run = sync.plan_import(importing, today=now.date(), days=90)
    first = run.windows.order_by("position")[:20]
    SyncWindow.objects.filter(pk__in=[window.pk for window in first]).update(
        state=SyncWindow.State.DONE,
        attempts=1,
        started_at=now - timedelta(seconds=9),
        finished_at=now - timedelta(seconds=8),
        requests=3,
        rows=1284,
    )
    run.windows.filter(position=20).update(
        state=SyncWindow.State.RUNNING,
        attempts=1,
        leased_until=now + timedelta(hours=1),
        started_at=now,
    )


def sign_in(page: Page) -> None:
    page.goto("/login/")
    page.get_by_label("Email").fill("ines@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/o/demo/"))


def look(page: Page, path: str, name: str) -> list[str]:
    """Return the faults of this page; nothing for files and fragments."""
    try:
        answer = page.goto(path)
    except Error as exc:
        if "Download is starting" in exc.message:
            return []
        raise
    assert answer is not None
    if "text/html" not in answer.headers["content-type"] or "<html" not in answer.text():
        return []
    # Dashboards load piece by piece.
    expect(page.locator("[aria-busy]")).to_have_count(0, timeout=60_000)
    page.evaluate("document.fonts.ready")
    return wrong(page, name)


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_can_be_used_by_everybody(open_page, organization, width):
    page = open_page(width=width, color_scheme="light")
    faults = look(page, "/login/", "login")
    sign_in(page)

    for name in INNER:
        faults += look(page, address(name), name)
    for name in OUTER:
        faults += look(page, reverse(name), name)
    for name in CONSOLE:
        path = reverse(name, args=[organization.slug, "claude-console"])
        faults += look(page, path, f"{name}-console")
    faults += look(page, "/o/nowhere/integrations/", "not-found")

    assert not faults, "\n".join(faults)


def test_the_table_of_pages_names_every_page():
    assert set(INNER) <= set(ADDRESSES)
    assert len(INNER) >= 15
