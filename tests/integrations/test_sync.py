"""Runs are worked off window by window, survive kills, and hand on what went wrong."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from integrations import connections, sync, tasks
from integrations.connectors import get_connector
from integrations.connectors.base import (
    ActionNeeded,
    NotAvailable,
    PayloadError,
    SnapshotMoved,
    TransientError,
)
from integrations.encryption import Secret
from integrations.models import Connection, CostFact, FeedDay, SyncRun, SyncWindow
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")
LABS = "sk-ant-api01-sandbox-labs"


@pytest.fixture
def connection(sandbox):
    return make_connection(make_organization(), credential=Secret(LABS))


def yesterday():
    return timezone.now().date() - timedelta(days=1)


def short_run(connection, days=2):
    end = yesterday()
    return sync.plan(connection, SyncRun.Kind.MANUAL, Window(end - timedelta(days=days), end))


def work_off(run):
    def nobody_else_works(seconds):
        raise AssertionError("had to wait for another worker")

    return list(sync.work(run, wait=nobody_else_works))


def answers(monkeypatch, *outcomes):
    """Make reading raise or return these, one after the other; the last one for ever."""
    left = list(outcomes)

    def read(*args):
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(sync, "_read_and_store", read)


def test_windows_go_feed_by_feed_and_newest_first(connection):
    run = sync.plan(connection, SyncRun.Kind.IMPORT, Window(date(2026, 8, 1), date(2026, 10, 10)))

    windows = [(w.feed, w.start, w.end) for w in run.windows.order_by("position")]

    assert windows[0] == ("summaries", date(2026, 8, 1), date(2026, 10, 10))
    assert windows[1:4] == [
        ("organization_cost", date(2026, 9, 9), date(2026, 10, 10)),
        ("organization_cost", date(2026, 8, 9), date(2026, 9, 9)),
        ("organization_cost", date(2026, 8, 1), date(2026, 8, 9)),
    ]


def test_a_second_plan_returns_the_active_run(connection):
    first = short_run(connection)
    assert short_run(connection) == first


def test_a_run_brings_facts_that_sum_to_the_providers_total(connection):
    run = short_run(connection)

    work_off(run)

    run.refresh_from_db()
    assert run.state == SyncRun.State.DONE
    assert CostFact.objects.filter(connection=connection).exists()
    assert connection.checks.exists()
    assert all(check.reported == check.stored for check in connection.checks.all())


def test_a_second_run_asks_once_per_window_and_writes_nothing(connection):
    work_off(short_run(connection))
    before = list(CostFact.objects.order_by("pk").values())

    second = short_run(connection)
    windows = work_off(second)

    assert {window.state for window in windows} == {SyncWindow.State.UNCHANGED}
    assert {window.requests for window in windows} == {1}
    assert list(CostFact.objects.order_by("pk").values()) == before


def test_one_window_of_a_run_at_a_time(connection):
    run = short_run(connection)

    assert sync.claim(run) is not None
    assert sync.claim(run) is None


def test_what_a_killed_worker_left_is_claimed_again_after_its_lease(connection):
    run = short_run(connection)
    abandoned = sync.claim(run)
    later = timezone.now() + sync.LEASE + timedelta(seconds=1)

    assert sync.runs_to_wake(timezone.now()) == []
    assert sync.runs_to_wake(later) == [run]
    again = sync.claim(run, now=later)
    assert (again.pk, again.attempts) == (abandoned.pk, 2)


def test_a_worker_that_comes_back_after_its_lease_stores_nothing(connection):
    run = short_run(connection)
    slow = sync.claim(run)
    slow_feed = slow.feed
    sync.claim(run, now=timezone.now() + sync.LEASE + timedelta(seconds=1))

    sync.perform(slow)

    assert not FeedDay.objects.filter(feed=slow_feed).exists()
    assert SyncWindow.objects.get(pk=slow.pk).state == SyncWindow.State.RUNNING


def test_a_refused_key_stops_the_connection_and_keeps_the_place(connection, monkeypatch):
    run = short_run(connection)
    problem = ActionNeeded("Rejected.", code="key_rejected", repair="Paste it again.", status=401)
    answers(monkeypatch, problem)

    work_off(run)

    connection.refresh_from_db()
    assert connection.state == Connection.State.ACTION_NEEDED
    assert (connection.problem, connection.problem_repair) == ("Rejected.", "Paste it again.")
    assert run.windows.filter(state=SyncWindow.State.PENDING).count() == run.windows.count()


def test_replacing_the_key_goes_on_where_the_run_stopped(connection, monkeypatch):
    run = short_run(connection)
    with monkeypatch.context() as patched:
        answers(patched, ActionNeeded("Rejected.", code="key_rejected", status=401))
        work_off(run)

    assert connections.replace_key(connection, actor=None, key=LABS).ok

    work_off(run)
    run.refresh_from_db()
    assert run.state == SyncRun.State.DONE


def test_one_closed_endpoint_stops_its_feed_and_no_other(connection, monkeypatch):
    run = short_run(connection)
    window = sync.claim(run)
    answers(monkeypatch, ActionNeeded("Not for you.", code="access_denied", status=403))

    sync.perform(window)

    window.refresh_from_db()
    connection.refresh_from_db()
    assert window.state == SyncWindow.State.FAILED
    assert connection.state == Connection.State.ACTIVE


def test_a_busy_provider_is_asked_again_when_it_said(connection, monkeypatch):
    window = sync.claim(short_run(connection))
    answers(monkeypatch, TransientError("Busy.", code="rate_limited", retry_after_seconds=600))
    before = timezone.now()

    sync.perform(window)

    window.refresh_from_db()
    assert window.state == SyncWindow.State.PENDING
    assert window.not_before >= before + timedelta(seconds=600)
    assert sync.claim(window.run) is None or sync.claim(window.run) != window


def test_a_person_who_waits_is_told_at_once(connection, monkeypatch):
    run = short_run(connection)
    answers(monkeypatch, TransientError("Down.", code="outage"))

    windows = work_off(run)

    run.refresh_from_db()
    assert {window.state for window in windows} == {SyncWindow.State.FAILED}
    assert run.state == SyncRun.State.FAILED


def test_days_the_provider_refuses_stay_unknown_and_fail_nothing(connection, monkeypatch):
    run = short_run(connection)
    answers(monkeypatch, NotAvailable("Not yet.", code="too_recent"))

    work_off(run)

    run.refresh_from_db()
    assert run.state == SyncRun.State.DONE
    assert not FeedDay.objects.exists()


@pytest.mark.parametrize("trouble", [PayloadError("Odd.", code="payload"), RuntimeError("bug")])
def test_trouble_with_one_window_stops_no_other(connection, monkeypatch, trouble):
    run = short_run(connection)
    original = sync._read_and_store
    calls = []

    def first_fails(*args):
        calls.append(1)
        if len(calls) == 1:
            raise trouble
        return original(*args)

    monkeypatch.setattr(sync, "_read_and_store", first_fails)
    windows = work_off(run)

    states = [window.state for window in windows]
    assert states[0] == SyncWindow.State.FAILED
    assert SyncWindow.State.FAILED not in states[1:]


def test_new_data_while_reading_starts_the_window_over(connection, monkeypatch):
    from integrations import loading

    original, calls = loading.load, []

    def moves_once(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise SnapshotMoved("Moved.", code="snapshot_moved")
        return original(*args, **kwargs)

    monkeypatch.setattr(loading, "load", moves_once)
    window = sync.claim(short_run(connection))
    sync.perform(window)

    assert window.state == SyncWindow.State.DONE


def test_disconnecting_stops_the_run_and_wipes_the_key(connection):
    run = short_run(connection)
    held = sync.claim(run)

    connections.disconnect(connection, actor=None)
    sync.perform(held)

    run.refresh_from_db()
    connection.refresh_from_db()
    assert run.state == SyncRun.State.STOPPED
    assert (connection.credential, connection.key_hint) == (None, "")
    assert not FeedDay.objects.exists()


def test_a_refresh_reads_the_open_period_and_what_is_missing_before_it(connection):
    today = date(2026, 11, 20)
    sync.plan(connection, SyncRun.Kind.IMPORT, Window(date(2026, 9, 1), date(2026, 9, 4)))
    SyncRun.objects.update(state=SyncRun.State.DONE)
    for day in (date(2026, 9, 1), date(2026, 9, 3)):
        FeedDay.objects.create(
            connection=connection,
            feed="organization_cost",
            day=day,
            state=FeedDay.State.FINAL,
            content_hash=b"",
            rows=0,
            read_at=datetime(2026, 11, 1, tzinfo=UTC),
        )

    days = sync._days_to_read(connection, CONNECTOR.feed("organization_cost"), today)

    assert date(2026, 9, 1) not in days
    assert date(2026, 9, 2) in days  # never stored
    assert date(2026, 9, 3) not in days
    assert min(day for day in days if day.month > 9) == date(2026, 10, 1)


def test_tick_starts_what_is_due_and_wakes_what_nobody_works_on(connection, monkeypatch):
    woken = []
    monkeypatch.setattr(tasks.work_off, "delay", lambda run_id: woken.append(run_id))
    Connection.objects.update(next_sync_at=timezone.now() - timedelta(seconds=1))

    tasks.tick()

    run = SyncRun.objects.get()
    assert run.kind == SyncRun.Kind.REFRESH
    assert woken == [run.pk]


def test_tick_closes_a_run_whose_worker_died_before_it_could(connection):
    run = short_run(connection)
    run.windows.update(state=SyncWindow.State.DONE)

    tasks.tick()

    run.refresh_from_db()
    connection.refresh_from_db()
    assert run.state == SyncRun.State.DONE
    assert connection.next_sync_at > timezone.now() + timedelta(hours=5)


def test_deleting_erases_the_history_piece_by_piece(connection, monkeypatch):
    from integrations import deletion

    work_off(short_run(connection))
    monkeypatch.setattr(deletion, "_PIECE", 10)
    connections.disconnect(connection, actor=None)
    connections.delete(connection, actor=None)

    tasks.delete_connection(connection_id=connection.pk)

    assert not Connection.objects.exists()
    assert not CostFact.objects.exists()
