"""Unknown is not unattributed, zero or everyone: every number is worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from integrations.connectors.base import Table
from integrations.connectors.claude_console import ClaudeConsole
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import UNKNOWN_USER
from reports.engine import UNATTRIBUTED, Reason
from reports.engine.periods import COMPARISONS, Shift, shift_of, spans
from reports.engine.spec import Filter, ReportSpec
from reports.reconciliation import reconcile
from reports.render.exports import xlsx
from reports.render.exports.text import as_csv, as_json
from reports.render.pivot import build
from tests.factories import (
    activity,
    cost,
    day_check,
    feed_day,
    make_connection,
    make_person,
    usage,
)
from tests.reports.conftest import a_feed, know

WEEK = Window(date(2026, 11, 2), date(2026, 11, 9))
TOTAL_ONLY = ("all_cost",)


def ask(organization, metrics="cost", group_by="", window=WEEK, **more):
    groups = tuple(group_by.split(",")) if group_by else ()
    spec = ReportSpec(tuple(metrics.split(",")), window, groups, **more)
    return engine.run(organization, spec)


def values(report):
    return {row.keys: row.values for row in report.rows}


@pytest.fixture
def console(organization, monkeypatch):
    """Create a second connection without people and list price, like Claude Console."""
    feeds = (a_feed("console_cost", Table.COST, "total"), a_feed("tokens", Table.USAGE, "total"))
    monkeypatch.setattr(ClaudeConsole, "feeds", feeds)
    return make_connection(organization, "console", "claude-console")


# --- Not attributed, or not known -------------------------------------------------------------
@pytest.fixture
def half_read(connection):
    """Create known people for 2 November only: 10 + 5 + 1, then 20."""
    ann = make_person(connection, "user_ann", name="Ann", email="ann@example.com")
    know(connection, "2026-11-02", "2026-11-02")
    know(connection, "2026-11-03", "2026-11-03", feeds=TOTAL_ONLY)
    cost(connection, "2026-11-02", "10", person=ann)
    cost(connection, "2026-11-02", "5")
    cost(connection, "2026-11-02", "1", workspace_id="wrkspc_1")
    cost(connection, "2026-11-03", "20")
    for day, total in (("2026-11-02", "16"), ("2026-11-03", "20")):
        day_check(connection, "all_cost", day, total)
    return connection


@pytest.mark.parametrize(
    ("dimension", "ann"),
    [("user_id", "user_ann"), ("user_name", "Ann"), ("user_state", "active")],
)
def test_what_people_nobody_knows_yet_cost_is_not_what_nobody_did(
    organization, half_read, dimension, ann
):
    assert values(ask(organization, group_by=dimension)) == {
        ("",): (6,),
        (ann,): (10,),
        (UNKNOWN_USER,): (20,),
    }


def test_a_workspace_is_known_whoever_it_was(organization, half_read):
    cost(half_read, "2026-11-03", "7", workspace_id="wrkspc_1")

    assert values(ask(organization, group_by="project_id")) == {
        ("",): (5,),
        ("user_ann",): (10,),
        ("wrkspc_1",): (8,),
        (UNKNOWN_USER,): (20,),
    }


def test_filters_tell_the_two_apart(organization, half_read):
    assert ask(organization, filters=(UNATTRIBUTED,)).totals == (6,)
    unknown = Filter("user_id", (UNKNOWN_USER,))
    assert ask(organization, filters=(unknown,)).totals == (20,)
    both = Filter("user_id", ("", UNKNOWN_USER))
    assert ask(organization, filters=(both,)).totals == (26,)


def test_the_total_is_the_same_however_it_is_cut(organization, half_read):
    whole = ask(organization).totals

    for dimension in ("user_id", "user_email", "project_id", "service"):
        assert ask(organization, group_by=dimension).totals == whole == (36,)


def test_files_have_a_word_of_their_own_for_it(organization, half_read):
    report = ask(organization, group_by="user_id")

    assert "".join(as_csv(report)) == (
        "user_id,cost\r\n,6.00\r\nuser_ann,10.00\r\n(unknown user),20.00\r\n"
    )


def test_reconciliation_has_no_tick_until_people_are_known(organization, half_read):
    reconciliation = reconcile(ask(organization))

    assert (reconciliation.attributed, reconciliation.unattributed, reconciliation.unknown) == (
        10,
        6,
        20,
    )
    assert (reconciliation.ours, reconciliation.reported, reconciliation.unknown_days) == (
        36,
        36,
        1,
    )
    assert reconciliation.agrees
    assert not reconciliation.is_proven

    feed_day(half_read, "person_cost", "2026-11-03")
    reconciliation = reconcile(ask(organization))
    assert (reconciliation.attributed, reconciliation.unattributed, reconciliation.unknown) == (
        10,
        26,
        0,
    )
    assert reconciliation.is_proven


def test_people_to_an_earlier_hour_than_the_total_are_not_known(organization, connection):
    know(connection, "2026-11-02", "2026-11-02", "provisional", feeds=TOTAL_ONLY)
    know(connection, "2026-11-02", "2026-11-02", "incomplete", feeds=("person_cost",))
    cost(connection, "2026-11-02", "3")

    assert values(ask(organization, group_by="user_id")) == {(UNKNOWN_USER,): (3,)}


def test_a_provider_that_never_names_people_leaves_nobody_unknown(organization, console):
    know(console, "2026-11-02", "2026-11-02", feeds=("console_cost",))
    cost(console, "2026-11-02", "3")

    assert values(ask(organization, group_by="user_id")) == {("",): (3,)}


def test_a_limit_keeps_both_beside_the_first(organization, half_read):
    bo = make_person(half_read, "user_bo")
    cost(half_read, "2026-11-02", "2", person=bo)

    rows = values(ask(organization, group_by="user_id", limit=1))

    assert {keys[0]: row[0] for keys, row in rows.items()} == {
        "": 6, "user_ann": 10, UNKNOWN_USER: 20, "\U0010ffff": 2,
    }  # fmt: skip


# --- A total that lacks a connection ----------------------------------------------------------
@pytest.fixture
def both(connection, console):
    """my-org: 80 of 100 at list price. console: 50, and no list price. Both know the week."""
    ann = make_person(connection, "user_ann")
    know(connection, "2026-11-02", "2026-11-08")
    know(console, "2026-11-02", "2026-11-08", feeds=("console_cost", "tokens"))
    cost(connection, "2026-11-02", "80", list_amount="100", person=ann, product="chat")
    cost(console, "2026-11-02", "50", list_amount=None, product="api")
    return connection, console


def test_a_total_shows_what_is_known_and_names_what_it_lacks(organization, both):
    report = ask(organization, "cost,savings,savings_share")

    assert report.totals == (130, 20, Decimal("0.2"))
    assert [(m.metric.name, m.connection.label, m.reason) for m in report.missing] == [
        ("savings", "console", Reason.UNREPORTED),
        ("savings_share", "console", Reason.UNREPORTED),
    ]


def test_the_filter_that_leaves_it_out_gives_a_whole_number(organization, both):
    report = ask(organization, "savings", "day")
    (lacking,) = build(report).missing

    assert (lacking.label, lacking.names) == ("console", "Savings")
    spec = ReportSpec.from_query(lacking.without, today=date(2026, 11, 9))
    alone = engine.run(organization, spec)
    assert alone.totals == (20,)
    assert alone.missing == ()


def test_files_say_that_a_row_is_partial_and_what_it_lacks(organization, both):
    report = ask(organization, "savings", "service")

    assert report.columns == ("service", "savings", "partial", "missing_connections")
    assert list(report.text_rows()) == [
        ["api", "", "yes", "console"],
        ["chat", "20.00", "no", ""],
    ]
    assert '"partial": true, "missing_connections": ["console"]' in "".join(as_json(report))
    streamed = engine.stream(organization, report.spec)
    assert list(streamed.text_rows()) == list(report.text_rows())


def test_workbooks_say_it_too(organization, both):
    file = BytesIO()
    now = datetime(2026, 11, 9, tzinfo=UTC)
    xlsx.write(ask(organization, "savings", "service"), file, address="/", now=now)

    assert [*load_workbook(file)["Report"].values] == [
        ("service", "savings", "partial", "missing_connections"),
        ("api", None, "yes", "console"),
        ("chat", 20, "no", ""),
    ]


def test_one_connection_needs_no_such_columns(organization, connection):
    assert ask(organization, group_by="service").columns == ("service", "cost")


def test_rankings_rank_by_what_is_known(organization, both):
    connection, console = both
    cost(connection, "2026-11-03", "10", list_amount="11", product="cowork")
    # Both have chat now: its savings are 20 of my-org, and of console unknown.
    cost(console, "2026-11-03", "5", list_amount=None, product="chat")

    rows = values(ask(organization, "savings", "service", limit=1))

    assert rows["chat",] == (20,)


def test_active_users_of_two_connections_say_why_they_are_no_sum(organization, connection):
    labs = make_connection(organization, "labs")
    for each, count in ((connection, 7), (labs, 4)):
        know(each, "2026-11-02", "2026-11-02", feeds=("summaries",))
        activity(each, "2026-11-02", monthly_active_user_count=count, assigned_seat_count=count)

    report = ask(organization, "monthly_active_users,seats")

    assert report.totals == (None, 11)
    assert {(m.connection.label, m.reason) for m in report.missing} == {
        ("labs", Reason.OVERLAP),
        ("my-org", Reason.OVERLAP),
    }


def test_a_connection_that_counts_no_users_does_not_blank_the_one_that_does(
    organization, connection, console
):
    know(connection, "2026-11-02", "2026-11-02", feeds=("summaries",))
    activity(connection, "2026-11-02", monthly_active_user_count=7)

    report = ask(organization, "monthly_active_users")

    assert report.totals == (7,)
    assert [(m.connection.label, m.reason) for m in report.missing] == [("console", Reason.SILENT)]


def test_a_connection_that_is_behind_is_named(organization, both):
    connection, _ = both
    know(connection, "2026-11-09", "2026-11-10")
    cost(connection, "2026-11-10", "1")
    window = Window(date(2026, 11, 2), date(2026, 11, 12))

    report = ask(organization, window=window, group_by="day")

    assert report.totals == (131,)
    assert [(m.connection.label, m.reason) for m in report.missing] == [("console", Reason.DAYS)]
    assert [row.missing for row in report.rows] == [(), ("console",)]


def test_days_that_no_connection_knows_make_nobody_a_laggard(organization, both):
    window = Window(date(2026, 11, 2), date(2026, 12, 1))

    assert ask(organization, window=window).missing == ()


# --- Ratios -----------------------------------------------------------------------------------
def test_a_ratio_is_of_the_connections_that_know_both_sides(organization, both):
    connection, console = both
    know(connection, "2026-11-02", "2026-11-08", feeds=("organization_usage",))
    usage(connection, "2026-11-02", requests=40, product="chat")
    usage(console, "2026-11-02", requests=None, product="api")

    report = ask(organization, "cost_per_request,cost")

    # 80 by 40. The 50 of the Console have no requests to divide by.
    assert report.totals == (2, 130)
    assert [m.connection.label for m in report.missing] == ["console"]


def test_a_ratio_is_of_the_days_that_both_sides_know(organization, connection):
    know(connection, "2026-11-02", "2026-11-04", feeds=("all_cost", "person_cost"))
    know(connection, "2026-11-02", "2026-11-03", feeds=("person_usage",))
    for day in ("2026-11-02", "2026-11-03", "2026-11-04"):
        cost(connection, day, "12")
    usage(connection, "2026-11-02", requests=4)
    usage(connection, "2026-11-03", requests=2)

    # 24 by 6: the 12 of 4 November have no requests yet, and are no part of it.
    assert ask(organization, "cost,cost_per_request").totals == (36, 4)


def test_a_group_whose_days_do_not_count_is_no_part_of_a_ratio(organization, connection):
    ann = make_person(connection, "user_ann")
    know(connection, "2026-11-02", "2026-11-03", feeds=("all_cost", "person_cost"))
    know(connection, "2026-11-02", "2026-11-02", feeds=("person_usage",))
    cost(connection, "2026-11-02", "12")
    cost(connection, "2026-11-03", "30", person=ann)
    usage(connection, "2026-11-02", requests=4)

    report = ask(organization, "cost,cost_per_request", group_by="user_id")

    assert values(report)[("user_ann",)][0] == 30
    assert report.totals == (42, 3)  # 12 by 4


def test_people_that_are_not_known_are_not_no_people(organization, connection, console):
    know(console, "2026-11-02", "2026-11-02", feeds=("console_cost", "tokens"))
    usage(console, "2026-11-02", output_tokens=9)

    report = ask(organization, "people,total_tokens")

    assert report.totals == (None, 9)
    assert ("people", "console", Reason.UNNAMED) in [
        (m.metric.name, m.connection.label, m.reason) for m in report.missing
    ]


# --- Like with like ---------------------------------------------------------------------------
def test_today_counts_as_nothing_and_not_as_zero(organization, connection):
    know(connection, "2026-10-01", "2026-11-07")
    know(connection, "2026-11-08", "2026-11-08", "incomplete")
    for day in Window(date(2026, 10, 26), date(2026, 11, 8)):
        cost(connection, day, "10")
    cost(connection, "2026-11-08", "1")

    report = ask(organization, group_by="day", compare="previous")
    totals = build(report).totals[0]

    # 2–7 November beside 26–31 October: six days of ten dollars on each side.
    assert (totals.value, totals.alike, totals.before, totals.change) == (61, 60, 60, 0)
    assert report.alike.spec.window == Window(date(2026, 11, 2), date(2026, 11, 8))
    assert report.before.spec.window == Window(date(2026, 10, 26), date(2026, 11, 1))
    assert report.columns == ("day", "cost", "cost_comparable", "cost_before")
    rows = list(report.text_rows())
    assert rows[0] == ["2026-11-02", "10.00", "10.00", "10.00"]
    assert rows[-1] == ["2026-11-08", "1.00", "", ""]
    assert list(engine.stream(organization, report.spec).text_rows()) == rows


def test_a_connection_that_is_new_is_on_neither_side(organization, connection):
    new = make_connection(organization, "new")
    know(connection, "2026-10-26", "2026-11-08")
    know(new, "2026-11-02", "2026-11-08")
    for day in ("2026-10-27", "2026-11-03"):
        cost(connection, day, "10")
    cost(new, "2026-11-03", "500")

    report = ask(organization, compare="previous")

    assert report.totals == (510,)
    assert (report.alike.totals, report.before.totals) == ((10,), (10,))


def test_nothing_is_compared_where_no_day_can_be(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    cost(connection, "2026-11-02", "5")

    report = ask(organization, compare="previous")

    assert report.compared_days == 0
    assert report.before.totals == (None,)
    assert build(ask(organization, group_by="day", compare="previous")).totals[0].change is None


def test_to_date_ranges_stand_beside_the_same_days_of_the_period_before():
    window = Window(date(2026, 11, 1), date(2026, 11, 18))

    assert shift_of("previous", window, "mtd") == Shift(months=1)
    assert shift_of("previous", window, "wtd") == Shift(days=7)
    assert shift_of("previous", window, "qtd") == Shift(months=3)
    assert shift_of("previous", window, "ytd") == Shift(months=12)
    assert shift_of("previous", window, "custom") == Shift(days=17)


days = st.dates(date(2020, 1, 1), date(2030, 1, 1))


@given(start=days, length=st.integers(1, 400), comparison=st.sampled_from([*COMPARISONS]))
def test_no_day_stands_beside_two(start, length, comparison):
    window = Window(start, start + timedelta(days=length))
    shift = COMPARISONS[comparison].shift(window)

    earlier = [day for each in window if (day := shift.earlier(each))]

    assert len({*earlier}) == len(earlier)
    assert earlier == sorted(earlier)
    assert all(shift.align(day, window) in window for day in earlier)


@given(st.sets(st.dates(date(2026, 1, 1), date(2026, 3, 1))))
def test_spans_are_the_same_days_in_as_few_pieces_as_can_be(some):
    pieces = list(spans(some))

    assert {day for span in pieces for day in span} == some
    assert all(one.end < two.start for one, two in pairwise(pieces))


@pytest.mark.parametrize(
    "known", ["", "0", "0 7", "0 1 7 9", "2 3 4 9 10 11 13", "1 2 3 4 5 8 9 13"]
)
def test_equal_days_have_not_moved_whatever_is_known_of_them(organization, connection, known):
    """Three dollars a day for two weeks: both sides have as many days, so as much money."""
    places = {int(number) for number in known.split()}
    for at in places:
        day = date(2026, 10, 26) + timedelta(days=at)
        feed_day(connection, "all_cost", day)
        cost(connection, day, "3")

    report = ask(organization, compare="previous")

    pairs = sum(at + 7 in places for at in places if at < 7)
    assert report.compared_days == pairs
    assert report.alike.totals == report.before.totals == ((3 * pairs,) if pairs else (None,))
