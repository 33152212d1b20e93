"""Turn answers of the API into report pages: the one loop over buckets or rows of every report.

A row that cannot be read is kept out, and so is a bucket or row without a day; see `tolerance`.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from integrations.connectors.anthropic.client import ApiClient
from integrations.connectors.anthropic.parsing import requested_day
from integrations.connectors.anthropic.reports import ReportPage, ReportRow
from integrations.window import Window

ToRow = Callable[[date, Any], ReportRow]


def pages_of_buckets(
    client: ApiClient,
    pages: Iterable[Any],
    window: Window,
    to_row: ToRow,
    complete_to: datetime | None = None,
) -> Iterator[ReportPage]:
    """Yield a report page for each answer of days, each of which holds its rows.

    `complete_to` stands in for the instant of the export where pages name none.
    """
    for page in pages:
        rows = []
        for bucket in page.data:
            with client.kept_out.guard():
                day = requested_day(window, bucket.starting_at)
                for row in bucket.results:
                    with client.kept_out.guard(day):
                        rows.append(to_row(day, row))
        yield _page(client, page, rows, complete_to or page.data_refreshed_at)


def pages_of_rows(
    client: ApiClient, pages: Iterable[Any], window: Window, to_row: ToRow
) -> Iterator[ReportPage]:
    """Yield a report page for each answer of rows; a row names its day unless there is only one."""
    only = window.start if len(window) == 1 else None
    for page in pages:
        rows = []
        for row in page.data:
            with client.kept_out.guard():
                is_unnamed = only is not None and row.starting_at is None
                day = only if only and is_unnamed else requested_day(window, row.starting_at)
                with client.kept_out.guard(day):
                    rows.append(to_row(day, row))
        yield _page(client, page, rows, page.data_refreshed_at)


def _page(
    client: ApiClient, page: Any, rows: list[ReportRow], complete_to: datetime | None
) -> ReportPage:
    return ReportPage(tuple(rows), complete_to, page.organization_id or client.organization_id)
