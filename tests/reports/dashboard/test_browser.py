"""What the dashboard does in a real browser: widgets that load, filters, keys, tables."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.factories import make_member

pytestmark = pytest.mark.browser
NOVEMBER = "/o/demo/dashboards/genai/?from=2026-11-01&to=2026-11-25"


@pytest.fixture
def visit(open_page, client, live_server, organization, company):
    """Open the dashboard of November, signed in; any error in its console fails the test."""
    client.force_login(make_member(organization))
    cookie = client.cookies["sessionid"].value

    def visit_page(address: str = NOVEMBER, **options) -> Page:
        page = open_page(**options)
        page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
        page.goto(address)
        expect(page.locator("[aria-busy]")).to_have_count(0, timeout=60_000)
        return page

    return visit_page


def test_widgets_load_by_themselves_and_a_filter_swaps_them(visit):
    page = visit()
    expect(page.locator("#spend")).to_contain_text("$105.00")
    expect(page.locator("#models")).to_contain_text("opus")

    page.get_by_role("button", name=re.compile("^Product")).click()
    page.locator("#f-p").get_by_label("Chat").check()

    expect(page.locator("#spend")).to_contain_text("$30.00", timeout=60_000)
    expect(page.locator("#f-p-label")).to_contain_text("Chat")
    expect(page).to_have_url(re.compile(r"to=2026-11-25&service=chat$"))
    page.reload()
    expect(page.locator("#spend")).to_contain_text("$30.00", timeout=60_000)


def test_the_interval_of_spend_is_a_key_away_and_keeps_the_focus(visit):
    page = visit()
    widget = page.locator("#spend-over-time")
    expect(widget.get_by_role("link", name="Day", exact=True)).to_have_attribute(
        "aria-current", "true"
    )

    widget.get_by_role("link", name="Week").focus()
    page.keyboard.press("Enter")

    week = widget.get_by_role("link", name="Week")
    expect(week).to_have_attribute("aria-current", "true")
    expect(week).to_be_focused()
    expect(widget.locator("thead").last).to_contain_text("Week")


def test_the_arrow_keys_read_a_chart_and_the_menu_opens_its_table(visit):
    page = visit()
    chart = page.locator("#spend-over-time figure")
    reading = chart.get_by_role("status")
    chart.focus()

    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(reading).to_contain_text("2 Nov")
    expect(reading).to_contain_text("Claude Code$60.00")
    page.keyboard.press("Escape")
    expect(reading).to_be_hidden()

    page.get_by_role("button", name="Menu of Spend over time by product").click()
    page.get_by_role("link", name="View as table").click()
    expect(page.locator("#rows-spend-over-time")).to_be_focused()


def test_a_person_can_be_searched_and_opened(visit):
    page = visit()
    page.get_by_role("button", name=re.compile("^User")).click()
    page.get_by_label("Name or email").type("ann")
    expect(page.locator("#f-people label")).to_have_count(1)

    page.get_by_label("Ann Ito").check()

    expect(page.locator("#f-u-label")).to_contain_text("Ann Ito")
    expect(page.locator("#spend")).to_contain_text("$65.00", timeout=60_000)


def test_without_javascript_everything_is_there(visit):
    page = visit(java_script_enabled=False)

    expect(page).to_have_url(re.compile("render=all"))
    expect(page.locator("#spend")).to_contain_text("$105.00")
    expect(page.locator("#top-users")).to_contain_text("Ann Ito")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_dashboard_does_not_scroll_sideways(visit, width):
    page = visit(width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
