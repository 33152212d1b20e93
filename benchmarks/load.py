"""Measure response times while one client overloads two web processes (`make load`).

Builds a ledger on a private PostgreSQL and Redis and serves it with the documented web command. The
abuser requests a thousand years and disconnects, requests a year of everything fifty times at once,
and half-sends requests. The others read pages as people do. Prints their response times, the
health check and the size of processes. Exits with 1 above a budget.
"""

import argparse
import contextlib
import http.client
import itertools
import math
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.recorded import free_port
from dev.servers import Server, exit_with_parent, start_postgres, start_redis

if TYPE_CHECKING:
    from accounts.models import Organization

HOST = "127.0.0.1"
COOKIE = "sessionid"
PATIENCE_SECONDS = 60  # until an answer counts as lost
ATTACK = (
    "reports/explore.csv?metrics=cost&from=2026-11-20&to=2999-12-31&interval=day"
    "&cumulative=yes&group_by=user_email,sku,token_type"
)
YEAR = "metrics=cost&from=2025-11-25&to=2026-11-24"
HEAVY = (
    f"reports/explore/?{YEAR}&group_by=user_email,sku&interval=week",
    f"reports/explore.csv?{YEAR}&group_by=user_email,sku,token_type&interval=day&cumulative=yes",
    f"reports/explore.xlsx?{YEAR}&group_by=user_email,sku&interval=day",
    f"reports/explore/?metrics=people&{YEAR.partition('&')[2]}&group_by=sku&interval=week",
    f"dashboards/genai/?render=all&{YEAR.partition('&')[2]}",
)
DAYS = "from=2026-10-26&to=2026-11-24"
# What people look at, the more often the more often they do.
PAGES = (
    "integrations/",
    "integrations/",
    "integrations/log/",
    "reports/",
    "tokens/",
    f"dashboards/genai/?{DAYS}",
    f"reports/explore/?metrics=cost&{DAYS}&group_by=service",
    f"reports/explore/?metrics=cost&{DAYS}&group_by=sku",
    f"reports/explore.csv?metrics=cost&{DAYS}&group_by=service&interval=day",
)
WIDGETS = ("spend", "models", "spend-over-time")  # three of those a dashboard loads by itself


@dataclass
class Answers:
    """Responses to all clients, written by all threads."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, who: str, seconds: float, status: str) -> None:
        with self.lock:
            self.seconds[who].append(seconds)
            self.statuses[who][status] += 1

    def percentile(self, who: str, part: float) -> float:
        """Return the seconds within which this share of responses came; of few, the largest."""
        ordered = sorted(self.seconds[who])
        return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0

    def lost(self) -> int:
        """Count responses to the others that broke, did not come, or were server errors."""
        return sum(
            count
            for status, count in self.statuses["others"].items()
            if status != "503" and (not status.isdigit() or status.startswith("5"))
        )

    def turned_away(self) -> int:
        """Count responses that asked the others to retry because the server was busy."""
        return self.statuses["others"]["503"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--people", type=int, default=50, help="one of them is the abuser")
    parser.add_argument("--windows", type=int, default=50, help="of the abuser, a report in each")
    parser.add_argument("--turned-away", type=int, default=0, help="503 to the others")
    parser.add_argument("--ledger", type=int, default=600, help="people in the ledger")
    parser.add_argument("--days", type=int, default=365, help="of the ledger")
    parser.add_argument("--p99", type=float, default=2.0, help="seconds, of the others")
    parser.add_argument("--health", type=float, default=1.0, help="seconds, of every answer")
    parser.add_argument("--megabytes", type=float, default=500, help="of the largest process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spendglass-load-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        servers: list[Server] = []
        try:
            servers.append(start_postgres(folder / "postgres", durable=False))
            servers.append(start_redis(folder / "redis", durable=False))
            os.environ |= {
                "DATABASE_URL": servers[0].url,
                "REDIS_URL": servers[1].url,
                "HTTPS": "false",
                "DEBUG": "false",
                "STATIC_ROOT": str(folder / "static"),
                "SECRET_KEY": "for the benchmark alone, and served to this machine only",
                "CREDENTIALS_KEYS": "c3BlbmRnbGFzcy10ZXN0cy1vbmx5LTMyLWJ5dGVzISE=",
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "MALLOC_ARENA_MAX": "2",
            }
            return run(folder, options)
        finally:
            for server in reversed(servers):
                server.stop()


def run(folder: Path, options: argparse.Namespace) -> int:
    organizations = _fill(folder, options)
    port = free_port()
    processes = [_web(port), _worker()]
    try:
        _wait_until_up(port)
        answers, largest = _measure(port, organizations, processes, options)
    finally:
        web, worker = processes
        web.terminate()
        worker.send_signal(signal.SIGQUIT)  # without an end to the file it writes
        for process in processes:
            process.wait(120)
    return _print_report(answers, largest, options)


# --- What is served ----------------------------------------------------------------------------
def _fill(folder: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Build a ledger and a small second tenant; return the sessions of each, by slug.

    The first session of the ledger is the abuser's.
    """
    import django
    from django.core.management import call_command

    django.setup()
    from django.db import connections

    from accounts.models import Organization
    from benchmarks import ledger

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    books = ledger.fill(folder, people=options.ledger, days=options.days)
    books.duck.close()
    _print(f"{books.facts:,} facts of {options.ledger:,} people and {options.days} days")
    other = Organization.objects.create(slug="other", name="Other Inc.")
    half = options.people // 2
    sessions = {
        "bench": [_session(books.organization, n) for n in range(half)],
        "other": [_session(other, n) for n in range(options.people - half)],
    }
    connections.close_all()
    return sessions


def _session(organization: "Organization", number: int) -> str:
    """Sign a member in and return the value of the session cookie."""
    from django.test import Client

    from accounts.models import Membership, User

    user = User.objects.create(email=f"{organization.slug}-{number}@example.com")
    Membership.objects.create(organization=organization, user=user)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client.cookies[COOKIE].value


def _web(port: int) -> subprocess.Popen[bytes]:
    """Return the documented web command."""
    command = ["-m", "gunicorn", "--config", "config/gunicorn.py", "--no-control-socket"]
    command += ["--bind", f"{HOST}:{port}", "--graceful-timeout", "5", "--log-level", "error"]
    return _start([*command, "config.wsgi"])


def _worker() -> subprocess.Popen[bytes]:
    """Return the command of a worker for large files."""
    command = ["-m", "celery", "--app", "config", "--quiet", "worker", "--queues", "exports"]
    command += ["--concurrency", "1", "--loglevel", "ERROR"]
    return _start(command)


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start a server that ends with this process, however that ends."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stderr=subprocess.DEVNULL,
        preexec_fn=exit_with_parent(signal.SIGTERM),
    )


def _wait_until_up(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _ask(port, "/healthz", "") == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("The web server did not answer within two minutes.")


# --- Clients ----------------------------------------------------------------------------------
def _measure(
    port: int,
    organizations: dict[str, list[str]],
    processes: list[subprocess.Popen[bytes]],
    options: argparse.Namespace,
) -> tuple[Answers, dict[str, float]]:
    """Run all clients for a while; return the responses and the largest sizes in MB."""
    answers, ends_at = Answers(), time.monotonic() + options.seconds
    abuser, *others = [
        (slug, session) for slug, sessions in organizations.items() for session in sessions
    ]
    jobs: list[Callable[[], None]] = [
        partial(_watch_health, port, answers, ends_at),
        partial(_hang_up, port, *abuser, ends_at),
        partial(_half_send, port, ends_at),
    ]
    for number, (slug, session) in enumerate(others):
        person = random.Random(number)  # the same people each time
        jobs.append(partial(_read_pages, port, slug, session, answers, ends_at, person))
    for number in range(options.windows):
        jobs.append(partial(_ask_for_a_year, port, *abuser, answers, ends_at, number))
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    largest: dict[str, float] = defaultdict(float)
    while time.monotonic() < ends_at:
        for name, megabytes in _sizes(processes):
            largest[name] = max(largest[name], megabytes)
        time.sleep(0.5)
    for thread in threads:
        thread.join(PATIENCE_SECONDS + 10)
    return answers, largest


def _read_pages(
    port: int, slug: str, session: str, answers: Answers, ends_at: float, chance: random.Random
) -> None:
    """Read pages as one person does: a page, a pause, the next."""
    time.sleep(chance.uniform(0, 5))
    while time.monotonic() < ends_at:
        page = chance.choice(PAGES)
        _timed(port, f"/o/{slug}/{page}", session, answers, "others")
        if page.startswith("dashboards/"):
            for widget in WIDGETS:
                path = f"/o/{slug}/dashboards/genai/{widget}/?{DAYS}"
                _timed(port, path, session, answers, "others", part=True)
        time.sleep(chance.uniform(2, 8))


def _ask_for_a_year(
    port: int, slug: str, session: str, answers: Answers, ends_at: float, number: int
) -> None:
    """Request the next report as soon as the last is answered, as one abusive window."""
    for question in itertools.cycle((*HEAVY[number % len(HEAVY) :], *HEAVY)):
        if time.monotonic() > ends_at:
            return
        _timed(port, f"/o/{slug}/{question}", session, answers, "abuser")
        time.sleep(0.2)


def _hang_up(port: int, slug: str, session: str, ends_at: float) -> None:
    """Send sixteen times the attack that once stopped everything, and disconnect each time."""
    while time.monotonic() < ends_at:
        for question in (ATTACK,) * 16 + HEAVY:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 5) as sender:
                head = f"GET /o/{slug}/{question} HTTP/1.1\r\nHost: localhost\r\n"
                sender.sendall(f"{head}Cookie: {COOKIE}={session}\r\n\r\n".encode())
                time.sleep(0.05)
        time.sleep(2)


def _half_send(port: int, ends_at: float) -> None:
    """Send twenty requests that never end."""
    while time.monotonic() < ends_at:
        senders = []
        for _ in range(20):
            with contextlib.suppress(OSError):
                sender = socket.create_connection((HOST, port), 5)
                sender.sendall(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                senders.append(sender)
        time.sleep(min(10, max(0.0, ends_at - time.monotonic())))
        for sender in senders:
            sender.close()


def _watch_health(port: int, answers: Answers, ends_at: float) -> None:
    while time.monotonic() < ends_at:
        _timed(port, "/healthz", "", answers, "health")
        time.sleep(0.5)


def _timed(
    port: int, path: str, session: str, answers: Answers, who: str, *, part: bool = False
) -> None:
    began = time.monotonic()
    try:
        status = f"{_ask(port, path, session, part=part)}"
    except (OSError, http.client.HTTPException) as error:
        status = type(error).__name__
    answers.add(who, time.monotonic() - began, status)


def _ask(port: int, path: str, session: str, *, part: bool = False) -> int:
    """Read one response to its end; raise if it is shorter than announced."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE_SECONDS)
    headers = {"Cookie": f"{COOKIE}={session}", "Host": "localhost"}
    try:
        connection.request("GET", path, headers=headers | ({"HX-Request": "true"} if part else {}))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


# --- Report ------------------------------------------------------------------------------
def _sizes(processes: list[subprocess.Popen[bytes]]) -> list[tuple[str, float]]:
    """Return the resident MB of the children of each process: web processes and the worker."""
    sizes = []
    for name, process in zip(("web", "worker"), processes, strict=True):
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            for pid in [f"{process.pid}", *children.split()]:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS:"))
                sizes.append((name, int(kilobytes) / 1024))
    return sizes


def _print_report(answers: Answers, largest: dict[str, float], options: argparse.Namespace) -> int:
    _print("\n| who | answers | median | 99 of 100 | longest | what they were |")
    _print("|---|--:|--:|--:|--:|---|")
    for who in ("others", "health", "abuser"):
        seconds = answers.seconds[who]
        kinds = ", ".join(f"{n} × {status}" for status, n in answers.statuses[who].most_common())
        _print(
            f"| {who} | {len(seconds):,} | {answers.percentile(who, 0.5):.2f} s"
            f" | {answers.percentile(who, 0.99):.2f} s | {max(seconds, default=0):.2f} s"
            f" | {kinds} |"
        )
    for name, megabytes in largest.items():
        _print(f"largest {name} process: {megabytes:,.0f} MB")
    _print(f"lost: {answers.lost()}")
    _print(f"turned away: {answers.turned_away()}")
    health = answers.statuses["health"]
    over = [
        (answers.percentile("others", 0.99) > options.p99, "the others waited"),
        (max(answers.seconds["health"], default=0) > options.health, "health was late"),
        (set(health) != {"200"}, "health did not answer 200"),
        (max(largest.values(), default=0) > options.megabytes, "a process grew"),
        (answers.lost() > 0, "answers were lost"),
        (answers.turned_away() > options.turned_away, "others were turned away"),
        (not answers.statuses["abuser"]["429"], "the abuser was never refused"),
    ]
    for is_over, what in over:
        if is_over:
            _print(f"over budget: {what}")
    return 1 if any(is_over for is_over, _ in over) else 0


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
