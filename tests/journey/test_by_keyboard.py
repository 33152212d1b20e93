"""Two connections, three failed tests and disconnecting, with only the keyboard.

On desktop and phone, in light and dark; every stop is inspected.
"""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Organization, Role
from integrations import notices, sync
from integrations.models import Connection, ExpertInquiry
from tests.factories import PASSWORD, make_connection, make_member, make_organization
from tests.journey.screenshots import Theme, wrong

pytestmark = pytest.mark.browser

CONNECT = "/o/demo/integrations/claude-enterprise/connect/"


def to(page: Page, name: str, role: str | None = None) -> None:
    """Press Tab until the element with this name has focus; fail after two hundred stops."""
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


def try_key(page: Page, key: str) -> None:
    """Enter the key on the open page and test it."""
    write(page, "Analytics API Key", key)
    to(page, "Test connection", "button")
    page.keyboard.press("Enter")


def press(page: Page, name: str, role: str) -> None:
    to(page, name, role)
    page.keyboard.press("Enter")


def follow(page: Page, name: str) -> None:
    """Follow a link and wait for its page, which may look like the one before."""
    to(page, name, "a")
    with page.expect_navigation():
        page.keyboard.press("Enter")


def open_question(page: Page, label: str, entry: str) -> None:
    """Open the last entry of the menu of a connection."""
    to(page, f"Actions for {label}", "button")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(page.locator(":focus")).to_contain_text(entry)


@pytest.fixture
def arrive(open_page, transactional_db, sandbox):
    """Sign in by keyboard on a screen of this width and theme."""
    make_member(make_organization(), Role.BILLING_ADMIN, "ines@example.com")

    def sign_in(width: int, theme: Theme) -> Page:
        page = open_page(width=width, color_scheme=theme)
        page.goto("/login/")
        page.keyboard.type("ines@example.com")  # the field has the focus
        write(page, "Password", PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/o/demo/"))
        return page

    return sign_in


@pytest.fixture
def page(arrive):
    return arrive(390, "dark")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_way_through_both_accounts_by_keyboard(arrive, width, theme):
    page = arrive(width, theme)
    faults: list[str] = []

    def look(where: str) -> None:
        faults.extend(wrong(page, where, [theme]))

    # The menu, Integrations, Others, the card: the first account.
    menu = "Data ingestion and integrations" if width > 1000 else "^Menu$"
    press(page, menu, "button")
    expect(page.locator("[popover].mega:popover-open")).to_be_visible()
    look("walk-menu")
    follow(page, "^Integrations")
    expect(page.get_by_role("heading", name="Integrations", exact=True)).to_be_visible()
    to(page, "^All", "a")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("tab=others"))
    follow(page, "^Connect")
    expect(page).to_have_url(re.compile("/connect/$"))
    look("walk-connect-empty")

    live = page.locator("#live")
    write(page, "Organization Label", "my-org")
    for suffix, said in (
        ("revoked", "Anthropic rejected the key."),
        ("noscope", "read:analytics"),
        ("off", "switched off"),
    ):
        try_key(page, f"sk-ant-api01-sandbox-{suffix}")
        expect(live).to_contain_text(said)
        expect(live).to_be_focused()
    look("walk-connect-failed")

    # The last failure goes along with the inquiry.
    follow(page, "Open an expert inquiry")
    expect(page.get_by_role("heading", name="Expert inquiry")).to_be_visible()
    look("walk-inquiry")
    to(page, "What do you need help with", "textarea")
    page.keyboard.type("Access is on, but the test says it is off.")
    press(page, "Submit inquiry", "button")
    expect(page.get_by_role("status").filter(has_text="Inquiry submitted.")).to_be_visible()
    assert ExpertInquiry.objects.get().diagnosis["test"]["code"] == "access_denied"

    # Two accounts: the second from the page of the first. Its key opens less.
    page.goto(CONNECT)
    for label, said in (
        ("my-org", "The connection works."),
        ("labs", "It works, with one limit."),
    ):
        write(page, "Organization Label", label)
        try_key(page, f"sk-ant-api01-sandbox-{label}")
        expect(live).to_contain_text(said)
        look(f"walk-connect-{label}")
        press(page, "^Save", "button")
        expect(page).to_have_url(re.compile("/claude-enterprise/$"))
        sync.stop(Connection.objects.get(label=label))
        if label == "my-org":
            follow(page, r"^Connect Anthropic \(Analytics API\)")
            expect(page).to_have_url(re.compile("/connect/$"))
    page.reload()
    expect(page.locator("#status-labs")).to_contain_text("Connected")
    look("walk-manage")

    # The kebab of the second: disconnect it, then delete it and keep its history.
    open_question(page, "labs", "Disconnect")
    look("walk-kebab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Disconnect labs?")
    expect(dialog.get_by_text("Cancel")).to_be_focused()
    look("walk-disconnect")
    press(page, "Disconnect", "button")
    expect(page.locator("#status-labs")).to_contain_text("Disconnected")

    open_question(page, "labs", "Delete")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Delete labs?")
    look("walk-delete")
    to(page, "Keep history", "input")
    write(page, "Type labs to confirm", "labs")
    press(page, "Delete", "button")
    expect(page.get_by_role("status").filter(has_text="labs is archived.")).to_be_visible()
    assert Connection.objects.get(label="labs").state == "archived"
    follow(page, "1 archived")
    expect(page.get_by_role("heading", name="Archived connections")).to_be_visible()
    look("walk-archived")

    assert not faults, "\n".join(faults)


def test_a_taken_label_offers_a_free_one(page):
    page.goto(CONNECT)
    make_connection(Organization.objects.get(), "acme")
    write(page, "Organization Label", "acme")
    expect(page.locator("#label-e")).to_contain_text("acme is used by another connection.")

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
    notices.detect(timezone.now())
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
