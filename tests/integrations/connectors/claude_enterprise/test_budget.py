"""How many requests an import takes, beside the fewest that the sizes of pages allow."""

from collections import Counter
from datetime import UTC, datetime
from math import ceil

import httpx
import pytest
import time_machine

from integrations.connectors import get_connector
from integrations.connectors.base import Access, NotAvailable
from integrations.connectors.records import TotalRecord
from integrations.window import Window
from sandbox.claude_enterprise import Sandbox

CONNECTOR = get_connector("claude-enterprise")
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
MY_ORG, LABS, CAMPUS, *_ = Sandbox.keys
GROUPS, ROWS = 100, 1000  # what an answer holds: of each day, or in all
CUT = ("product", "model", "context_window", "inference_geo", "speed")
EXPORTED = [feed for feed in CONNECTOR.feeds if feed.exported]
ASKED = [feed for feed in CONNECTOR.feeds if not feed.filled_by]
BY_DAY = [feed for feed in ASKED if feed.is_daily_batch and feed.window_days == 1]


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOW, tick=False):
        yield


def read(feed, days, key, api_variant="reports"):
    """Return (requests, records) of each window; the connection keeps what a window learns."""
    counts = []
    options = {"dialect": api_variant}
    for window in feed.windows(days):
        requests, records = [], []
        access = Access(
            key=key,
            base_url="http://sandbox",
            transport=httpx.WSGITransport(app=Sandbox()),
            observe=requests.append,
            options=options,
            learn=lambda name, value, table: options.update({name: value}),
        )
        with CONNECTOR.open(access) as client:
            try:
                for page in feed.read(client, window):
                    records += page.records
            except NotAvailable:
                pass
        counts.append((len(requests), records))
    return counts


def fewest(feed, records, api_variant="reports"):
    """Pages of what came, were each of them full; and the totals of the organization."""
    lines = [record for record in records if not isinstance(record, TotalRecord)]
    if feed.grain == "person":
        # The parts of a price come along with their row.
        rows = {(r.day, r.person, *_dimensions(r.meter)) for r in lines}
        return max(1, ceil(len(rows) / ROWS))
    totals = 1 if feed.is_metered else 0
    if api_variant == "successors":
        rows = {
            (r.day, *_dimensions(r.meter)) if feed.is_metered else r for r in map(_hashable, lines)
        }
        return totals + max(1, ceil(len(rows) / ROWS))
    fullest = max(Counter(record.day for record in lines).values(), default=0)
    return totals + max(1, ceil(fullest / GROUPS))


def _dimensions(meter):
    attributes = dict(meter.attributes)
    return tuple(attributes.get(name) or getattr(meter, name, "") for name in CUT)


def _hashable(record):
    return record if hasattr(record, "meter") else (record.day, record.subject)


def test_90_days_of_a_small_company_take_no_request_too_many():
    days = Window.last(90, today=NOW.date())

    asked = {feed.name: sum(count for count, _ in read(feed, days, LABS)) for feed in ASKED}

    spans = [name for name in asked if name.endswith("_spans")]
    assert asked == {
        "summaries": 1,
        "groups": 1,
        **dict.fromkeys([feed.name for feed in EXPORTED], 3),  # 31, 31 and 28 days
        "organization_cost": 6,  # totals and lines
        "organization_usage": 6,
        **dict.fromkeys(spans, 3),  # 7, 30 and 90 days
        **dict.fromkeys([feed.name for feed in BY_DAY], 89),  # today is not there yet
    }


@pytest.mark.parametrize(("key", "api_variant"), [(MY_ORG, "reports"), (CAMPUS, "successors")])
def test_a_larger_company_takes_at_most_a_twentieth_more_than_the_fewest(key, api_variant):
    """Both have more than 100 combinations a day, and thousands of rows of people."""
    days = Window.last(20, today=NOW.date())
    asked = smallest = len(BY_DAY) * 19  # one each, as above
    for feed in EXPORTED:
        for count, records in read(feed, days, key, api_variant):
            asked += count
            smallest += fewest(feed, records, api_variant)

    assert smallest <= asked <= 1.05 * smallest
