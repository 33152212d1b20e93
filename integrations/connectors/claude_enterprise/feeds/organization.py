"""Cost and usage of the whole organization: the totals of each day, and what they are made of."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from integrations.connectors.anthropic.parsing import SnapshotGuard
from integrations.connectors.anthropic.reports import (
    Numbers,
    add_measures,
    meter_of,
    subtract_measures,
    total,
    zero_measures,
)
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds.group_cap import CappedReportReader, Lines
from integrations.connectors.claude_enterprise.feeds.metered import (
    COST,
    USAGE,
    MeasureSet,
    measures_of,
)
from integrations.connectors.claude_enterprise.report_api import report_api_for
from integrations.connectors.records import MeterKey, Page, Record
from integrations.window import Window, midnight

NOT_ITEMIZED = MeterKey(cost_type="not_itemized")


def read_organization_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _pages(client, window, COST)


def read_organization_usage(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _pages(client, window, USAGE)


def _pages(client: AnalyticsClient, window: Window, kind: MeasureSet) -> Iterator[Page]:
    """Yield the ungrouped totals first, then lines per meter that sum to them to the last digit."""
    reports = report_api_for(client)
    kind = measures_of(kind, reports)
    ask = kind.organization(reports)
    read = SnapshotGuard()
    totals: dict[date, Numbers] = {}
    organization_id = ""
    for part in ask(window):
        read.check(part)
        organization_id = part.organization_id
        for line in part.rows:
            known = totals.get(line.day)
            totals[line.day] = add_measures(known, line.numbers) if known else line.numbers
    for day in window:
        # A day without a row is a true zero once an export covers it, unless one was kept out.
        if client.kept_out.spoils(day):
            totals.pop(day, None)
        elif read.watermark is not None and midnight(day) < read.watermark:
            totals.setdefault(day, zero_measures(kind.measures))
    records = tuple(record for day in sorted(totals) for record in kind.totals(day, totals[day]))
    yield Page(records, read.watermark, organization_id)
    lines = CappedReportReader(ask, kind, window, read, totals, reports.group_cap).lines()
    yield Page(tuple(_records(kind, lines, totals)), read.watermark, organization_id)


def _records(kind: MeasureSet, lines: Lines, totals: dict[date, Numbers]) -> Iterator[Record]:
    """Convert the rows to records, with one more record for the residual of a day."""
    for day in sorted({*lines, *totals}):
        merged: dict[MeterKey, Numbers] = defaultdict(lambda: zero_measures(kind.measures))
        for values, numbers in lines.get(day, {}).items():
            meter = meter_of(kind.dimensions, values)
            merged[meter] = add_measures(merged[meter], numbers)
        if day in totals:
            lacking = subtract_measures(totals[day], total(merged.values(), kind.measures))
            if any(lacking):
                merged[NOT_ITEMIZED] = lacking
        for meter, numbers in merged.items():
            yield kind.record(day, meter, None, *numbers)
