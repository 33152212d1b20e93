"""API responses equal the pages and the command."""

import json
from contextlib import contextmanager
from datetime import date
from io import StringIO

import pytest
from django.core.management import call_command

from api import v1
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.models import FeedDay
from reports.catalog.metrics import DIMENSIONS, METRICS
from reports.engine.spec import FILTERABLE
from tests.factories import cost, day_check, feed_day, make_connection, make_person, usage

NOVEMBER = {"from": "2026-11-01", "to": "2026-11-30"}
TOTAL_FEED = next(
    f.name for f in ClaudeEnterprise.feeds if f.table == "cost" and f.grain == "total"
)


@pytest.fixture
def report(ask):
    """Return the document of a report, whose rows arrive in pieces."""

    def report(**query):
        response = ask("report", **query)
        assert response.status_code == 200
        return json.loads(response.getvalue())

    return report


@pytest.fixture
def facts(connection):
    """Store cost of Ann and an unattributed row: 3.75 known, of it 1.25 without a list price."""
    ann = make_person(connection, "user_ann", email="ann@example.com", name="Ann")
    cost(connection, "2026-11-01", "1.25", list_amount=None, person=ann, product="chat")
    cost(connection, "2026-11-02", "2.500000000001", list_amount="3", product="cowork")
    usage(connection, "2026-11-01", requests=3, person=ann, product="chat", output_tokens=10)
    return connection


def test_a_report_has_exact_dollars_counts_and_null_for_what_is_not_known(report, facts):
    document = report(metrics="cost,list_cost,output_tokens", group_by="service", **NOVEMBER)

    assert document["columns"] == ["service", "cost", "list_cost", "output_tokens"]
    assert document["rows"] == [
        {"service": "chat", "cost": "1.25", "list_cost": None, "output_tokens": 10},
        {"service": "cowork", "cost": "2.500000000001", "list_cost": "3.00", "output_tokens": None},
    ]
    assert document["totals"] == {"cost": "3.750000000001", "list_cost": None, "output_tokens": 10}
    assert (document["first_day"], document["last_day"]) == ("2026-11-01", "2026-11-30")


def test_an_interval_becomes_the_first_column_as_on_the_page(report, facts):
    rows = report(interval="month", group_by="user_email", **NOVEMBER)["rows"]

    assert rows == [
        {"month": "2026-11", "user_email": "", "cost": "2.500000000001"},
        {"month": "2026-11", "user_email": "ann@example.com", "cost": "1.25"},
    ]


def test_filters_are_those_of_the_address(report, facts):
    def total(**query):
        return report(**NOVEMBER, **query)["totals"]["cost"]

    assert total(service="chat") == "1.25"
    assert total(service=["chat", "cowork"]) == "3.750000000001"
    assert total(project_id="") == "2.500000000001"


def test_rows_equal_those_of_the_command(report, facts):
    out = StringIO()
    call_command(
        *("report", "--organization", "demo", "--metrics", "cost,requests"),
        *("--group-by", "day,project_id", "--since", "2026-11-01", "--until", "2026-12-01"),
        *("--format", "json"),
        stdout=out,
    )

    document = report(metrics="cost,requests", group_by="day,project_id", **NOVEMBER)

    assert document["rows"] == json.loads(out.getvalue())


def test_a_report_says_how_sure_its_days_are_and_whether_it_adds_up(report, facts):
    for number, state in ((1, FeedDay.State.FINAL), (2, FeedDay.State.PROVISIONAL)):
        feed_day(facts, TOTAL_FEED, f"2026-11-0{number}", state)
    day_check(facts, TOTAL_FEED, "2026-11-01", "1.25")
    day_check(facts, TOTAL_FEED, "2026-11-02", "2.50")

    document = report(**{"from": "2026-11-01", "to": "2026-11-03"})

    assert document["days"] == {
        "known_to": "2026-11-02",
        "final_to": "2026-11-01",
        "states": {
            "2026-11-01": "final",
            "2026-11-02": "provisional",
            "2026-11-03": "unknown",
        },
    }
    assert document["check"] == {
        # Only the feed of the organization was read: it adds up, and it is unknown whose the line
        # without Ann is.
        "problem": "The cost per user is not known yet for 2 of these days.",
        "agrees": None,
        "reported": "3.75",
        "ours": "3.750000000001",
        "difference": "0.000000000001",
        "attributed": "1.25",
        "unattributed": "0.00",
        "unknown": "2.500000000001",
        "unknown_days": 2,
    }
    for number in (1, 2):
        feed_day(facts, "user_cost", f"2026-11-0{number}")
    check = report(**{"from": "2026-11-01", "to": "2026-11-03"})["check"]
    assert (check["problem"], check["agrees"], check["unattributed"]) == (
        "",
        True,
        "2.500000000001",
    )


def test_a_report_without_cost_has_no_check_and_one_that_cannot_be_checked_says_why(report, facts):
    assert report(metrics="requests", **NOVEMBER)["check"] is None
    check = report(service="chat", **NOVEMBER)["check"]
    assert "no total for these filters" in check["problem"]
    assert check["agrees"] is None


def test_what_cannot_be_asked_is_said_with_what_can(ask, connection):
    for query, field, word in (
        ({"metrics": "kost"}, "metrics", "cost"),
        ({"group_by": "color"}, "group_by", "service"),
        ({"colour": "red"}, "filters", "service"),
        ({"range": "forever"}, "range", "30d"),
    ):
        response = ask("report", **query)
        assert response.status_code == 422
        assert response.json()["field"] == field
        assert word in response.json()["known"]
    assert ask("report", metrics="requests", group_by="token_type").status_code == 422


def test_health_lists_every_feed_with_the_days_that_are_known(ask, connection):
    feed_day(connection, TOTAL_FEED, "2026-11-01", FeedDay.State.FINAL, rows=7)
    feed_day(connection, TOTAL_FEED, "2026-12-01")
    day_check(connection, TOTAL_FEED, "2026-11-01", "10.50")

    document = ask("connections/my-org/health", **NOVEMBER).json()

    feeds = {feed["name"]: feed for feed in document["feeds"]}
    assert set(feeds) == {feed.name for feed in ClaudeEnterprise.feeds}
    assert feeds[TOTAL_FEED]["days"] == [
        {
            "day": "2026-11-01",
            "state": "final",
            "complete_to": None,
            "confirmed_at": "2026-11-22T16:05:00Z",
            "rows": 7,
        }
    ]
    assert document["checks"] == [
        {
            "feed": TOTAL_FEED,
            "day": "2026-11-01",
            "measure": "effective_cost",
            "reported": "10.5",
            "stored": "10.5",
            "difference": "0",
            "agrees": True,
        }
    ]


def test_health_is_of_thirty_days_up_to_today_unless_days_are_named(ask, connection, time_machine):
    time_machine.move_to("2026-11-25T10:00:00Z", tick=False)

    def days(**query):
        document = ask("connections/my-org/health", **query).json()
        return document["first_day"], document["last_day"]

    assert days() == ("2026-10-27", "2026-11-25")
    assert days(to="2026-03-31") == ("2026-03-02", "2026-03-31")
    assert days(**{"from": "2026-11-24"}) == ("2026-11-24", "2026-11-25")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "yesterday"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"to": "9999-12-31"},
        {"to": "0001-01-02"},
    ],
)
def test_days_nobody_can_have_are_refused(ask, connection, query):
    response = ask("connections/my-org/health", **query)

    assert response.status_code == 422
    assert response.json()["field"] in {"range", "from", "to"}


def test_metrics_and_dimensions_are_all_there(ask):
    metrics = {m["name"]: m for m in ask("metrics").json()}
    assert set(metrics) == set(METRICS)
    assert metrics["cost"]["unit"] == "usd"
    assert [d["name"] for d in ask("dimensions").json()] == list(DIMENSIONS)


def test_members_are_searched_and_paged(ask, connection):
    for number in range(5):
        make_person(connection, f"user_{number}", name=f"Ann {number}")
    make_person(connection, "user_zoe", name="Zoë")

    values = ask("dimensions/project_id/members", contains="ANN", limit=2, offset=1).json()

    assert values["total"] == 5
    assert values["members"] == [
        {"value": "user_1", "label": "Ann 1"},
        {"value": "user_2", "label": "Ann 2"},
    ]


def test_every_filter_has_members_and_time_has_none(ask, connection):
    for name in FILTERABLE:
        assert ask(f"dimensions/{name}/members").status_code == 200
    assert ask("dimensions/day/members").status_code == 404


def test_a_connection_has_the_fields_of_its_card(ask, organization, connection):
    make_connection(organization, "off", state="disconnected")

    by_label = {c["label"]: c for c in ask("connections").json()}

    assert by_label["my-org"]["provider"] == "Anthropic (Analytics API)"
    assert by_label["my-org"]["status"] == "Connected"
    assert by_label["off"]["status"] == "Disconnected"
    assert by_label["off"]["cost_complete_to"] is None
    assert ask("connections/off").json() == by_label["off"]


def test_a_report_of_a_year_tells_of_every_day(report, connection):
    cost(connection, date(2026, 11, 1), "1")

    document = report(group_by="day", **{"from": "2026-01-01", "to": "2026-12-31"})

    assert len(document["days"]["states"]) == 365
    assert document["rows"] == [{"day": "2026-11-01", "cost": "1.00"}]


def test_a_report_is_whole_before_its_first_byte_is_sent(ask, connection, monkeypatch):
    """While a slow reader takes it, neither a slot nor the report is held."""
    slots = []

    @contextmanager
    def slot(*args, **kwargs):
        slots.append("taken")
        yield
        slots.append("given back")

    def broken(report):
        yield "["
        raise ZeroDivisionError

    monkeypatch.setattr("api.v1.slot", slot)
    as_json = v1.as_json

    def noted(report):
        for piece in as_json(report):
            slots.append("written")
            yield piece

    monkeypatch.setattr("api.v1.as_json", noted)

    response = ask("report")

    assert slots[0] == "taken"
    assert "written" in slots
    assert slots[-1] == "given back"
    assert json.loads(response.getvalue())["rows"]
    monkeypatch.setattr("api.v1.as_json", broken)
    with pytest.raises(ZeroDivisionError):  # before anything is sent, and so an error
        ask("report")
