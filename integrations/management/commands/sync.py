"""Sync a connection from a terminal.

    manage.py sync my-org --organization demo [--days 90 | --since D --until D]

Reads in the foreground, with a progress bar on a terminal and a summary at the end. Without a
range: what a refresh reads. Exit status 1 if a window failed, 2 if the request makes no sense.
"""

import logging
import time
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from integrations import sync
from integrations.models import Connection, SyncRun, SyncWindow
from integrations.window import Window


class Command(BaseCommand):
    help = "Read a connection now and wait for the end."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("label", help="the Organization Label, such as my-org")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--days", type=int, help="this many newest days, today included")
        parser.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument(
            "--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help="this day not included"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = Connection.objects.filter(
            organization__slug=options["organization"], label=options["label"]
        ).first()
        if connection is None:
            raise CommandError(
                f"{options['organization']} has no connection {options['label']}.", returncode=2
            )
        if connection.state != Connection.State.ACTIVE:
            state = connection.get_state_display().lower()
            reason = f"{connection.label} cannot sync, its status is: {state}."
            raise CommandError(f"{reason} {connection.problem}".strip(), returncode=2)
        window = _window(connection, **options)
        if options["verbosity"] < 2:  # a line per request would tear the progress bar
            logging.getLogger("integrations").setLevel(logging.WARNING)

        earlier = sync.active_run(connection)
        if earlier is not None:
            self.stderr.write("A sync of this connection is under way; helping it to its end.")
            self._work_off(earlier)
        run = (
            sync.plan(connection, SyncRun.Kind.MANUAL, window)
            if window
            else sync.plan_refresh(
                connection, today=timezone.now().date(), kind=SyncRun.Kind.MANUAL
            )
        )
        self._work_off(run)
        self._summarize(run)

    def _work_off(self, run: SyncRun) -> None:
        console = Console(stderr=True)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as progress:
            bar = progress.add_task("Reading", total=run.windows.count())
            for window in sync.run_inline(run, wait=time.sleep):
                finished = run.windows.filter(state__in=SyncWindow.FINISHED).count()
                progress.update(bar, completed=finished, description=f"{window}")

    def _summarize(self, run: SyncRun) -> None:
        run.refresh_from_db()
        windows = list(run.windows.order_by("position"))
        requests = sum(window.requests for window in windows)
        written = sum(window.rows_written for window in windows)
        rows = sum(window.rows for window in windows)
        self.stdout.write(
            f"{run.connection.label}: {run.window}, {len(windows)} windows, "
            f"{requests} requests, {rows} rows read, {written} written."
        )
        failed = [window for window in windows if window.state == SyncWindow.State.FAILED]
        for window in failed:
            self.stderr.write(f"{window}: {window.error} {window.error_repair}".rstrip())
        connection = Connection.objects.get(pk=run.connection_id)
        if connection.state != Connection.State.ACTIVE:
            raise CommandError(f"{connection.problem} {connection.problem_repair}".strip())
        if failed or run.state != SyncRun.State.DONE:
            raise CommandError(f"{len(failed)} of {len(windows)} windows failed.")


def _window(
    connection: Connection,
    *,
    days: int | None,
    since: date | None,
    until: date | None,
    **_: Any,
) -> Window | None:
    """Return the requested range, or None. Raise `CommandError` for an invalid one."""
    today = timezone.now().date()
    earliest = connection.connector.earliest_day(today)
    if days is not None and (since or until):
        raise CommandError("Give --days or --since and --until, not both.", returncode=2)
    if days is not None:
        if days < 1:
            raise CommandError("--days needs a number from 1 on.", returncode=2)
        return Window.last(days, today=today).not_before(earliest)
    if since is None and until is None:
        return None
    if since is None:
        raise CommandError("--until needs --since.", returncode=2)
    end = min(until or today + timedelta(days=1), today + timedelta(days=1))
    if since < earliest:
        raise CommandError(
            f"--since {since} is too old: the provider has data from {earliest} on.", returncode=2
        )
    if since >= end:
        raise CommandError("--since must be before --until, and not in the future.", returncode=2)
    return Window(since, end)
