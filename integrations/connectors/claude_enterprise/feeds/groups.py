"""Cuts that overlap or tell a part only: by group of people, and by Slack channel.

A user counts in every group held on that day, so groups never sum to a total. They are stored
apart from the facts that do, as documents per subject and day.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from integrations.connectors.anthropic.parsing import SnapshotGuard, numbers
from integrations.connectors.anthropic.reports import (
    Numbers,
    ReportRow,
    add_measures,
    subtract_measures,
    zero_measures,
)
from integrations.connectors.base import ActionNeeded, NotAvailable, PayloadError
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds.days import published_days
from integrations.connectors.claude_enterprise.feeds.metered import COST, USAGE, MeasureSet
from integrations.connectors.claude_enterprise.report_api import ReportApi, report_api_for
from integrations.connectors.records import EngagementRecord, Page, ResourceRef
from integrations.window import Window

NO_GROUP = "no_group"  # the subject of who was in no group on that day
NOT_ITEMIZED = "not_itemized"  # of what channels beyond the cap come to
GROUP = "rbac_group_id"
_CHANNEL = "slack_channel_id"
_REFUSED = 400
_IDS = 30  # of a filter: few enough that the other groups of these people fit in beside them


# --- Groups --------------------------------------------------------------------------------


def read_group_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _group_pages(client, window, COST)


def read_group_usage(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _group_pages(client, window, USAGE)


def _group_pages(client: AnalyticsClient, window: Window, kind: MeasureSet) -> Iterator[Page]:
    """All groups of each day. Those beyond the cap are asked for by their ids."""
    reports, read = report_api_for(client), SnapshotGuard()
    by_day: dict[date, dict[str | None, Numbers]] = defaultdict(dict)
    yield from _documents(reports, window, kind, GROUP, read, by_day)
    capped = _truncated_days(reports, by_day)
    if reports.group_cap is None or not capped:
        return
    known = _ids(client, window) | {id for day in by_day.values() for id in day if id}
    missing = sorted(id for id in known if any(id not in by_day[day] for day in capped))
    parts = [missing[start : start + _IDS] for start in range(0, len(missing), _IDS)]
    while parts:
        ids = parts.pop()
        try:
            records, crowded = _named_groups(reports, window, kind, read, by_day, capped, ids)
        except PayloadError as exc:
            if exc.status != _REFUSED:
                raise
            # A group that is listed but may not be read does not affect the others.
            records, crowded = [], True
        yield Page(tuple(records), read.watermark, client.organization_id)
        if crowded and len(ids) > 1:
            parts += [ids[::2], ids[1::2]]


def _named_groups(
    reports: ReportApi,
    window: Window,
    kind: MeasureSet,
    read: SnapshotGuard,
    by_day: dict[date, dict[str | None, Numbers]],
    capped: set[date],
    ids: Sequence[str],
) -> tuple[list[EngagementRecord], bool]:
    """Return the documents of these groups on capped days, and whether they were capped too."""
    records = []
    rows: dict[date, int] = defaultdict(int)
    filters = {f"{GROUP}s": ids}
    known_before = {day: set(by_day[day]) for day in capped}
    for part in kind.organization(reports)(window, group_by=[GROUP], filters=filters):
        read.check(part)
        for line in part.rows:
            rows[line.day] += 1
            (id,) = line.values
            # Other groups of the same people may be included, but only in part.
            is_asked = id is not None and id in ids and line.day in capped
            if id is not None and is_asked and id not in known_before[line.day]:
                _add(by_day[line.day], id, line.numbers)
                records.append(_record(kind, line, id))
    cap = reports.group_cap
    return records, cap is not None and any(count >= cap for count in rows.values())


def _ids(client: AnalyticsClient, window: Window) -> set[str]:
    """Return the groups of all people active in the window."""
    try:
        listings = list(client.activity("/users", published_days(window), group_by=[GROUP]))
    except NotAvailable:
        return set()
    rows = [row for listing in listings for row in listing.data]
    return {row[GROUP] for row in rows if isinstance(row.get(GROUP), str)}


def read_group_activity(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Read the daily usage of each group, with the names of the groups."""
    for day in published_days(window):
        for listing in client.activity("/users", Window.last(1, today=day), group_by=[GROUP]):
            records, names = [], []
            for row in listing.data:
                id, name = row.get(GROUP), row.get("rbac_group_name")
                name = name if isinstance(name, str) else ""
                subject = id if isinstance(id, str) else NO_GROUP
                with client.kept_out.guard(day):
                    values = dict(numbers(row))
                    records.append(EngagementRecord(day, subject, None, values, name=name))
                if name and subject != NO_GROUP:
                    names.append(ResourceRef(GROUP, subject, name))
            yield Page(tuple(records), None, client.organization_id, resources=tuple(names))


def read_groups(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Read the names of all groups. The key may lack the scope."""
    try:
        for listing in client.groups():
            yield Page(
                (),
                None,
                client.organization_id,
                resources=tuple(
                    ResourceRef(GROUP, row["id"], row["name"], "active")
                    for row in listing.data
                    if isinstance(row.get("id"), str) and isinstance(row.get("name"), str)
                ),
            )
    except ActionNeeded as exc:
        if exc.status not in {403, 404}:
            raise
        raise NotAvailable(
            "The key needs read:rbac_groups to list groups. Names are taken from activity instead.",
            code="optional_scope",
            repair="If groups without activity should have names too, create a "
            "key with both scopes and use Replace key.",
            provider_message=exc.provider_message,
            status=exc.status,
            request_id=exc.request_id,
        ) from None


# --- Slack channels ------------------------------------------------------------------------


def read_slack_channel_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _channel_pages(client, window, COST)


def read_slack_channel_usage(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _channel_pages(client, window, USAGE)


def _channel_pages(client: AnalyticsClient, window: Window, kind: MeasureSet) -> Iterator[Page]:
    """Each channel Claude worked in; what was outside Slack is left out."""
    reports, read = report_api_for(client), SnapshotGuard()
    by_day: dict[date, dict[str | None, Numbers]] = defaultdict(dict)
    yield from _documents(reports, window, kind, _CHANNEL, read, by_day)
    capped = _truncated_days(reports, by_day)
    if not capped:
        return
    records = []
    for part in kind.organization(reports)(window):
        read.check(part)
        for line in part.rows:
            if line.day in capped:
                known = zero_measures(kind.measures)
                for channel in by_day[line.day].values():
                    known = add_measures(known, channel)
                rest = line._replace(numbers=subtract_measures(line.numbers, known))
                if any(rest.numbers):
                    records.append(_record(kind, rest, NOT_ITEMIZED))
    yield Page(tuple(records), read.watermark, client.organization_id)


# --- Both ----------------------------------------------------------------------------------


def _documents(
    reports: ReportApi,
    window: Window,
    kind: MeasureSet,
    dimension: str,
    read: SnapshotGuard,
    by_day: dict[date, dict[str | None, Numbers]],
) -> Iterator[Page]:
    """One document per value and day; what was read is added to `found`, null as well."""
    for part in kind.organization(reports)(window, group_by=[dimension]):
        read.check(part)
        records = []
        for line in part.rows:
            (value,) = line.values
            _add(by_day[line.day], value, line.numbers)
            if value is not None or dimension == GROUP:
                records.append(_record(kind, line, value or NO_GROUP))
        yield Page(tuple(records), read.watermark, part.organization_id)


def _add(known: dict[str | None, Numbers], value: str | None, numbers: Numbers) -> None:
    known[value] = add_measures(known[value], numbers) if value in known else numbers


def _truncated_days(reports: ReportApi, by_day: dict[date, dict[str | None, Numbers]]) -> set[date]:
    """Return the days of which rows may have been cut off."""
    cap = reports.group_cap
    return {day for day, values in by_day.items() if cap is not None and len(values) >= cap}


def _record(kind: MeasureSet, line: ReportRow, subject: str) -> EngagementRecord:
    values = _known_values(kind.measures, line.numbers)
    return EngagementRecord(line.day, subject, None, values)


def _known_values(measures: Sequence[str], numbers: Numbers) -> dict[str, int | Decimal]:
    return {
        name: number for name, number in zip(measures, numbers, strict=True) if number is not None
    }
