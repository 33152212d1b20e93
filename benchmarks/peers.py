"""Import of a per-person cost feed compared with what others would use.

`python -m benchmarks.peers` reads the same recorded answers of one company in three ways, in the
same run: the worker of Spendglass, a dlt pipeline that merges into PostgreSQL, and the official
SDK with an upsert. Each way reads once into empty tables and once more over what it wrote. It also
prints our own time per request of a refresh that finds nothing new.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.recorded import KEY, recorded_company
from dev.servers import start_postgres, start_redis

FEED = "user_cost"
GROUP_BY = (
    *("product", "model", "context_window", "inference_geo", "speed", "cost_type", "token_type"),
)
DAYS_OF_A_REQUEST = 31
PAGE = 1000
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}


@dataclass(frozen=True)
class Peer:
    """Rows and seconds of one way to import, into empty tables and over what was written."""

    name: str
    rows: int
    first: float
    again: float

    def speed(self, seconds: float) -> float:
        return self.rows / seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--days", type=int, default=90)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spendglass-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        servers = [
            start_postgres(folder / "postgres", durable=False),
            start_redis(folder / "redis", durable=False),
        ]
        try:
            with recorded_company(options.people) as url:
                os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = (one.url for one in servers)
                os.environ["ANTHROPIC_BASE_URL"] = url
                os.environ["ANTHROPIC_REQUESTS_PER_MINUTE"] = "0"
                os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
                os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
                os.environ.setdefault("SECRET_KEY", "for the benchmark alone, nothing is served")
                os.environ.setdefault(
                    "CREDENTIALS_KEYS", "c3BlbmRnbGFzcy10ZXN0cy1vbmx5LTMyLWJ5dGVzISE="
                )
                return compare(url, options.days)
        finally:
            for server in servers:
                server.stop()


def compare(url: str, days: int) -> int:
    """Import in every way and print the tables."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    from django.core.management import call_command

    django.setup()
    logging.disable(logging.INFO)  # a line for each request
    call_command("migrate", verbosity=0)
    end = date.today() - timedelta(days=5)  # noqa: DTZ011 - the sandbox has the same day
    start = end - timedelta(days=days)
    sum(1 for _ in _pages(url, start, end))  # the answers are computed now
    _load_peers(url)
    ways: list[tuple[str, Callable[[], int]]] = [
        ("Spendglass", lambda: _with_spendglass(start, end)),
        ("dlt, merge", lambda: _with_dlt(url, start, end)),
        ("SDK, upsert", lambda: _with_sdk(url, start, end)),
    ]
    peers = [_measured(name, way) for name, way in ways]
    ours = peers[0]
    _print("| way | rows | first, rows/s | again, rows/s | ours ÷ it, first | ours ÷ it, again |")
    _print("|---|--:|--:|--:|--:|--:|")
    for it in peers:
        first, again = it.speed(it.first), it.speed(it.again)
        _print(
            f"| {it.name} | {it.rows:,} | {first:,.0f} | {again:,.0f}"
            f" | {ours.speed(ours.first) / first:.1f} | {ours.speed(ours.again) / again:.1f} |"
        )
    _refresh(start, end)
    return 0


def _load_peers(url: str) -> None:
    """Load what the peers load at first use, as Django is loaded: seconds of no import."""
    import anthropic
    import dlt.destinations.impl.postgres.postgres  # noqa: F401

    _ = anthropic.Anthropic(api_key=KEY, base_url=url).beta.organization.analytics.user_cost_report


def _measured(name: str, way: Callable[[], int]) -> Peer:
    started = time.perf_counter()
    rows = way()
    first = time.perf_counter() - started
    started = time.perf_counter()
    way()
    return Peer(name, rows, first, time.perf_counter() - started)


# --- Ways ------------------------------------------------------------------------------------


def _windows(start: date, end: date) -> Iterator[tuple[date, date]]:
    """Yield the days of each request, newest first, as our planner splits them."""
    while start < end:
        begin = max(end - timedelta(days=DAYS_OF_A_REQUEST), start)
        yield begin, end
        end = begin


def _pages(url: str, start: date, end: date) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each page, as any program would read them."""
    import httpx

    with httpx.Client(base_url=url, headers=HEADERS, timeout=300) as client:
        for begin, stop in _windows(start, end):
            params: list[tuple[str, Any]] = [
                ("starting_at", f"{begin}T00:00:00Z"),
                ("ending_at", f"{stop}T00:00:00Z"),
                ("bucket_width", "1d"),
                *(("group_by[]", name) for name in GROUP_BY),
                ("limit", PAGE),
            ]
            page = ""
            while True:
                asked = [*params, ("page", page)] if page else params
                path = "/v1/organizations/analytics/user_cost_report"
                answer = client.get(path, params=asked).raise_for_status().json()
                yield answer["data"]
                page = answer["next_page"]
                if not page:
                    break


def _row(it: dict[str, Any]) -> dict[str, Any]:
    """Return a row flat, with a value for every part of its key."""
    actor = it["actor"]
    return {
        "day": it["starting_at"][:10],
        "user_id": actor.get("user_id") or "",
        **{name: it.get(name) or "" for name in GROUP_BY},
        "email": actor.get("email_address") or "",
        "amount": Decimal(it["amount"]),
        "list_amount": None if it.get("list_amount") is None else Decimal(it["list_amount"]),
    }


def _connection() -> Any:
    from accounts.models import Organization
    from integrations.encryption import Secret
    from integrations.models import Connection

    organization, _ = Organization.objects.get_or_create(slug="bench", name="Bench")
    return Connection.objects.get_or_create(
        organization=organization,
        connector_slug="claude-enterprise",
        label="peers",
        defaults={"credential": Secret(KEY), "options": {"dialect": "reports"}},
    )[0]


def _with_spendglass(start: date, end: date) -> int:
    """Read the feed as a worker does, with every check, restatement and rollup."""
    from integrations import sync
    from integrations.models import FeedDay, SyncRun
    from integrations.window import Window

    connection = _connection()
    FeedDay.objects.update(watermark=None)  # the second read is not answered by its watermark
    window = Window(start, end)
    days = {it.name: list(window) if it.name == FEED else [] for it in connection.connector.feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
    rows = 0
    for done in sync.run_inline(run, wait=lambda seconds: None):
        if done.error:
            raise RuntimeError(done.error)
        rows += done.rows or 0
    return rows


def _with_dlt(url: str, start: date, end: date) -> int:
    """Read with a dlt pipeline that merges by the same key, with its settings as they come."""
    import dlt

    rows = 0

    @dlt.resource(  # type: ignore[untyped-decorator]
        name="user_cost", primary_key=("day", "user_id", *GROUP_BY), write_disposition="merge"
    )
    def user_cost() -> Iterator[list[dict[str, Any]]]:
        nonlocal rows
        for page in _pages(url, start, end):
            rows += len(page)
            yield [_row(it) for it in page]

    pipeline = dlt.pipeline(
        "peers",
        destination=dlt.destinations.postgres(_for_dlt()),
        dataset_name="peers_dlt",
    )
    pipeline.run(user_cost())
    return rows


def _for_dlt() -> Any:
    """Return the address of our private server; dlt insists on a password."""
    from django.db import connection as database
    from dlt.destinations.impl.postgres.configuration import PostgresCredentials

    known, credentials = database.settings_dict, PostgresCredentials()
    credentials.database, credentials.username = str(known["NAME"]), str(known["USER"])
    credentials.host, credentials.password = "localhost", "none is asked"
    credentials.query = {"host": str(known["HOST"])}  # its socket
    return credentials


def _with_sdk(url: str, start: date, end: date) -> int:
    """Read with the official SDK and write with an upsert, a page at a time."""
    import anthropic
    import psycopg
    from django.db import connection

    columns = ("day", "user_id", *GROUP_BY, "email", "amount", "list_amount")
    key = ", ".join(("day", "user_id", *GROUP_BY))
    upsert = (
        f"INSERT INTO peers_sdk ({', '.join(columns)})"  # noqa: S608 - our own names
        f" VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT ({key})"
        " DO UPDATE SET email = excluded.email, amount = excluded.amount,"
        " list_amount = excluded.list_amount"
    )
    client = anthropic.Anthropic(api_key=KEY, base_url=url)
    report = client.beta.organization.analytics.user_cost_report
    rows = 0
    known = connection.settings_dict
    address = {"dbname": known["NAME"], "user": known["USER"], "host": known["HOST"]}
    with psycopg.connect(**address) as database:
        texts = ", ".join(f"{name} text" for name in ("user_id", *GROUP_BY, "email"))
        database.execute(
            f"CREATE TABLE IF NOT EXISTS peers_sdk (day date, {texts}, amount numeric,"
            f" list_amount numeric, PRIMARY KEY ({key}))"
        )
        for begin, stop in _windows(start, end):
            page = report.list(
                starting_at=f"{begin}T00:00:00Z",
                ending_at=f"{stop}T00:00:00Z",
                bucket_width="1d",
                group_by=list(GROUP_BY),  # type: ignore[arg-type]
                limit=PAGE,
            )
            for part in page.iter_pages():
                values = [tuple(_row(it.to_dict(mode="json")).values()) for it in part.data]
                rows += len(values)
                with database.cursor() as cursor:
                    cursor.executemany(upsert, values)
                database.commit()
    return rows


# --- A refresh that finds nothing new ---------------------------------------------------------


def _refresh(start: date, end: date) -> None:
    """Print our own time per request of a refresh whose answers hold nothing new."""
    from django.utils import timezone

    from integrations import sync

    connection = _connection()
    today = timezone.now().date()
    for _ in sync.run_inline(
        sync.plan_import(connection, today=today, days=(end - start).days),
        wait=lambda seconds: None,
    ):
        pass
    sums: list[tuple[int, float]] = []
    for _ in range(2):  # the first makes the emulator compute the answers
        run = sync.plan_refresh(connection, today=today)
        started = time.perf_counter()
        windows = list(sync.run_inline(run, wait=lambda seconds: None))
        sums.append((sum(one.requests for one in windows), time.perf_counter() - started))
    requests, took = sums[-1]
    _print(
        f"\nA refresh that finds nothing new: {len(windows)} windows, {requests} requests,"
        f" {took:.2f} s, {took / requests * 1000:.1f} ms a request"
    )


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
