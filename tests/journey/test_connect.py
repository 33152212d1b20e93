"""Main task of a billing admin: connect, watch, read the report, export it."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Role
from integrations.models import Connection, CostTotal
from tests.factories import PASSWORD, make_member, make_organization

pytestmark = pytest.mark.browser

KEY = "sk-ant-api01-sandbox-my-org"
SLOW = 300_000  # the whole import, on a busy machine; 20 s on an idle one


def sign_in(page: Page, email: str) -> None:
    page.goto("/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_the_whole_job_from_signing_in_to_deleting(open_page, worker, settings):
    settings.IMPORT_DAYS = 14  # most endpoints are asked day by day
    make_member(make_organization(), Role.BILLING_ADMIN, "ines@example.com")
    page = open_page()
    sign_in(page, "ines@example.com")

    # The way the flow names: mega menu, Integrations, Others, Connect +.
    page.get_by_role("button", name="Data ingestion and integrations").click()
    page.locator("#m-data").get_by_role("link", name="Integrations").click()
    page.get_by_role("tab", name="Others").click()
    expect(page).to_have_url(re.compile(r"tab=others"))
    card = page.get_by_role("article", name="Anthropic (Analytics API)")
    expect(card).to_contain_text("Not connected")
    card.get_by_role("link", name="Connect").click()

    # A bad key is refused with its own sentence; Save stays asleep.
    page.get_by_label("Organization Label").fill("my-org")
    page.get_by_label("Analytics API Key").fill("sk-ant-api01-sandbox-revoked")
    page.get_by_role("button", name="Test connection").click()
    live = page.locator("#live")
    expect(live).to_contain_text("Anthropic rejected the key.")
    expect(live).to_be_focused()
    save = page.get_by_role("button", name="Save")
    expect(save).to_have_attribute("aria-disabled", "true")

    # The right key passes; Save wakes up.
    page.get_by_label("Analytics API Key").fill(KEY)
    expect(live).to_be_empty()
    page.get_by_role("button", name="Test connection").click()
    expect(live).to_contain_text("The connection works.")
    expect(save).to_have_attribute("aria-disabled", "false")
    assert not Connection.objects.exists()
    save.click()

    # The import moves while one looks.
    expect(page.get_by_role("status").filter(has_text="my-org is saved")).to_be_visible()
    status = page.locator("#status-my-org")
    expect(status).to_contain_text("Importing", timeout=SLOW)
    expect(page.get_by_role("list", name="Steps").get_by_text("rows.").first).to_be_visible(
        timeout=SLOW
    )
    expect(status).to_contain_text("Connected", timeout=SLOW)
    expect(page.get_by_text("All days of my-org are in.")).to_be_visible()
    expect(page.locator("#stats")).not_to_contain_text("not known yet")

    # Analyze leads to a report with data, already filtered.
    page.get_by_role("link", name="Integrations", exact=True).first.click()
    card = page.get_by_role("article", name="Anthropic (Analytics API)")
    expect(card).to_contain_text("Connected")
    card.get_by_role("link", name="Analyze").click()
    expect(page).to_have_url(re.compile(r"/reports/explore/\?.*provider=Anthropic"))
    expect(page.get_by_role("main")).to_contain_text("Claude Code")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"\$\d"))
    page.go_back()

    # Manage: the kebab at the end of the row, Disconnect, then Delete.
    card.get_by_role("link", name="Manage").click()
    page.get_by_role("button", name="Actions for my-org").click()
    page.get_by_role("link", name="Disconnect").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Disconnect my-org?")
    dialog.get_by_role("button", name="Disconnect").click()
    expect(status).to_contain_text("Disconnected")
    assert Connection.objects.get().credential is None

    page.get_by_role("button", name="Actions for my-org").click()
    page.get_by_role("link", name="Delete").click()
    delete = dialog.get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    dialog.get_by_role("radio", name="Erase history").check()
    dialog.get_by_label("Type my-org to confirm").fill("my-org")
    delete.click()
    expect(page.get_by_text("No connections yet")).to_be_visible(timeout=SLOW)
    assert not CostTotal.objects.exists()
