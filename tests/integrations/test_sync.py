"""Runs are worked off window by window, survive kills, and hand on what went wrong."""

import errno
from datetime import UTC, date, datetime, timedelta
from io import FileIO

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.db import InterfaceError, OperationalError
from django.db import connection as database
from django.utils import timezone
from psycopg.errors import DiskFull

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
from integrations.models import (
    Connection,
    CostFact,
    EngagementFact,
    FeedDay,
    Restatement,
    SyncRun,
    SyncWindow,
    UsageFact,
)
from integrations.sync import planning
from integrations.window import Window
from tests.factories import make_connection, make_organization
from tests.waiting import replace_sleep

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")
LABS = "sk-ant-api01-sandbox-labs"


@pytest.fixture
def connection(sandbox):
    return make_connection(
        make_organization(), credential=Secret(LABS), options={"dialect": "reports"}
    )


def yesterday():
    return timezone.now().date() - timedelta(days=1)


def short_run(connection, days=2):
    end = yesterday()
    return sync.plan(connection, SyncRun.Kind.MANUAL, Window(end - timedelta(days=days), end))


def work_off(run):
    def nobody_else_works(seconds):
        raise AssertionError("had to wait for another worker")

    return list(sync.run_inline(run, wait=nobody_else_works))


def answers(monkeypatch, *outcomes):
    """Make reading raise or return these, one after the other; the last one for ever."""
    left = list(outcomes)

    def read(*args):
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(sync.run, "_read_and_store", read)


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

    # The key may not list groups: that is asked once, too.
    assert {window.feed for window in windows if window.state != SyncWindow.State.UNCHANGED} == {
        "groups"
    }
    spans = {feed.name for feed in connection.connector.feeds if not feed.has_history}
    assert {window.requests for window in windows if window.feed not in spans} == {1}
    assert list(CostFact.objects.order_by("pk").values()) == before


@time_machine.travel(datetime(2026, 11, 20, 12, 30, tzinfo=UTC))
def test_a_refresh_with_nothing_new_asks_once_per_window_and_writes_nothing(connection):
    first = sync.plan_import(connection, today=timezone.now().date(), days=3)
    work_off(first)
    models = (CostFact, UsageFact, EngagementFact, FeedDay, Restatement)
    before = [list(model.objects.order_by("pk").values()) for model in models]

    # What is older than the import is no part of it.
    refresh = sync.plan(
        connection,
        SyncRun.Kind.REFRESH,
        first.window,
        days={
            feed.name: [
                day
                for day in planning._days_to_read(connection, feed, timezone.now().date())
                if day in first.window
            ]
            for feed in connection.connector.feeds
        },
    )
    windows = work_off(refresh)

    asked = {window.feed: window.requests for window in windows}
    exported = {feed.name for feed in connection.connector.feeds if feed.exported}
    assert {name: asked[name] for name in exported} == dict.fromkeys(exported, 1)
    # Days of activity were read today; one that is not there yet is asked for again.
    assert max(asked.values()) == 1
    assert sum(window.rows_written for window in windows) == 0
    assert [list(model.objects.order_by("pk").values()) for model in models] == before


@time_machine.travel(datetime(2026, 11, 20, 12, 30, tzinfo=UTC))
def test_known_days_of_activity_are_read_again_once_a_day(connection):
    today = timezone.now().date()
    known = [today - timedelta(days=2), today - timedelta(days=3)]
    for day in known:
        stored_day(connection, "users", day, FeedDay.State.PROVISIONAL)
    run = sync.plan(connection, SyncRun.Kind.MANUAL, Window.last(7, today=today))
    run.windows.update(state=SyncWindow.State.UNCHANGED, finished_at=timezone.now())
    users, cost = CONNECTOR.feed("users"), CONNECTOR.feed("organization_cost")

    later_today = planning._days_to_read(connection, users, today)
    tomorrow = planning._days_to_read(connection, users, today + timedelta(days=1))

    assert {*users.refresh_days(today)} - {*later_today} == {*known}
    assert {*known} <= {*tomorrow}
    assert {*known} <= {*planning._days_to_read(connection, cost, today)}


def test_where_sums_differ_both_sides_are_read_again_once(connection):
    work_off(short_run(connection))
    wrong = connection.checks.filter(measure="effective_cost").order_by("day").first()
    connection.checks.filter(pk=wrong.pk).update(reported=wrong.reported + 1)

    run = short_run(connection)
    work_off(run)

    again = run.windows.filter(is_recheck=True)
    assert {(w.start, w.end) for w in again} == {(wrong.day, wrong.day + timedelta(days=1))}
    assert set(again.values_list("feed", flat=True)) == {
        feed.name for feed in CONNECTOR.feeds if feed.table == CONNECTOR.feed(wrong.feed).table
    }
    assert all(window.requests > 1 for window in again if window.feed == wrong.feed)

    # It was confirmed, so it stands and is not read a third time.
    wrong.refresh_from_db()
    assert wrong.reread_at is not None
    third = short_run(connection)
    work_off(third)
    assert not third.windows.filter(is_recheck=True).exists()


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

    sync.run_window(slow)

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

    sync.run_window(window)

    window.refresh_from_db()
    connection.refresh_from_db()
    assert window.state == SyncWindow.State.FAILED
    assert connection.state == Connection.State.ACTIVE


def test_a_closed_endpoint_is_asked_once_and_not_for_every_window(connection, monkeypatch):
    run = sync.plan(connection, SyncRun.Kind.IMPORT, Window(date(2026, 9, 1), date(2026, 11, 20)))
    run.windows.exclude(feed="organization_cost").update(state=SyncWindow.State.DONE)
    window = sync.claim(run)
    answers(monkeypatch, ActionNeeded("Not for you.", code="access_denied", status=403))

    sync.run_window(window)

    closed = run.windows.filter(feed="organization_cost")
    assert closed.count() == 3
    assert {(w.state, w.error) for w in closed} == {(SyncWindow.State.FAILED, "Not for you.")}


def test_a_key_that_cannot_be_tried_just_now_is_not_called_refused(connection, monkeypatch):
    window = sync.claim(short_run(connection))
    answers(monkeypatch, ActionNeeded("Not for you.", code="access_denied", status=403))

    def probe(self, access, *, today):
        raise TransientError("Busy.", code="rate_limited")

    monkeypatch.setattr(type(connection.connector), "probe", probe)
    sync.run_window(window)

    connection.refresh_from_db()
    assert connection.state == Connection.State.ACTIVE
    assert (window.state, window.error) == (SyncWindow.State.PENDING, "Busy.")


def test_a_key_replaced_while_the_old_one_is_refused_stops_nothing(connection, monkeypatch):
    window = sync.claim(short_run(connection))

    def refused_meanwhile(*args):
        Connection.objects.update(credential=Secret("sk-ant-api01-sandbox-my-org"))
        raise ActionNeeded("Rejected.", code="key_rejected", status=401)

    monkeypatch.setattr(sync.run, "_read_and_store", refused_meanwhile)
    sync.run_window(window)

    connection.refresh_from_db()
    assert connection.state == Connection.State.ACTIVE
    assert SyncWindow.objects.get(pk=window.pk).state == SyncWindow.State.PENDING


def test_a_credential_that_cannot_be_read_stops_its_connection_and_no_other(connection, settings):
    run = short_run(connection)
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    Connection.objects.update(next_sync_at=timezone.now() - timedelta(seconds=1))

    assert sync.due_refreshes(timezone.now()) == []  # and did not fail
    work_off(run)

    connection.refresh_from_db()
    assert (connection.state, connection.problem_code) == ("action_needed", "unreadable_secret")


def test_a_feed_that_does_not_answer_holds_up_no_other(connection, monkeypatch):
    run = short_run(connection)
    feeds = list(run.windows.order_by("position").values_list("feed", flat=True))
    original = sync.run._read_and_store

    def first_feed_is_down(connection, feed, window):
        if feed.name == feeds[0]:
            raise TransientError("Down.", code="outage")
        return original(connection, feed, window)

    monkeypatch.setattr(sync.run, "_read_and_store", first_feed_is_down)
    while window := sync.claim(run):
        sync.run_window(window)

    states = dict(run.windows.values_list("feed", "state"))
    assert states.pop(feeds[0]) == SyncWindow.State.PENDING
    assert SyncWindow.State.PENDING not in states.values()
    assert connection.checks.exists()


def test_a_feed_with_trouble_comes_after_the_others(connection, monkeypatch):
    run = short_run(connection)
    first = sync.claim(run)
    answers(monkeypatch, TransientError("Down.", code="outage"))
    sync.run_window(first)

    later = timezone.now() + timedelta(minutes=20)
    assert sync.claim(run, now=later).feed != first.feed


def test_when_two_feeds_do_not_answer_the_run_waits(connection, monkeypatch):
    run = short_run(connection)
    answers(monkeypatch, TransientError("Down.", code="outage"))

    sync.run_window(sync.claim(run))
    second = sync.claim(run)
    sync.run_window(second)

    assert sync.claim(run) is None
    assert sync.runs_to_wake(timezone.now()) == []
    assert sync.runs_to_wake(second.not_before) == [run]


def test_a_pause_the_provider_asked_for_holds_every_window(connection, monkeypatch):
    run = short_run(connection)
    answers(monkeypatch, TransientError("Busy.", code="rate_limited", retry_after_seconds=600))

    sync.run_window(sync.claim(run))

    assert sync.claim(run) is None
    assert sync.claim(run, now=timezone.now() + timedelta(seconds=599)) is None
    assert sync.claim(run, now=timezone.now() + timedelta(seconds=601)) is not None


def test_a_feed_that_never_answers_is_left_to_the_next_refresh(connection, monkeypatch):
    run = short_run(connection)
    broken = sync.claim(run)
    run.windows.exclude(pk=broken.pk).update(state=SyncWindow.State.DONE)
    answers(monkeypatch, TransientError("Down.", code="outage"))
    sync.run_window(broken)
    for _ in range(7):
        sync.run_window(sync.claim(run, now=timezone.now() + timedelta(hours=1)))

    run.refresh_from_db()
    assert run.state == SyncRun.State.FAILED
    assert run.windows.get(pk=broken.pk).attempts == 8


@pytest.mark.parametrize("trouble", [OperationalError("gone"), InterfaceError("closed")])
def test_a_database_that_went_away_fails_no_window(connection, monkeypatch, trouble):
    run = short_run(connection)
    monkeypatch.setattr(sync.run.database, "close", lambda: None)  # the test's own transaction
    answers(monkeypatch, trouble)

    sync.run_window(sync.claim(run))

    assert set(run.windows.values_list("state", flat=True)) == {SyncWindow.State.PENDING}
    assert sync.claim(run, now=timezone.now() + timedelta(seconds=16)) is not None


def test_a_full_disk_of_the_database_makes_windows_wait_and_says_so(connection, monkeypatch):
    """The refusal comes from PostgreSQL itself, in the middle of a COPY."""
    monkeypatch.setattr(sync.run.database, "close", lambda: None)  # the test's own transaction
    with database.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;"
            "CREATE TRIGGER full_disk BEFORE INSERT ON integrations_costtotal"
            " FOR EACH ROW EXECUTE FUNCTION no_space()"
        )
    run = short_run(connection)
    run.windows.exclude(feed="organization_cost").delete()

    sync.run_window(sync.claim(run))

    window = run.windows.get()
    assert (window.state, window.error_code) == (SyncWindow.State.PENDING, "disk_full")
    assert window.error.startswith("The disk of the database is full.")
    assert "operator" in window.error_repair
    run.refresh_from_db()
    assert run.not_before > timezone.now()

    with database.cursor() as cursor:
        cursor.execute("DROP TRIGGER full_disk ON integrations_costtotal")
    sync.run_window(sync.claim(run, now=timezone.now() + timedelta(seconds=16)))
    assert run.windows.get().state == SyncWindow.State.DONE


@pytest.fixture
def refuse_outcomes(connection, monkeypatch):
    """Have the database refuse outcomes, as a full disk does, until the worker has waited.

    Hands out the seconds waited; `meanwhile` runs in each of those waits.
    """
    monkeypatch.setattr(sync.run.database, "close", lambda: None)  # the test's own transaction
    save, waits = sync.run._save_outcome, []

    def refuse(*args, **kwargs):
        raise OperationalError("could not extend file")

    def start(meanwhile=lambda: None):
        def wait(seconds):
            waits.append(seconds)
            monkeypatch.setattr(sync.run, "_save_outcome", save)
            meanwhile()

        monkeypatch.setattr(sync.run, "_save_outcome", refuse)
        replace_sleep(monkeypatch, wait)
        return waits

    return start


def test_an_outcome_that_a_full_disk_refuses_is_written_later(
    connection, monkeypatch, refuse_outcomes
):
    """Five times, after which a window is failed whose workers were lost."""
    run = short_run(connection)
    run.windows.exclude(feed="organization_cost").delete()
    full = OperationalError("could not extend file")
    full.__cause__ = DiskFull()
    answers(monkeypatch, full)

    for attempt in range(5):
        waits = refuse_outcomes()
        sync.run_window(sync.claim(run, now=timezone.now() + attempt * timedelta(hours=1)))

    window = run.windows.get()
    assert window.attempts == 5
    assert waits == [5.0] * 5
    assert (window.state, window.error_code) == (SyncWindow.State.PENDING, "disk_full")
    assert window.workers_lost == 0


def test_a_worker_that_waits_to_write_is_not_counted_as_lost(
    connection, monkeypatch, refuse_outcomes
):
    run = short_run(connection)
    answers(monkeypatch, OperationalError("gone"))
    later = timezone.now() + timedelta(minutes=1)  # by then the lease has run out
    others = []
    refuse_outcomes(meanwhile=lambda: others.append(sync.claim(run, now=later)))

    sync.run_window(sync.claim(run))

    assert others[0].workers_lost == 1
    window = run.windows.get(pk=others[0].pk)
    assert (window.state, window.lease) == (SyncWindow.State.RUNNING, others[0].lease)
    assert window.workers_lost == 0


def test_a_full_disk_for_temporary_files_makes_windows_wait_and_says_so(connection, monkeypatch):
    monkeypatch.setattr(
        "integrations.loading.spool.tempfile.SpooledTemporaryFile",
        lambda size: FileIO("/dev/full", "r+"),
    )
    run = short_run(connection)

    sync.run_window(sync.claim(run))

    window = run.windows.exclude(error="").get()
    assert (window.state, window.error_code) == (SyncWindow.State.PENDING, "disk_full")
    assert window.error.startswith("The disk for temporary files is full.")


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found"), "pending"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "pending"),
        (PermissionError(errno.EACCES, "Permission denied"), "failed"),
    ],
)
def test_only_a_lack_of_space_waits(connection, monkeypatch, trouble, state):
    answers(monkeypatch, trouble)
    window = sync.claim(short_run(connection))

    sync.run_window(window)

    window.refresh_from_db()
    assert window.state == state


def test_a_busy_provider_is_asked_again_when_it_said(connection, monkeypatch):
    window = sync.claim(short_run(connection))
    answers(monkeypatch, TransientError("Busy.", code="rate_limited", retry_after_seconds=600))
    before = timezone.now()

    sync.run_window(window)

    window.refresh_from_db()
    assert window.state == SyncWindow.State.PENDING
    assert window.not_before >= before + timedelta(seconds=600)
    assert sync.claim(window.run) is None


def test_a_waiting_person_gets_the_error_at_once(connection, monkeypatch):
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
    original = sync.run._read_and_store
    calls = []

    def first_fails(*args):
        calls.append(1)
        if len(calls) == 1:
            raise trouble
        return original(*args)

    monkeypatch.setattr(sync.run, "_read_and_store", first_fails)
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
    sync.run_window(window)

    assert window.state == SyncWindow.State.DONE


def test_disconnecting_stops_the_run_and_wipes_the_key(connection):
    run = short_run(connection)
    held = sync.claim(run)

    connections.disconnect(connection, actor=None)
    sync.run_window(held)

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

    days = planning._days_to_read(connection, CONNECTOR.feed("organization_cost"), today)

    assert date(2026, 9, 1) not in days
    assert date(2026, 9, 2) in days  # never stored
    assert date(2026, 9, 3) not in days
    assert min(day for day in days if day.month > 9) == date(2026, 10, 1)


def stored_day(connection, feed, day, state):
    return FeedDay.objects.create(
        connection=connection,
        feed=feed,
        day=day,
        state=state,
        content_hash=b"",
        rows=0,
        read_at=datetime(2026, 11, 1, tzinfo=UTC),
    )


def finished_import(connection, start):
    run = sync.plan(connection, SyncRun.Kind.IMPORT, Window(start, start + timedelta(days=1)))
    SyncRun.objects.update(state=SyncRun.State.DONE)
    return run


def test_a_day_outside_the_open_period_is_read_again_once_when_it_has_closed(connection):
    finished_import(connection, date(2026, 10, 15))
    users = CONNECTOR.feed("users")
    for day in Window(date(2026, 10, 15), date(2026, 11, 18)):
        stored_day(connection, "users", day, FeedDay.State.PROVISIONAL)

    def older_days(today):
        start = users.refresh_days(today).start
        return [d for d in planning._days_to_read(connection, users, today) if d < start]

    # 17 October closes on 17 November: read again from the day after.
    assert older_days(date(2026, 11, 17)) == [date(2026, 10, 15), date(2026, 10, 16)]
    stored = FeedDay.objects.filter(connection=connection, day__lt=date(2026, 10, 17))
    stored.update(state=FeedDay.State.FINAL)
    assert older_days(date(2026, 11, 17)) == []


@pytest.mark.parametrize(
    ("day", "asked_hours_ago", "is_read"),
    [
        (date(2026, 11, 10), 2, False),
        (date(2026, 11, 10), 30, True),  # it may come yet
        (date(2026, 9, 1), 30, False),  # it is too old, and will be tomorrow
        (date(2026, 9, 1), 24 * 31, True),
    ],
)
def test_a_refused_day_is_asked_for_again_while_it_may_come(
    connection, day, asked_hours_ago, is_read
):
    finished_import(connection, date(2026, 9, 1))
    run = sync.plan(connection, SyncRun.Kind.REFRESH, Window(day, day + timedelta(days=1)))
    run.windows.update(
        state=SyncWindow.State.UNAVAILABLE,
        finished_at=timezone.now() - timedelta(hours=asked_hours_ago),
    )

    days = planning._days_to_read(connection, CONNECTOR.feed("users"), date(2026, 11, 20))

    assert (day in days) is is_read


def test_history_that_is_here_is_not_imported_again(connection):
    for day in Window(date(2026, 8, 1), date(2026, 11, 20)):
        stored_day(connection, "organization_cost", day, FeedDay.State.FINAL)

    run = sync.plan_import(connection, today=date(2026, 11, 19))

    spans = run.windows.order_by("start").values_list("start", "end", "feed")
    cost = [span[:2] for span in spans if span[2] == "organization_cost"]
    assert run.start == date(2026, 1, 1)
    assert (cost[0][0], cost[-1][1]) == (date(2026, 1, 1), date(2026, 8, 1))
    activity = [span[:2] for span in spans if span[2] == "users"]
    assert len(activity) == 323  # 1 January to 19 November


def test_everything_reaches_back_as_far_as_the_provider_does(connection):
    run = sync.plan_import(connection, today=date(2027, 6, 1))

    assert (run.start, run.end) == (date(2026, 6, 1), date(2027, 6, 2))  # 365 days
    longest = max(len(window.window) for window in run.windows.filter(feed="user_cost"))
    assert longest == 31


def test_the_sync_log_does_not_grow_without_end(connection):
    old = finished_import(connection, date(2026, 1, 1))
    refresh = sync.plan(
        connection, SyncRun.Kind.REFRESH, Window(date(2026, 2, 1), date(2026, 2, 2))
    )
    SyncRun.objects.update(
        state=SyncRun.State.DONE, finished_at=timezone.now() - timedelta(days=61)
    )
    recent = short_run(connection)

    tasks.prune()

    assert set(SyncRun.objects.all()) == {old, recent}  # the import says where history begins
    assert set(SyncWindow.objects.values_list("run", flat=True)) == {recent.pk}
    assert not SyncRun.objects.filter(pk=refresh.pk).exists()


def test_tick_starts_what_is_due_and_wakes_what_nobody_works_on(connection, monkeypatch):
    woken = []
    monkeypatch.setattr(tasks.run_windows, "delay", lambda: woken.append("called"))
    Connection.objects.update(next_sync_at=timezone.now() - timedelta(seconds=1))

    tasks.tick()

    run = SyncRun.objects.get()
    assert run.kind == SyncRun.Kind.REFRESH
    assert woken == ["called"]
    assert sync.claim_next(timezone.now()).run == run


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
    monkeypatch.setattr(deletion, "_BATCH_SIZE", 10)
    connections.disconnect(connection, actor=None)
    connections.delete(connection, actor=None)

    tasks.delete_connection(connection_id=connection.pk)

    assert not Connection.objects.exists()
    assert not CostFact.objects.exists()
