"""What the reading side sums, worked out by hand."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from integrations.models import Connection
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import DIMENSIONS, METRICS, Source
from reports.engine.spec import Filter, ReportSpec
from tests.factories import (
    activity,
    cost,
    make_connection,
    make_organization,
    make_person,
    usage,
)
from tests.reports.conftest import know

NOVEMBER = Window(date(2026, 11, 1), date(2026, 12, 1))
ALL_TOKENS = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
)


def ask(organization, metrics="cost", group_by="", window=NOVEMBER, **filters):
    """Return the rows as tuples: keys, then values."""
    spec = ReportSpec(
        metrics=tuple(metrics.split(",")),
        window=window,
        group_by=tuple(group_by.split(",")) if group_by else (),
        filters=tuple(
            Filter(name, (values,) if isinstance(values, str) else tuple(values))
            for name, values in filters.items()
        ),
    )
    return [(*row.keys, *row.values) for row in engine.run(organization, spec).rows]


# --- Exactness ------------------------------------------------------------------------------
def test_cents_are_not_floats(organization, connection):
    cost(connection, "2026-11-01", "0.1", product="chat")
    cost(connection, "2026-11-01", "0.2", product="cowork")

    assert ask(organization) == [(Decimal("0.3"),)]


def test_twelve_decimals_and_large_amounts_survive_together(organization, connection):
    cost(connection, "2026-11-01", "9999999999999999.000000000001", product="chat")
    cost(connection, "2026-11-02", "0.000000000001", product="chat")

    assert ask(organization) == [(Decimal("9999999999999999.000000000002"),)]


def test_tokens_beyond_64_bits_are_still_integers(organization, connection):
    biggest = 2**63 - 1
    usage(connection, "2026-11-01", output_tokens=biggest)
    usage(connection, "2026-11-02", output_tokens=biggest)

    ((total,),) = ask(organization, "output_tokens")

    assert total == 2 * biggest
    assert isinstance(total, int)


def test_the_day_after_the_window_is_not_in_it(organization, connection):
    cost(connection, "2026-10-31", "1")
    cost(connection, "2026-11-01", "10")
    cost(connection, "2026-11-30", "100")
    cost(connection, "2026-12-01", "1000")

    assert ask(organization) == [(Decimal(110),)]


# --- Metrics --------------------------------------------------------------------------------
def test_savings_are_list_cost_less_cost(organization, connection):
    cost(connection, "2026-11-01", "412.80", list_amount="516")
    cost(connection, "2026-11-02", "0.00125", list_amount="0.002")

    assert ask(organization, "cost,list_cost,savings") == [
        (Decimal("412.80125"), Decimal("516.002"), Decimal("103.20075"))
    ]


def test_every_count_is_its_own_and_web_searches_are_no_tokens(organization, connection):
    counts: dict[str, Any] = dict(zip(ALL_TOKENS, (1, 20, 300, 4_000, 50_000), strict=True))
    usage(connection, "2026-11-01", requests=7, web_searches=600_000, **counts)

    assert ask(organization, f"total_tokens,requests,web_searches,{','.join(ALL_TOKENS)}") == [
        (54_321, 7, 600_000, 1, 20, 300, 4_000, 50_000)
    ]


@pytest.mark.parametrize("metric", ["list_cost", "savings"])
def test_an_unreported_list_price_makes_the_sum_unknown_and_not_smaller(
    organization, connection, metric
):
    cost(connection, "2026-11-01", "10", list_amount="12", product="chat")
    cost(connection, "2026-11-01", "10", list_amount=None, product="cowork")

    assert ask(organization, metric) == [(None,)]
    assert ask(organization, metric, service="chat") == [
        (Decimal(12) if metric == "list_cost" else Decimal(2),)
    ]


def test_unreported_requests_are_unknown_while_tokens_stay_known(organization, connection):
    usage(connection, "2026-11-01", requests=None, output_tokens=5)

    assert ask(organization, "requests,output_tokens") == [(None, 5)]


# --- Dimensions -----------------------------------------------------------------------------
def test_days_weeks_and_months_begin_on_their_first_day(organization, connection):
    cost(connection, "2026-11-01", "1")  # a Sunday: the ISO week of Monday 26 October
    cost(connection, "2026-11-02", "2")  # a Monday
    cost(connection, "2026-11-08", "4")  # the Sunday of that week

    assert ask(organization, group_by="day") == [
        (date(2026, 11, 1), 1),
        (date(2026, 11, 2), 2),
        (date(2026, 11, 8), 4),
    ]
    assert ask(organization, group_by="week") == [
        (date(2026, 10, 26), 1),
        (date(2026, 11, 2), 6),
    ]
    assert ask(organization, group_by="month") == [(date(2026, 11, 1), 7)]


def test_the_iso_week_crosses_the_year(organization, connection):
    cost(connection, "2026-12-31", "1")
    cost(connection, "2027-01-03", "2")
    cost(connection, "2027-01-04", "4")
    window = Window(date(2026, 12, 1), date(2027, 2, 1))

    assert ask(organization, group_by="week", window=window) == [
        (date(2026, 12, 28), 3),
        (date(2027, 1, 4), 4),
    ]


METER = {
    "service": "product",
    "sku": "model",
    "context_window": "context_window",
    "inference_geo": "inference_geo",
    "speed": "speed",
    "cost_type": "cost_type",
    "token_type": "token_type",
    "organization_id": "organization_id",
}


@pytest.mark.parametrize(("dimension", "field"), METER.items())
def test_every_label_of_a_meter_cuts_and_filters(organization, connection, dimension, field):
    a: dict[str, Any] = {field: "a"}
    b: dict[str, Any] = {field: "b"}
    cost(connection, "2026-11-01", "1", **b)
    cost(connection, "2026-11-01", "2", **a)
    cost(connection, "2026-11-02", "4", **a)
    cost(connection, "2026-11-02", "8")

    assert ask(organization, group_by=dimension) == [("", 8), ("a", 6), ("b", 1)]
    assert ask(organization, **{dimension: "a"}) == [(6,)]
    assert ask(organization, **{dimension: ["a", ""]}) == [(14,)]


PERSON = {
    "project_id": "external_id",
    "user_email": "email",
    "user_name": "name",
    "user_state": "state",
}


@pytest.mark.parametrize(("dimension", "field"), PERSON.items())
def test_everything_about_a_person_cuts_and_filters(organization, connection, dimension, field):
    values = {"state": ("active", "deleted")}.get(field, ("ann", "zoe"))
    first = make_person(connection, **{field: values[0]})
    second = make_person(connection, **{field: values[1]})
    cost(connection, "2026-11-01", "1", person=second)
    cost(connection, "2026-11-01", "2", person=first)
    cost(connection, "2026-11-02", "4", person=first)
    cost(connection, "2026-11-02", "8")

    assert ask(organization, group_by=dimension) == [
        ("", 8),
        (values[0], 6),
        (values[1], 1),
    ]
    assert ask(organization, **{dimension: values[0]}) == [(6,)]
    assert ask(organization, **{dimension: ""}) == [(8,)]
    assert ask(organization, **{dimension: ["", values[1]]}) == [(9,)]


def test_a_workspace_is_the_project_of_its_lines(organization, connection):
    ann = make_person(connection, "user_ann")
    cost(connection, "2026-11-01", "1", person=ann, workspace_id="wrkspc_1")
    cost(connection, "2026-11-01", "2", person=ann)
    cost(connection, "2026-11-01", "4", workspace_id="wrkspc_1")

    assert ask(organization, group_by="project_id") == [("user_ann", 2), ("wrkspc_1", 5)]
    assert ask(organization, project_id="wrkspc_1") == [(5,)]


def test_provider_is_the_connector_and_billing_account_the_label(organization, connection):
    other = make_connection(organization, "labs")
    cost(connection, "2026-11-01", "1")
    cost(other, "2026-11-01", "2")

    assert ask(organization, group_by="provider,billing_account") == [
        ("Anthropic (Analytics API)", "labs", 2),
        ("Anthropic (Analytics API)", "my-org", 1),
    ]
    assert ask(organization, provider="Anthropic (Analytics API)") == [(3,)]
    assert ask(organization, billing_account="labs") == [(2,)]
    assert ask(organization, provider="Someone else", group_by="day") == []


def test_a_connector_that_was_taken_out_of_the_settings_is_named_by_its_slug(
    organization, connection
):
    old = make_connection(organization, "old", connector_slug="retired")
    cost(connection, "2026-11-01", "1")
    cost(old, "2026-11-01", "2")

    assert ask(organization, group_by="provider") == [
        ("Anthropic (Analytics API)", 1),
        ("retired", 2),
    ]


def test_rows_stand_in_the_order_of_the_group_by_columns(organization, connection):
    for day, model, product in [
        ("2026-11-02", "b", "x"),
        ("2026-11-01", "b", "y"),
        ("2026-11-01", "a", "z"),
        ("2026-11-02", "a", "Z"),
    ]:
        cost(connection, day, "1", model=model, product=product)

    keys = [row[:3] for row in ask(organization, group_by="sku,day,service")]

    assert keys == [
        ("a", date(2026, 11, 1), "z"),
        ("a", date(2026, 11, 2), "Z"),
        ("b", date(2026, 11, 1), "y"),
        ("b", date(2026, 11, 2), "x"),
    ]


# --- Filters --------------------------------------------------------------------------------
def test_values_of_one_dimension_are_one_of_and_dimensions_are_and(organization, connection):
    cost(connection, "2026-11-01", "1", product="chat", model="opus")
    cost(connection, "2026-11-01", "2", product="cowork", model="opus")
    cost(connection, "2026-11-01", "4", product="cowork", model="haiku")
    cost(connection, "2026-11-01", "8", product="office_agent", model="opus")

    assert ask(organization, service=["chat", "cowork"]) == [(7,)]
    assert ask(organization, service=["chat", "cowork"], sku="opus") == [(3,)]


def test_an_empty_project_is_what_no_user_accounts_for(organization, connection):
    ann = make_person(connection, "user_ann")
    cost(connection, "2026-11-01", "1", person=ann)
    cost(connection, "2026-11-01", "2")

    assert ask(organization, project_id="") == [(2,)]
    assert ask(organization, project_id="user_ann") == [(1,)]


# --- Cost beside usage ----------------------------------------------------------------------
def test_cost_and_usage_are_summed_apart_and_never_multiply(organization, connection):
    for token_type in ("output_tokens", "cache_read_input_tokens"):
        cost(connection, "2026-11-01", "1.50", product="chat", token_type=token_type)
    usage(connection, "2026-11-01", product="chat", output_tokens=10)
    usage(connection, "2026-11-02", product="chat", output_tokens=20)

    assert ask(organization, "output_tokens,cost", "service") == [("chat", 30, Decimal("3.00"))]


def test_what_one_side_does_not_know_is_unknown(organization, connection):
    cost(connection, "2026-11-01", "1", product="chat")
    usage(connection, "2026-11-01", product="cowork", output_tokens=10)

    assert ask(organization, "cost,output_tokens", "service") == [
        ("chat", 1, None),
        ("cowork", None, 10),
    ]


def test_no_cost_line_on_known_days_is_a_real_zero(organization, connection):
    know(connection, "2026-11-01", "2026-11-30")
    usage(connection, "2026-11-01", product="cowork", output_tokens=10)

    assert ask(organization, "cost,output_tokens", "service") == [("cowork", 0, 10)]
    assert ask(organization, "cost,output_tokens", "day") == [(date(2026, 11, 1), 0, 10)]


def test_only_the_days_of_the_group_have_to_be_known(organization, connection):
    know(connection, "2026-11-01", "2026-11-08")
    usage(connection, "2026-11-01", output_tokens=1)
    usage(connection, "2026-11-05", output_tokens=2)
    usage(connection, "2026-11-10", output_tokens=4)

    # The first week reaches back into October, which the report does not ask for.
    assert ask(organization, "cost,output_tokens", "week") == [
        (date(2026, 10, 26), 0, 1),
        (date(2026, 11, 2), 0, 2),
        (date(2026, 11, 9), None, 4),
    ]


def test_only_the_connection_of_the_group_has_to_be_known(organization, connection):
    other = make_connection(organization, "labs")
    know(connection, "2026-11-01", "2026-11-30")
    usage(connection, "2026-11-01", output_tokens=1)
    usage(other, "2026-11-01", output_tokens=2)

    assert ask(organization, "cost,output_tokens", "billing_account") == [
        ("labs", None, 2),
        ("my-org", 0, 1),
    ]


def test_usage_that_no_user_accounts_for_is_not_counted_and_so_unknown(organization, connection):
    know(connection, "2026-11-01", "2026-11-30")
    ann = make_person(connection, "user_ann")
    cost(connection, "2026-11-01", "1", person=ann, product="chat")
    cost(connection, "2026-11-01", "2", product="code_review")

    assert ask(organization, "cost,output_tokens", "project_id") == [
        ("", 2, None),
        ("user_ann", 1, 0),
    ]
    assert ask(organization, "cost,output_tokens", "service") == [
        ("chat", 1, None),
        ("code_review", 2, None),
    ]


def test_a_report_without_any_fact_is_zero_or_unknown_as_its_days_are(organization, connection):
    know(connection, "2026-11-01", "2026-11-29")
    assert ask(organization, "cost,output_tokens") == [(None, None)]

    know(connection, "2026-11-30", "2026-11-30")
    assert ask(organization, "cost,output_tokens") == [(0, 0)]


def test_who_paid_needs_the_feeds_of_people_too(organization, connection):
    know(connection, "2026-11-01", "2026-11-30", feeds=("all_cost",))

    assert ask(organization) == [(0,)]
    assert ask(organization, project_id="user_ann") == [(None,)]


# --- Whole ----------------------------------------------------------------------------------
def test_totals_are_what_the_same_report_without_groups_says(organization, connection):
    cost(connection, "2026-11-01", "1.25", list_amount=None, product="chat")
    cost(connection, "2026-11-02", "2.50", list_amount="3", product="cowork")
    usage(connection, "2026-11-02", requests=3, product="chat")
    spec = ReportSpec(("cost", "list_cost", "requests"), NOVEMBER, ("service", "day"))

    assert engine.run(organization, spec).totals == (Decimal("3.75"), None, 3)
    assert ask(organization, "cost,list_cost,requests") == [(Decimal("3.75"), None, 3)]


def test_two_organizations_never_see_each_other(organization, connection):
    theirs = make_connection(make_organization("other"), "my-org")
    cost(connection, "2026-11-01", "1", product="chat")
    cost(theirs, "2026-11-01", "1000", product="secret")
    usage(theirs, "2026-11-01", output_tokens=1000)
    know(theirs, "2026-11-01", "2026-11-30")

    for name in (n for n, d in DIMENSIONS.items() if Source.COST in d.sources):
        assert [row[1] for row in ask(organization, group_by=name)] == [1]
    assert ask(organization, billing_account="my-org") == [(1,)]
    assert ask(organization, "output_tokens") == [(None,)]
    spec = ReportSpec(("cost",), NOVEMBER)
    assert not any(engine.coverage(organization, spec).states.values())


def test_a_connection_that_is_being_deleted_is_gone_already(organization, connection):
    going = make_connection(organization, "old", state=Connection.State.DELETING)
    cost(connection, "2026-11-01", "1")
    cost(going, "2026-11-01", "2")

    assert ask(organization) == [(1,)]


def test_four_queries_however_many_rows(
    organization, connection, django_assert_max_num_queries, django_assert_num_queries
):
    def fill(days: range) -> None:
        for number in days:
            person = make_person(connection)
            cost(connection, date(2026, 11, number), "1", person=person, product=f"p{number}")
            usage(connection, date(2026, 11, number), requests=1, person=person)
            other = make_connection(organization, f"org-{number}")
            cost(other, date(2026, 11, number), "1")

    fill(range(1, 3))
    dimensions = "day,week,month,provider,billing_account,project_id,service,user_name"
    with django_assert_num_queries(5):  # one tells namesakes apart
        ask(organization, "cost,requests", dimensions, service=["p1", "", "p2"])
    fill(range(3, 20))
    with django_assert_num_queries(5):  # one tells namesakes apart
        ask(organization, "cost,requests", dimensions, service=["p1", "", "p2"])


def test_a_project_is_a_workspace_or_a_person_whatever_the_two_are_called(organization, connection):
    ann = make_person(connection, "user_ann", email="ann@example.com", name="Ann")
    # A person whose identifier is that of a workspace, which a provider may do.
    namesake = make_person(connection, "wrkspc_1", email="twin@example.com", name="Ann")
    cost(connection, "2026-11-01", "1", person=ann, product="chat")
    cost(connection, "2026-11-01", "20", person=ann, product="api", workspace_id="wrkspc_1")
    cost(connection, "2026-11-01", "300", person=namesake, product="chat")
    cost(connection, "2026-11-01", "4000", product="chat")
    cost(connection, "2026-11-01", "50000", product="api", workspace_id="wrkspc_1")

    def of(**filters: object) -> object:
        ((whole,),) = ask(organization, **filters)
        parts = ask(organization, group_by="service,project_id", **filters)  # from the facts
        assert sum(part for *_, part in parts) == whole
        return whole

    assert of(project_id="user_ann") == 1
    assert of(project_id="wrkspc_1") == 50320
    assert of(project_id="") == 4000
    assert of(project_id=["", "user_ann"]) == 4001
    assert of(project_id=["wrkspc_1", "user_ann", "nobody"]) == 50321
    assert of(user_name="Ann") == 321
    assert of(user_email="ann@example.com") == 21
    assert of(user_email="") == 54000


def test_naming_people_takes_two_queries_more(organization, connection, django_assert_num_queries):
    ann = make_person(connection, "user_ann")
    cost(connection, "2026-11-01", "1", person=ann)

    for count, who in ((3, ""), (5, ["user_ann"]), (5, ["", "user_ann", "user_bob", "wrkspc_1"])):
        with django_assert_num_queries(count):
            ask(organization, "cost", "service", project_id=who)


def test_every_metric_answers_to_every_dimension_it_was_counted_by(organization, connection):
    ann = make_person(connection, "user_ann", email="ann@example.com", name="Ann")
    cost(connection, "2026-11-01", "1", list_amount="2", person=ann, product="chat")
    usage(connection, "2026-11-01", requests=1, person=ann, product="chat", output_tokens=1)

    for metric in METRICS.values():
        for dimension in DIMENSIONS.values():
            if metric.sources <= dimension.sources:
                rows = ask(organization, metric.name, dimension.name)
                assert {value for _, value in rows} <= {None, 0, Decimal("0.5"), 1, 2, 10**6}
                if metric.sources <= {Source.COST, Source.USAGE}:
                    assert len(rows) == 1


# --- Claude Code, reported by two connectors --------------------------------------------------
CODE = "claude_code_metrics__"


@pytest.fixture
def console(organization, connection):
    """Ann made 2 commits here, 5 there, and an API key there made 7; there alone is an estimate."""
    console = make_connection(organization, "platform", "claude-console")
    know(connection, "2026-11-02", "2026-11-02", feeds=("users",))
    know(console, "2026-11-02", "2026-11-02", feeds=("claude_code",))
    ann = {"email": "ann@example.com", "name": "Ann"}
    commits, estimate = f"{CODE}core_metrics__commit_count", f"{CODE}estimated_cost_usd"
    activity(connection, "2026-11-02", person=make_person(connection, **ann), **{commits: 2})
    for who, count in ((ann, 5), ({"kind": "api_key", "name": "ci-runner"}, 7)):
        values = {commits: count, estimate: 0.25}
        person = make_person(console, **who)
        activity(console, "2026-11-02", person=person, feed="claude_code", **values)
    return console


def test_commits_meet_under_one_address_and_keys_have_names(organization, console):
    assert ask(organization, "code_commits") == [(14,)]
    assert ask(organization, "code_commits", "user_email") == [
        ("ann@example.com", 7),
        ("service identity", 7),
    ]
    assert ask(organization, "code_commits", "user_name") == [("Ann", 7), ("ci-runner", 7)]
    assert ask(organization, "code_commits", "billing_account") == [("my-org", 2), ("platform", 12)]


def test_an_estimate_is_known_though_another_connector_estimates_nothing(organization, console):
    assert ask(organization, "code_estimated_cost") == [(Decimal("0.5"),)]


def test_what_a_provider_tells_of_no_person_is_not_zero_for_one(organization):
    """The Console names who used tokens, and the workspace of a dollar."""
    console = make_connection(organization, "platform", "claude-console")
    know(console, "2026-11-02", "2026-11-02", feeds=("cost", "usage", "people_usage"))
    ann = make_person(console, "user_ann", email="ann@example.com")
    cost(console, "2026-11-02", "5", product="messages_api", workspace_id="default")
    usage(console, "2026-11-02", person=ann, output_tokens=7, workspace_id="lab")
    day = Window(date(2026, 11, 2), date(2026, 11, 3))

    assert ask(organization, "cost,total_tokens", "user_id", day) == [
        ("", 5, 0),
        ("user_ann", None, 7),
    ]
    assert ask(organization, "cost,total_tokens", "workspace_id", day) == [
        ("default", 5, 0),
        ("lab", 0, 7),
    ]
