"""One budget per provider organization: however many ask, turns keep their distance."""

import subprocess
import sys
import time
from datetime import timedelta
from types import SimpleNamespace

import httpx
import pytest
import redis
from django.conf import settings as django_settings
from django.utils import timezone

from integrations import connections
from integrations.connectors import get_connector
from integrations.connectors.base import Access
from integrations.sync import rate_limit
from integrations.sync.rate_limit import RateLimiter, RateLimitExceeded
from sandbox.claude_enterprise import Sandbox
from tests.factories import make_organization
from tests.waiting import replace_sleep

ACME = "org_acme"
SECOND = 1050  # milliseconds between turns at 60 a minute

# Three of these at once are three workers: each takes twenty turns without waiting for them.
TAKE_TWENTY = f"""
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from types import SimpleNamespace
import django
django.setup()
from integrations.sync.rate_limit import RateLimiter
worker = RateLimiter(
    SimpleNamespace(slug="provider", requests_per_minute=60), "{ACME}", stand_in="worker"
)
for _ in range(20):
    worker.acquire()
"""


@pytest.fixture
def server():
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        yield client


def limiter(organization_id=ACME, stand_in="key-1", patience=300):
    connector = SimpleNamespace(slug="provider", requests_per_minute=60)
    return RateLimiter(connector, organization_id, stand_in=stand_in, patience_seconds=patience)


def now(server):
    seconds, micros = server.time()
    return seconds * 1000 + micros // 1000


def free_from(server, bucket=ACME):
    """Return the time of the next free request in milliseconds of Redis' clock."""
    return int(server.get(f"pacing:provider:{bucket}"))


def test_turns_of_several_processes_stand_in_one_line(server):
    before = now(server)
    workers = [subprocess.Popen([sys.executable, "-c", TAKE_TWENTY]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]

    # Sixty turns, none of them shared, none left out.
    first = free_from(server) - 60 * SECOND
    assert before <= first <= now(server)
    assert 60 * SECOND > 60_000  # so the sixty-first is of the next minute


def test_a_turn_is_free_at_once_after_a_quiet_time(server):
    limiter().acquire()
    server.set(f"pacing:provider:{ACME}", now(server) - 1)

    assert limiter().acquire() == 0


def test_nobody_waits_longer_than_they_can(server):
    worker = limiter()
    for _ in range(30):
        worker.acquire()
    taken = free_from(server)

    with pytest.raises(RateLimitExceeded, match="used up by other work"):
        limiter(patience=20)()
    assert free_from(server) == taken  # no turn was taken for who did not stay


def test_two_tenants_with_the_same_provider_organization_share_its_budget(server):
    limiter(ACME, stand_in="connection-1").acquire()

    assert limiter(ACME, stand_in="connection-2").acquire() > 0
    assert limiter("org_other", stand_in="connection-3").acquire() == 0


def test_a_key_counts_with_its_organization_as_soon_as_an_answer_names_it(server):
    limiter(ACME).acquire()
    tested = limiter("", stand_in="key-1")
    assert tested.acquire() == 0  # its owner is not known yet

    tested.learn(ACME)
    assert tested.acquire() > 0

    again = limiter("", stand_in="key-1")
    assert again.acquire() > SECOND  # the next test of this key knows at once


def test_without_redis_nothing_is_sent_and_the_reason_is_shown(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    rate_limit._redis.cache_clear()
    rate_limit._script.cache_clear()
    try:
        with pytest.raises(RateLimitExceeded, match="Redis does not answer"):
            limiter()()
        limiter("").learn(ACME)  # and an answer that is there is not lost over it
    finally:
        rate_limit._redis.cache_clear()
        rate_limit._script.cache_clear()


def test_an_emptied_redis_is_counted_on_from_the_start(server):
    limiter().acquire()
    server.flushall()
    server.script_flush()

    assert limiter().acquire() == 0


def test_a_provider_without_a_limit_is_not_counted(server):
    RateLimiter(SimpleNamespace(slug="free", requests_per_minute=0), ACME, stand_in="key-1")()

    assert not server.exists(f"pacing:free:{ACME}")


def test_import_and_test_button_together_never_meet_a_429(settings, monkeypatch):
    """Nothing sleeps: the sandbox, which refuses the sixty-first, gets the time as an argument."""
    settings.ANTHROPIC_REQUESTS_PER_MINUTE = 60
    connector = get_connector("claude-enterprise")
    sent_at = [time.monotonic()]

    def sleep(seconds):
        sent_at.append(max(sent_at[-1], time.monotonic() + seconds))

    replace_sleep(monkeypatch, sleep)
    sandbox = Sandbox(requests_per_minute=60, clock=lambda: sent_at[-1])
    statuses = []

    def client(organization_id, stand_in):
        limiter = RateLimiter(connector, organization_id, stand_in=stand_in)

        def observe(request):
            statuses.append(request.status)
            limiter.learn(request.organization_id)

        access = Access(
            key=Sandbox.keys[0],
            base_url="http://sandbox",
            acquire=limiter,
            observe=observe,
            attempts=1,
            transport=httpx.WSGITransport(sandbox),
        )
        return connector.open(access)

    week = timezone.now().date() - timedelta(days=7)
    with client("", "key-unseen") as tested, client("", "connection-1") as imported:
        for number in range(70):
            (tested if number % 10 == 5 else imported).summaries(week)

    assert statuses == [200] * 70
    assert sent_at[-1] - sent_at[1] > 69  # and it was the pace that kept them apart


@pytest.mark.django_db
def test_a_connection_test_counts_with_the_import_of_its_organization(
    settings, sandbox, monkeypatch, server
):
    settings.ANTHROPIC_REQUESTS_PER_MINUTE = 60
    replace_sleep(monkeypatch, lambda seconds: None)
    connector = get_connector("claude-enterprise")

    tested = connections.test(make_organization(), connector, label="labs", key=Sandbox.keys[1])

    assert server.exists(f"pacing:claude-enterprise:{tested.probe.organization_id}")
