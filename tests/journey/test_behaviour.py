"""Pages in a browser: keys, focus, themes, narrow screens, and no JavaScript."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Role
from integrations import sync
from integrations.encryption import Secret
from integrations.models import Connection
from tests.factories import PASSWORD, make_connection, make_member, make_organization

pytestmark = pytest.mark.browser

KEY = "sk-ant-api01-sandbox-my-org"
INDEX = "/o/demo/integrations/"
MANAGE = f"{INDEX}claude-enterprise/"
CONNECT = f"{MANAGE}connect/"


@pytest.fixture
def organization(transactional_db, sandbox):
    organization = make_organization()
    make_member(organization, Role.BILLING_ADMIN, "ines@example.com")
    make_member(organization, Role.VIEWER, "vera@example.com")
    return organization


@pytest.fixture
def signed_in(open_page, organization):
    def sign_in(email: str = "ines@example.com", **options) -> Page:
        page = open_page(**options)
        page.goto("/login/")
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(re.compile(f"{INDEX}$"))
        return page

    return sign_in


def one_of_each(organization) -> None:
    """Create a connection in every state a row can have."""
    today = datetime.now(UTC).date()
    for label in ("importing", "healthy"):
        made = make_connection(organization, label, credential=Secret(KEY), key_hint="-org")
        if label == "importing":
            sync.plan_import(made, today=today, days=90)
    make_connection(organization, "off", state="disconnected")
    make_connection(organization, "leaving", state="deleting")
    make_connection(
        organization,
        "broken",
        credential=Secret(KEY),
        state="action_needed",
        problem="Anthropic rejected the key. It may be revoked.",
        problem_repair="Ask for a new one.",
        problem_since=timezone.now() - timedelta(hours=1),
    )


def test_nothing_is_lost_on_the_narrowest_screen(signed_in, organization):
    """320 wide; test_every_page.py looks at the other widths."""
    one_of_each(organization)
    page = signed_in(width=320)
    addresses = [INDEX, f"{INDEX}?tab=data-ai", CONNECT, MANAGE, "/o/nowhere/integrations/"]
    addresses += [f"{INDEX}connections/healthy/{operation}/" for operation in ("disconnect", "key")]

    for address in addresses:
        page.goto(address)
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert excess <= 0, address


def test_the_menu_opens_and_closes_by_keyboard_and_focus_returns(signed_in):
    page = signed_in()
    button = page.get_by_role("button", name="Data ingestion and integrations")
    menu = page.locator("#m-data")

    button.focus()
    page.keyboard.press("Enter")
    expect(menu).to_be_visible()
    expect(menu).to_contain_text("Nothing is connected yet.")

    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()


def test_the_menu_fits_a_phone(signed_in):
    page = signed_in(width=390)

    page.get_by_role("button", name="Menu", exact=True).click()
    page.locator("#m-all").get_by_role("link", name="Explore").click()

    expect(page).to_have_url(re.compile("/reports/explore/"))


def test_the_theme_is_remembered(signed_in):
    page = signed_in()
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("radio", name="Dark").check()

    page.reload()

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_search_filters_as_one_types(signed_in):
    page = signed_in()

    page.keyboard.press("/")
    page.keyboard.type("snow")
    expect(page.locator("#cards")).to_contain_text("No integration matches “snow”")
    expect(page).to_have_url(re.compile("q=snow"))

    page.get_by_label("Search integrations").fill("enterprise")
    expect(page.locator("#cards")).to_contain_text("Anthropic (Analytics API)")
    expect(page.locator("#found")).to_have_text("1 integration in All for enterprise")


def test_arrow_keys_move_between_tabs(signed_in):
    page = signed_in()
    page.get_by_role("tab", name="All").focus()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")

    others = page.get_by_role("tab", name="Others")
    expect(others).to_have_attribute("aria-selected", "true")
    expect(others).to_be_focused()

    page.go_back()
    expect(page.get_by_role("tab", name="All")).to_have_attribute("aria-selected", "true")


def test_a_key_of_the_wrong_kind_never_leaves_the_browser(signed_in):
    page = signed_in()
    page.goto(CONNECT)
    sent = []
    page.on("request", lambda request: sent.append(request.url))

    page.get_by_label("Analytics API Key").fill("sk-ant-admin01-secret")
    expect(page.locator("#key-e")).to_contain_text("This is a Claude Console Admin key.")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_label("Analytics API Key")).to_be_focused()

    assert not [url for url in sent if "/test/" in url]


def test_the_label_is_checked_while_one_types(signed_in, organization):
    make_connection(organization, "taken")
    page = signed_in()
    page.goto(CONNECT)
    label, problem = page.get_by_label("Organization Label"), page.locator("#label-e")

    label.fill("My Org!")
    expect(problem).to_contain_text("Use small letters, digits and hyphens")
    label.fill("taken")
    expect(problem).to_contain_text("taken is used by another connection.")
    label.fill("free")
    expect(problem).to_be_hidden()


def test_another_label_or_key_puts_save_back_to_sleep(signed_in):
    page = signed_in()
    page.goto(CONNECT)
    label, key = page.get_by_label("Organization Label"), page.get_by_label("Analytics API Key")
    save = page.get_by_role("button", name="Save")
    for field, changed in ((label, "my-org-2"), (key, f"{KEY}x")):
        label.fill("my-org")
        key.fill(KEY)
        key.press("Enter")  # Enter tests; it never saves
        expect(page.locator("#live")).to_contain_text("The connection works.")
        expect(save).to_have_attribute("aria-disabled", "false")

        field.fill(changed)

        expect(page.locator("#live")).to_be_empty()
        expect(save).to_have_attribute("aria-disabled", "true")

    save.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Test the connection first.")).to_be_visible()
    assert not Connection.objects.exists()


def test_a_dialog_gives_focus_back_to_the_kebab(signed_in, organization):
    one_of_each(organization)
    page = signed_in()
    page.goto(MANAGE)
    kebab = page.get_by_role("button", name="Actions for healthy")
    dialog = page.get_by_role("dialog")

    kebab.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Disconnect healthy?")
    expect(dialog.get_by_text("Cancel")).to_be_focused()
    page.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(kebab).to_be_focused()


def test_a_menu_stays_open_while_the_import_moves(signed_in, organization):
    one_of_each(organization)
    page = signed_in()
    page.goto(MANAGE)
    Connection.objects.filter(label="leaving").delete()
    page.reload()
    page.get_by_role("button", name="Actions for importing").click()

    with page.expect_response(re.compile("/progress/")):
        pass  # the page asks by itself

    expect(page.get_by_role("link", name="Disconnect")).to_be_visible()


def test_a_row_that_is_deleted_leaves_by_itself(signed_in, organization):
    make_connection(organization, "leaving", state="deleting")
    page = signed_in()
    page.goto(MANAGE)
    expect(page.get_by_role("row", name="leaving")).to_contain_text("Deleting")

    Connection.objects.all().delete()

    expect(page.get_by_text("No connections yet")).to_be_visible(timeout=20_000)


def test_a_viewer_reads_who_can_help(signed_in):
    page = signed_in("vera@example.com")
    card = page.get_by_role("article", name="Anthropic (Analytics API)")

    expect(card).to_contain_text("Billing Profiles Admin. ines@example.com can help.")
    expect(card.get_by_role("link")).to_have_count(0)


def test_everything_works_without_javascript(signed_in):
    page = signed_in(java_script_enabled=False)
    card = page.get_by_role("article", name="Anthropic (Analytics API)")
    card.get_by_role("link", name="Connect").click()
    page.get_by_label("Organization Label").fill("my-org")
    page.get_by_label("Analytics API Key").fill(KEY)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("main")).to_contain_text("The connection works.")

    expect(page.get_by_label("Analytics API Key")).to_have_value("")
    page.get_by_label("Analytics API Key").fill(KEY)
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile(f"{MANAGE}$"))
    expect(page.get_by_role("status")).to_contain_text("my-org is saved.")

    page.goto(f"{INDEX}connections/my-org/disconnect/")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("row", name="my-org")).to_contain_text("Disconnected")

    page.goto(f"{INDEX}connections/my-org/delete/")
    page.get_by_role("radio", name="Erase history").check()
    page.get_by_label("Type my-org to confirm").fill("my-org")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("row", name="my-org")).to_contain_text("Deleting")


def test_copying_works_without_https_too(signed_in):
    page = signed_in()
    # What Chromium does with plain http on another machine than its own.
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(CONNECT)

    page.get_by_role("button", name="Copy note", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()

    page.get_by_label("Organization Label").focus()
    page.keyboard.press("ControlOrMeta+V")
    expect(page.get_by_label("Organization Label")).to_have_value(re.compile("Please create"))


def test_an_opened_section_stays_open_while_the_import_moves(signed_in, organization):
    connection = make_connection(organization, "importing", credential=Secret(KEY))
    sync.plan_import(connection, today=datetime.now(UTC).date(), days=90)
    page = signed_in()
    page.goto(MANAGE)
    feeds = page.locator("#feeds")
    expect(feeds.get_by_role("rowheader", name="Organization cost")).to_be_hidden()
    with page.expect_response(re.compile("/feeds/")):
        feeds.get_by_text("feeds queued").click()

    expect(feeds.get_by_role("rowheader", name="Organization cost")).to_be_visible()
    with page.expect_response(re.compile("/feeds/")):
        pass  # a second refresh
    expect(feeds.get_by_role("rowheader", name="Organization cost")).to_be_visible()
