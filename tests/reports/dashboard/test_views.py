"""The page and its widgets over HTTP: filters, failures, files, and how often they ask."""

import csv
import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.db import connection as database
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from reports import engine
from reports.catalog.metrics import METRICS
from reports.dashboard import widgets
from reports.dashboard.kinds import KINDS
from reports.dashboard.scope import Scope
from reports.dashboard.widgets import WIDGET_LIST, WIDGETS
from reports.engine.spec import ReportSpec
from tests.factories import activity, cost, make_connection, make_member, make_person, usage
from tests.reports.dashboard.conftest import ENGAGEMENT, TODAY, know, work

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def get(client, organization):
    """Ask for an address of the dashboard on 25 November; `htmx` as htmx would."""
    client.force_login(make_member(organization))

    def answer(name: str = "genai", query: str = "", *, htmx: bool = False, **arguments: str):
        address = reverse(f"dashboards:{name}", args=[organization.slug, *arguments.values()])
        headers = {"HX-Request": "true"} if htmx else {}
        with time_machine.travel(NOW, tick=False):
            return client.get(f"{address}?{query}", headers=headers)

    return answer


def text(response) -> str:
    """Return the visible text: no tags, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


# --- The page ----------------------------------------------------------------------------------
def test_the_page_leaves_every_widget_to_ask_for_itself(get, company):
    html = get(query="range=7d&service=chat").content.decode()

    asked = re.findall(
        r'hx-get="/o/demo/dashboards/genai/([\w-]+)/\?([^"]*)" hx-trigger="load"', html
    )
    assert [name for name, _ in asked] == [
        *(w.name for w in WIDGET_LIST if w.is_figure),
        *(w.name for w in WIDGET_LIST if not w.is_figure),
    ]
    assert {query for _, query in asked} == {"range=7d&amp;service=chat"}
    assert "render=all" in html[html.index("<noscript>") :]


def test_without_javascript_the_page_has_all_of_them(get, company):
    response = get(query="range=mtd&render=all")
    page = text(response)

    assert 'hx-trigger="load"' not in response.content.decode()
    for widget in WIDGET_LIST:
        if not widget.is_figure:
            assert widget.title in page
    assert "$105.00" in page
    assert "Ann Ito" in page


def test_the_bar_says_how_far_it_can_be_relied_on(get, company):
    page = text(get(query="from=2026-10-20&to=2026-11-26"))

    assert "final to 31 Oct" in page
    assert "25 days can still change" in page
    assert "1 without data" in page
    assert "Complete to 26 Nov, 00:00 UTC" in page


def test_the_filters_are_a_form_that_asks_the_same_again(get, company):
    html = get(query="range=7d&billing_account=my-org&service=chat&project_id=user_ann").content
    form = html.decode().partition('id="filters"')[2].partition("</form>")[0]

    checked = re.findall(r'name="(\w+)" value="([^"]*)" checked', form)
    assert checked == [
        ("billing_account", "my-org"),
        ("range", "7d"),
        ("service", "chat"),
        ("project_id", "user_ann"),
    ]
    assert "Ann Ito" in form


def test_a_changed_filter_swaps_widgets_labels_and_address(get, company):
    response = get(query="range=custom&from=2026-11-01&to=2026-11-05&service=chat", htmx=True)

    assert response["HX-Push-Url"] == (
        "/o/demo/dashboards/genai/?from=2026-11-01&to=2026-11-05&service=chat"
    )
    html = response.content.decode()
    assert "<html" not in html
    assert 'id="f-d-label" hx-swap-oob="true">1 Nov – 5 Nov 2026' in html


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("sku=opus", "There is no filter “sku” on a dashboard."),
        ("range=someday", "There is no time range “someday”."),
        ("from=2026-11-05&to=2026-11-01", "is after the last day"),
    ],
)
def test_an_address_that_means_nothing_says_why(get, company, query, reason):
    for response in (get(query=query), get("widget", query, widget="spend", htmx=True)):
        assert response.status_code == 422
        assert reason in text(response)
    assert get("widget_csv", query, widget="spend").status_code == 422


def test_people_match_a_part_of_their_name(get, company):
    matching = text(get("people", "find=ito"))

    assert "Ann Ito" in matching
    assert "bo@example.com" not in matching
    assert "No matching users." in text(get("people", "find=zz"))


# --- One widget --------------------------------------------------------------------------------
@pytest.mark.parametrize("widget", WIDGET_LIST, ids=lambda widget: widget.name)
def test_every_widget_answers_with_its_definition_its_report_and_its_rows(get, company, widget):
    response = get("widget", "range=mtd", widget=widget.name, htmx=True)
    html = response.content.decode()

    assert response.status_code == 200
    assert f'id="{widget.name}"' in html
    assert "could not be calculated" not in html
    assert f"/dashboards/definitions/#{widget.anchor}" in html
    assert f"/dashboards/genai/{widget.name}.csv?range=mtd" in html or widget.name == "catalog"


def test_a_widget_opened_by_itself_leads_to_its_page(get, company):
    response = get("widget", "range=7d", widget="models")

    assert response.status_code == 302
    assert response["Location"] == "/o/demo/dashboards/genai/?range=7d#models"


def test_there_are_no_other_widgets(get, company):
    assert get("widget", widget="no-such", htmx=True).status_code == 404
    assert get("widget_csv", widget="no-such").status_code == 404


def test_a_widget_that_fails_says_so_alone(get, company, monkeypatch, caplog):
    def broken(scope):
        raise RuntimeError("the database is on fire")

    names = [w if w.name != "models" else _with(w, ask=broken) for w in WIDGET_LIST]
    monkeypatch.setattr(widgets, "WIDGET_LIST", tuple(names))
    monkeypatch.setattr("reports.dashboard.views.WIDGET_LIST", tuple(names))
    monkeypatch.setitem(WIDGETS, "models", _with(WIDGETS["models"], ask=broken))

    alone = get("widget", "range=mtd", widget="models", htmx=True)
    page = text(get(query="range=mtd&render=all"))

    assert alone.status_code == 200
    assert "This could not be calculated." in text(alone)
    assert "on fire" not in text(alone)
    assert "on fire" in caplog.text
    assert page.count("This could not be calculated.") == 1
    assert "$105.00" in page


def _with(widget, **changes):
    from dataclasses import replace

    return replace(widget, **changes)


# --- The same number everywhere ----------------------------------------------------------------
QUERIES = (
    "range=mtd",
    "from=2026-10-01&to=2026-11-25&service=claude_code",
    "range=30d&billing_account=my-org&project_id=user_ann",
)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("widget", WIDGET_LIST, ids=lambda widget: widget.name)
def test_open_in_reports_leads_to_the_same_number(company, organization, widget, query):
    answer = widget.ask(Scope.from_query(organization, QueryDict(query), today=TODAY))
    assert answer.spec is not None
    again = ReportSpec.from_query(answer.spec.to_query(), today=TODAY)
    report = engine.run(organization, again)

    assert again == answer.spec
    if widget.name == "health":  # it shows no number but days, and those of the report are its own
        assert (
            report.spec.window
            == Scope.from_query(organization, QueryDict(query), today=TODAY).window
        )
        shown = {row[0] for row in answer.table.rows}
        assert {connection.label for connection in report.connections} == shown
        assert answer.figure is None
        return
    assert report.totals[0] == answer.figure


@pytest.mark.parametrize("widget", WIDGET_LIST, ids=lambda widget: widget.name)
def test_open_in_reports_is_a_page_that_can_be_shown(client, organization, company, widget):
    client.force_login(make_member(organization))
    answer = widget.ask(Scope.from_query(organization, QueryDict("range=30d"), today=TODAY))
    if answer.spec is not None:
        page = reverse("reports:explore", args=[organization.slug])
        with time_machine.travel(NOW, tick=False):
            assert client.get(f"{page}?{answer.spec.to_query()}").status_code == 200


def test_the_csv_has_the_rows_of_the_widget_exactly(get, company):
    response = get("widget_csv", "range=mtd", widget="models")

    assert response["Content-Disposition"] == (
        'attachment; filename="demo-models-2026-11-01-to-2026-11-25.csv"'
    )
    rows = list(csv.DictReader(response.content.decode("utf-8-sig").splitlines()))
    assert rows == [
        {"model": "opus", "cost": "95.00", "share": "0.904761904762", "change": "1.25"},
        {"model": "No model", "cost": "10.00", "share": "0.095238095238", "change": ""},
    ]


def test_the_csv_says_which_connection_its_numbers_lack(get, company, organization):
    make_connection(organization, "labs")

    def rows(query):
        content = get("widget_csv", query, widget="models").content.decode("utf-8-sig")
        return [*csv.DictReader(content.splitlines())]

    assert {(r["partial"], r["missing_connections"]) for r in rows("range=mtd")} == {
        ("yes", "labs")
    }
    assert "partial" not in rows("range=mtd&billing_account=my-org")[0]


# --- How often it asks -------------------------------------------------------------------------
MOST_QUERIES = {
    "spend": 8, "month-to-date": 8, "forecast": 3, "active-users": 2, "seats": 2,
    "cache-share": 8, "spend-over-time": 3, "models": 8, "tokens": 3,
    "active-users-over-time": 6, "adoption": 5, "top-users": 32, "cost-per-user": 6,
    "claude-code": 10, "activity": 6, "rising": 16, "price-drivers": 3, "catalog": 5,
    "unattributed": 11, "health": 9,
}  # fmt: skip


def _asked(organization, name: str) -> int:
    scope = Scope.from_query(organization, QueryDict("range=mtd"), today=TODAY)
    with CaptureQueriesContext(
        database,
    ) as captured:
        WIDGETS[name].ask(scope)
    return len(captured)


@pytest.mark.parametrize("name", MOST_QUERIES)
def test_a_widget_asks_as_often_however_much_there_is(organization, company, name):
    before = _asked(organization, name)
    labs = make_connection(organization, "labs")
    know(labs, "2026-09-20", "2026-11-24", "provisional")
    know(labs, "2026-10-01", "2026-11-23", "provisional", feeds=ENGAGEMENT)
    for number in range(15):
        person = make_person(labs, f"user_{number}", name=f"Person {number}")
        for day in ("2026-10-07", "2026-11-12"):
            cost(
                labs, day, f"{number + 1}", person=person, product=f"p{number}", model=f"m{number}"
            )
            usage(labs, day, person=person, requests=1, output_tokens=5, product=f"p{number}")
            activity(labs, day, person=person, **work(sessions=1))
    activity(labs, "2026-11-23", assigned_seat_count=20, monthly_active_user_count=15)

    after = _asked(organization, name)

    # Each connection counts its active people by itself: one question more in Adoption.
    assert after <= before + (name == "adoption")
    assert after <= MOST_QUERIES[name] + (name == "adoption")


def test_every_widget_has_its_number_of_queries():
    assert set(MOST_QUERIES) == set(WIDGETS)


def test_the_page_itself_asks_as_often_however_many_there_are(get, organization, company):
    def asked() -> int:
        with CaptureQueriesContext(database) as captured:
            get()
        return len(captured)

    before = asked()
    for number in range(5):
        make_connection(organization, f"more-{number}")
        make_person(company, f"user_more_{number}")

    assert asked() == before


# --- What numbers mean -------------------------------------------------------------------------
def test_a_widget_draws_the_kind_it_declares(organization, company):
    kinds = set()
    for widget in WIDGET_LIST:
        answer = widget.ask(Scope.from_query(organization, QueryDict("range=mtd"), today=TODAY))
        assert answer.empty or isinstance(answer.shown, widget.kind), widget.name
        kinds.add(widget.kind)
    assert kinds == set(KINDS)


def test_every_widget_is_defined_in_the_document(get, organization):
    html = get("definitions").content.decode()

    for widget in WIDGET_LIST:
        assert f'id="{widget.anchor}"' in html, f"docs/metrics.md lacks a heading {widget.title}"


def test_widgets_ask_for_metrics_that_exist(company, organization):
    for widget in WIDGET_LIST:
        answer = widget.ask(Scope.from_query(organization, QueryDict(""), today=TODAY))
        if answer.spec:
            assert set(answer.spec.metrics) <= set(METRICS)
            assert len(answer.spec.metrics) <= 4  # what the report page can show


# --- Where an organization begins --------------------------------------------------------------
def test_home_is_the_dashboard_once_there_is_data(client, organization, connection):
    client.force_login(make_member(organization))
    start = client.get(reverse("home"))["Location"]
    assert client.get(start)["Location"] == "/o/demo/integrations/"

    know(connection, "2026-11-01", "2026-11-01")
    assert client.get(start)["Location"] == "/o/demo/dashboards/genai/"


def test_the_menu_leads_to_it(get, company):
    response = get()
    links = re.findall(r'href="(/o/demo/[^"]*)"', response.content.decode())

    assert "/o/demo/dashboards/genai/" in links
    for link in set(links):
        assert parse_qs(urlsplit(link).query).get("metrics", ["x"]) != [""]
