"""Data health: each day of each feed, its checks, and what was changed afterwards."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from integrations.models import (
    Connection,
    DayCheck,
    FeedDay,
    Restatement,
    SyncRun,
    SyncWindow,
)
from integrations.status.connections import status_of
from integrations.status.strips import coverage_page
from tests.factories import day_check, feed_day, make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 22)


@pytest.fixture(autouse=True)
def _today():
    with time_machine.travel(datetime(2026, 11, 22, 12, tzinfo=UTC), tick=False):
        yield


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def connection(organization):
    connection = make_connection(organization)
    imported(connection, date(2026, 11, 16))
    return connection


@pytest.fixture
def member(client, organization):
    client.force_login(make_member(organization, Role.VIEWER))
    return client


def imported(connection, start):
    return SyncRun.objects.create(
        connection=connection,
        kind=SyncRun.Kind.IMPORT,
        state=SyncRun.State.DONE,
        start=start,
        end=TODAY + timedelta(days=1),
    )


def tried(connection, day, state, **fields):
    SyncWindow.objects.create(
        run=connection.runs.get(),
        feed="organization_cost",
        start=day,
        end=day + timedelta(days=1),
        position=SyncWindow.objects.count(),
        state=state,
        finished_at=timezone.now(),
        **fields,
    )


def coverage(connection, days=7):
    by_label = coverage_page(status_of(connection), today=TODAY, days=days)
    label = connection.connector.feed("organization_cost").label
    return next(feed for feed in by_label.feeds if feed.label == label)


def days_of(connection, **states):
    """States by day of November: n16="final"."""
    for name, state in states.items():
        feed_day(connection, "organization_cost", date(2026, 11, int(name[1:])), state)


def url(name, query=""):
    return reverse(f"integrations:{name}", args=["demo"]) + query


def text(response):
    assert response.status_code == 200
    return response.content.decode()


# --- Coverage ------------------------------------------------------------------------------


def test_every_day_has_a_mark_and_the_closed_ones_end_with_a_double_rule(connection):
    days_of(
        connection, n16="final", n17="final", n19="provisional", n20="provisional", n21="incomplete"
    )

    cost = coverage(connection)

    # 16, 17 | double rule | 18 missing, 19, 20, then 21 and 22 not complete yet.
    assert "".join(cost.marks) == "ffkgppnn"
    assert cost.final_to == date(2026, 11, 17)
    assert cost.sentence == (
        "Organization cost: final to 17 Nov, 2 days can still change, 1 day is missing, "
        "21 Nov is incomplete."
    )


def test_days_before_the_import_are_no_gap(connection):
    days_of(connection, n16="final", n17="final")

    cost = coverage(connection, days=10)

    assert "".join(cost.marks) == "nnnffknnnnn"
    assert cost.gaps == ()


def test_everything_reaches_back_to_the_first_import(connection):
    days_of(connection, n16="final")

    assert coverage_page(status_of(connection), today=TODAY, days=None).window.start == date(
        2026, 11, 16
    )


def test_a_feed_that_was_never_read_says_so(connection):
    assert coverage(connection).sentence == "Organization cost: nothing is known yet."
    assert not coverage(connection).is_known


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("unavailable", "Anthropic has nothing for these days; we ask again daily."),
        ("failed", "It broke. The next refresh tries again."),
        ("pending", "These days are being read."),
        (None, "The next refresh reads these days."),
    ],
)
def test_a_gap_says_what_is_done_about_it(connection, state, reason):
    days_of(connection, n16="final", n19="final")
    if state:
        tried(connection, date(2026, 11, 17), state, error="It broke." if state == "failed" else "")

    (gap,) = coverage(connection).gaps

    assert (gap.window.start, gap.window.last_day) == (date(2026, 11, 17), date(2026, 11, 18))
    assert gap.reason == reason


def test_the_page_shows_a_strip_per_feed_and_the_gap_in_words(member, connection):
    days_of(connection, n16="final", n18="provisional")

    page = text(member.get(url("health")))

    assert 'aria-label="Organization cost: final to 16 Nov, 1 day can still change' in page
    assert "17 Nov: The next refresh reads these days." in page
    for feed in connection.connector.feeds:
        assert feed.label in page


NOT_READ = {
    "refused.usage": '{"inference_geo": ["us"]}',
    "not_read.cost": "context_window,speed",
    "note.versions": "The beta reports are not used: for 10 Nov 2026 they report $1.",
}


def test_what_the_provider_refuses_to_be_asked_for_is_said_on_both_pages(
    client, organization, connection
):
    client.force_login(make_member(organization, Role.ADMIN))
    pages = [
        url("health"),
        reverse("integrations:manage", args=["demo", connection.connector_slug]),
    ]
    assert all("can be read" not in text(client.get(page)) for page in pages)
    Connection.objects.update(options={"dialect": "reports", **NOT_READ})

    for page in pages:
        words = " ".join(text(client.get(page)).split())
        assert f"Not everything of {connection.label} can be read." in words
        assert (
            "Cost lines are not read by context window and speed: Anthropic refuses answers in "
            "that detail. Totals are complete."
        ) in words
        assert "Token lines of region us are not separated" in words
        assert "they report $1." in words


def test_a_feed_that_never_succeeded_says_why(member, connection):
    tried(
        connection,
        date(2026, 11, 18),
        SyncWindow.State.FAILED,
        error="Anthropic denied access.",
    )

    page = text(member.get(url("health")))

    assert "Anthropic denied access. <b>The next refresh tries again.</b>" in page


def test_one_chooses_the_connection_and_all_days(member, organization, connection):
    make_connection(organization, "other")

    page = text(member.get(url("health", "?connection=other&days=all")))

    assert "<option selected>other</option>" in page
    assert member.get(url("health", "?connection=nobody")).status_code == 404


def test_nothing_connected_is_said(member):
    assert "Nothing is connected yet" in text(member.get(url("health")))


def test_totals_that_agree_are_no_proof_while_cost_per_user_is_not_known(member, connection):
    day = timezone.now().date()
    feed_day(connection, "organization_cost", day)
    day_check(connection, "organization_cost", day, "10")

    page = text(member.get(url("health")))
    assert "The cost per user of 1 day is not known." in page
    assert "in every digit" not in page

    feed_day(connection, "user_cost", day)
    assert "in every digit" in text(member.get(url("health")))


def test_the_page_says_whether_totals_agree(member, connection):
    day_check(connection, "organization_cost", "2026-11-16", "10")
    assert "1 total of my-org agrees with Anthropic’s own, in every digit." in text(
        member.get(url("health"))
    )

    DayCheck.objects.update(stored=Decimal("9.99"))
    assert "1 total of my-org does not agree" in text(member.get(url("health")))


def test_more_days_and_connections_take_no_more_queries(
    member, organization, connection, django_assert_max_num_queries
):
    for number in range(5):
        make_connection(organization, f"org-{number}")
    for day in range(1, 22):
        feed_day(connection, "organization_cost", date(2026, 10, day))
        day_check(connection, "organization_cost", date(2026, 10, day), "10")
        restated(connection, day=date(2026, 10, day))
    with django_assert_max_num_queries(20):
        member.get(url("health", "?days=all"))
    with django_assert_max_num_queries(14):
        member.get(url("checks"))
    with django_assert_max_num_queries(14):
        member.get(url("restatements"))


# --- Checks --------------------------------------------------------------------------------


def test_a_check_shows_every_digit_and_its_export(member, connection):
    check = day_check(connection, "organization_cost", "2026-11-16", "1234.50000001")
    check.stored = Decimal("1234.5")
    check.watermark = datetime(2026, 11, 17, 8, tzinfo=UTC)
    check.save()

    page = text(member.get(url("checks")))

    assert "$1,234.50000001" in page
    assert "$1,234.50<" in page
    assert "−$0.00000001" in page
    assert "17 Nov, 08:00" in page
    assert "will be read again" in page


def test_only_differences_are_shown_if_one_asks(member, connection):
    day_check(connection, "organization_cost", "2026-11-16", "10")
    excess = day_check(connection, "organization_cost", "2026-11-17", "20")
    excess.excess = Decimal(3)
    excess.reread_at = timezone.now()
    excess.save()

    page = text(member.get(url("checks", "?differences=on")))

    assert "17 Nov 2026" in page
    assert "16 Nov 2026" not in page
    assert "people have $3.00 more than the organization" in page
    assert "read again 22 Nov, 12:00" in page


def test_what_cannot_be_compared_is_no_difference(member, connection):
    check = day_check(connection, "organization_cost", "2026-11-16", "10", "list_cost")
    DayCheck.objects.filter(pk=check.pk).update(stored=None)

    assert "Cannot be compared" in text(member.get(url("checks")))
    assert "No differences" in text(member.get(url("checks", "?differences=on")))


def test_checks_are_paged_newest_first(member, connection):
    for number in range(60):
        day_check(connection, "organization_cost", date(2026, 9, 1) + timedelta(number), "1")

    first, second = text(member.get(url("checks"))), text(member.get(url("checks", "?page=2")))

    assert "30 Oct 2026" in first
    assert ">1 Sep 2026<" not in first
    assert ">1 Sep 2026<" in second
    assert "1–50 of 60 checks" in first


# --- Restatements --------------------------------------------------------------------------


def restated(connection, **fields):
    return Restatement.objects.create(
        **{
            "connection": connection,
            "feed": "organization_cost",
            "day": date(2026, 11, 16),
            "measure": "effective_cost",
            "old": Decimal("15"),
            "new": Decimal("17.5"),
            "old_watermark": datetime(2026, 11, 17, 8, tzinfo=UTC),
            "new_watermark": datetime(2026, 11, 18, 8, tzinfo=UTC),
            "meters": [{"meter": "chat · claude-sonnet-4-6", "old": "5", "new": "7.5"}],
            "people": 2,
        }
        | fields
    )


def test_a_restatement_says_what_a_day_was_what_it_is_and_where_it_moved(member, connection):
    restated(connection)

    page = text(member.get(url("restatements")))

    for words in (
        "16 Nov 2026",
        "$15.00",
        "$17.50",
        "+$2.50",
        "chat · claude-sonnet-4-6: $5.00 → $7.50",
        "1 part, 2 people",
        "export of 18 Nov, 08:00",
    ):
        assert words in page


def test_activity_has_no_sum_and_numbers_that_changed_hands_no_part(member, connection):
    restated(connection, measure="activity", old=None, new=None, people=0)
    restated(connection, new=Decimal(15), meters=[], people=3)

    page = text(member.get(url("restatements")))

    assert "Activity" in page
    assert "Moved between 3 people" in page


def test_filters_narrow_and_make_sense_of_nonsense(member, organization, connection):
    restated(connection)
    other = make_connection(organization, "other")
    restated(other, day=date(2026, 10, 1), new=Decimal("99"))

    def page(query):
        return text(member.get(url("restatements", query)))

    assert "$99.00" not in page("?connection=my-org")
    assert "$99.00" in page("?since=2026-09-30&until=2026-10-01")
    assert "$99.00" not in page("?since=2026-10-02")
    assert "No restatements here" in page("?feed=user_cost")
    assert "This connection does not exist." in page("?connection=theirs")
    assert "The last day is before the first day." in page("?since=2026-10-02&until=2026-10-01")
    assert "Write the day as 2026-11-22." in page("?since=yesterday")


def test_the_file_is_exact_and_leaves_unknown_empty(member, connection):
    restated(connection, old=None, new=Decimal("17.500000000001"))

    response = member.get(url("restatements_csv", "?connection=my-org"))
    (row,) = csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig")))

    assert (row["old"], row["new"], row["change"]) == ("", "17.500000000001", "")
    assert (row["day"], row["feed"]) == ("2026-11-16", "organization_cost")
    assert member.get(url("restatements_csv", "?since=never")).status_code == 422


def test_another_organizations_rows_are_never_shown(member, connection):
    stranger = make_connection(make_organization("theirs"), "their-label")
    day_check(stranger, "organization_cost", "2026-11-16", "777")
    restated(stranger, new=Decimal("777"))

    assert "777" not in text(member.get(url("checks")))
    assert "777" not in text(member.get(url("restatements")))
    response = member.get(url("restatements_csv"))
    assert b"777" not in b"".join(response.streaming_content)
    assert Connection.objects.count() == 2
    assert not FeedDay.objects.exists()
