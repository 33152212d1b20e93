"""An Admin invites a person, who joins by mail, gets another role and is removed."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Membership, Role
from tests.factories import PASSWORD, make_member, make_organization

pytestmark = pytest.mark.browser
MEMBERS = "/o/demo/members/"


def sign_in(page: Page, email: str) -> None:
    page.goto("/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/o/demo/"))


@pytest.fixture
def ada(transactional_db):
    organization = make_organization()
    return make_member(organization, Role.ADMIN, "ada@example.com", name="Ada Byron")


def test_from_the_invitation_to_the_last_day(open_page, ada, mails):
    page = open_page()
    sign_in(page, "ada@example.com")

    # The way there is the account menu; the question is a dialog, with the keyboard in it.
    page.get_by_role("button", name="Ada Byron, account menu").click()
    page.get_by_role("link", name="Members").click()
    page.get_by_role("link", name="Invite a member").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email").fill("eve@example")
    dialog.get_by_role("radio", name="Viewer").check()
    dialog.get_by_role("button", name="Send invitation").click()
    expect(dialog).to_contain_text("Enter a whole email address")
    dialog.get_by_label("Email").fill("eve@example.com")
    dialog.get_by_role("button", name="Send invitation").click()
    invited = page.get_by_role("row", name="eve@example.com")
    expect(invited).to_contain_text("Open until")
    expect(page.get_by_role("status")).to_contain_text("goes to eve@example.com by email")

    # Eve follows the link of the mail, on a phone.
    (mail,) = mails
    (link,) = re.findall(r"https://spendglass\.example\.com(/invitations/\S+)", mail.body)
    phone = open_page(width=390, height=844)
    phone.goto(link)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Join Demo Inc.")
    phone.get_by_label("Your name").fill("Eve Ito")
    password = phone.get_by_label("Password", exact=True)
    password.fill("eve")
    phone.get_by_role("button", name="Show: Password").click()
    expect(password).to_have_attribute("type", "text")
    phone.get_by_role("button", name="Create account and join").click()
    expect(phone.get_by_text("This password is too short.")).to_be_visible()
    phone.get_by_label("Password", exact=True).fill(PASSWORD)
    phone.get_by_role("button", name="Create account and join").click()
    expect(phone).to_have_url(re.compile("/o/demo/integrations/"))
    phone.goto("/o/demo/audit/")
    expect(phone.get_by_role("main")).to_contain_text("This needs the permission")

    # Ada gives her another role; the keyboard comes back to where it was after Escape.
    page.reload()
    kebab = page.get_by_role("button", name="Actions for Eve Ito")
    kebab.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Role of Eve Ito")
    page.keyboard.press("Escape")
    expect(kebab).to_be_focused()
    kebab.click()
    page.get_by_role("link", name="Change role").click()
    dialog.get_by_role("radio", name="Billing Profiles Admin").check()
    dialog.get_by_role("button", name="Change role").click()
    expect(page.get_by_role("row", name="Eve Ito")).to_contain_text("Billing Profiles Admin")
    phone.goto("/o/demo/audit/")
    expect(phone.get_by_role("main")).to_contain_text("role: Viewer → Billing Profiles Admin")

    # Ada cannot leave as the last Admin; Eve can be removed.
    page.get_by_role("button", name="Actions for Ada Byron").click()
    page.get_by_role("link", name="Deactivate").click()
    dialog.get_by_role("button", name="Deactivate").click()
    expect(dialog).to_contain_text("Demo Inc. would be left without an active Admin.")
    dialog.get_by_role("link", name="Cancel").click()
    kebab.click()
    page.get_by_role("link", name="Deactivate").click()
    dialog.get_by_role("button", name="Deactivate").click()
    expect(page.get_by_role("row", name="Eve Ito")).to_contain_text("Deactivated")
    phone.goto("/")
    expect(phone.get_by_role("main")).to_contain_text("belong to an organization yet")
    assert Membership.objects.get(user__email="eve@example.com").is_active is False


def test_without_javascript_and_without_e_mail_a_link_is_passed_on(open_page, ada):
    page = open_page(java_script_enabled=False)
    sign_in(page, "ada@example.com")

    page.goto(MEMBERS)
    page.get_by_role("link", name="Invite a member").click()
    page.get_by_label("Email").fill("eve@example.com")
    page.get_by_role("radio", name="Analyst").check()
    page.get_by_role("button", name="Create link").click()
    link = page.locator("#link").inner_text()

    other = open_page(java_script_enabled=False)
    other.goto(link)
    other.get_by_label("Your name").fill("Eve Ito")
    other.get_by_label("Password", exact=True).fill(PASSWORD)
    other.get_by_role("button", name="Create account and join").click()
    expect(other).to_have_url(re.compile("/o/demo/integrations/"))

    page.goto(MEMBERS)
    page.get_by_role("button", name="Actions for Eve Ito").click()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("row", name="Eve Ito")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_about_people_scrolls_sideways(open_page, ada, width):
    page = open_page(width=width)
    sign_in(page, "ada@example.com")

    for address in (
        MEMBERS,
        f"{MEMBERS}invite/",
        "/o/demo/audit/",
        "/account/",
        "/account/password/",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
