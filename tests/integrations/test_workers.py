"""Workers as processes: frozen, killed or several at once, they write each window once."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from django.utils import timezone

from integrations import connections, sync
from integrations.connectors import get_connector
from integrations.encryption import Secret
from integrations.models import Connection, CostFact, DayCheck, FeedDay, SyncRun, SyncWindow
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTOR = get_connector("claude-enterprise")
LABS = "sk-ant-api01-sandbox-labs"
FEEDS = CONNECTOR.feeds
COST = [feed.name for feed in FEEDS if feed.table == "cost"]

# Work off a run and print the finished window. `FREEZE` stops the process itself, the first time it
# comes to that place, until the test wakes it.
WORKER = """
import os, signal, sys, time
from datetime import timedelta
import django
django.setup()
from django.db import connection as database
from integrations import loading, sync
from integrations.models import SyncRun

place, run_id = sys.argv[1:]
load, hold = loading.load, sync.run._lock_claim

def freeze():
    print("frozen", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

def freezing(pages):
    yield next(pages)
    freeze()
    yield from pages

def load_and_freeze(connection, feed, window, pages, **options):
    loading.load = load
    return load(connection, feed, window, freezing(pages), **options)

def hold_and_freeze(window):
    sync.run._lock_claim = hold
    hold(window)
    freeze()

if place == "reading":
    loading.load = load_and_freeze
if place == "storing":
    sync.run._lock_claim = hold_and_freeze
if place != "nowhere":
    sync.run.LEASE, sync.run._RENEW_SECONDS = timedelta(seconds=1), 0.2
    database.cursor().execute("SET idle_in_transaction_session_timeout = '2s'")
for window in sync.run_inline(SyncRun.objects.get(pk=run_id), wait=lambda seconds: time.sleep(0.1)):
    print(window.pk, flush=True)
"""


@pytest.fixture
def connection(sandbox):
    return make_connection(make_organization(), credential=Secret(LABS))


@pytest.fixture
def start(sandbox):
    """Start a worker on a run by `start(run, "reading")`; whatever is left of it is ended."""
    base = os.environ["DATABASE_URL"].rpartition("/")[0]
    environment = os.environ | {
        "DATABASE_URL": f"{base}/{database.settings_dict['NAME']}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "REDIS_URL": django_settings.REDIS_URL,
        "ANTHROPIC_BASE_URL": sandbox,
    }
    workers = []

    def start_one(run, place):
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, place, str(run.pk)],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return workers[-1]

    yield start_one
    for worker in workers:
        worker.kill()
        worker.communicate()


def costs_of_two_days(connection, *more):
    """Create a run over closed days, also of other feeds if named."""
    start = timezone.now().date() - timedelta(days=60)
    days = Window(start, start + timedelta(days=2))
    wanted = {feed.name: list(days) if feed.name in (*COST, *more) else [] for feed in FEEDS}
    return sync.plan(connection, SyncRun.Kind.MANUAL, days, days=wanted)


def stored():
    return [list(m.objects.order_by("pk").values()) for m in (CostFact, FeedDay, DayCheck)]


@pytest.mark.parametrize("place", ["reading", "storing"])
def test_a_worker_that_was_frozen_past_its_lease_writes_nothing(connection, start, place):
    run = costs_of_two_days(connection)
    frozen = start(run, place)
    assert frozen.stdout.readline() == "frozen\n"

    list(sync.run_inline(run, wait=lambda seconds: time.sleep(0.1)))

    run.refresh_from_db()
    assert run.state == SyncRun.State.DONE
    before = stored()
    taken_over = run.windows.filter(workers_lost=1).values_list("feed", "attempts")
    assert list(taken_over) == [("organization_cost", 2)]
    assert all(check.agrees for check in DayCheck.objects.all())

    frozen.send_signal(signal.SIGCONT)
    finished, _ = frozen.communicate(timeout=120)

    # It yields the window it had, but finds that another has finished it.
    assert frozen.returncode == 0
    assert len(finished.split()) == 1
    assert stored() == before
    assert set(run.windows.values_list("state", flat=True)) == {SyncWindow.State.DONE}


def test_disconnecting_while_a_worker_stores_waits_for_it(connection, monkeypatch):
    """The worker's commit checks its foreign keys, and disconnecting waits for its window."""
    run, hold, holds = costs_of_two_days(connection), sync.run._lock_claim, Event()

    def hold_until_somebody_waits(window):
        hold(window)
        holds.set()
        with database.cursor() as cursor:
            for _ in range(600):
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if cursor.fetchone()[0]:
                    return
                time.sleep(0.05)

    def work():
        try:
            return [window.state for window in sync.run_inline(run, wait=lambda seconds: None)]
        finally:
            database.close()

    monkeypatch.setattr(sync.run, "_lock_claim", hold_until_somebody_waits)
    with ThreadPoolExecutor(1) as pool:
        worked = pool.submit(work)
        assert holds.wait(60)
        connections.disconnect(connection, actor=None)

    assert worked.result() == [SyncWindow.State.DONE]
    assert connection.state == Connection.State.DISCONNECTED


@pytest.mark.parametrize("app", ["accounts", "api", "integrations", "reports"])
def test_no_lock_on_a_row_keeps_others_from_referring_to_it(app):
    """FOR UPDATE stops commits that check a foreign key to the row; two such locks can deadlock."""
    sources = {path: path.read_text() for path in Path(app).rglob("*.py")}

    strong = [
        f"{path}: {call}"
        for path, text in sources.items()
        for call in re.findall(r"select_for_update\([^)]*\)?", text)
        if "no_key=True" not in call
    ]

    assert strong == []


def test_two_workers_share_a_run_and_read_each_window_once(connection, start):
    run = costs_of_two_days(connection, "users", "skills", "connectors", "plugins", "projects")

    workers = [start(run, "nowhere") for _ in range(2)]
    finished = "".join(worker.communicate(timeout=300)[0] for worker in workers)

    assert [worker.returncode for worker in workers] == [0, 0]
    windows = run.windows.values_list("pk", flat=True)
    assert sorted(map(int, finished.split())) == sorted(windows)
    assert set(run.windows.values_list("attempts", flat=True)) == {1}
    assert DayCheck.objects.exists()
    assert all(check.agrees for check in DayCheck.objects.all())


def test_two_who_connect_the_same_organization_at_once_get_one_connection(sandbox, monkeypatch):
    organization = make_organization()
    proofs = {
        label: connections.test(organization, CONNECTOR, label=label, key=LABS).proof
        for label in ("labs", "labs-again")
    }
    both, refuse_twin = Barrier(2), connections._check_duplicate

    def look_slowly(*args):
        refuse_twin(*args)
        time.sleep(1)  # time enough for the other to look, too, if nothing held it up

    monkeypatch.setattr(connections, "_check_duplicate", look_slowly)

    def connect(label):
        both.wait(60)
        try:
            connections.connect(
                organization,
                CONNECTOR,
                actor=None,
                label=label,
                key=LABS,
                proof=proofs[label],
                import_history=False,
            )
        except connections.OperationError as refused:
            return refused.duplicate
        finally:
            database.close()
        return ""

    with ThreadPoolExecutor(2) as pool:
        twins = set(pool.map(connect, proofs))

    (only,) = Connection.objects.all()
    assert twins == {"", only.label}


def test_a_window_that_kills_every_worker_is_given_up_with_a_sentence(connection):
    run = costs_of_two_days(connection)
    deadly, now = None, timezone.now()
    for _ in range(5):
        deadly = sync.claim(run, now=now)
        now += sync.LEASE + timedelta(seconds=1)

    other = sync.claim(run, now=now)

    window = run.windows.get(pk=deadly.pk)
    assert (window.state, window.error_code) == (SyncWindow.State.FAILED, "workers_lost")
    assert window.error.startswith("5 workers stopped while reading these days.")
    assert other.feed != deadly.feed

    sync.run_window(other)
    run.refresh_from_db()
    assert run.state == SyncRun.State.FAILED


def test_a_run_whose_last_window_is_given_up_ends(connection):
    run = costs_of_two_days(connection)
    last = run.windows.last()
    run.windows.exclude(pk=last.pk).update(state=SyncWindow.State.DONE)
    now = timezone.now()
    for _ in range(5):
        assert sync.claim(run, now=now).pk == last.pk
        now += sync.LEASE + timedelta(seconds=1)

    assert sync.claim(run, now=now) is None

    run.refresh_from_db()
    assert run.state == SyncRun.State.FAILED
