"""What the report page does in a real browser: swaps, addresses, focus, keys."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from accounts.models import Membership, Role
from integrations.models import Connection, FeedDay
from tests.factories import cost, make_connection, make_member, make_organization
from tests.reports.conftest import know

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser, transactional_db, live_server, client, settings) -> Iterator[Page]:
    """Open a signed-in Chromium on a report of three days; a page error fails the test."""
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
    organization = make_organization()
    connection = make_connection(organization)
    know(connection, "2026-11-02", "2026-11-03")
    know(connection, "2026-11-04", "2026-11-04", "provisional")
    for day in ("2026-11-02", "2026-11-03", "2026-11-04"):
        cost(connection, day, "10", list_amount="12", product="chat")
        cost(connection, day, "30", list_amount="33", product="claude_code")
    client.force_login(make_member(organization))
    problems: list[str] = []

    def note_violation(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            problems.append(message.text)

    context = browser.new_context(base_url=live_server.url)
    cookie = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", note_violation)
    page.goto("/o/demo/reports/explore/?from=2026-11-02&to=2026-11-04&group_by=service")
    yield page
    context.close()
    assert problems == []


def test_a_change_runs_by_itself_and_the_address_follows(page):
    page.get_by_role("button", name="Metric Cost").click()
    page.locator("#q-m [value=list_cost]").check()

    expect(page.locator("#title")).to_have_text("Cost and list cost by service, daily")
    expect(page.locator("#q-m-label")).to_contain_text("Cost and list cost")
    expect(page.locator("#result")).to_contain_text("List cost $135.00")
    expect(page).to_have_url(
        page.url.partition("?")[0]
        + "?metrics=cost,list_cost&from=2026-11-02&to=2026-11-04&group_by=service"
    )
    expect(page.locator("#q-m")).to_be_visible()  # the menu stays open for the next choice

    page.go_back()
    expect(page.locator("#title")).to_have_text("Cost by service, daily")


def test_the_arrow_keys_read_the_chart_from_the_table(page):
    reading = page.locator("#chart [role=status]")
    page.locator("#chart").focus()

    page.keyboard.press("ArrowLeft")
    expect(reading).to_contain_text("4 Nov · can still change")
    expect(reading).to_contain_text("Claude Code30")
    expect(reading).to_contain_text("Total40")

    page.keyboard.press("Home")
    expect(reading).to_contain_text("2 Nov")

    page.keyboard.press("Escape")
    expect(reading).to_be_hidden()


def test_a_filter_is_added_and_removed_and_focus_follows(page):
    page.get_by_role("button", name="Add filter").click()
    page.locator("#q-f").get_by_role("button", name="Service", exact=True).click()
    expect(page.get_by_role("heading", name="Filter by Service")).to_be_focused()

    page.locator("#editor").get_by_label("Chat").check()
    page.get_by_role("button", name="Apply filter").click()
    expect(page.locator(".chip")).to_contain_text("Service is Chat")
    expect(page.locator("#result")).to_contain_text("$30.00")
    expect(page.locator("#q-add")).to_be_focused()

    page.get_by_role("link", name="Remove the filter Service").click()
    expect(page.locator("#result")).to_contain_text("$120.00")
    expect(page.locator(".chip")).to_have_count(0)


def test_the_arrow_keys_go_on_into_the_forecast(page):
    connection = Connection.objects.get()
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=at) for at in range(45)]
    FeedDay.objects.all().delete()
    know(connection, days[-1].isoformat(), yesterday.isoformat(), "provisional")
    for day in days:
        cost(connection, day, "7", product="cowork")
    page.goto("/o/demo/reports/explore/?range=7d&interval=day&group_by=service")

    page.get_by_role("button", name="Forecast None").click()
    page.get_by_label("The next 14 days").check()
    expect(page.locator("#ahead tbody tr")).to_have_count(15)
    page.locator("#chart").focus()
    page.keyboard.press("End")

    last = page.locator("#ahead tbody tr").last
    expect(page.locator("#chart .read")).to_contain_text("forecast")
    expect(page.locator("#chart .read")).to_contain_text(last.locator("td").first.inner_text())


def test_a_report_is_saved_shared_scheduled_and_deleted(page):
    Membership.objects.update(role=Role.ANALYST)
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()

    page.get_by_role("link", name="Save", exact=True).click()
    page.get_by_label("Name").fill("Monday figures")
    page.get_by_label("Everybody").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Monday figures")).to_be_visible()
    expect(page.locator("#result")).to_contain_text("$120.00")

    page.get_by_role("link", name="Schedule").click()
    page.get_by_label("How often").select_option("weekly")
    page.locator("fieldset input[type=checkbox]").first.check()
    page.get_by_role("button", name="Save", exact=True).click()
    row = page.get_by_role("row").filter(has_text="Monday figures")
    expect(row.last).to_contain_text("1 member")

    page.get_by_role("link", name="Delete Monday figures").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("main")).to_contain_text("No saved reports yet")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_metrics_can_be_searched_and_chosen_by_keyboard(page):
    # Without a grouping: activity in Cowork has no product to be cut by.
    page.goto("/o/demo/reports/explore/?from=2026-11-02&to=2026-11-04")
    page.get_by_role("button", name="Metric Cost").click()
    find = page.get_by_role("searchbox", name="Find a metric")
    find.fill("cowork dispatch")

    shown = page.locator("#q-m [data-words]:visible")
    expect(shown).to_have_count(1)
    expect(page.locator("#q-m [role=status]")).to_have_text("1 found")
    expect(page.locator("#q-m details:visible summary")).to_have_text("Cowork")

    find.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#title")).to_contain_text("Cost and dispatch turns")
    expect(find).to_have_value("cowork dispatch")

    find.fill("nothing is called so")
    expect(page.locator("#q-m [data-none]")).to_be_visible()
    find.fill("")
    expect(page.locator("#q-m details:visible")).to_have_count(17)


@pytest.mark.parametrize("address", ["reports/explore/?range=30d", "dashboards/genai/"])
def test_custom_dates_are_typed_by_keyboard_alone(page, address):
    """Nothing is requested while someone types, and a reversed range keeps the page as it is."""
    page.goto(f"/o/demo/{address}")
    button = page.locator("#q-t-label, #f-d-label")
    before = button.inner_text()
    page.locator("[popovertarget]").filter(has=button).focus()
    page.keyboard.press("Enter")
    first, last = page.locator('[name="from"]'), page.locator('[name="to"]')
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    first.press_sequentially("11042026")
    last.press_sequentially("11032026")
    assert [url for url in requests if "from=" in url] == []
    assert (first.input_value(), last.input_value()) == ("2026-11-04", "2026-11-03")

    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The first day is after the last day.")
    expect(first).to_be_focused()
    assert [url for url in requests if "from=" in url] == []
    assert button.inner_text() == before

    first.press_sequentially("11022026")
    page.keyboard.press("Enter")
    expect(button).to_contain_text("2 Nov – 3 Nov 2026")
    expect(page).to_have_url(re.compile("from=2026-11-02&to=2026-11-03"))
    expect(page.locator("#editor form")).to_have_count(0)


def test_dates_that_were_not_used_go_when_the_menu_closes(page):
    page.goto("/o/demo/reports/explore/?from=2026-11-02&to=2026-11-04&group_by=service")
    page.get_by_role("button", name="Time range").click()
    page.locator('[name="from"]').press_sequentially("12312026")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Metric Cost").click()
    page.locator("#q-m [value=list_cost]").check()
    expect(page.locator("#title")).to_have_text("Cost and list cost by service, daily")
    expect(page).to_have_url(re.compile("from=2026-11-02&to=2026-11-04"))


def test_rows_are_sorted_by_every_column_and_the_total_stays_in_sight(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/o/demo/reports/explore/?from=2026-11-02&to=2026-11-04&group_by=service")
    rows = page.locator("#pivot tbody th")
    expect(rows).to_have_text(["Claude Code", "Chat"])
    total = page.locator("#pivot tbody td.sum").first
    expect(total).to_have_text("$90.00")
    page.locator("#pivot").scroll_into_view_if_needed()
    page.locator("#pivot").evaluate("table => table.parentElement.scrollLeft = 9999")
    expect(total).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("link", name="4 Nov", exact=True)).to_be_in_viewport(ratio=1)

    page.get_by_role("link", name="Service", exact=True).click()
    expect(rows).to_have_text(["Chat", "Claude Code"])
    expect(page.locator("#pivot thead th").first).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("link", name="3 Nov", exact=True).click()
    expect(rows).to_have_text(["Claude Code", "Chat"])
    page.get_by_role("link", name="3 Nov", exact=True).click()
    expect(rows).to_have_text(["Chat", "Claude Code"])
    expect(page.locator("#title")).to_have_text("Cost by service, daily")


def test_a_metric_that_does_not_combine_drops_the_grouping_with_an_undo(page):
    page.goto("/o/demo/reports/explore/?from=2026-11-02&to=2026-11-04&group_by=service,token_type")
    page.get_by_role("button", name="Metric Cost").click()
    page.locator("#q-m").get_by_label("Find a metric").fill("requests")
    page.locator("#q-m [value=requests]").check()

    expect(page.locator("#dropped")).to_contain_text(
        "Requests is not available by token type, so that grouping was removed."
    )
    expect(page.locator("#title")).to_have_text("Cost and requests by service, daily")
    expect(page.locator("#q-g select").nth(1)).to_have_value("")
    expect(page.locator("#q-g select").nth(0)).to_have_value("service")
    assert page.locator("#q-m [value=requests]").is_checked()

    page.get_by_role("link", name="Undo").click()
    expect(page.locator("#title")).to_have_text("Cost by service and token type, daily")


def test_a_grouping_that_does_not_combine_offers_its_repair_and_stays_chosen(page):
    page.goto("/o/demo/reports/explore/?metrics=cost,requests&from=2026-11-02&to=2026-11-04")
    page.get_by_role("button", name="Group by").click()
    page.locator("#q-g select").first.select_option("token_type")

    error = page.locator("#result [role=alert]")
    expect(error).to_contain_text("Requests is not available by token type")
    expect(page.locator("#q-g select").first).to_have_value("token_type")
    expect(error.get_by_role("link")).to_have_text(
        ["Without the grouping by token type", "Without requests"]
    )
    error.get_by_role("link", name="Without requests").click()
    expect(page.locator("#title")).to_have_text("Cost by token type, daily")
