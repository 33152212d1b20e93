"""Turn pages of reports into parts: the one loop over buckets or rows of every report.

A row that cannot be read is kept out, and so is a bucket or row without a day; see `tolerance`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from integrations.connectors.anthropic.client import ApiClient
from integrations.connectors.anthropic.parsing import requested_day
from integrations.connectors.anthropic.reports import Line, Part
from integrations.window import Window

ToLine = Callable[[date, Any], Line]


def parts_of_buckets(
    client: ApiClient,
    pages: Iterable[Any],
    window: Window,
    to_line: ToLine,
    complete_to: datetime | None = None,
) -> Iterator[Part]:
    """Yield a part for each page of days, each of which holds its rows.

    `complete_to` stands in for the instant of the export where pages name none.
    """
    for page in pages:
        lines = []
        for bucket in page.data:
            with client.kept_out.guard():
                day = requested_day(window, bucket.starting_at)
                for row in bucket.results:
                    with client.kept_out.guard(day):
                        lines.append(to_line(day, row))
        yield _part(client, page, lines, complete_to or page.data_refreshed_at)


def parts_of_rows(
    client: ApiClient, pages: Iterable[Any], window: Window, to_line: ToLine
) -> Iterator[Part]:
    """Yield a part for each page of rows, each of which names its day unless there is only one."""
    only = window.start if len(window) == 1 else None
    for page in pages:
        lines = []
        for row in page.data:
            with client.kept_out.guard():
                is_unnamed = only is not None and row.starting_at is None
                day = only if only and is_unnamed else requested_day(window, row.starting_at)
                with client.kept_out.guard(day):
                    lines.append(to_line(day, row))
        yield _part(client, page, lines, page.data_refreshed_at)


def _part(client: ApiClient, page: Any, lines: list[Line], complete_to: datetime | None) -> Part:
    return Part(tuple(lines), complete_to, page.organization_id or client.organization_id)
