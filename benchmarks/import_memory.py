"""Measure the memory of a large import: `python -m benchmarks.import_memory`.

One worker process imports 90 days of a sandbox company with 5,000 people, on private servers.
Prints the peak memory of the worker as the operating system counts it. Exits with 1 if it exceeds
the budget, or if a stored total differs from the provider's.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.recorded import KEY, free_port, larger_company, wait_for
from dev.servers import start_postgres, start_redis

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from integrations.models import SyncRun

BUDGET_MB = 400
_WORKER = ("celery", "--app", "config", "--quiet", "worker", "--pool", "solo", "-l", "WARNING")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_memory", description=__doc__)
    parser.add_argument("--people", type=int, default=5000)
    parser.add_argument("--days", type=int, default=90)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spendglass-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        servers = [
            start_postgres(folder / "postgres", durable=False),
            start_redis(folder / "redis", durable=False),
        ]
        port = free_port()
        sandbox = multiprocessing.get_context("spawn").Process(
            target=serve, args=(port, options.people), daemon=True
        )
        sandbox.start()
        try:
            os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = (one.url for one in servers)
            os.environ["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{port}"
            os.environ["ANTHROPIC_REQUESTS_PER_MINUTE"] = "0"
            os.environ.setdefault("SECRET_KEY", "for the benchmark alone, and nothing is served")
            os.environ.setdefault(
                "CREDENTIALS_KEYS", "c3BlbmRnbGFzcy10ZXN0cy1vbmx5LTMyLWJ5dGVzISE="
            )
            wait_for(port)
            return measure(options.days)
        finally:
            sandbox.kill()
            for server in servers:
                server.stop()


def measure(days: int) -> int:
    """Import with one worker process and print the result."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    from django.core.management import call_command

    django.setup()
    from django.utils import timezone

    from accounts.models import Organization
    from integrations import sync, tasks
    from integrations.encryption import Secret
    from integrations.models import Connection, CostFact, UsageFact

    call_command("migrate", verbosity=0)
    connection = Connection.objects.create(
        organization=Organization.objects.create(slug="bench", name="Bench"),
        connector_slug="claude-enterprise",
        label="large",
        credential=Secret(KEY),
    )
    run = sync.plan_import(connection, today=timezone.now().date(), days=days)
    start = time.perf_counter()
    worker = subprocess.Popen([sys.executable, "-m", *_WORKER])
    tasks.enqueue_runs(run)
    try:
        _watch(run)
    finally:
        worker.terminate()
        _, _, used = os.wait4(worker.pid, 0)
    took, peak_mb = time.perf_counter() - start, used.ru_maxrss / 1024
    requests = sum(run.windows.values_list("requests", flat=True))
    wrong = [check for check in connection.checks.all() if not check.agrees]
    facts = CostFact.objects.count() + UsageFact.objects.count()
    _print(f"{run.get_state_display()}: {facts:,} facts of {days} days, {requests:,} requests")
    _print(f"{took:,.0f} s, at most {peak_mb:,.0f} MB in the worker; {len(wrong)} totals differ")
    return 1 if wrong or run.state != run.State.DONE or peak_mb > BUDGET_MB else 0


def _watch(run: "SyncRun") -> None:
    feed = ""
    while run.state == run.State.ACTIVE:
        time.sleep(2)
        run.refresh_from_db()
        window = run.windows.filter(state="running").first()
        if window is not None and window.feed != feed:
            feed = window.feed
            _print(f"  {feed}")


# --- The large company ---------------------------------------------------------------------


def serve(port: int, people: int) -> None:
    """Serve the sandbox whose first company has so many people, one request at a time."""
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    make_server(
        "127.0.0.1", port, _Forgetful(larger_company(people)), handler_class=Quiet
    ).serve_forever()


class _Forgetful:
    """Sandbox that caches only the last endpoint it computed."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._path = ""

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        from sandbox.claude_enterprise import activity, reports, sums

        if environ["PATH_INFO"] != self._path:
            self._path = environ["PATH_INFO"]
            for cache in (sums.ranked, reports._buckets, activity._day_rows, activity._user_rows):
                cache.cache_clear()
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
