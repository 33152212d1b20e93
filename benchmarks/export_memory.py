"""Measure the memory of report files by length: `python -m benchmarks.export_memory`.

Builds a ledger on a private PostgreSQL. Then exports people, products and models by day as CSV and
workbook, over a few days, a month and a year, each file in its own process and through the URL of
the page. Prints the peak memory of each process as the operating system counts it. Exits with 1 if
the longest file of a format needs more than the budget above the shortest.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.servers import start_postgres

if TYPE_CHECKING:
    from accounts.models import User
    from benchmarks.ledger import Ledger

BUDGET_MB = 40  # what a hundred times the rows may take on top
DAYS = (4, 37, 365)
QUERY = "metrics=cost,total_tokens&group_by=user_id,service,sku&interval=day"
READER = "reader@example.com"


@dataclass(frozen=True)
class File:
    """File that was read to its end. `waited` is the time to the first byte, in seconds."""

    rows: int
    size: int
    waited: float
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_memory", description=__doc__)
    parser.add_argument("--people", type=int, default=1600)
    parser.add_argument("--take", metavar="ADDRESS", help="read one file of a ledger that is there")
    options = parser.parse_args()
    if options.take:
        _setup()
        return _print_file(options.take)
    with tempfile.TemporaryDirectory(prefix="spendglass-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres = start_postgres(folder / "postgres", durable=False)
        try:
            os.environ["DATABASE_URL"], os.environ["HTTPS"] = postgres.url, "false"
            os.environ.setdefault("SECRET_KEY", "for the benchmark alone, and nothing is served")
            os.environ.setdefault(
                "CREDENTIALS_KEYS", "c3BlbmRnbGFzcy10ZXN0cy1vbmx5LTMyLWJ5dGVzISE="
            )
            return run(folder, options.people)
        finally:
            postgres.stop()


def run(folder: Path, people: int) -> int:
    _setup()
    from django.core.management import call_command

    from benchmarks import ledger

    call_command("migrate", verbosity=0)
    books = ledger.fill(folder, people=people, days=max(DAYS))
    books.duck.close()
    reader(books)
    _print(f"{books.facts:,} facts of {people:,} people and {max(DAYS)} days\n")
    _print("| file | rows | MB | first byte after | seconds | MB of the process |")
    _print("|---|--:|--:|--:|--:|--:|")
    rows: dict[str, int] = {}
    grown = 0.0
    for kind in ("csv", "xlsx"):
        peaks = []
        for address in addresses(books, kind, DAYS):
            file, peak_mb = _take_in_subprocess(address)
            query = address.partition("?")[2]
            rows.setdefault(query, file.rows)  # those of the CSV, which comes first
            peaks.append(peak_mb)
            _print(
                f"| {kind} | {rows[query]:,} | {file.size / 1e6:,.1f} | {file.waited:,.1f} s"
                f" | {file.seconds:,.0f} | {peak_mb:,.0f} |"
            )
        grown = max(grown, peaks[-1] - peaks[0])
    return 1 if grown > BUDGET_MB else 0


def reader(books: "Ledger") -> "User":
    """Create a member, because only members export files."""
    from accounts.models import Membership, User

    user = User.objects.create_user(READER)
    Membership.objects.create(organization=books.organization, user=user)
    return user


def addresses(books: "Ledger", kind: str, days: tuple[int, ...]) -> Iterator[str]:
    from integrations.window import Window

    for count in days:
        window = Window.last(count, today=books.today)
        query = f"{QUERY}&from={window.start}&to={window.last_day}"
        yield f"/o/{books.organization.slug}/reports/explore.{kind}?{query}"


def take(address: str) -> File:
    """Read a file to its end as a browser does, without keeping it."""
    from django.test import Client

    from accounts.models import User
    from reports import exports

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(email=READER))
    start = time.perf_counter()
    response: Any = client.get(address)
    if response.status_code == 302:  # too large for a request: what a worker does is done here
        page = response["Location"]
        exports.make(int(page.rstrip("/").rpartition("/")[2]))
        response = client.get(f"{page}download/")
    if response.status_code != 200:
        raise RuntimeError(f"{address} was answered with {response.status_code}")
    lines = size = 0
    waited = 0.0
    for piece in response.streaming_content:
        waited = waited or time.perf_counter() - start
        lines += piece.count(b"\n")
        size += len(piece)
    return File(lines - 1, size, waited, time.perf_counter() - start)


def _print_file(address: str) -> int:
    file = take(address)
    _print(f"{file.rows} {file.size} {file.waited} {file.seconds} {_peak_mb()}")
    return 0


def _peak_mb() -> float:
    """Return the peak memory of this process as Linux counts it, in MB.

    Not `ru_maxrss`: a child inherits that of the process it was forked from.
    """
    with open("/proc/self/status") as status:
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(kilobytes) / 1024


def _take_in_subprocess(address: str) -> tuple[File, float]:
    """Return the file and the peak memory of its process in MB."""
    command = [sys.executable, "-m", "benchmarks.export_memory", "--take", address]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows, size, waited, seconds, peak_mb = output.split()
    return File(int(rows), int(size), float(waited), float(seconds)), float(peak_mb)


def _setup() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
