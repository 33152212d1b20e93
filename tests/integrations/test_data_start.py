"""Where data starts, if the provider does not say: walked back to, and not walked past."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db.models import Sum

from integrations import import_range, sync
from integrations.connectors import get_connector
from integrations.connectors.claude_console import ClaudeConsole
from integrations.data_start import BEFORE_DATA
from integrations.encryption import Secret
from integrations.models import CostTotal, FeedDay, SyncRun, SyncWindow
from integrations.status.connections import status_of
from integrations.sync.planning import plan_refresh
from integrations.window import Window
from sandbox.claude_console import Sandbox, ledger
from sandbox.claude_console.company import by_slug
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 20)
FIRST_USE = date(2026, 9, 1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONNECTOR = get_connector("claude-console")
FEEDS = tuple(feed for feed in CONNECTOR.feeds if feed.name in {"cost", "usage", "people_usage"})


@pytest.fixture
def connection(sandbox, monkeypatch):
    """Nothing was used before September. Windows have 31 days, so 186 empty ones are six."""
    lines = ledger.known_lines
    monkeypatch.setattr(
        "sandbox.claude_console.reports.known_lines",
        lambda company, day, now: lines(company, day, now) if day >= FIRST_USE else iter(()),
    )
    monkeypatch.setattr(ClaudeConsole, "feeds", FEEDS)
    with time_machine.travel(datetime(2026, 11, 20, 12, tzinfo=UTC), tick=False):
        yield make_connection(
            make_organization(),
            "platform",
            "claude-console",
            credential=Secret(Sandbox.keys[1]),
        )


def work(run):
    list(sync.run_inline(run, wait=lambda seconds: pytest.fail("had to wait")))
    return run


def states(run, feed):
    return list(run.windows.filter(feed=feed).order_by("position").values_list("state", flat=True))


def test_an_import_of_everything_stops_behind_half_a_year_without_use(connection):
    run = work(sync.plan_import(connection, today=TODAY))

    windows = run.windows.filter(feed="cost").order_by("position")
    asked = windows.exclude(state=SyncWindow.State.UNAVAILABLE)
    # 31 days each, back from 20 November: the third holds 1 September, six more are empty.
    assert asked.count() == 9
    assert windows.count() == 46  # 1,420 days, back to 1 January 2023
    assert {w.error_code for w in windows.filter(state=SyncWindow.State.UNAVAILABLE)} == {
        BEFORE_DATA
    }
    assert sum(w.requests for w in windows.filter(error_code=BEFORE_DATA)) == 0
    assert CostTotal.objects.earliest("day").day == FIRST_USE
    # People are read as far back as the organization, although none of them ever signed in.
    assert states(run, "people_usage") == states(run, "usage")
    assert run.state == SyncRun.State.DONE


def test_what_lies_before_the_first_use_is_never_asked_for_again(connection):
    work(sync.plan_import(connection, today=TODAY))

    with time_machine.travel(datetime(2027, 1, 20, 12, tzinfo=UTC), tick=False):
        run = plan_refresh(connection, today=date(2027, 1, 20))

    known_from = FeedDay.objects.filter(feed="cost").earliest("day").day
    assert min(window.start for window in run.windows.all()) >= known_from
    assert not status_of(connection).has_older_days


def test_days_that_are_named_are_read_however_old(connection):
    work(sync.plan_import(connection, today=TODAY))

    day = Window(date(2024, 5, 1), date(2024, 5, 2))
    run = work(sync.plan(connection, SyncRun.Kind.MANUAL, day))

    assert set(run.windows.values_list("state", flat=True)) == {SyncWindow.State.DONE}


def test_a_pause_shorter_than_half_a_year_does_not_end_the_history(connection, monkeypatch):
    lines = ledger.known_lines
    monkeypatch.setattr(
        "sandbox.claude_console.reports.known_lines",
        lambda company, day, now: (
            lines(company, day, now)
            if day >= FIRST_USE or day == FIRST_USE - timedelta(days=150)
            else iter(())
        ),
    )

    work(sync.plan_import(connection, today=TODAY))

    assert CostTotal.objects.earliest("day").day == date(2026, 4, 4)


def test_the_estimate_says_that_the_end_is_looked_for():
    everything = import_range.full_history(CONNECTOR, TODAY)

    assert everything.window.start == date(2023, 1, 1)
    assert everything.empty_days == 186
    assert import_range.default_range(CONNECTOR, TODAY).empty_days == 0
    assert import_range.full_history(get_connector("claude-enterprise"), TODAY).empty_days == 0


# From two years and two months before today on: the first Wednesday of each month.
LONG_HISTORY = [
    first + timedelta(days=(2 - first.weekday()) % 7)
    for first in (date(2024 + month // 12, month % 12 + 1, 1) for month in range(8, 35))
]


def test_an_import_of_everything_reads_a_history_of_more_than_two_years(connection, monkeypatch):
    """The plan and the progress show it, and every day sums to the ledger to the last digit."""
    lines = ledger.known_lines
    monkeypatch.setattr(
        "sandbox.claude_console.reports.known_lines",
        lambda company, day, now: lines(company, day, now) if day in LONG_HISTORY else iter(()),
    )
    monkeypatch.setattr(ClaudeConsole, "feeds", FEEDS[:1])
    company = by_slug("console-labs")
    expected = {
        day: sum(charge.amount for line in lines(company, day, NOON) for charge in line.charges)
        for day in LONG_HISTORY
    }

    run = sync.plan_import(connection, today=TODAY)
    assert run.windows.filter(feed="cost").earliest("start").start == date(2023, 1, 1)
    waiting = status_of(connection).progress
    assert waiting.percent == 0
    assert waiting.sentence == "Cost 0 of 1420 days."  # 1 January 2023 to today
    work(run)

    totals = CostTotal.objects.filter(effective_cost__gt=0)
    stored = dict(totals.values_list("day").annotate(Sum("effective_cost")))
    assert stored == {day: Decimal(cents) / 10**8 for day, cents in expected.items()}
    assert min(stored) == date(2024, 9, 4)
    assert len(stored) == 27
    assert run.state == SyncRun.State.DONE
