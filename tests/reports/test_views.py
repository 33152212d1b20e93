"""The report page and its download, with and without htmx."""

import io
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.urls import reverse

from tests.factories import (
    cost,
    day_check,
    make_connection,
    make_member,
    make_organization,
    make_person,
    usage,
)
from tests.reports.conftest import know

ANALYZE = "provider=Anthropic+%28Analytics+API%29&metrics=cost&group_by=service&range=30d"
NOVEMBER = "from=2026-11-01&to=2026-11-30"


@pytest.fixture(autouse=True)
def plain_static_files(settings):
    """Pages name static files without a manifest, which only a build has."""
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}


@pytest.fixture
def viewer(organization):
    return make_member(organization, name="Ann Viewer")


@pytest.fixture
def page(client, viewer, organization):
    client.force_login(viewer)

    def get(query: str = "", name: str = "explore", slug: str = "", **headers: str):
        address = reverse(f"reports:{name}", args=[slug or organization.slug])
        return client.get(f"{address}?{query}" if query else address, headers=headers)

    return get


def text(response) -> str:
    """Return the visible text: no tags, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


# --- Who may --------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["explore", "explore_csv"])
def test_strangers_sign_in_and_other_organizations_do_not_exist(client, page, name):
    make_organization("other")
    assert page(name=name, slug="other").status_code == 404

    client.logout()
    response = page(name=name)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


def test_nothing_of_another_organization_is_on_the_page(page, connection):
    theirs = make_connection(make_organization("other"), "zz-label")
    make_person(theirs, "user_zz", name="ZZ Top")
    cost(theirs, "2026-11-02", "1000", product="zz-product")
    cost(connection, "2026-11-02", "1", product="chat")

    # Whole words: two letters alone turn up in a random CSRF token every now and then.
    for add in ("", "&add=service", "&add=billing_account", "&add=project_id"):
        shown = page(f"{NOVEMBER}&group_by=service{add}").content.decode()
        for word in ("zz-label", "user_zz", "ZZ Top", "zz-product"):
            assert word not in shown


@pytest.mark.parametrize("name", ["explore", "explore_csv"])
def test_reports_are_only_read(client, page, organization, name):
    assert client.post(reverse(f"reports:{name}", args=[organization.slug])).status_code == 405


# --- What is shown --------------------------------------------------------------------------
def test_the_link_of_a_card_opens_the_filtered_report(page, connection):
    today = datetime.now(UTC).date()
    cost(connection, today, "1234.567", product="claude_code")
    know(connection, f"{today}", f"{today}", "provisional")

    response = page(f"{ANALYZE}&billing_account=my-org")
    shown = text(response)

    assert response.status_code == 200
    assert "Cost by service, daily" in shown
    assert "Provider is" in shown
    assert "Anthropic (Analytics API)" in shown
    assert "Billing Account is" in shown
    assert "$1,234.57" in shown
    assert "Claude Code" in shown
    assert "1 day can still change" in shown
    assert "29 without data" in shown


def test_the_bare_page_is_cost_by_service_of_the_last_thirty_days(page, connection):
    today = datetime.now(UTC).date()
    cost(connection, today, "1", product="chat")
    cost(connection, today - timedelta(days=30), "2", product="cowork")

    shown = text(page())

    assert "Cost by service, daily" in shown
    table = shown[shown.index("Final") :] if "Final" in shown else shown[shown.index("No data") :]
    assert "Chat" in table
    assert "Cowork" not in table


def test_cells_are_whole_dollars_and_totals_have_cents(page, connection):
    cost(connection, "2026-11-02", "10.40", product="chat")
    cost(connection, "2026-11-03", "10.40", product="chat")

    html = page(f"{NOVEMBER}&group_by=service&interval=week").content.decode()

    assert re.search(r'<td class="num">21</td>', html)
    assert "<b>$20.80</b>" in html


def test_a_final_report_is_closed_and_another_open(page, connection):
    know(connection, "2026-11-01", "2026-11-29")
    cost(connection, "2026-11-02", "1")
    know(connection, "2026-11-30", "2026-11-30", "provisional")

    final = page("from=2026-11-01&to=2026-11-29&interval=week").content.decode()
    open_ = page(f"{NOVEMBER}&interval=week").content.decode()

    assert '<span class="closed">$1.00</span>' in final
    assert '<tfoot class="shut">' in final
    assert '<span class="open">$1.00</span>' in open_
    assert '<tfoot class="ajar">' in open_
    assert "final to 29 Nov" in open_


def test_the_check_against_the_providers_total_is_shown(page, connection):
    know(connection, "2026-11-01", "2026-11-30")
    cost(connection, "2026-11-02", "5")
    for day in range(1, 31):
        day_check(connection, "all_cost", date(2026, 11, day), "5" if day == 2 else "0")

    shown = text(page(NOVEMBER))

    assert "Sums to Anthropic’s total to the cent" in shown
    assert "After discounts, before credits and tax, without seat fees." in shown
    assert "no total for these filters" in text(page(f"{NOVEMBER}&service="))


def test_a_connection_without_data_is_named(page, organization, connection):
    make_connection(organization, "labs")
    know(connection, "2026-11-01", "2026-11-30")
    cost(connection, "2026-11-02", "5")

    page_text = text(page(NOVEMBER))

    assert "labs has no data in these days, so these numbers are incomplete." in page_text


def test_counts_say_that_they_are_those_of_users(page, connection):
    usage(connection, "2026-11-02", requests=5)

    assert "use without a user is not reported" in text(page(f"{NOVEMBER}&metrics=requests"))


# --- Nothing to show ------------------------------------------------------------------------
def test_without_a_connection_the_page_leads_to_one(page, organization):
    response = page()

    assert "Nothing is connected yet" in text(response)
    assert reverse("integrations:index", args=[organization.slug]) in response.content.decode()


def test_zero_partly_known_and_unknown_differ(page, connection):
    assert "this is not a zero" in text(page(NOVEMBER))

    know(connection, "2026-11-01", "2026-11-20")
    assert "10 of 30 days have not been imported" in text(page(NOVEMBER))

    know(connection, "2026-11-21", "2026-11-30")
    shown = text(page(NOVEMBER))
    assert "Data is complete to 30 Nov, so this is a real zero." in shown


def test_filters_without_a_matching_connection_are_explained(page, connection):
    assert "No connection has this provider" in text(page("billing_account=nope"))


# --- Without JavaScript ---------------------------------------------------------------------
def test_the_settings_are_a_form_that_asks_the_same_report_again(page, connection):
    cost(connection, "2026-11-02", "1", product="chat")
    query = f"metrics=cost,savings&{NOVEMBER}&interval=week&group_by=sku&service=chat&service="

    html = page(query).content.decode()
    form = html[html.index('<form class="query"') :]
    form = form[: form.index("</form>")]

    assert re.findall(r'name="metrics" value="(\w+)" checked', form) == ["cost", "savings"]
    assert re.findall(r'name="range" value="(\w+)" checked', form) == ["custom"]
    assert re.findall(r'name="interval" value="(\w*)" checked', form) == ["week"]
    assert re.findall(r'value="(\w+)" selected', form) == ["sku"]
    assert re.findall(r'type="hidden" name="service" value="(\w*)"', form) == ["chat", ""]
    assert 'name="from" value="2026-11-01"' in form
    assert 'name="to" value="2026-11-30"' in form
    assert "<noscript><button" in form


def test_what_a_plain_form_sends_is_understood(page, connection):
    cost(connection, "2026-11-02", "1", product="chat", model="opus")
    sent = (
        "metrics=cost&metrics=list_cost&range=custom&from=2026-11-01&to=2026-11-30&interval="
        "&group_by=service&group_by=&group_by=sku&project_id="
    )

    assert "Cost and list cost by service and SKU, daily" in text(page(sent))


def test_add_opens_an_editor_with_the_values_that_exist(page, connection):
    make_person(connection, "user_ann", name="Ann Ito")
    make_person(connection, "user_bo", email="bo@example.com")

    html = page(f"{NOVEMBER}&project_id=user_bo&project_id=user_gone&service=chat&add=project_id")
    form = html.content.decode()
    form = form[form.index("data-editor") :]
    form = form[: form.index("</form>")]

    assert re.findall(r'type="checkbox" name="value" value="(\w*)"( checked)?', form) == [
        ("user_ann", ""),
        ("user_bo", " checked"),
        ("", ""),
        ("user_gone", " checked"),
    ]
    assert "Ann Ito" in form
    assert "bo@example.com" in form
    kept = ["metrics", "from", "to", "service", "set"]
    assert re.findall(r'type="hidden" name="(\w+)"', form) == kept


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        ("provider", ["Anthropic (Analytics API)"]),
        ("billing_account", ["my-org"]),
        ("service", ["chat", ""]),
        ("sku", ["opus", ""]),
        ("user_email", ["ann@example.com", ""]),
        ("user_state", ["active", "deleted", ""]),
        ("token_type", ["output_tokens", ""]),
    ],
)
def test_every_kind_of_dimension_offers_its_members(page, connection, dimension, values):
    make_person(connection, "user_ann", email="ann@example.com")
    cost(connection, "2026-11-02", "1", product="chat", model="opus", token_type="output_tokens")
    cost(connection, "2026-11-02", "1")

    html = page(f"{NOVEMBER}&add={dimension}").content.decode()

    assert re.findall(r'type="checkbox" name="value" value="([^"]*)"', html) == values


def test_many_members_become_one_list(page, connection):
    for _ in range(60):
        make_person(connection)

    html = page("add=project_id").content.decode()

    assert '<select class="in members" id="members" name="value" multiple' in html
    assert len(re.findall(r'<option value="user_\d', html)) == 60


# --- With htmx ------------------------------------------------------------------------------
def test_htmx_gets_the_result_and_what_says_it_and_a_clean_address(page, connection):
    cost(connection, "2026-11-02", "1", product="chat")

    response = page(
        f"range=custom&{NOVEMBER}&group_by=&metrics=cost&metrics=savings", **{"HX-Request": "true"}
    )
    html = response.content.decode()

    assert "<html" not in html
    assert set(re.findall(r'id="([\w-]+)" hx-swap-oob="true"', html)) == {
        "title-row",
        "actions",
        "q-m-label",
        "q-t-label",
        "q-i-label",
        "q-g-label",
        "q-s-label",
        "q-c-label",
        "q-a-label",
        "q-filters",
        "said",
    } | {"editor"}
    assert response["HX-Push-Url"] == (
        "/o/demo/reports/explore/?metrics=cost,savings&from=2026-11-01&to=2026-11-30"
    )


def test_going_back_gets_the_whole_page(page, connection):
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}

    assert "<html" in page(NOVEMBER, **headers).content.decode()


# --- What cannot be asked -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("metrics=costs", "There is no metric “costs”."),
        ("group_by=model", "There is no dimension “model”."),
        ("model=opus", "There is no parameter or filter “model”."),
        ("range=custom&from=2026-11-02&to=2026-11-01", "is after the last day"),
        ("metrics=cost,list_cost,savings,requests,web_searches", "up to 4 metrics"),
        ("group_by=sku,service,speed,user_name", "up to 3 dimensions"),
        ("group_by=week", "choose it as the interval"),
        ("interval=day&from=2026-01-01&to=2026-11-22", "326 columns by day"),
        ("from=2000-01-01&to=2026-11-22", "is 9,823 days, and a report has at most 3,660"),
        ("from=0001-01-01&to=9999-12-30", "out of range"),
        ("service.like=chat", "A filter cannot compare by “like” (service.like)."),
        ("metrics=requests&group_by=token_type", "is not available by token type"),
        ("service=%00", "an invalid value"),
    ],
)
def test_a_report_that_cannot_be_asked_says_why(page, connection, query, sentence):
    response = page(query)
    assert response.status_code == 422
    assert sentence in text(response)

    part = page(query, **{"HX-Request": "true"})
    assert part.status_code == 422
    assert sentence in text(part)
    assert "hx-swap-oob" not in part.content.decode()


def test_a_sort_by_a_metric_that_was_left_out_is_left_out_as_well(page, connection):
    """The form keeps the sort in a hidden field when the metric is ticked off."""
    html = page(f"metrics=list_cost&sort=-cost&{NOVEMBER}").content.decode()

    assert 'name="sort"' not in html
    assert 'name="sort" value="cost"' in page(f"sort=cost&{NOVEMBER}").content.decode()


def test_the_rest_of_the_settings_survives_an_error(page, connection):
    html = page(f"metrics=requests&group_by=token_type&service=chat&{NOVEMBER}").content.decode()

    assert 'name="metrics" value="requests" checked' in html
    assert 'name="service" value="chat"' in html
    assert 'name="from" value="2026-11-01"' in html


def test_a_download_that_cannot_be_asked_says_why(page, connection):
    response = page("metrics=costs", name="explore_csv")

    assert (response.status_code, response["Content-Type"]) == (422, "text/plain; charset=utf-8")
    assert response.content.decode() == "There is no metric “costs”.\n"


# --- The download ---------------------------------------------------------------------------
def test_the_csv_is_what_the_command_prints(page, connection):
    ann = make_person(connection, "user_ann", name="Ann, Ito")
    cost(connection, "2026-11-02", "0.00125", person=ann, product="chat")
    cost(connection, "2026-11-10", "10", product="chat", list_amount=None)
    usage(connection, "2026-11-02", requests=3, person=ann)
    command = io.StringIO()
    call_command(
        "report",
        "--organization=demo",
        "--metrics=cost,list_cost,requests",
        "--group-by=week,user_name,service",
        "--since=2026-11-01",
        "--until=2026-12-01",
        "--where=billing_account=my-org",
        "--format=csv",
        stdout=command,
    )

    response = page(
        f"metrics=cost,list_cost,requests&interval=week&group_by=user_name,service&{NOVEMBER}"
        "&billing_account=my-org",
        name="explore_csv",
    )

    assert b"".join(response.streaming_content).decode() == "\ufeff" + command.getvalue()
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == (
        'attachment; filename="demo-cost-and-list-cost-and-requests-by-user-name-and-service-'
        '2026-11-01-to-2026-11-30.csv"'
    )


def test_the_page_links_to_the_download_of_the_same_report(page, connection):
    cost(connection, "2026-11-02", "1")

    html = page(f"{NOVEMBER}&group_by=sku").content.decode()

    assert (
        'explore.csv?metrics=cost&amp;from=2026-11-01&amp;to=2026-11-30&amp;group_by=sku"' in html
    )


# --- House rules ----------------------------------------------------------------------------
def test_the_page_obeys_a_strict_content_security_policy(page, connection):
    know(connection, "2026-11-01", "2026-11-20", "provisional")
    cost(connection, "2026-11-02", "1", product="<script>alert(1)</script>")

    html = page(f"{NOVEMBER}&group_by=service&add=service").content.decode()

    assert " style=" not in html
    assert "<style" not in html
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"\son\w+=", html)
    assert "&lt;script&gt;alert(1)" in html


def test_the_number_of_queries_does_not_follow_the_number_of_rows(
    page, viewer, organization, connection, django_assert_max_num_queries, client
):
    def fill(days: range) -> None:
        for number in days:
            person = make_person(connection)
            cost(connection, date(2026, 11, number), "1", person=person, product=f"p{number}")
            other = make_connection(organization, f"org-{number}")
            cost(other, date(2026, 11, number), "1")
            know(other, "2026-11-01", "2026-11-05")

    def count() -> int:
        with django_assert_max_num_queries(40) as queries:
            assert page(f"{NOVEMBER}&group_by=service,project_id&metrics=cost,requests")
        return len(queries)

    fill(range(1, 3))
    before = count()
    fill(range(3, 15))

    assert count() == before
