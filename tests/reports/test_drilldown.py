"""Opening a row of a report: what it leads to, and that its numbers are the row's."""

import re
from html import unescape

import pytest
from django.urls import reverse

from tests.factories import cost, make_connection, make_member, make_organization, make_person
from tests.reports.conftest import know

NOVEMBER = "from=2026-11-02&to=2026-11-08"

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, organization, connection):
    jane = make_person(connection, "user_jane", email="jane@example.com")
    omar = make_person(connection, "user_omar", email="omar@example.com")
    code = {"product": "claude_code"}
    cost(connection, "2026-11-02", "4", person=jane, model="opus", **code)
    cost(connection, "2026-11-03", "1.50", person=jane, model="sonnet", **code)
    cost(connection, "2026-11-03", "2.25", person=omar, model="opus", **code)
    cost(connection, "2026-11-04", "8", person=omar, model="opus", product="chat")
    know(connection, "2026-11-02", "2026-11-08")
    client.force_login(make_member(organization))

    def get(query):
        response = client.get(f"{reverse('reports:explore', args=[organization.slug])}?{query}")
        assert response.status_code == 200
        return response.content.decode()

    return get


def opens(html):
    """Return the query of each row that opens something, by its title."""
    rows = re.findall(r'class="opens"\s+href="\?([^"]*)".*?title="([^"]*)"', html, re.DOTALL)
    return {unescape(title): unescape(query) for query, title in rows}


def total(html):
    return re.search(r"<tfoot.*?\$([\d.,]+)", html, re.DOTALL)[1]


def test_a_person_opens_models_and_a_model_opens_the_days(page):
    people = opens(page(f"metrics=cost&{NOVEMBER}&group_by=user_email"))
    assert list(people) == [
        "omar@example.com, by SKU",
        "jane@example.com, by SKU",
    ]

    jane = page(people["jane@example.com, by SKU"])
    assert total(jane) == "5.50"
    models = opens(jane)
    assert list(models) == ["opus, alone, over time", "sonnet, alone, over time"]

    days = page(models["opus, alone, over time"])
    assert total(days) == "4.00"
    assert not opens(days)


def test_a_group_with_parts_opens_its_parts_and_a_part_what_is_below(page):
    rows = opens(page(f"metrics=cost&{NOVEMBER}&group_by=service,sku&show=top-5&sort=name"))

    assert "group_by=sku&service=claude_code" in rows["Claude Code, by SKU"]
    assert "group_by=user_email&service=claude_code&sku=opus" in rows["opus, by user email"]
    assert "show=" not in rows["Claude Code, by SKU"]
    assert "sort=" not in rows["Claude Code, by SKU"]
    assert total(page(rows["Claude Code, by SKU"])) == "7.75"


def test_a_filter_that_leaves_several_models_does_not_hide_them(page):
    people = opens(page(f"metrics=cost&{NOVEMBER}&group_by=user_email&sku.not=sonnet"))
    one_model = opens(page(f"metrics=cost&{NOVEMBER}&group_by=user_email&sku=opus"))

    assert list(people) == ["omar@example.com, by SKU", "jane@example.com, by SKU"]
    assert list(one_model) == [
        "omar@example.com, alone, over time",
        "jane@example.com, alone, over time",
    ]
    assert total(page(people["jane@example.com, by SKU"])) == "4.00"


def test_other_opens_nothing(page):
    rows = opens(page(f"metrics=cost&{NOVEMBER}&group_by=user_email&show=top-1"))

    assert list(rows) == ["omar@example.com, by SKU"]


def test_cost_that_names_no_people_is_not_opened_by_person(client):
    organization = make_organization("console")
    connection = make_connection(organization, connector_slug="claude-console")
    cost(connection, "2026-11-02", "3", product="messages_api", model="opus")
    know(connection, "2026-11-02", "2026-11-08", feeds=("cost",))
    client.force_login(make_member(organization))
    address = reverse("reports:explore", args=[organization.slug])

    html = client.get(f"{address}?metrics=cost&{NOVEMBER}&group_by=sku").content.decode()

    assert list(opens(html)) == ["opus, alone, over time"]
