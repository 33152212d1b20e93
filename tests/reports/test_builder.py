"""Filters, limits, running sums, comparisons, final days and ratios, worked out by hand."""

from datetime import date
from decimal import Decimal

import pytest

from integrations.window import Window
from reports import engine
from reports.catalog.metrics import OTHER_KEY
from reports.engine.spec import Filter, Operator, ReportSpec, SpecError
from tests.factories import activity, cost, make_connection, make_person, usage
from tests.reports.conftest import know

NOVEMBER = Window(date(2026, 11, 1), date(2026, 12, 1))
WEEK = Window(date(2026, 11, 2), date(2026, 11, 9))
EVERYTHING = ("all_cost", "person_cost", "person_usage", "summaries", "users")


def run(organization, metrics="cost", group_by="", window=NOVEMBER, **more):
    groups = tuple(group_by.split(",")) if group_by else ()
    spec = ReportSpec(tuple(metrics.split(",")), window, groups, **more)
    return engine.run(organization, spec)


def rows(organization, *args, **more):
    """Return the rows as tuples: keys, values, previous values."""
    return [(*r.keys, *r.values, *r.before) for r in run(organization, *args, **more).rows]


# --- Filters --------------------------------------------------------------------------------
@pytest.fixture
def products(connection):
    for number, product in enumerate(["chat", "claude_code", "claude_design", "50%_off", ""]):
        cost(connection, "2026-11-02", 10**number, product=product)


@pytest.mark.parametrize(
    ("operator", "values", "total"),
    [
        (Operator.IS, ("chat", "claude_code"), 11),
        (Operator.IS_NOT, ("chat",), 11_110),
        (Operator.IS_NOT, ("chat", ""), 1_110),
        (Operator.IS, ("",), 10_000),
        (Operator.CONTAINS, ("DE",), 110),
        (Operator.CONTAINS, ("hat", "design"), 101),
        (Operator.CONTAINS, ("%",), 1_000),
        (Operator.CONTAINS, ("_",), 1_110),
        (Operator.STARTS_WITH, ("Claude",), 110),
        (Operator.STARTS_WITH, ("laude",), None),
    ],
)
def test_a_filter_compares_as_it_says(organization, connection, products, operator, values, total):
    filter_ = Filter("service", values, operator)

    assert rows(organization, filters=(filter_,)) == [(total,)]


def test_several_filters_of_one_dimension_hold_together(organization, connection, products):
    filters = (
        Filter("service", ("claude",), Operator.STARTS_WITH),
        Filter("service", ("claude_design",), Operator.IS_NOT),
    )

    assert rows(organization, filters=filters) == [(10,)]


@pytest.mark.parametrize(
    ("operator", "values", "total"),
    [
        (Operator.IS_NOT, ("labs",), 1),
        (Operator.STARTS_WITH, ("MY",), 1),
        (Operator.CONTAINS, ("a", "y"), 3),
    ],
)
def test_connections_are_filtered_the_same_way(organization, connection, operator, values, total):
    cost(connection, "2026-11-02", "1")
    cost(make_connection(organization, "labs"), "2026-11-02", "2")

    filters = (Filter("billing_account", values, operator),)
    assert rows(organization, filters=filters) == [(total,)]


def test_not_a_person_keeps_what_nobody_accounts_for(organization, connection):
    ann, bo = make_person(connection, "user_ann"), make_person(connection, "user_bo")
    for person, amount in ((ann, 1), (bo, 2), (None, 4)):
        cost(connection, "2026-11-02", amount, person=person)

    filters = (Filter("project_id", ("user_ann",), Operator.IS_NOT),)
    assert rows(organization, filters=filters) == [(6,)]


# --- Top and bottom -------------------------------------------------------------------------
@pytest.fixture
def people(connection):
    """Five people who cost 1 to 5, and 10 that no user accounts for; half of it a day later."""
    for number in range(1, 6):
        person = make_person(connection, f"user_{number}")
        cost(connection, "2026-11-02", Decimal(number) / 2, person=person)
        cost(connection, "2026-11-03", Decimal(number) / 2, person=person)
    cost(connection, "2026-11-02", "10")


def test_the_top_groups_and_other_make_the_whole(organization, connection, people):
    report = run(organization, group_by="project_id", limit=2)

    assert [(*row.keys, *row.values) for row in report.rows] == [
        ("", 10),
        ("user_4", 4),
        ("user_5", 5),
        (OTHER_KEY, 6),
    ]
    assert report.totals == (25,)
    assert list(report.text_rows())[-1] == ["(other)", "", "6.00"]


def test_the_bottom_groups(organization, connection, people):
    assert rows(organization, group_by="project_id", limit=2, smallest=True) == [
        ("", 10),
        ("user_1", 1),
        ("user_2", 2),
        (OTHER_KEY, 12),
    ]


def test_a_limit_ranks_over_all_days_and_keeps_the_cut_by_day(organization, connection, people):
    assert rows(organization, group_by="day,project_id", limit=1) == [
        (date(2026, 11, 2), "", 10),
        (date(2026, 11, 2), "user_5", Decimal("2.5")),
        (date(2026, 11, 2), OTHER_KEY, 5),
        (date(2026, 11, 3), "user_5", Decimal("2.5")),
        (date(2026, 11, 3), OTHER_KEY, 5),
    ]


def test_a_limit_without_a_group_changes_nothing(organization, connection, people):
    assert rows(organization, group_by="day", limit=1) == [
        (date(2026, 11, 2), Decimal("17.5")),
        (date(2026, 11, 3), Decimal("7.5")),
    ]


# --- Running sums ---------------------------------------------------------------------------
def test_a_cumulative_report_adds_up_and_stops_at_days_nobody_knows(organization, connection):
    know(connection, "2026-11-02", "2026-11-06")
    cost(connection, "2026-11-03", "1", product="chat")
    cost(connection, "2026-11-05", "2", product="chat")
    cost(connection, "2026-11-05", "10", product="cowork")

    report = run(organization, group_by="day,service", window=WEEK, cumulative=True)

    assert [(row.keys[0].day, row.keys[1], *row.values) for row in report.rows] == [
        (3, "chat", 1),
        (4, "chat", 1),
        (5, "chat", 3),
        (5, "cowork", 10),
        (6, "chat", 3),
        (6, "cowork", 10),
    ]
    assert report.by("service").rows[0].values == (3,)
    assert report.totals == (13,)


def test_a_cumulative_ratio_divides_the_running_sums(organization, connection):
    know(connection, "2026-11-02", "2026-11-03")
    for day, dollars, requests in (("2026-11-02", "10", 10), ("2026-11-03", "20", 50)):
        cost(connection, day, dollars)
        usage(connection, day, requests=requests)

    window = Window(date(2026, 11, 2), date(2026, 11, 4))
    assert [
        row[1] for row in rows(organization, "cost_per_request", "day", window, cumulative=True)
    ] == [1, Decimal("0.5")]


# --- Comparisons ----------------------------------------------------------------------------
def test_every_day_stands_beside_the_one_before(organization, connection):
    know(connection, "2026-10-26", "2026-11-08")
    cost(connection, "2026-10-26", "1", product="chat")
    cost(connection, "2026-10-28", "2", product="chat")
    cost(connection, "2026-11-02", "10", product="chat")
    cost(connection, "2026-11-03", "20", product="cowork")

    report = run(organization, group_by="day,service", window=WEEK, compare="previous")

    assert report.columns == ("day", "service", "cost", "cost_comparable", "cost_before")
    assert [(row.keys[0].day, row.keys[1], *row.values, *row.before) for row in report.rows] == [
        (2, "chat", 10, 1),
        (3, "cowork", 20, 0),
        (4, "chat", 0, 2),
    ]
    assert report.by("service").rows[0] == engine.Row(("chat",), (10,), (3,), (10,))
    assert (report.totals, report.before.totals) == ((30,), (3,))
    assert next(iter(report.text_rows())) == [
        "2026-11-02",
        "chat",
        *("10.00", "10.00", "1.00"),  # all of it, of the comparable days, of the days before
    ]


def test_days_that_were_never_read_are_no_zero_to_compare_with(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    cost(connection, "2026-11-02", "10")

    assert rows(organization, group_by="day", window=WEEK, compare="previous") == [
        (date(2026, 11, 2), 10, None)
    ]


def test_the_month_before_may_be_shorter(organization, connection):
    know(connection, "2026-02-01", "2026-03-31")
    for day in ("2026-02-01", "2026-02-28", "2026-03-01", "2026-03-29"):
        cost(connection, day, "1")
    march = Window(date(2026, 3, 1), date(2026, 4, 1))

    assert rows(organization, group_by="day", window=march, compare="month") == [
        (date(2026, 3, 1), 1, 1),
        (date(2026, 3, 28), 0, 1),
        (date(2026, 3, 29), 1, None),
    ]
    assert rows(organization, group_by="month", window=march, compare="month") == [
        (date(2026, 3, 1), 2, 2)
    ]


def test_weeks_are_compared_with_the_same_weekdays(organization, connection):
    know(connection, "2026-10-01", "2026-11-30")
    cost(connection, "2026-10-31", "1")  # a Saturday, 14 days before 14 November
    cost(connection, "2026-11-14", "5")
    window = Window(date(2026, 11, 2), date(2026, 11, 16))

    assert rows(organization, group_by="week", window=window, compare="previous") == [
        (date(2026, 11, 9), 5, 1)
    ]


def test_a_limit_keeps_the_same_groups_for_both(organization, connection):
    know(connection, "2026-10-26", "2026-11-08")
    cost(connection, "2026-11-02", "2", product="chat")
    cost(connection, "2026-11-02", "1", product="cowork")
    cost(connection, "2026-10-26", "100", product="claude_code")
    cost(connection, "2026-10-26", "1", product="chat")

    assert rows(organization, group_by="service", window=WEEK, compare="previous", limit=1) == [
        ("chat", 2, 1),
        (OTHER_KEY, 1, 100),
    ]


# --- Final days only -----------------------------------------------------------------------
def test_a_final_report_ends_before_the_first_day_that_can_change(organization, connection):
    know(connection, "2026-11-02", "2026-11-04")
    know(connection, "2026-11-05", "2026-11-07", "provisional")
    know(connection, "2026-11-08", "2026-11-08", "incomplete")
    for day in range(2, 9):
        cost(connection, date(2026, 11, day), "1")

    report = run(organization, window=WEEK, final=True)

    assert report.totals == (3,)
    assert report.spec.window == Window(date(2026, 11, 2), date(2026, 11, 5))
    assert report.coverage.window == report.spec.window


def test_without_a_final_day_there_is_no_final_report(organization, connection):
    know(connection, "2026-11-02", "2026-11-08", "provisional")

    with pytest.raises(SpecError, match="No day of 2026-11-02 to 2026-11-08 is final yet"):
        run(organization, window=WEEK, final=True)


# --- Ratios and people ----------------------------------------------------------------------
def test_ratios_are_computed_for_every_group_and_total_anew(organization, connection):
    cost(connection, "2026-11-02", "10", product="chat")
    usage(connection, "2026-11-02", product="chat", requests=5, output_tokens=1_000_000)
    cost(connection, "2026-11-02", "90", product="cowork")
    usage(connection, "2026-11-02", product="cowork", requests=15, output_tokens=3_000_000)

    report = run(organization, "cost_per_request,cost_per_million_tokens", "service")

    assert [row.values for row in report.rows] == [(2, 10), (6, 30)]
    assert report.totals == (5, 25)


def test_there_is_no_ratio_without_something_to_divide_by(organization, connection):
    know(connection, "2026-11-01", "2026-11-30")
    cost(connection, "2026-11-02", "10")

    assert rows(organization, "cost_per_request,cost_per_active_user,requests") == [(None, None, 0)]


def test_a_ratio_is_exact_to_twelve_places(organization, connection):
    cost(connection, "2026-11-02", "2")
    usage(connection, "2026-11-02", requests=3)

    (row,) = run(organization, "cost_per_request").text_rows()
    assert row == ["0.666666666667"]


def test_people_are_counted_once_however_facts_are_cut(organization, connection):
    ann, bo = make_person(connection, "user_ann"), make_person(connection, "user_bo")
    for day in ("2026-11-02", "2026-11-03"):
        usage(connection, day, person=ann, product="chat", output_tokens=1)
        usage(connection, day, person=ann, product="cowork", output_tokens=1)
    usage(connection, "2026-11-02", person=bo, product="chat", output_tokens=1)
    usage(connection, "2026-11-02", product="chat", output_tokens=1)  # unattributed
    cost(connection, "2026-11-02", "10", product="chat")

    report = run(organization, "people,cost_per_active_user", "day,service")

    assert [row.values[0] for row in report.rows] == [2, 1, 1, 1]
    assert [row.values[0] for row in report.by("day").rows] == [2, 1]
    assert [row.values[0] for row in report.by("service").rows] == [2, 1]
    assert report.totals == (2, 5)


# --- Activity -------------------------------------------------------------------------------
def test_activity_is_summed_by_person_and_day(organization, connection):
    know(connection, "2026-11-01", "2026-11-30", feeds=EVERYTHING)
    ann = make_person(connection, "user_ann", email="ann@example.com")
    bo = make_person(connection, "user_bo")
    counts = {"claude_code_metrics__core_metrics__commit_count": 2}
    activity(connection, "2026-11-02", person=ann, chat_metrics__message_count=3, **counts)
    activity(connection, "2026-11-03", person=ann, chat_metrics__message_count=4, **counts)
    activity(connection, "2026-11-02", person=bo, chat_metrics__message_count=5, **counts)
    cost(connection, "2026-11-02", "1", person=ann)

    metrics = "chat_messages,code_commits,cost"
    assert rows(organization, metrics, "project_id") == [
        ("user_ann", 7, 4, 1),
        ("user_bo", 5, 2, 0),
    ]
    assert rows(organization, metrics, "user_email")[0] == ("ann@example.com", 7, 4, 1)
    filters = (Filter("project_id", ("user_bo",)),)
    assert rows(organization, metrics, filters=filters) == [(5, 2, 0)]


def test_a_number_one_person_lacks_makes_the_sum_unknown(organization, connection):
    activity(
        connection,
        "2026-11-02",
        person=make_person(connection),
        office_metrics__excel__message_count=1,
        office_metrics__outlook__message_count=1,
        office_metrics__powerpoint__message_count=1,
    )

    assert rows(organization, "office_messages") == [(None,)]


def test_the_accept_rate_is_a_part_of_what_was_proposed(organization, connection):
    counts = {
        f"claude_code_metrics__tool_actions__{tool}__{word}_count": number
        for tool in ("edit_tool", "multi_edit_tool", "notebook_edit_tool", "write_tool")
        for word, number in (("accepted", 3), ("rejected", 1))
    }
    activity(connection, "2026-11-02", person=make_person(connection), **counts)

    assert rows(organization, "accepted_edits,proposed_edits,accept_rate") == [
        (12, 16, Decimal("0.75"))
    ]


def test_active_users_are_never_added_over_days(organization, connection):
    know(connection, "2026-11-02", "2026-11-08", feeds=("summaries",))
    for day, (daily, weekly) in enumerate([(5, 20), (6, 21), (7, 22)], start=2):
        activity(
            connection,
            date(2026, 11, day),
            daily_active_user_count=daily,
            weekly_active_user_count=weekly,
            assigned_seat_count=44,
        )
    metrics = "daily_active_users,weekly_active_users,seats,seat_use"

    assert [row[1:] for row in rows(organization, metrics, "day", WEEK)] == [
        (5, 20, 44, Decimal("0.454545454545")),
        (6, 21, 44, Decimal("0.477272727273")),
        (7, 22, 44, Decimal("0.5")),
    ]
    assert rows(organization, metrics, "week", WEEK) == [
        (date(2026, 11, 2), None, 22, 44, Decimal("0.5"))
    ]
    assert run(organization, metrics, "day", WEEK).totals == (None, 22, 44, Decimal("0.5"))


def test_seats_of_two_organizations_add_up_and_their_people_do_not(organization, connection):
    other = make_connection(organization, "labs")
    for place in (connection, other):
        activity(place, "2026-11-02", weekly_active_user_count=20, assigned_seat_count=44)

    report = run(organization, "weekly_active_users,seats", "billing_account")

    assert [row.values for row in report.rows] == [(20, 44), (20, 44)]
    assert report.totals == (None, 88)


def test_a_day_without_a_count_is_unknown_and_no_zero(organization, connection):
    know(connection, "2026-11-02", "2026-11-08", feeds=("summaries",))
    activity(connection, "2026-11-02", daily_active_user_count=1)

    report = run(organization, "daily_active_users,chat_daily_active_users", "day", WEEK)

    assert report.values((date(2026, 11, 2),)) == (1, None)
    assert report.values((date(2026, 11, 3),)) == (None, None)


# --- Queries --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("metrics", "more", "count"),
    [
        # One query lists each person once, and one per source counts the groups of the newest day.
        ("cost", {}, 5),
        ("cost,requests", {}, 7),
        ("cost_per_active_user,chat_messages", {}, 8),
        ("cost,requests", {"limit": 2}, 6),
        ("cost,requests", {"compare": "year"}, 10),
        ("cost,requests", {"compare": "year", "limit": 2, "cumulative": True}, 9),
    ],
)
def test_the_number_of_queries_is_fixed(
    organization, connection, django_assert_num_queries, metrics, more, count
):
    def fill(days: range) -> None:
        for number in days:
            person = make_person(connection)
            cost(connection, date(2026, 11, number), "1", person=person)
            usage(connection, date(2026, 11, number), requests=1, person=person)
            activity(
                connection, date(2026, 11, number), person=person, chat_metrics__message_count=1
            )
            make_connection(organization, f"org-{number}")

    for year in (2025, 2026):  # a day that is not known has no facts to read
        know(connection, f"{year}-11-01", f"{year}-11-30")
    for days in (range(1, 3), range(3, 20)):
        fill(days)
        with django_assert_num_queries(count):
            rows(organization, metrics, "day,project_id", **more)
