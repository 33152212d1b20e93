"""What every connector promises to `sync`, tested on the emulator of its API."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import time_machine

from integrations.connectors import connectors, get_connector
from integrations.connectors.base import (
    Access,
    ActionNeeded,
    ConnectorError,
    Feed,
    Table,
    TransientError,
)
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    MeterKey,
    TotalRecord,
    UsageRecord,
)
from integrations.window import Window
from tests.integrations.connectors.emulators import emulator
from tests.integrations.connectors.wire import Faulty, everything_about
from tests.waiting import replace_sleep

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)  # a Friday
TODAY = NOW.date()
DAYS = Window(date(2026, 11, 16), date(2026, 11, 19))  # Monday to Wednesday, long complete
RECORD = {
    Table.COST: CostRecord,
    Table.USAGE: UsageRecord,
    Table.ENGAGEMENT: EngagementRecord,
}
FEEDS: list[tuple[Any, Feed]] = [
    (connector, feed) for connector in connectors().values() for feed in connector.feeds
]


class Enrolled:
    """Connector as enrolled organizations have it, whose test chose the other API variant."""

    def __init__(self, slug, key, **options):
        self._connector = get_connector(slug)
        self._key = key
        self._options = options
        self.variant = "-".join(options.values())

    def __getattr__(self, name):
        return getattr(self._connector, name)

    def open(self, access):
        key = self._key if access.key in emulator(self._connector).keys else access.key
        return self._connector.open(replace(access, key=key, options=self._options))


FEEDS += [
    (connector, feed)
    for connector in (
        Enrolled("claude-console", "sk-ant-admin01-sandbox-my-org", api_variant="successors"),
    )
    for feed in connector.feeds
    if feed.is_metered
]


def variant(connector):
    return [connector.variant] if isinstance(connector, Enrolled) else []


def over(feeds):
    return pytest.mark.parametrize(
        ("connector", "feed"),
        [
            pytest.param(
                connector, feed, id="-".join([connector.slug, *variant(connector), feed.name])
            )
            for connector, feed in feeds
        ],
    )


every_feed = over(FEEDS)
every_feed_of_days = over((connector, feed) for connector, feed in FEEDS if feed.has_days)
every_feed_of_names = over((connector, feed) for connector, feed in FEEDS if not feed.has_days)
every_connector = pytest.mark.parametrize(
    "connector", [pytest.param(connector, id=slug) for slug, connector in connectors().items()]
)


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch):
    replace_sleep(monkeypatch, lambda seconds: None)


def access_to(connector, key="", requests=None, **options):
    app = emulator(connector)
    return Access(
        **{
            "key": key or app.keys[0],
            "base_url": "http://sandbox",
            "transport": httpx.WSGITransport(app=app),
            "observe": (requests if requests is not None else []).append,
            **options,
        }
    )


def pages(connector, feed, days=DAYS, key="", **options):
    with connector.open(access_to(connector, key, **options)) as client:
        return [
            page
            for window in feed.windows(days)
            for page in feed.read(client, window)
            if not page.feed  # what comes along for another feed is tested with that one
        ]


def read(connector, feed, days=DAYS, key="", **options):
    return [
        record for page in pages(connector, feed, days, key, **options) for record in page.records
    ]


@every_feed_of_days
def test_a_feed_brings_every_day_of_its_window_and_no_other(connector, feed):
    asked = {day for window in feed.windows(DAYS) for day in window}

    assert {record.day for record in read(connector, feed)} == asked


@every_feed_of_names
def test_a_feed_of_names_brings_names_and_no_numbers(connector, feed):
    read = pages(connector, feed)

    names = {
        (ref.kind, ref.external_id): ref.name
        for page in read
        for ref in (*page.people, *page.resources)
    }
    assert names
    assert any(names.values())
    assert not any(page.records for page in read)


@every_feed_of_days
def test_a_feed_brings_records_of_its_table_at_its_grain(connector, feed):
    records = [r for r in read(connector, feed) if not isinstance(r, TotalRecord)]

    assert {type(record) for record in records} == {RECORD[feed.table]}
    has_person = {record.person is not None for record in records}
    if feed.is_metered or feed.grain == "total":
        assert has_person == {feed.grain == "person"}
    else:  # documents of people may have more dimensions, and then include use without a person
        assert True in has_person


@every_feed_of_days
def test_a_line_comes_once(connector, feed):
    keys = [
        (
            r.day,
            getattr(r, "days", 1),
            getattr(r, "meter", None) or getattr(r, "subject", ""),
            r.person,
        )
        for r in read(connector, feed)
        if not isinstance(r, TotalRecord)
    ]

    assert len(set(keys)) == len(keys)


@every_feed
def test_two_reads_of_one_export_are_equal(connector, feed):
    assert pages(connector, feed) == pages(connector, feed)


@every_feed
def test_nothing_is_asked_before_the_reader_wants_it(connector, feed):
    requests = []
    with connector.open(access_to(connector, requests=requests)) as client:
        reading = feed.read(client, feed.windows(DAYS)[0])
        assert len(requests) == 0

        next(reading)

        assert len(requests) == 1


@every_feed
def test_a_read_names_one_instant_up_to_which_it_is_complete(connector, feed):
    marks = {page.watermark for page in pages(connector, feed)}

    assert len(marks) == 1
    assert None not in marks or not (feed.is_metered or feed.exported)


FAULTS = {
    "outage": lambda request: httpx.Response(503),
    "busy": lambda request: httpx.Response(429, headers={"retry-after": "1"}),
}  # cut bodies and dead cursors: see `test_tolerance.py`


@every_feed
@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_passing_fault_anywhere_in_a_read_changes_nothing(connector, feed, fault):
    requests = []
    clean = pages(connector, feed, requests=requests)

    for number in {1, len(requests) // 2 + 1, len(requests)}:
        faulty = Faulty(emulator(connector), {number: fault})
        assert pages(connector, feed, transport=faulty) == clean


@every_feed
@pytest.mark.parametrize("status", [401, 403, 413])
def test_a_lasting_fault_anywhere_in_a_read_is_an_error_and_not_half_a_read(
    connector, feed, status
):
    requests = []
    read(connector, feed, requests=requests)

    for number in {1, len(requests) // 2 + 1, len(requests)}:
        faulty = Faulty(emulator(connector), {number: lambda request: httpx.Response(status)})
        with pytest.raises(ConnectorError):
            read(connector, feed, transport=faulty)


def measured(record, measure):
    if measure != "total_tokens":
        return getattr(record, measure)
    return sum(getattr(record, n) for n in record.__struct_fields__ if n.endswith("_tokens"))


@every_connector
def test_lines_of_the_whole_organization_sum_to_the_reported_totals(connector):
    for feed in connector.feeds:
        if feed.grain != "total" or not feed.is_metered:
            continue
        reported, summed = {}, defaultdict(Decimal)
        for record in read(connector, feed):
            if isinstance(record, TotalRecord):
                reported[record.day, record.measure] = record.value
        for record in read(connector, feed):
            if not isinstance(record, TotalRecord):
                for day, measure in reported:
                    if day == record.day:
                        summed[day, measure] += measured(record, measure)
        assert reported
        assert summed == reported


@every_connector
def test_people_never_cost_more_than_the_organization(connector):
    rest: dict[tuple[date, MeterKey], Decimal] = defaultdict(Decimal)
    for feed in connector.feeds:
        if feed.table is Table.COST:
            sign = 1 if feed.grain == "total" else -1
            for record in read(connector, feed):
                if isinstance(record, CostRecord):
                    rest[record.day, record.meter] += sign * record.effective_cost

    assert rest
    assert min(rest.values()) >= 0
    assert max(rest.values()) > 0  # something is not attributed to anybody


@every_connector
def test_the_probe_recognizes_each_organization(connector):
    results = [
        connector.probe(access_to(connector, key, attempts=1), today=TODAY)
        for key in emulator(connector).keys
    ]

    assert len({probe.organization_id for probe in results}) == len(results)
    for probe in results:
        assert probe.organization_id
        assert {check.state for check in probe.checks} <= {"passed", "info", "limited"}


@every_connector
def test_a_probe_is_thirty_requests_at_most(connector):
    """It asks each question of an import once, so at one a second it takes seconds."""
    requests = []

    connector.probe(access_to(connector, requests=requests), today=TODAY)

    assert len(requests) <= 30


def failing_keys():
    return [
        pytest.param(connector, key, id=key)
        for connector in connectors().values()
        for key in emulator(connector).failing_keys
    ]


@pytest.mark.parametrize(("connector", "key"), failing_keys())
def test_a_failing_key_says_what_is_wrong_and_what_to_do(connector, key):
    with pytest.raises((ActionNeeded, TransientError)) as caught:
        connector.probe(access_to(connector, key, attempts=1), today=TODAY)

    problem = caught.value
    assert str(problem).endswith(".")
    assert problem.repair.endswith(".")
    assert problem.code
    assert problem.provider_message
    assert problem.request_id
    assert problem.status


@every_connector
def test_each_failure_has_its_own_sentence(connector):
    sentences = set()
    for key in emulator(connector).failing_keys:
        with pytest.raises(ConnectorError) as caught:
            connector.probe(access_to(connector, key, attempts=1), today=TODAY)
        sentences.add(str(caught.value))

    assert len(sentences) == len(emulator(connector).failing_keys)


@pytest.mark.parametrize(("connector", "key"), failing_keys())
def test_no_exception_holds_the_key(connector, key):
    for feed in connector.feeds:
        with (
            pytest.raises(ConnectorError) as caught,
            connector.open(access_to(connector, key, attempts=2)) as client,
        ):
            list(feed.read(client, feed.windows(DAYS)[0]))

        assert key not in everything_about(caught.value)


@every_connector
def test_logged_requests_do_not_hold_the_key(connector):
    requests = []
    access = access_to(connector, requests=requests)

    connector.probe(access, today=TODAY)

    assert access.key not in repr(requests)
    assert access.key not in repr(access)
    with connector.open(access) as client:
        assert access.key not in repr(client)


@every_connector
def test_keys_of_the_sandbox_look_right_and_others_are_refused_unsent(connector):
    app = emulator(connector)
    for key in (*app.keys, *app.failing_keys):
        connector.check_key(key)
    for key in ("", "hello", connector.key_prefix, f"{connector.key_prefix}abc def", "ключ"):
        with pytest.raises(ActionNeeded) as caught:
            connector.check_key(key)
        assert caught.value.repair
        assert not key or key == connector.key_prefix or key not in everything_about(caught.value)


@every_feed_of_days
def test_what_can_still_change_is_read_again_until_it_cannot(connector, feed):
    for today in (date(2026, 11, 1), date(2026, 11, 8), date(2026, 11, 9), date(2026, 11, 30)):
        yesterday = today - timedelta(days=1)
        assert yesterday in feed.refresh_days(today)
        assert feed.closes_on(yesterday) > today
        if feed.is_metered or feed.exported:
            # On the day it closes, a day is still read: then it is final.
            closing = [
                day
                for day in Window.last(70, today=today)
                if day < today and feed.closes_on(day) >= today
            ]
            assert set(closing) <= set(feed.refresh_days(today))


@every_connector
def test_history_reaches_back_at_least_90_days(connector):
    assert connector.earliest_day(TODAY) <= TODAY - timedelta(days=90)


@every_connector
def test_feeds_have_distinct_names(connector):
    names = [feed.name for feed in connector.feeds]

    assert len(set(names)) == len(names)
    assert [connector.feed(name) for name in names] == list(connector.feeds)
    assert connector.feed("of an older release") is None


@every_connector
def test_what_comes_along_is_what_its_own_feed_reads(connector):
    for feed in connector.feeds:
        for other in connector.filled_by(feed):
            with connector.open(access_to(connector)) as client:
                came = [
                    record
                    for window in feed.windows(DAYS)
                    for page in feed.read(client, window)
                    if page.feed == other.name
                    for record in page.records
                ]
            assert came
            assert sorted(came, key=repr) == sorted(read(connector, other), key=repr)
