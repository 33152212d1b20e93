"""A second report of the Console beside the total that counts: compared with every import."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from integrations import sync
from integrations.connectors.records import TOKEN_MEASURES
from integrations.data_quality.verification import VerificationResult
from integrations.encryption import Secret
from integrations.models import ActivityByDay, DayCheck, SyncRun
from integrations.variants import compare_variants
from integrations.window import Window
from sandbox.claude_console import company, ledger
from tests.factories import feed_day, make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

PRIORITY = "sk-ant-admin01-sandbox-priority"


@pytest.fixture
def console():
    """Four days of November, of which the total says $5 each.

    The beta agrees on the 1st, says 2.25 more on the 2nd, has no row on the 3rd, and does not
    cover the 4th to its end.
    """
    console = make_connection(make_organization(), "platform", "claude-console")
    days = Window(date(2026, 11, 1), date(2026, 11, 5))
    SyncRun.objects.create(
        connection=console, kind=SyncRun.Kind.IMPORT, start=days.start, end=days.end
    )
    for number, (amount, state) in enumerate(
        [(5, "final"), (7.25, "final"), (None, "provisional"), (1, "incomplete")], 1
    ):
        day = date(2026, 11, number)
        feed_day(console, "cost", day)
        feed_day(console, "beta_cost", day, state)
        DayCheck.objects.create(
            connection=console,
            feed="cost",
            day=day,
            measure="effective_cost",
            reported=Decimal(5),
            stored=Decimal(5),
        )
        if amount:
            ActivityByDay.objects.create(
                connection=console,
                feed="beta_cost",
                day=day,
                values={"effective_cost": amount, "requests": 3},
            )
    return console


def test_complete_days_of_both_reports_are_compared(console):
    cost, usage = compare_variants(console)

    assert (cost.days, cost.total, cost.second) == (3, Decimal(15), Decimal("12.25"))
    assert cost.difference == Decimal("-2.75")
    assert [(one.day.day, one.difference) for one in cost.differences] == [
        (2, Decimal("2.25")),
        (3, Decimal(-5)),
    ]
    assert (usage.days, usage.differences) == (0, ())


def test_tokens_are_the_sum_of_their_kinds(console):
    """The Console's totals count each kind by itself: 5 × 2 of the total, 5 × 3 of the beta."""
    day = date(2026, 11, 1)
    for feed in ("usage", "beta_usage"):
        feed_day(console, feed, day)
    for kind in TOKEN_MEASURES:
        DayCheck.objects.create(
            connection=console, feed="usage", day=day, measure=kind, reported=2, stored=2
        )
    ActivityByDay.objects.create(
        connection=console, feed="beta_usage", day=day, values=dict.fromkeys(TOKEN_MEASURES, 3)
    )

    _, usage = compare_variants(console)

    assert (usage.days, usage.total, usage.second, usage.difference) == (1, 10, 15, 5)


def test_a_day_whose_sum_is_not_known_is_not_compared(console):
    ActivityByDay.objects.filter(day=date(2026, 11, 2)).update(values={"requests": 3})

    assert compare_variants(console)[0].days == 2


def test_only_days_of_the_window_are_compared(console):
    cost, _ = compare_variants(console, Window(date(2026, 11, 1), date(2026, 11, 2)))

    assert (cost.days, cost.difference, cost.differences) == (1, 0, ())


def test_other_connections_have_no_second_report(console):
    enterprise = make_connection(console.organization, "my-org")

    assert compare_variants(enterprise) == []


def test_data_health_shows_the_difference(console, client):
    client.force_login(make_member(console.organization))

    page = client.get(reverse("integrations:health", args=["demo"]) + "?days=all").content.decode()

    words = " ".join(page.split())
    assert "Beta reports beside the totals that count" in words
    assert '<td data-l="Total that counts" class="num">$15.00</td>' in words
    assert '<td data-l="Difference" class="num">−$2.75</td>' in words
    assert "2 of 3<div>3 Nov: −$5.00</div><div>2 Nov: +$2.25</div>" in words
    assert "Not compared: no complete day is known to both reports." in words


def test_verify_names_the_days_and_is_no_failure(console, monkeypatch):
    verified = VerificationResult(3, (), (), tuple(compare_variants(console)))
    monkeypatch.setattr(
        "integrations.management.commands.verify.verify", lambda connection: verified
    )
    output = StringIO()

    call_command("verify", "--organization=demo", stdout=output)

    label = "platform: Cost by key, person and product (beta)"
    assert output.getvalue().splitlines() == [
        f"{label}: 2026-11-02 effective_cost: 7.25, the total that counts is 5",
        f"{label}: 2026-11-03 effective_cost: 0, the total that counts is 5",
        f"{label}: compared with Organization cost on 3 days, difference -2.75.",
        "platform: Tokens by key, person and product (beta): not compared with Organization tokens."
        " No complete day is known to both.",
        "platform: 3 totals compared, no differences.",
    ]


@pytest.fixture
def priority(sandbox):
    """Ten days of an organization of which the beta holds Priority Tier cost, as imported."""
    connection = make_connection(
        make_organization(), "priority", "claude-console", credential=Secret(PRIORITY)
    )
    end = timezone.now().date() - timedelta(days=60)
    window = Window(end - timedelta(days=10), end)
    feeds = connection.connector.feeds
    days = {
        feed.name: list(window) if feed.is_metered or feed.compared_with else [] for feed in feeds
    }
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
    list(sync.run_inline(run, wait=lambda seconds: None))
    return connection


def committed(connection):
    """Dollars of Priority Tier by day, from what the emulator says happened."""
    now, sums = datetime.now(UTC), {}
    run = connection.runs.get()
    for day in Window(run.start, run.end):
        lines = ledger.known_lines(company.by_slug("console-priority"), day, now)
        charges = [
            charge.amount
            for line in lines
            if line.service_tier == "priority"
            for charge in line.committed
        ]
        if charges:
            sums[day] = Decimal(sum(charges)) / 10**8  # from millionths of a cent
    return sums


def test_an_import_shows_the_priority_tier_cost_that_the_total_lacks(priority):
    cost, usage = compare_variants(priority)

    expected = committed(priority)
    assert 2 < len(expected) < 10
    assert {one.day: one.difference for one in cost.differences} == expected
    assert (cost.days, cost.difference) == (10, sum(expected.values()))
    assert usage.days == 10
    assert usage.differences == ()


def test_data_health_and_verify_show_it_and_every_total_agrees(priority, client):
    client.force_login(make_member(priority.organization))
    difference = sum(committed(priority).values())
    output = StringIO()

    page = client.get(reverse("integrations:health", args=["demo"]) + "?days=all").content.decode()
    call_command("verify", "--organization=demo", stdout=output)

    words = " ".join(page.split())
    assert f'<td data-l="Difference" class="num">+${difference.normalize():,f}</td>' in words
    lines = output.getvalue().splitlines()
    assert (
        "priority: Cost by key, person and product (beta): compared with Organization cost on "
        f"10 days, difference {difference.normalize():f}."
    ) in lines
    assert lines[-1].startswith("priority: ")
    assert lines[-1].endswith("totals compared, no differences.")
    assert not DayCheck.objects.failing().exists()


def test_the_connection_test_keeps_the_legacy_reports_where_the_beta_holds_more(priority):
    probe = priority.connector.probe(sync.access(priority), today=timezone.now().date())

    assert probe.options["dialect"] == "reports"
    assert "The beta reports are not used: for" in probe.options["note.versions"]
