"""An organization whose answers hold all that no documentation promises: its numbers are right."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from types import SimpleNamespace

import pytest
import time_machine
from django.db.models import Sum

from integrations import sync
from integrations.connectors import get_connector
from integrations.connectors.anthropic.tolerance import reporting_skipped_rows
from integrations.connectors.base import PayloadError
from integrations.connectors.records import Page
from integrations.data_quality.verification import verify
from integrations.encryption import Secret
from integrations.models import (
    CostFact,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    Person,
    Resource,
    SyncRun,
    SyncWindow,
    UsageFact,
)
from integrations.sync.planning import plan_refresh
from integrations.window import Window
from sandbox.anthropic import oddities
from sandbox.anthropic.oddities import MODEL, Oddities
from sandbox.anthropic.reporting import newest_export
from sandbox.claude_console import api as console_api
from sandbox.claude_console import company as console_company
from sandbox.claude_console import ledger as console_ledger
from sandbox.claude_enterprise import api as enterprise_api
from sandbox.claude_enterprise import ledger as enterprise_ledger
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 10, 16, 12, 0, tzinfo=UTC)  # a Friday
MONDAY, TUESDAY = date(2026, 10, 12), date(2026, 10, 13)  # on a 13th, some rows are broken
DAYS = Window(MONDAY, date(2026, 10, 15))
KEYS = {
    "claude-enterprise": "sk-ant-api01-sandbox-oddities",
    "claude-console": "sk-ant-admin01-sandbox-oddities",
}
WAYS = [(slug, variant) for slug in KEYS for variant in ("reports", "successors")]
every_way = pytest.mark.parametrize(("slug", "variant"), WAYS, ids=["-".join(way) for way in WAYS])

# Feeds with a broken row on the 13th.
BROKEN = {
    ("claude-enterprise", "reports"): {"user_cost", "users", "connectors", "connectors_by_person"},
    ("claude-enterprise", "successors"): {
        *("user_cost", "users", "connectors", "connectors_by_person")
    },
    ("claude-console", "reports"): {"cost", "claude_code", "claude_code_by_model", "beta_cost"},
    ("claude-console", "successors"): {"claude_code", "claude_code_by_model", "beta_cost"},
}


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOON, tick=False):
        yield


def read(slug, variant, label="odd", wanted=lambda feed: True):
    """Import what is `wanted`, without spans: of 90 days they would take longest."""
    connection = make_connection(
        make_organization(label),
        label,
        slug,
        credential=Secret(KEYS[slug]),
        options={"dialect": variant},
    )
    days = {
        feed.name: list(DAYS) if wanted(feed) and not feed.name.endswith("_spans") else []
        for feed in connection.connector.feeds
    }
    run = sync.plan(connection, SyncRun.Kind.MANUAL, DAYS, days=days)
    list(sync.run_inline(run, wait=lambda seconds: pytest.fail("had to wait")))
    states = set(run.windows.values_list("state", flat=True))
    assert states <= {SyncWindow.State.DONE, SyncWindow.State.UNCHANGED}
    return connection


def dollars(millionths):
    """Every amount of this company is larger by its own 10^-18th part."""
    return Context(prec=99).multiply(Decimal(millionths), Decimal("0.00000001000000000000000001"))


def ledger(slug, variant, day):
    if slug == "claude-enterprise":
        company = enterprise_ledger.by_slug("oddities")
        return enterprise_ledger.known_lines(company, day, newest_export(NOON))
    known_at = NOON if variant == "reports" else newest_export(NOON)
    return list(
        console_ledger.known_lines(console_company.by_slug("console-oddities"), day, known_at)
    )


def by_day(model, measure, connection, **only):
    facts = model.objects.filter(connection=connection, **only)
    return {
        row["day"]: row["sum"]
        for row in facts.values("day").annotate(sum=Sum(measure)).order_by("day")
    }


@every_way
def test_an_import_equals_the_ledger_to_the_last_digit_and_counts_the_broken_row(
    sandbox, slug, variant
):
    connection = read(slug, variant)

    lines = {day: ledger(slug, variant, day) for day in DAYS}
    assert by_day(CostFact, "effective_cost", connection) == {
        day: dollars(sum(charge.amount for line in lines[day] for charge in line.charges))
        for day in DAYS
    }
    for measure, at in (("output_tokens", 4), ("cache_write_5m_tokens", 2)):
        counted = {day: sum(line.tokens[at] for line in lines[day] if line.model) for day in DAYS}
        assert by_day(UsageFact, measure, connection) == counted
        named = {
            day: sum(line.tokens[at] for line in lines[day] if line.model == MODEL) for day in DAYS
        }
        assert by_day(UsageFact, measure, connection, meter__model=MODEL) == named
    assert len(MODEL) == 300
    assert all(check.agrees for check in DayCheck.objects.filter(connection=connection))
    assert not DayCheck.objects.exclude(excess=0).exists()
    # Amounts with more than twenty decimals are stored as they came.
    exponents = {
        fact.effective_cost.as_tuple().exponent
        for fact in CostFact.objects.filter(effective_cost__gt=0)
    }
    assert min(exponents) <= -20
    verified = verify(connection)
    assert verified.compared
    assert not verified.differences

    # A broken row is counted, and costs its own day alone.
    days = FeedDay.objects.filter(connection=connection, kept_out__gt=0)
    assert {(day.feed, day.day) for day in days} == {
        (feed, TUESDAY) for feed in BROKEN[slug, variant]
    }
    assert {day.state for day in days} == {FeedDay.State.INCOMPLETE}
    assert all("Anthropic sent a row" in day.kept_out_reason for day in days)
    others = FeedDay.objects.filter(connection=connection, kept_out=0, day__in=list(DAYS))
    assert not others.filter(state=FeedDay.State.INCOMPLETE).exists()

    # Odd names are stored as they can be shown.
    names = [
        *Person.objects.filter(connection=connection).values_list("name", flat=True),
        *Resource.objects.filter(connection=connection).values_list("name", flat=True),
    ]
    assert all(name == name.strip() and name.isprintable() for name in names)
    assert max(map(len, names)) > 255
    assert names.count("Other") > 1  # each by its own id
    assert Meter.objects.filter(connection=connection, model=MODEL).exists()


@pytest.mark.parametrize("variant", ["reports", "successors"])
def test_people_lack_what_the_broken_row_says_and_nothing_else(sandbox, variant):
    connection = read("claude-enterprise", variant, wanted=lambda feed: feed.table == "cost")

    expected = defaultdict(int)
    for day in DAYS:
        for line in ledger("claude-enterprise", variant, day):
            if line.member is not None:
                expected[day, line.member.user_id] += line.amount
    rows = (
        CostFact.objects.filter(connection=connection, person__isnull=False)
        .values("day", "person__external_id")
        .annotate(sum=Sum("effective_cost"))
    )
    stored = {(row["day"], row["person__external_id"]): row["sum"] for row in rows}
    apart = {
        key
        for key, amount in expected.items()
        if amount and stored.get(key, Decimal()) != dollars(amount)
    }
    broken = FeedDay.objects.get(connection=connection, feed="user_cost", day=TUESDAY).kept_out
    assert {day for day, _ in apart} == {TUESDAY}
    assert 1 <= len(apart) <= broken
    assert all(stored.get(key, Decimal()) < dollars(expected[key]) for key in apart)


def documents(connection):
    return {
        (fact.feed, fact.day, fact.subject, fact.days): fact.values
        for fact in EngagementFact.objects.filter(connection=connection)
    }


@pytest.mark.parametrize(("slug", "variant"), [(slug, "reports") for slug in KEYS])
def test_rows_of_one_key_come_to_what_a_single_row_says(sandbox, monkeypatch, slug, variant):
    def is_activity(feed):
        return feed.table == "engagement" and not feed.exported

    odd = documents(read(slug, variant, wanted=is_activity))
    for api in (console_api, enterprise_api):
        monkeypatch.setattr(api, "_ODDITIES", Oddities(frozenset(), {}))

    single = documents(read(slug, variant, "single", is_activity))

    apart = Counter(
        key[:2] for key in odd.keys() | single.keys() if odd.get(key) != single.get(key)
    )
    assert set(apart) == {
        (feed, TUESDAY)
        for feed in BROKEN[slug, variant]
        if feed not in {"cost", "user_cost", "beta_cost"}
    }
    # One row of a person and a product: an item and its sum, or a document and its models.
    assert max(apart.values()) <= 2


def facts(connection):
    """Return what is stored of the 13th, by feed."""
    return {
        **{key: value for key, value in documents(connection).items() if key[1] == TUESDAY},
        "cost": by_day(CostFact, "effective_cost", connection, person__isnull=False, day=TUESDAY),
    }


def days_of(run):
    return {(window.feed, day) for window in run.windows.all() for day in window.window}


@pytest.mark.parametrize(
    ("slug", "feeds"),
    [
        ("claude-enterprise", {"user_cost", "users", "connectors", "connectors_by_person"}),
        ("claude-console", {"claude_code", "claude_code_by_model"}),
    ],
)
def test_a_day_whose_only_row_is_broken_is_incomplete(sandbox, monkeypatch, slug, feeds):
    """It costs no other day, is asked for again once a day, and takes away nothing it had."""
    first_to_break, has_others = oddities._first_to_break, [False]

    def break_it_alone(lists, broken, asked_on):
        row = first_to_break(lists, broken, asked_on)
        if row is None or has_others[0]:
            return None
        for rows, _ in lists:
            if any(one is row for one in rows):  # and rows of other days
                at = row.get("starting_at")
                rows[:] = [one for one in rows if one is row or one.get("starting_at") != at]
        return row

    monkeypatch.setattr(oddities, "_first_to_break", break_it_alone)

    connection = read(slug, "reports", wanted=lambda feed: feed.name in feeds)

    def state_of_days(**only):
        days = FeedDay.objects.filter(connection=connection, feed__in=feeds, **only)
        return {(day.feed, day.day): (day.state, day.rows, day.kept_out) for day in days}

    lacking = {(feed, TUESDAY): (FeedDay.State.INCOMPLETE, 0, 1) for feed in feeds}
    assert state_of_days(day=TUESDAY) == lacking
    others = state_of_days(day__in=[MONDAY, date(2026, 10, 14)])
    assert len(others) == 2 * len(feeds)
    assert not [
        key
        for key, (state, rows, kept_out) in others.items()
        if not rows or kept_out or state == FeedDay.State.INCOMPLETE
    ]

    # Long closed, the day is read once a day still: not in vain with every refresh.
    with time_machine.travel(datetime(2026, 12, 20, 9, tzinfo=UTC), tick=False):
        tomorrow = plan_refresh(connection, today=date(2026, 12, 20))
        asked = days_of(tomorrow)
        assert {feed for feed, day in asked if day == TUESDAY} & feeds == feeds - {
            "connectors_by_person",
            "claude_code_by_model",
        }
        tomorrow.windows.exclude(feed__in=feeds, start__lte=TUESDAY, end__gt=TUESDAY).delete()
        list(sync.run_inline(tomorrow, wait=lambda seconds: pytest.fail("had to wait")))
        assert state_of_days(day=TUESDAY) == lacking
        again = plan_refresh(connection, today=date(2026, 12, 20))
        assert TUESDAY not in {day for feed, day in days_of(again) if feed in feeds}
        again.delete()

        # The provider repairs its row.
        has_others[0] = True
        read_again(connection, feeds)
        assert all(rows and not bad for _, rows, bad in state_of_days(day=TUESDAY).values())
        assert not state_of_days(state=FeedDay.State.INCOMPLETE)
        whole = facts(connection)
        assert len(whole) > len(feeds)

        # It breaks again: what is stored stays, and is not called complete.
        has_others[0] = False
        read_again(connection, feeds)
        assert facts(connection) == whole
        assert {feed for feed, _ in state_of_days(state=FeedDay.State.INCOMPLETE)} == feeds


def read_again(connection, feeds):
    """Read the 13th whatever is stored of it."""
    FeedDay.objects.filter(connection=connection).update(watermark=None)
    window = Window(TUESDAY, date(2026, 10, 14))
    days = {
        feed.name: list(window) if feed.name in feeds else [] for feed in connection.connector.feeds
    }
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
    list(sync.run_inline(run, wait=lambda seconds: pytest.fail("had to wait")))
    assert run.state == SyncRun.State.DONE


@pytest.mark.parametrize(("rows", "is_refused"), [(9, False), (10, True)])
def test_a_report_of_another_shape_is_refused_as_a_whole(rows, is_refused):
    """Ten rows without a good one are no broken rows: what is stored must not become empty."""

    def read_nothing(client, window):
        for _ in range(rows):
            client.kept_out.note(MONDAY, "Anthropic sent a row without an amount.")
        yield Page((), None)

    feed = reporting_skipped_rows(
        replace(get_connector("claude-enterprise").feeds[0], read=read_nothing)
    )
    pages = feed.read(SimpleNamespace(), DAYS)

    if is_refused:
        with pytest.raises(PayloadError, match="without an amount"):
            list(pages)
    else:
        assert sum(one.rows for page in pages for one in page.kept_out) == 9
