"""Organizations take turns: neither many connections nor slow ones keep the others waiting."""

import heapq
import threading
from collections import Counter
from datetime import date, timedelta

import pytest
import time_machine
from django.db import connection as database
from django.utils import timezone

from accounts import broker
from config import beat, queues
from config.celery import app
from integrations import deletion, sync, tasks
from integrations.models import Connection, Person, SyncRun, SyncWindow
from integrations.window import Window
from tests.factories import make_connection, make_organization, make_person

pytestmark = pytest.mark.django_db

WEEK = Window(date(2026, 11, 1), date(2026, 11, 8))


def run_of(organization, label, windows):
    connection = make_connection(
        organization, label=label, provider_organization_id=f"{organization.slug}-{label}"
    )
    run = SyncRun.objects.create(
        connection=connection, kind=SyncRun.Kind.IMPORT, start=WEEK.start, end=WEEK.end
    )
    SyncWindow.objects.bulk_create(
        SyncWindow(run=run, feed="users", start=day, end=day + timedelta(1), position=position)
        for position, day in enumerate([WEEK.start] * windows)
    )
    return run


def finish(window):
    SyncWindow.objects.filter(pk=window.pk).update(
        state=SyncWindow.State.DONE, lease=None, leased_until=None
    )


def slug(window):
    return window.run.connection.organization.slug


def test_fifty_organizations_get_as_many_turns_as_the_largest():
    large = make_organization("large", "Large")
    for label in ("enterprise", "console", "labs"):
        run_of(large, label, 90)
    for number in range(49):
        run_of(make_organization(f"small-{number}", "Small"), "only", 2)

    now, turns = timezone.now(), []
    for _ in range(102):
        now += timedelta(seconds=1)
        window = sync.claim_next(now)
        turns.append(slug(window))
        finish(window)

    for start in (0, 50):  # a round of everybody, and another
        assert set(Counter(turns[start : start + 50]).values()) == {1}
    assert turns[100:] == ["large", "large"]  # no other run is waiting
    large_runs = SyncRun.objects.filter(connection__organization=large)
    done = [run.windows.filter(state=SyncWindow.State.DONE).count() for run in large_runs]
    assert sorted(done) == [1, 1, 2]  # its connections take turns, too


def test_slow_windows_of_one_organization_leave_a_worker_to_the_others(settings):
    settings.IMPORTS_PER_ORGANIZATION = 2
    large, small = make_organization("large", "Large"), make_organization("small", "Small")
    for label in ("a", "b", "c", "d"):
        run_of(large, label, 5)
    now = timezone.now()

    held = [sync.claim_next(now) for _ in range(2)]
    assert sync.claim_next(now) is None

    run_of(small, "only", 3)
    served = []
    for _ in range(3):
        served.append(slug(sync.claim_next(now)))
        finish(SyncWindow.objects.get(state="running", run__connection__organization=small))
    assert served == ["small"] * 3

    finish(held[0])
    assert slug(sync.claim_next(now)) == "large"


def test_the_last_of_49_organizations_waits_for_49_windows_and_for_no_slow_one():
    """One organization of 5,000 people, whose answers take two minutes, and three workers.

    One worker reads its window for 120 seconds, in which the two others read 24 windows of ten
    seconds. Then it is the turn of those who have had none: 25 more on three workers are nine
    rounds, so the last is done after 210 seconds. The 270 windows of the large one take hours.
    """
    large = make_organization("large", "Large")
    for label in ("enterprise", "console", "labs"):
        run_of(large, label, 90)
    for number in range(49):
        run_of(make_organization(f"small-{number}", "Small"), "only", 1)

    start = timezone.now()
    free_at = [(start, number) for number in range(3)]  # when each worker asks for a window
    reading, done_at = {}, {}
    while True:
        now, worker = heapq.heappop(free_at)
        if worker in reading:
            window = reading.pop(worker)
            finish(window)
            if slug(window) != "large":
                done_at[slug(window)] = now
            if len(done_at) == 49:
                break
        window = sync.claim_next(now)
        SyncWindow.objects.filter(pk=window.pk).update(leased_until=now + timedelta(hours=1))
        reading[worker] = window
        seconds = 120 if slug(window) == "large" else 10
        heapq.heappush(free_at, (now + timedelta(seconds=seconds), worker))

    assert max(done_at.values()) - start == timedelta(seconds=210)
    of_large = SyncWindow.objects.filter(run__connection__organization=large)
    assert of_large.filter(state=SyncWindow.State.DONE).count() == 1
    assert of_large.filter(state=SyncWindow.State.RUNNING).count() == 2  # the two idle workers


def test_who_has_fewest_windows_in_work_is_next():
    large, small = make_organization("large", "Large"), make_organization("small", "Small")
    for label in ("a", "b"):
        run_of(large, label, 5)
    now = timezone.now()
    assert slug(sync.claim_next(now)) == "large"
    run_of(small, "only", 5)

    assert slug(sync.claim_next(now + timedelta(seconds=1))) == "small"
    assert slug(sync.claim_next(now + timedelta(seconds=2))) == "large"


def test_a_message_reads_one_window_and_calls_for_the_next(monkeypatch):
    run = run_of(make_organization(), "labs", 2)
    calls = []
    monkeypatch.setattr(sync, "run_window", finish)
    monkeypatch.setattr(tasks.run_windows, "delay", lambda: calls.append("call"))

    for _ in range(3):
        tasks.run_windows()

    assert calls == ["call", "call"]
    assert set(run.windows.values_list("state", flat=True)) == {SyncWindow.State.DONE}


def test_erasing_makes_way_and_goes_on(monkeypatch):
    connection = make_connection(make_organization(), state=Connection.State.DELETING)
    for number in range(25):
        make_person(connection, f"user_{number}")
    monkeypatch.setattr(deletion, "_BATCH_SIZE", 10)
    monkeypatch.setattr(tasks, "_ERASE_SECONDS", 0)
    calls = []
    monkeypatch.setattr(tasks.delete_connection, "delay", lambda **which: calls.append(which))

    left = []
    while Connection.objects.exists():
        tasks.delete_connection(connection_id=connection.pk)
        left.append(Person.objects.count())

    assert left == [15, 5, 0, 0]
    assert calls == [{"connection_id": connection.pk}] * 3


# --- Messages ------------------------------------------------------------------------------


def test_ticks_send_no_more_calls_than_workers_can_take():
    for number in range(30):
        run_of(make_organization(f"org-{number}", "Org"), "only", 2)

    for _ in range(5):
        tasks.tick()

    assert broker.waiting(tasks.run_windows) == 20


def test_beat_sends_nothing_to_a_queue_that_nobody_takes_from(caplog):
    scheduler = beat.Scheduler(app, lazy=True)
    scheduler.setup_schedule()
    entry = scheduler.schedule["tick"]

    for _ in range(30):
        scheduler.apply_async(entry, advance=False)

    assert broker.waiting(tasks.tick) == 20
    assert "No worker takes from the queue of integrations.tasks.tick" in caplog.text


def test_what_beat_sends_expires_by_nobodys_clock():
    assert not any(
        "expires" in entry.get("options", {}) for entry in app.conf.beat_schedule.values()
    )
    scheduler = beat.Scheduler(app, lazy=True)
    scheduler.setup_schedule()
    scheduler.apply_async(scheduler.schedule["tick"], advance=False)

    with app.connection_for_read() as connection:
        message = connection.SimpleQueue(queues.HOUSEKEEPING).get(timeout=5)

    assert message.headers["expires"] is None
    assert message.headers["eta"] is None


# --- Clocks --------------------------------------------------------------------------------


def test_a_worker_whose_clock_runs_ahead_takes_over_nothing(monkeypatch):
    run = run_of(make_organization(), "labs", 2)
    monkeypatch.setattr(tasks.run_windows, "delay", lambda: None)
    window = sync.claim(run)

    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        tasks.tick()
        tasks.run_windows()
        assert sync.claim(run) is None

    window.refresh_from_db()
    assert (window.state, window.attempts, window.workers_lost) == ("running", 1, 0)
    assert window.leased_until < timezone.now() + sync.LEASE


# --- Two beats -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_beats_start_every_refresh_once(monkeypatch):
    monkeypatch.setattr(tasks.run_windows, "delay", lambda: None)
    for number in range(10):
        make_connection(
            make_organization(f"org-{number}", "Org"), provider_organization_id=f"p{number}"
        )
    Connection.objects.update(next_sync_at=timezone.now() - timedelta(seconds=1))
    problems = []

    def one_beat():
        try:
            for task in (tasks.tick, tasks.detect_events, tasks.prune, tasks.tick):
                task()
        except Exception as exc:
            problems.append(exc)
        finally:
            database.close()

    beats = [threading.Thread(target=one_beat) for _ in range(2)]
    for thread in beats:
        thread.start()
    for thread in beats:
        thread.join(60)

    assert problems == []
    assert SyncRun.objects.count() == 10


# --- Comparing the ways to be asked ----------------------------------------------------------


@pytest.fixture
def compared(monkeypatch):
    """Labels of connections in the order in which they are compared; every other one is refused."""
    labels = []

    def compare(connection, *, today):
        labels.append(connection.label)
        tasks.compare_ways(after=0)  # what another worker does meanwhile
        if len(labels) % 2:
            sync.switch_api_variant(connection, {sync.COMPARED_ON: today.isoformat()})

    monkeypatch.setattr(sync, "compare_ways", compare)
    return labels


def test_connections_are_compared_one_after_the_other(compared, monkeypatch):
    """One task at a time: a large tenant never holds two of the workers that read windows."""
    organization = make_organization()
    for number in range(5):
        make_connection(organization, f"no-{number}", provider_organization_id=f"org-{number}")
    calls = []
    monkeypatch.setattr(tasks.compare_ways, "delay", lambda **given: calls.append(given))
    monkeypatch.setattr(
        tasks.compare_ways, "apply_async", lambda *, kwargs, retry: calls.append(kwargs)
    )

    tasks.start_comparisons()
    while calls:
        assert len(calls) == 1
        tasks.compare_ways(**calls.pop())

    assert compared == [f"no-{number}" for number in range(5)]
    tasks.start_comparisons()  # those that were refused are asked again an hour later
    while calls:
        tasks.compare_ways(**calls.pop())
    assert compared[5:] == ["no-1", "no-3"]
