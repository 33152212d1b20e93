"""Two accounts and three failed tests on a phone at night, with the keyboard alone."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Organization, Role
from integrations import notices, sync
from integrations.models import Connection, ExpertInquiry
from tests.factories import PASSWORD, make_connection, make_member, make_organization

pytestmark = pytest.mark.browser

CONNECT = "/o/demo/integrations/claude-enterprise/connect/"


def to(page: Page, name: str, role: str | None = None) -> None:
    """Press Tab until what has this name holds the focus; fails after two hundred stops."""
    wanted = re.compile(name)
    for _ in range(200):
        page.keyboard.press("Tab")
        label, kind = page.evaluate(
            "[(e => (e.labels?.[0] || e).innerText || e.ariaLabel || '')(document.activeElement),"
            " document.activeElement.tagName.toLowerCase()]"
        )
        if wanted.search(label) and (role is None or kind == role):
            return
    raise AssertionError(f"The keyboard does not reach {name}")


def write(page: Page, name: str, text: str) -> None:
    to(page, name, "input")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)


def try_key(page: Page, label: str, key: str) -> None:
    page.goto(CONNECT)
    write(page, "Organization Label", label)
    write(page, "Analytics API Key", key)
    to(page, "Test connection", "button")
    page.keyboard.press("Enter")


@pytest.fixture
def page(open_page, transactional_db, sandbox):
    make_member(make_organization(), Role.BILLING_ADMIN, "ines@example.com")
    page = open_page(width=390, color_scheme="dark")
    page.goto("/login/")
    page.keyboard.type("ines@example.com")  # the field has the focus
    write(page, "Password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/o/demo/"))
    return page


def test_the_way_through_both_accounts_by_keyboard(page):
    # The menu button, Integrations, the card: the first account.
    page.goto("/o/demo/integrations/")
    to(page, "Connect", "a")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/connect/$"))

    live = page.locator("#live")
    for suffix, said in (
        ("revoked", "Anthropic rejected the key."),
        ("noscope", "read:analytics"),
        ("off", "switched off"),
    ):
        try_key(page, "my-org", f"sk-ant-api01-sandbox-{suffix}")
        expect(live).to_contain_text(said)
        expect(live).to_be_focused()

    # The last failure goes along with the inquiry.
    to(page, "Open an expert inquiry", "a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Expert inquiry")).to_be_visible()
    to(page, "What do you need help with", "textarea")
    page.keyboard.type("Access is on, but the test says it is off.")
    to(page, "File the inquiry", "button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Your inquiry is filed.")).to_be_visible()
    assert ExpertInquiry.objects.get().diagnosis["test"]["code"] == "access_denied"

    # Two accounts; the label of the first is suggested differently for the second.
    for label, key in (("my-org", "my-org"), ("labs", "labs")):
        try_key(page, label, f"sk-ant-api01-sandbox-{key}")
        expect(live).to_contain_text("The connection works.")
        to(page, "Save", "button")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/claude-enterprise/$"))
    assert Connection.objects.count() == 2
    for connection in Connection.objects.all():
        sync.stop(connection)

    # The kebab of the second: disconnect it, then delete it and keep its history.
    page.goto("/o/demo/integrations/claude-enterprise/")
    to(page, "Actions for labs", "button")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Disconnect labs?")
    expect(dialog.get_by_text("Cancel")).to_be_focused()
    to(page, "Disconnect", "button")
    page.keyboard.press("Enter")
    expect(page.locator("#status-labs")).to_contain_text("Disconnected")

    to(page, "Actions for labs", "button")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Delete labs?")
    to(page, "Keep history", "input")
    write(page, "Type labs to confirm", "labs")
    to(page, "Delete", "button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="labs is archived.")).to_be_visible()
    expect(page.get_by_role("link", name="1 archived")).to_be_visible()
    assert Connection.objects.get(label="labs").state == "archived"


def test_a_taken_label_offers_a_free_one(page):
    page.goto(CONNECT)
    make_connection(Organization.objects.get(), "acme")
    write(page, "Organization Label", "acme")
    expect(page.locator("#label-e")).to_contain_text("acme is taken by another connection.")

    to(page, "Use acme-2", "button")
    page.keyboard.press("Enter")

    field = page.get_by_label("Organization Label")
    expect(field).to_have_value("acme-2")
    expect(field).to_be_focused()
    expect(page.locator("#label-e")).to_be_hidden()


def test_a_notice_is_dismissed_where_one_is(page):
    make_connection(
        Organization.objects.get(),
        "acme",
        state="action_needed",
        problem="Anthropic rejected the key.",
        problem_since=timezone.now(),
    )
    notices.look(timezone.now())
    page.goto(CONNECT)

    to(page, "Notices, 1 new", "button")
    page.keyboard.press("Enter")
    bell = page.locator("#m-notices")
    expect(bell).to_contain_text("acme stopped: Anthropic rejected the key.")
    to(page, "Dismiss", "button")
    page.keyboard.press("Enter")

    expect(bell).to_contain_text("Nothing new.")
    expect(bell).to_be_visible()
    expect(page.locator("#bell")).to_contain_text("none new")
    expect(page).to_have_url(re.compile("/connect/$"))
