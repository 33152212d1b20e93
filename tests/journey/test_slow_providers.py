"""Real workers and a provider that answers slowly: mails are still sent."""

import os
import subprocess
import sys
import time
from datetime import date
from functools import partial

import pytest
from django.conf import settings as django_settings
from django.db import connection as database

from accounts import password_reset
from config import queues
from integrations import sync, tasks
from integrations.encryption import Secret
from integrations.models import SyncRun, SyncWindow
from integrations.window import Window
from tests.factories import make_connection, make_organization, make_user
from tests.integrations.connectors.wire import RawServer

pytestmark = pytest.mark.django_db(transaction=True)

HANG_SECONDS = 120  # a busy machine is slow, and none of these waits is what the test measures
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n"


def drip(connection):
    connection.sendall(HEAD)
    while True:
        time.sleep(0.3)
        connection.sendall(b" ")


@pytest.fixture
def provider():
    server = RawServer(drip)
    yield server
    server.close()


@pytest.fixture
def workers(provider, tmp_path, settings):
    """Start the workers of `make run` on the database of this test."""
    settings.EMAIL_CONFIGURED = True
    base = os.environ["DATABASE_URL"].rpartition("/")[0]
    environment = os.environ | {
        "DATABASE_URL": f"{base}/{database.settings_dict['NAME']}",
        "REDIS_URL": django_settings.REDIS_URL,
        "ANTHROPIC_BASE_URL": provider.url,
        "EMAIL_URL": f"filemail:///{tmp_path}",
        "DEFAULT_FROM_EMAIL": "spendglass@example.com",
        "BASE_URL": "https://spendglass.example.com",
    }
    alone = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "config", *worker.arguments, *alone],
            env=environment,
            start_new_session=True,
        )
        for worker in queues.WORKERS
        if worker.name != "exports"
    ]
    yield tmp_path
    for worker in started:
        os.killpg(worker.pid, 9)
        worker.wait()


def wait_for(condition):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < HANG_SECONDS
        time.sleep(0.1)


def has_mail(folder, address):
    """Return whether a mail to `address` was written.

    Files are not counted: the backend names a file by the second and the address of an object that
    is freed after each mail, so two mails of one second often share a file.
    """
    return any(f"To: {address}" in file.read_text() for file in folder.iterdir())


def test_a_password_mail_is_sent_while_providers_drip(workers, provider):
    week = Window(date(2026, 11, 1), date(2026, 11, 8))
    for number in range(6):
        connection = make_connection(
            make_organization(f"org-{number}", "Org"),
            provider_organization_id=f"p{number}",
            credential=Secret("sk-ant-api01-sandbox-labs"),
            options={"dialect": "reports"},
        )
        sync.plan(connection, SyncRun.Kind.IMPORT, week)
        tasks.run_windows.delay()
    running = SyncWindow.objects.filter(state=SyncWindow.State.RUNNING)
    wait_for(lambda: len(provider.requests) >= 3)  # every import worker is held
    for name in ("ada", "ines"):
        make_user(f"{name}@example.com")
    for name in ("ada", "ines"):  # the second meets a worker that has started
        password_reset.request_reset(f"{name}@example.com")
        wait_for(partial(has_mail, workers, f"{name}@example.com"))

    assert running.count() == 3
    assert not SyncWindow.objects.filter(state=SyncWindow.State.DONE).exists()
