"""Amounts in two currencies are never added, and are written in their own."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.urls import reverse

from reports import engine
from reports.engine.spec import ReportSpec
from reports.render import charts, pivot
from tests.factories import (
    cost,
    feed_day,
    make_connection,
    make_member,
    make_organization,
    make_person,
)

TODAY = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAYS = "from=2026-11-02&to=2026-11-03"


@pytest.fixture
def organization(db):
    """Ten dollars and five euros of one product, and a dollar of another."""
    organization = make_organization()
    dollars = make_connection(organization, label="dollars")
    euros = make_connection(organization, label="euros", currency="EUR")
    for connection in (dollars, euros):
        for day in ("2026-11-02", "2026-11-03"):
            for feed in ("organization_cost", "user_cost"):
                feed_day(connection, feed, day)
    cost(dollars, "2026-11-02", "10", product="chat", person=make_person(dollars, "user_1"))
    cost(euros, "2026-11-02", "5", product="chat", person=make_person(euros, "user_2"))
    cost(dollars, "2026-11-03", "1", product="cowork")
    return organization


def _rows(organization, query, **more):
    spec = ReportSpec.from_query(f"{DAYS}&{query}", today=TODAY.date())
    report = engine.run(organization, spec)
    return {row.keys: row.values for row in report.rows}, report


def test_a_number_over_two_currencies_is_not_known_and_says_why(organization):
    rows, report = _rows(organization, "metrics=cost,savings&group_by=service")

    assert rows == {("chat",): (None, None), ("cowork",): (1, 0)}
    assert report.totals == (None, None)
    assert {one.reason for one in report.missing} == {engine.Reason.CURRENCY}
    assert {one.connection.label for one in report.missing} == {"dollars", "euros"}
    assert report.currency == ""


def test_grouped_by_currency_each_has_its_own_sum(organization):
    rows, _ = _rows(organization, "group_by=currency")

    assert rows == {("EUR",): (5,), ("USD",): (11,)}


def test_a_filter_by_currency_leaves_one(organization):
    rows, report = _rows(organization, "group_by=service&currency=EUR")

    assert rows == {("chat",): (5,)}
    assert report.totals == (5,)
    assert report.currency == "EUR"


def test_groups_of_two_currencies_are_not_stacked_or_put_together(organization):
    _, report = _rows(organization, "group_by=day,service")
    pivot_table = pivot.build(report)

    assert charts.kind_of(pivot_table) == "column"
    assert [total.value for total in pivot_table.totals] == [None]


@time_machine.travel(TODAY, tick=False)
def test_the_report_page_writes_no_sign_it_does_not_know(organization, client):
    client.force_login(make_member(organization))
    explore = reverse("reports:explore", args=["demo"])
    mixed = client.get(f"{explore}?{DAYS}&group_by=currency").content.decode()
    euros = client.get(f"{explore}?{DAYS}&currency=EUR").content.decode()
    dollars = client.get(f"{explore}?{DAYS}&currency=USD").content.decode()

    assert "Amounts in EUR and USD are never added" in mixed
    assert "$" not in mixed
    assert "€" not in mixed
    assert "Total, EUR" in euros
    assert "€5.00" in euros
    assert "$11.00" in dollars


@time_machine.travel(TODAY, tick=False)
def test_the_dashboard_shows_one_currency_and_names_what_it_leaves_out(organization, client):
    client.force_login(make_member(organization))
    dashboard = reverse("dashboards:genai", args=["demo"])
    page = client.get(f"{dashboard}?{DAYS}").content.decode()
    widget = reverse("dashboards:widget", args=["demo", "spend"])
    htmx = {"HX-Request": "true"}
    # One of each: the first by name is the main one.
    euros = client.get(f"{widget}?{DAYS}", headers=htmx).content.decode()
    dollars = client.get(f"{widget}?{DAYS}&billing_account=dollars", headers=htmx).content.decode()

    assert "This page is in EUR and leaves out dollars (USD)" in page
    assert ("€5.00" in euros, "$" in euros) == (True, False)
    assert ("$11.00" in dollars, "€" in dollars) == (True, False)


@time_machine.travel(TODAY, tick=False)
def test_the_page_of_products_is_in_one_currency(organization, client):
    client.force_login(make_member(organization))
    page = client.get(f"{reverse('reports:products', args=['demo'])}?range=30d").content.decode()

    assert "leaves out dollars (USD)" in page
    assert ("€5.00" in page, "$10.00" in page) == (True, False)
