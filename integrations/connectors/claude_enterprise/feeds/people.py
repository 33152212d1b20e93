"""Cost and tokens per user: the part of the organization's that user accounts stand for."""

from collections.abc import Iterator
from datetime import date

from integrations.connectors.anthropic_api.actors import person_of
from integrations.connectors.anthropic_api.lines import CLAUDE_TAG, Numbers, meter_of, plus
from integrations.connectors.anthropic_api.rows import Read
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.dialects import reports_of
from integrations.connectors.claude_enterprise.feeds.metered import COST, USAGE, Kind
from integrations.connectors.records import MeterKey, Page, PersonRef, Record
from integrations.window import Window


def read_user_cost(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _pages(client, window, COST)


def read_user_usage(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    return _pages(client, window, USAGE)


def _pages(client: AnalyticsClient, window: Window, kind: Kind) -> Iterator[Page]:
    """One page per answer, and a last one for the product that may come in two spellings."""
    read = Read()
    renamed: dict[tuple[date, MeterKey, PersonRef], Numbers] = {}
    organization_id = ""
    for part in kind.people(reports_of(client))(window, group_by=kind.cut):
        read.check(part)
        organization_id = part.organization_id
        records: list[Record] = []
        for day, actor, values, numbers in part.lines:
            person = person_of(actor)
            # As sent: two spellings are two rows.
            if person is None or not read.is_new((day, person.external_id, *values), numbers):
                continue
            meter = meter_of(kind.cut, values)
            if meter.product == CLAUDE_TAG:
                place = (day, meter, person)
                renamed[place] = plus(renamed[place], numbers) if place in renamed else numbers
            else:
                records.append(kind.record(day, meter, person, *numbers))
        yield Page(tuple(records), read.watermark, organization_id)
    if renamed:
        records = [kind.record(*place, *numbers) for place, numbers in renamed.items()]
        yield Page(tuple(records), read.watermark, organization_id)
