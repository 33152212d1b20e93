"""Cost and usage are the same facts in both API variants."""

from collections import Counter
from datetime import UTC, date, datetime

import httpx
import pytest
import time_machine

from integrations.connectors import get_connector
from integrations.connectors.base import Access
from integrations.connectors.records import EngagementRecord, TotalRecord
from integrations.window import Window
from sandbox.claude_enterprise import Sandbox

CONNECTOR = get_connector("claude-enterprise")
CAMPUS = "sk-ant-api01-sandbox-campus"  # in the beta: may use both
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
DAYS = Window(date(2026, 11, 17), date(2026, 11, 19))
REPORTED = [feed for feed in CONNECTOR.feeds if feed.is_metered or feed.exported]


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOW, tick=False):
        yield


def read(feed, api_variant, requests=None):
    access = Access(
        key=CAMPUS,
        base_url="http://sandbox",
        transport=httpx.WSGITransport(app=Sandbox()),
        observe=(requests if requests is not None else []).append,
        options={"dialect": api_variant} if api_variant else {},
    )
    with CONNECTOR.open(access) as client:
        return [record for page in feed.read(client, DAYS) for record in page.records]


def facts(records):
    """Return records as a multiset, since their order has no meaning."""
    return Counter(
        (r.day, r.subject, tuple(sorted(r.values.items())))
        if isinstance(r, EngagementRecord)
        else r
        for r in records
    )


@pytest.mark.parametrize("feed", REPORTED, ids=lambda feed: feed.name)
def test_both_api_variants_bring_the_same_facts(feed):
    reports, beta_reports = read(feed, "reports"), read(feed, "successors")

    assert reports
    assert facts(reports) == facts(beta_reports)


@pytest.mark.parametrize("feed", REPORTED, ids=lambda feed: feed.name)
@pytest.mark.parametrize(
    ("api_variant", "newer"), [("", False), ("reports", False), ("successors", True)]
)
def test_only_the_detected_api_variant_is_used(feed, api_variant, newer):
    requests = []
    read(feed, api_variant, requests)

    asked = {request.path.rsplit("/", 1)[1] for request in requests} - {"users"}
    assert asked <= ({"cost", "usage"} if newer else REPORTS)


REPORTS = {"cost_report", "usage_report", "user_cost_report", "user_usage_report"}


def test_groups_beyond_the_hundredth_are_asked_for_by_id():
    feed = CONNECTOR.feed("group_cost")

    groups = {(r.day, r.subject) for r in read(feed, "reports")}

    assert len(groups) > 200  # over two days


def test_groups_overlap_and_are_no_part_of_any_total():
    (total,) = [
        r.value
        for r in read(CONNECTOR.feed("organization_cost"), "successors")
        if isinstance(r, TotalRecord) and (r.day, r.measure) == (DAYS.start, "effective_cost")
    ]
    groups = [
        r.values["effective_cost"]
        for r in read(CONNECTOR.feed("group_cost"), "successors")
        if r.day == DAYS.start
    ]

    assert max(groups) < total < sum(groups)  # everybody is in two of them


def test_rows_beyond_the_cap_are_read_with_few_requests():
    requests = []
    read(CONNECTOR.feed("organization_cost"), "reports", requests)
    reports = len(requests)
    read(CONNECTOR.feed("organization_cost"), "successors", requests)

    assert len(requests) - reports == 2  # totals, and one page of lines
    assert reports <= 12
