"""Tokens and the API's own page in a real browser, under the content security policy."""

import pytest
from playwright.sync_api import expect

from tests.factories import make_member, make_organization

pytestmark = pytest.mark.browser


@pytest.fixture
def page(open_page, client, live_server):
    client.force_login(make_member(make_organization(), "admin"))
    page = open_page()
    cookie = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    return page


def test_a_token_is_made_read_with_and_revoked(page):
    page.goto("/o/demo/integrations/")
    page.get_by_role("button", name="account menu").click()
    page.get_by_role("link", name="API tokens").click()
    page.get_by_role("textbox", name="Name").fill("month-end sheet")
    page.get_by_role("checkbox", name="Connections").check()
    page.get_by_role("button", name="Create token").click()
    secret = page.locator("#secret").inner_text()

    headers = {"Authorization": f"Bearer {secret}"}
    assert page.request.get("/api/v1/connections", headers=headers).json() == []

    page.get_by_role("button", name="Actions for month-end sheet").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status").last).to_contain_text("month-end sheet revoked")
    assert page.request.get("/api/v1/connections", headers=headers).status == 401


def test_the_documents_of_the_api_open_without_anything_inline(page):
    page.goto("/api/v1/docs")

    expect(page.get_by_role("heading", name="Spendglass")).to_be_visible()
    expect(page.locator(".opblock")).to_have_count(7)
