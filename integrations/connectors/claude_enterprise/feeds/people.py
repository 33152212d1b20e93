"""Cost and tokens per user: the part of the organization's that user accounts stand for.

Rows are handed on as they come and none is remembered: there are as many as people, days and
meters. Loading, which has them on disk, adds up rows of one key.
"""

from collections.abc import Iterator

from integrations.connectors.anthropic.actors import to_person
from integrations.connectors.anthropic.parsing import SnapshotGuard
from integrations.connectors.anthropic.reports import ReportRow, meter_of
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds.metered import (
    COST,
    USAGE,
    MeasureSet,
    measures_of,
)
from integrations.connectors.claude_enterprise.report_api import report_api_for
from integrations.connectors.records import Page, Record
from integrations.window import Window


def read_user_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _pages(client, window, COST)


def read_user_usage(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _pages(client, window, USAGE)


def _pages(client: AnalyticsClient, window: Window, kind: MeasureSet) -> Iterator[Page]:
    """One page per answer."""
    reports, read = report_api_for(client), SnapshotGuard()
    kind = measures_of(kind, reports)
    for part in kind.people(reports)(window, group_by=kind.dimensions):
        read.check(part)
        records = (_record(kind, line) for line in part.rows)
        yield Page(tuple(filter(None, records)), read.watermark, part.organization_id)


def _record(kind: MeasureSet, line: ReportRow) -> Record | None:
    """Return None for an actor without identity, whose use remains unattributed."""
    person, meter = to_person(line.actor), meter_of(kind.dimensions, line.values)
    if person is None:
        return None
    return kind.record(line.day, meter, person, *line.numbers)
