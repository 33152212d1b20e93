"""What each widget answers, with numbers worked out by hand."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from django.http import QueryDict

from integrations.models import Restatement
from integrations.window import Window
from reports import engine
from reports.dashboard import activity_queries
from reports.dashboard.filters import FilterBar
from reports.dashboard.scope import Scope
from reports.engine.spec import ReportSpec
from reports.render import pivot
from tests.factories import (
    activity,
    cost,
    day_check,
    make_connection,
    make_person,
    usage,
)
from tests.reports.dashboard.conftest import ENGAGEMENT, TODAY, know, work

pytestmark = pytest.mark.django_db


def shown(answer):
    """Return the displayed rows of a widget's table as tuples."""
    return [tuple(cell.text for cell in row) for row in answer.table.cells]


# --- Figures -----------------------------------------------------------------------------------
def test_spend_is_that_of_the_days_and_compares_complete_ones(company, ask):
    answer = ask("spend", "from=2026-11-01&to=2026-11-25")

    assert answer.figure == 105
    assert answer.shown.text == "$105.00"
    assert answer.shown.rule == "open"
    # 1–24 Nov is 100. 25 days before are 7–30 Oct, 20: four times more. Today is on neither side.
    assert answer.shown.change.ratio == 4
    assert answer.shown.change.label == "vs 7–30 Oct"


def test_final_days_are_closed(company, ask):
    assert ask("spend", "from=2026-10-01&to=2026-10-31").shown.rule == "closed"


def test_days_before_that_are_not_known_are_no_comparison(company, ask):
    answer = ask("spend", "from=2026-08-01&to=2026-10-31")

    assert answer.figure == 60
    assert answer.shown.change.ratio is None
    assert answer.shown.change.label == "no complete days to compare yet"


def test_a_month_is_beside_the_same_days_of_the_last(company, ask):
    answer = ask("month-to-date", "range=7d")

    assert answer.title == "November to date"
    assert answer.figure == 105
    # 1–24 Nov 100, 1–24 Oct 60.
    assert answer.shown.change.label == "vs 1–24 Oct"
    assert round(answer.shown.change.ratio, 3) == Decimal("0.667")
    # 120 at list price, 105 charged.
    assert answer.shown.under == ("$15.00 saved by discounts, 12.5%",)


@pytest.mark.parametrize(
    ("today", "label"),
    [
        (date(2026, 11, 1), "vs 1 Oct"),
        (date(2026, 11, 30), "vs 1–24 Oct"),  # the last six days have not been read
        (date(2026, 12, 1), "no complete days to compare yet"),  # no day of it has
    ],
)
def test_a_month_is_compared_as_far_as_it_is_complete(company, ask, today, label):
    assert ask("month-to-date", today=today).shown.change.label == label


def test_the_forecast_is_what_is_spent_and_what_weekdays_cost(connection, ask):
    # A thousand every day since August: November will cost 30,000, whatever happens.
    know(connection, "2026-08-24", "2026-11-24", "provisional")
    for day in Window(date(2026, 8, 24), date(2026, 11, 25)):
        cost(connection, day, "1000")

    answer = ask("forecast")

    assert answer.title == "Forecast for November"
    assert answer.shown.text == "$30,000"
    assert answer.shown.under == ("likely $30,000 – $30,000", "from complete days to 24 Nov")
    assert shown(answer)[0] == ("1 Nov", "known", "$1,000.00")
    assert shown(answer)[29] == ("30 Nov", "expected", "$1,000.00")


def test_a_forecast_without_history_says_so(company, ask, connection):
    connection.feed_days.filter(day__lt="2026-11-01").delete()

    assert "six weeks of complete days" in ask("forecast").empty


def test_active_users_are_those_of_the_last_known_day(company, ask):
    answer = ask("active-users")

    assert answer.shown.text == "31"
    assert answer.shown.under == ("of 40 seats, 77.5%", "on 23 Nov")
    assert answer.figure == 31


def test_active_users_of_one_product(company, ask):
    answer = ask("active-users", "service=chat")

    assert answer.title == "Active users of Chat"
    assert answer.shown.text == "9"


def test_people_of_two_connections_are_never_added(company, ask, organization):
    labs = make_connection(organization, "labs")
    know(labs, "2026-11-23", "2026-11-23", feeds=ENGAGEMENT)
    activity(labs, "2026-11-23", monthly_active_user_count=5, assigned_seat_count=8)

    answer = ask("active-users")

    assert answer.shown.text == "5 · 31"
    assert answer.shown.under == ("labs · my-org",)
    assert answer.figure is None
    assert ask("seats").shown.text == "48"  # seats are a level, and are added


def test_seats_and_invites(company, ask):
    answer = ask("seats")

    assert answer.shown.text == "40"
    assert answer.shown.under == ("50.0% used in 7 days", "4 pending invites")


def test_a_filter_that_cannot_cut_a_count_is_named(company, ask):
    assert (
        "Not filtered by product or user"
        in ask("seats", "service=chat&project_id=user_ann").notes[0]
    )


def test_cache_reads_by_all_input(company, ask):
    answer = ask("cache-share", "from=2026-11-01&to=2026-11-24")

    assert answer.shown.text == "60.0%"  # 60 of 100
    # The 24 days before have no usage at all: nothing to compare with.
    assert answer.shown.under == ("of input tokens", "no complete days to compare yet")
    october = ask("cache-share", "range=mtd")
    assert october.shown.under == ("of input tokens", "+10.0 points vs 1–24 Oct")  # 50 of 100


# --- Spend -------------------------------------------------------------------------------------
def test_spend_over_time_has_a_row_a_day_and_a_column_a_product(company, ask):
    answer = ask("spend-over-time", "from=2026-11-01&to=2026-11-26")
    rows = {row[0]: row[1:] for row in shown(answer)}

    assert [column.label for column in answer.table.columns] == [
        "Day", "Certainty", "Claude Code", "Chat", "Total",
    ]  # fmt: skip
    assert rows["2 Nov"] == ("Can still change", "$60.00", "$0.00", "$60.00")
    assert rows["25 Nov"] == ("Incomplete", "$5.00", "$0.00", "$5.00")
    assert rows["26 Nov"] == ("No data", "–", "–", "–")
    assert [(s.label, s.value) for s in answer.shown.slices] == [("Claude Code", 75), ("Chat", 30)]
    assert answer.shown.total == 105


def test_a_connection_whose_part_is_missing_is_named(company, ask, organization):
    make_connection(organization, "labs")

    (lack,) = ask("spend-over-time").missing
    assert (lack.label, lack.sentence) == (
        "labs",
        "labs has no data in these days, so these numbers are incomplete.",
    )
    assert lack.without == "range=30d&billing_account=my-org"
    assert ask("spend-over-time", lack.without).missing == ()


def test_models_with_their_part_and_how_it_moved(company, ask):
    answer = ask("models", "range=mtd")

    assert [(s.label, s.value) for s in answer.shown.slices] == [("opus", 95), ("No model", 10)]
    opus = answer.shown.slices[0]
    assert round(opus.share, 4) == Decimal("0.9048")
    assert opus.moved.ratio == Decimal("1.25")  # 90 complete, 40 before
    # Of 100 now 90, of 60 before 40; haiku fell from a third to nothing, which is more.
    mover = answer.shown.mover
    assert (mover.label, mover.direction, mover.now) == ("haiku", "fell", 0)


def test_what_drives_the_price_cuts_the_same_dollars(company, ask):
    answer = ask("price-drivers", "from=2026-11-01&to=2026-11-25")

    speed = next(d for d in answer.shown.factors if d.label == "Speed")
    assert [(s.label, s.value) for s in speed.slices] == [("Fast", 60), ("Not set", 45)]
    assert answer.figure == 105
    assert [d.label for d in answer.shown.factors] == ["Speed"]  # the others were the same for all


def test_what_nobody_accounts_for(company, ask):
    answer = ask("unattributed", "from=2026-11-01&to=2026-11-24&project_id=user_ann")

    assert answer.shown.total == 10
    assert answer.shown.share == Decimal("0.1")
    assert "the filter by user does not apply" in answer.notes[0]


# --- People ------------------------------------------------------------------------------------
def test_top_users_with_everything_there_is_to_know(company, ask):
    answer = ask("top-users", "range=mtd")

    assert shown(answer) == [
        ("Ann Ito", "user_ann", "$65.00", "+50.0%", "200", "opus", "25 Nov"),
        ("bo@example.com", "user_bo", "$30.00", "+50.0%", "8", "opus", "3 Nov"),
        ("Not attributed to a user", "", "$10.00", "–", "–", "", "–"),
        ("Total", "", "$105.00", "+66.7%", "208", "", "–"),
    ]
    assert [s.who.tag for s in answer.shown.spenders] == ["", "deleted"]


def test_an_eleventh_user_is_among_the_others(company, ask, connection):
    for number in range(11):
        person = make_person(connection, f"user_{number:02}")
        cost(connection, "2026-11-05", f"{number + 1}", person=person)

    rest = ask("top-users", "range=mtd").shown.rest

    # 65, 30, then 11 … 4 are the first ten; 3 + 2 + 1 are left.
    assert (rest[0].label, rest[0].detail, rest[0].cost) == ("Other users", "3 people", 6)


def test_cost_per_user_with_what_real_people_cost(company, ask, connection):
    # People with usage: Ann and Bo. All cost 105 by 2.
    answer = ask("cost-per-user", "range=mtd")

    assert answer.figure == Decimal("52.5")
    assert (answer.shown.p50, answer.shown.p90, answer.shown.p99) == (30, 65, 65)
    assert [(b.label, b.count) for b in answer.shown.bins] == [("$20 – $50", 1), ("$50 – $100", 1)]
    assert answer.shown.tenth == 1


def test_percentiles_are_costs_of_people():
    from reports.dashboard.people import percentile

    hundred = [Decimal(n) for n in range(1, 101)]
    assert [percentile(hundred, p) for p in (50, 90, 99)] == [50, 90, 99]
    assert percentile([Decimal(7)], 99) == 7


def test_who_and_what_is_rising(company, ask):
    answer = ask("rising", "range=mtd")

    assert [(r.label, r.more) for r in answer.shown.users] == [
        ("Ann Ito", 20),
        ("bo@example.com", 10),
    ]
    assert [(r.label, r.more) for r in answer.shown.models] == [("opus", 50)]


def test_a_credit_without_a_user_has_no_share_on_the_first_of_a_month(connection, ask, ann):
    first = date(2026, 12, 1)
    know(connection, "2026-12-01", "2026-12-01", "incomplete")
    cost(connection, "2026-12-01", "14", person=ann, product="chat")
    cost(connection, "2026-12-01", "-3", product="credit")

    credit = ask("unattributed", "range=mtd", today=first).shown
    ranking = ask("top-users", "range=mtd", today=first).shown

    assert (credit.total, credit.share) == (-3, None)
    assert ranking.against == ""  # the heading is "Change", with no days behind it
    assert [(row.label, row.cost) for row in ranking.rest] == [
        ("Not attributed to a user", -3),
        ("Total", 11),
    ]


def test_one_person_is_one_row_of_every_ranking(company, ask, connection, organization, ann, bo):
    """Ann has another id in labs, and Bo a second one in my-org: 65 + 20, and 30 + 7."""
    labs = make_connection(organization, "labs")
    know(labs, "2026-08-01", "2026-11-24", "provisional")
    there = make_person(labs, "user_labs", email="ANN@example.com")
    again = make_person(connection, "user_bo_2", email="Bo@example.com", name="Bo Berg")
    cost(labs, "2026-11-02", "20", person=there, model="opus")
    cost(connection, "2026-11-03", "7", person=again, model="opus")

    top, spread = ask("top-users", "range=mtd").shown, ask("cost-per-user", "range=mtd").shown
    risers = ask("rising", "range=mtd").shown.users
    filtered = ask("top-users", "range=mtd&project_id=user_labs").shown

    assert [(each.who.id, each.who.name, each.cost) for each in top.spenders] == [
        ("user_ann", "Ann Ito", 85),
        ("user_bo", "Bo Berg", 37),
    ]
    assert (spread.people, spread.p50, spread.p99) == (2, 37, 85)
    # Until 24 November: 80 beside 40, and 37 beside 20.
    assert [(each.label, each.more) for each in risers] == [("Ann Ito", 40), ("Bo Berg", 17)]
    assert [(each.who.id, each.cost) for each in filtered.spenders] == [("user_ann", 85)]


def test_the_list_of_users_offers_one_person_once(company, organization, connection):
    make_person(connection, "user_ann_2", email="ANN@example.com")
    scope = Scope.from_query(organization, QueryDict(""), today=TODAY)

    assert [option.value for option in FilterBar(scope, find="ann").people] == ["user_ann"]


def test_two_ids_of_one_person_are_one_active_person(connection, ann):
    again = make_person(connection, "user_ann_2", email="ANN@example.com")
    for person, day, did in (
        (ann, "2026-11-20", {"chat_metrics__message_count": 1}),
        (again, "2026-11-10", {"chat_metrics__message_count": 2}),
    ):
        activity(connection, day, person=person, **did)

    done = activity_queries.activity([connection], Window(date(2026, 10, 27), date(2026, 11, 24)))

    assert (done[connection.pk].active, done[connection.pk].products) == (1, {"chat": 1})


# --- Tokens ------------------------------------------------------------------------------------
def test_tokens_by_type(company, ask):
    answer = ask("tokens", "from=2026-11-01&to=2026-11-05")

    assert answer.shown.total == 208
    assert answer.shown.share == Decimal("0.6")
    assert shown(answer)[1] == ("2 Nov", "Can still change", "60", "20", "10", "10", "100", "200")


# --- Activity ----------------------------------------------------------------------------------
def test_active_users_by_product_on_the_last_day(company, ask):
    answer = ask("active-users-over-time")

    assert shown(answer) == [
        ("23 Nov", "my-org", "All products", "10", "20", "31"),
        ("23 Nov", "my-org", "Chat", "3", "6", "9"),
    ]
    monthly = answer.shown.pivot.series[0]
    assert monthly.label == "30 days"
    assert monthly.values[-4:] == (30, 31, None, None)  # what is not known is a gap


def test_from_invitation_to_habit(company, ask):
    (funnel,) = ask("adoption").shown.funnels

    assert [(s.label, s.count) for s in funnel.steps] == [
        ("Invited", 44),
        ("Has a seat", 40),
        ("Active in 30 days", 31),
        ("Active every week", 1),  # Ann; Bo did something in one week
        ("Two products or more", 1),  # Ann: Claude Code and chat
    ]
    assert funnel.idle == 9


def test_claude_code_output(company, ask):
    answer = ask("claude-code", "from=2026-11-01&to=2026-11-25")

    assert shown(answer) == [
        ("Claude Code sessions", "6"),
        ("Commits", "6"),
        ("Pull requests", "0"),
        ("Lines added", "60"),
        ("Lines removed", "6"),
        ("Accept rate", "90.0%"),
        # Claude Code cost 60 + 10 on the days whose activity is known; the 5 of today do not count.
        ("Cost per commit", "$11.67"),
        ("Cost per session", "$11.67"),
    ]


@pytest.fixture
def console(organization, company):
    """Create a Console organization in which bo and an API key use Claude Code."""
    console = make_connection(organization, "platform", "claude-console")
    know(console, "2026-11-01", "2026-11-23", "provisional", feeds=("claude_code",))
    know(console, "2026-11-01", "2026-11-23", "provisional", feeds=("cost",))
    cost(console, "2026-11-05", "500", product="messages_api", workspace_id="default")
    who = {
        "bo@example.com": make_person(console, "user_bo_there", email="bo@example.com"),
        "ci": make_person(console, "api_key/ci", name="ci", kind="api_key"),
    }
    for name, sessions, estimate in (("bo@example.com", 3, 4.50), ("ci", 1, 1.50)):
        did = work(sessions=sessions) | {"claude_code_metrics__estimated_cost_usd": estimate}
        activity(console, "2026-11-05", person=who[name], feed="claude_code", **did)
    return console


def test_claude_code_output_is_that_of_every_connection_that_counts_it(console, ask):
    answer = ask("claude-code", "from=2026-11-01&to=2026-11-25")

    assert shown(answer) == [
        ("Claude Code sessions", "10"),  # 6 of my-org, 3 of bo and 1 of the key in platform
        ("Commits", "10"),
        ("Pull requests", "0"),
        ("Lines added", "100"),
        ("Lines removed", "10"),
        ("Accept rate", "90.0%"),
        # The Console bills no product Claude Code: my-org alone, 70 by its 6 commits.
        ("Cost per commit", "$11.67"),
        ("Cost per session", "$11.67"),
        # Anthropic's estimate is no part of that: 4.50 + 1.50, by 4 commits.
        ("Estimated cost", "$6.00"),
        ("Estimated cost per commit", "$1.50"),
        ("Estimated cost per session", "$1.50"),
    ]
    assert answer.figure == 10
    assert answer.notes == answer.missing == ()


def test_claude_code_output_of_the_console_alone_has_an_estimate_and_no_cost(console, ask):
    answer = ask("claude-code", "from=2026-11-01&to=2026-11-25&billing_account=platform")

    rows = dict(shown(answer))
    assert rows["Commits"] == "4"
    assert rows["Estimated cost"] == "$6.00"
    assert "Cost per commit" not in rows


def test_spend_of_a_workspace_is_nobodys(console, ask):
    """The Console tells the workspace of a dollar, not the person: a workspace is no user."""
    query = "from=2026-11-01&to=2026-11-25&billing_account=platform"

    assert [row[:3] for row in shown(ask("top-users", query))] == [
        ("Not attributed to a user", "", "$500.00"),
        ("Total", "", "$500.00"),
    ]
    assert ask("cost-per-user", query).empty == (
        "None of the spend of these days is attributed to a user."
    )
    assert ask("unattributed", query).shown.total == 500
    # 105 and 500 are spent; Ann accounts for 65, Bo for 30.
    assert ask("unattributed", "from=2026-11-01&to=2026-11-25").shown.total == 510


def test_a_connection_that_counts_claude_code_alone_is_named_beside_the_other_products(
    console, ask
):
    answer = ask("activity", "from=2026-11-01&to=2026-11-25")

    assert shown(answer)[0] == ("Chat messages", "7", "2")
    (lack,) = answer.missing
    assert lack.sentence == "platform does not report this activity."
    assert "billing_account=my-org" in lack.without


def test_activity_counts_people_once(company, ask):
    answer = ask("activity", "from=2026-11-01&to=2026-11-25")

    # Ann wrote a message in three weeks of November, Bo four in one.
    assert shown(answer)[0] == ("Chat messages", "7", "2")
    assert shown(ask("activity", "from=2026-11-01&to=2026-11-25&project_id=user_bo"))[0] == (
        "Chat messages", "4", "1",
    )  # fmt: skip


def test_skills_show_the_most_on_one_day_unless_the_span_was_counted(company, ask, connection):
    for day, people in (("2026-11-10", 3), ("2026-11-11", 5)):
        fact = activity(
            connection, day, feed="skills", invocation_count=10, distinct_user_count=people
        )
        fact.subject, fact.name = "xlsx", "Spreadsheets"
        fact.save()

    answer = ask("catalog", "from=2026-11-01&to=2026-11-12")
    assert shown(answer) == [("Skill", "Spreadsheets", "xlsx", "20", "5", "the most on one day")]
    report = engine.run(connection.organization, answer.spec)
    assert report.columns[:3] == ("item", "item_name", "skill_uses")
    assert [(row.keys, row.values[0]) for row in report.rows] == [(("xlsx",), 20)]

    fact.pk, fact.days, fact.day = None, 12, date(2026, 11, 12)
    fact.values = {"distinct_user_count": 7}
    fact.save()
    answer = ask("catalog", "from=2026-11-01&to=2026-11-12")
    assert shown(answer) == [("Skill", "Spreadsheets", "xlsx", "20", "7", "of all days")]


def test_a_connection_without_engagement_says_so(ask, connection, monkeypatch):
    from integrations.connectors.claude_enterprise import ClaudeEnterprise

    monkeypatch.setattr(ClaudeEnterprise, "feeds", ClaudeEnterprise.feeds[:3])

    for name in ("active-users", "seats", "active-users-over-time", "adoption"):
        assert ask(name).empty == "None of these connections counts active users."
    for name in ("claude-code", "activity"):
        assert ask(name).empty == "None of these connections reports this activity."


def test_engagement_that_was_not_read_is_not_zero(ask, connection):
    for name in ("active-users", "seats", "active-users-over-time", "adoption"):
        assert "so this is not a zero" in ask(name).empty


# --- Health ------------------------------------------------------------------------------------
def test_health_tells_every_feed_day_by_day(company, ask, connection):
    day_check(connection, "all_cost", "2026-11-02", "60")
    Restatement.objects.create(
        connection=connection, feed="all_cost", day="2026-11-02", measure="effective_cost",
        old="41.58", new="60",
    )  # fmt: skip
    Restatement.objects.create(  # the same dollars as people's lines are not counted again
        connection=connection, feed="person_cost", day="2026-11-02", measure="effective_cost",
        old="41.58", new="60",
    )  # fmt: skip

    answer = ask("health", "from=2026-10-30&to=2026-11-26")
    cost_strip, tokens, activities = answer.shown.strips

    assert [cost_strip.label, tokens.label, activities.label] == ["Cost", "Tokens", "Activity"]
    assert len(answer.table.rows) > 3  # every feed by itself
    assert cost_strip.text == "2 final, 24 can still change, 1 incomplete, 1 without data"
    assert [s.state for s in cost_strip.stretches] == [
        "final", "provisional", "incomplete", "unknown",
    ]  # fmt: skip
    assert (answer.shown.checked, answer.shown.differing) == (1, 0)
    assert (answer.shown.restated, answer.shown.restated_days) == (Decimal("18.42"), 1)


def test_a_check_that_differs_is_counted(connection, ask):
    check = day_check(connection, "all_cost", "2026-11-02", "60")
    check.stored = Decimal("59.99")
    check.save()

    assert ask("health").shown.differing == 1


# --- Nothing -----------------------------------------------------------------------------------
def test_zero_and_unknown_differ(ask, connection):
    assert "so this is not a zero" in ask("spend").empty

    know(connection, "2026-10-27", "2026-11-25", "provisional")
    assert ask("spend").empty == (
        "No spend in these days. Data is complete to 25 Nov, so this is a real zero."
    )


def test_usage_alone_does_not_break_a_widget(connection, ask, ann):
    usage(connection, "2026-11-20", person=ann, requests=1)
    activity(connection, "2026-11-20", person=ann, **work(messages=1))

    for name in ("spend", "models", "top-users", "cost-per-user", "rising", "unattributed"):
        ask(name)


def test_time_is_cut_as_finely_as_it_can_be_drawn(company, ask):
    def steps(query):
        drawn = ask("spend-over-time", query).shown.steps
        return [(step.label, step.is_chosen) for step in drawn]

    assert steps("from=2026-11-01&to=2026-11-25") == [
        ("Day", True), ("Week", False), ("Month", False),
    ]  # fmt: skip
    assert steps("from=2026-11-01&to=2026-11-25&interval=month") == [
        ("Day", False), ("Week", False), ("Month", True),
    ]  # fmt: skip
    assert steps("from=2026-01-01&to=2026-11-25") == [("Week", False), ("Month", True)]
    chat = ask("spend-over-time", "from=2026-11-01&to=2026-11-25&service=chat").shown.steps
    assert chat[1].query == "from=2026-11-01&to=2026-11-25&interval=week&service=chat"


# --- Beside the report page --------------------------------------------------------------------
@pytest.mark.parametrize(
    "query",
    [
        "range=mtd",
        "range=30d",
        "from=2026-11-01&to=2026-11-10",
        "from=2026-11-20&to=2026-11-25",
        "from=2026-11-25&to=2026-11-25",
        "from=2026-10-05&to=2026-11-24",
        "range=mtd&service=claude_code",
    ],
)
def test_the_report_gives_the_same_change_for_the_same_range(company, organization, ask, query):
    moved = ask("spend", query).shown.change.ratio

    asked = ReportSpec.from_query(QueryDict(query), today=TODAY)
    spec = replace(asked, group_by=("day",), compare="previous")
    (total,) = pivot.build(engine.run(organization, spec)).totals

    assert moved == total.change


def test_no_green_tick_while_the_cost_per_user_is_not_known(connection, ask):
    know(connection, "2026-11-01", "2026-11-24", feeds=("all_cost",))
    know(connection, "2026-11-01", "2026-11-22", feeds=("person_cost",))
    day_check(connection, "all_cost", "2026-11-24", "1")
    assert ask("health", "range=mtd").shown.unnamed_days == 2  # the 23rd and the 24th

    know(connection, "2026-11-23", "2026-11-24", feeds=("person_cost",))
    assert ask("health", "range=mtd").shown.unnamed_days == 0


def test_the_most_used_skill_stays_on_top_beside_a_connection_without_skills(console, ask, company):
    for number in range(12):
        fact = activity(company, "2026-11-10", feed="skills", invocation_count=100 - number)
        fact.subject, fact.name = f"skill-{number:02}", f"Skill {number}"
        fact.save()

    answer = ask("catalog", "from=2026-11-01&to=2026-11-23")
    top = engine.run(company.organization, replace(answer.spec, limit=10, metrics=("skill_uses",)))

    assert shown(answer)[0][1:4] == ("Skill 0", "skill-00", "100")
    named = {row.keys[0]: row.values[0] for row in top.rows if row.keys[0] in {*_skills(10)}}
    assert named == {f"skill-{number:02}": 100 - number for number in range(10)}
    assert [lack.label for lack in answer.missing] == ["platform"]


def _skills(count):
    return (f"skill-{number:02}" for number in range(count))
