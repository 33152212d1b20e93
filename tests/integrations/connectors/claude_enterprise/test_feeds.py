import gc
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.anthropic.parsing import day_of, usd
from integrations.connectors.base import NotAvailable, PayloadError, SnapshotMoved
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds import FEEDS
from integrations.connectors.claude_enterprise.feeds.days import closes_on, open_period
from integrations.connectors.claude_enterprise.report_api import LegacyReports
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    MeterKey,
    PersonRef,
    TotalRecord,
    UsageRecord,
)
from integrations.loading.spool import Spool, decode
from integrations.window import Window
from tests.integrations.connectors.wire import Script, access, error, ok

FIRST, SECOND = date(2026, 8, 1), date(2026, 8, 2)
ONE_DAY = Window(FIRST, SECOND)
TWO_DAYS = Window(FIRST, date(2026, 8, 3))
REFRESHED = "2026-08-22T08:00:00Z"
JANE = {
    "type": "user_actor",
    "user_id": "user_jane",
    "email": "jane@example.com",
    "name": "Jane Smith",
    "deleted": False,
}


def feed(name):
    return next(feed for feed in FEEDS if feed.name == name)


def read(name, transport, window=ONE_DAY):
    with AnalyticsClient(access(transport)) as client:
        return list(feed(name).read(client, window))


def records(name, transport, window=ONE_DAY):
    """Those of the feed itself: what comes along for another one is left out."""
    pages = read(name, transport, window)
    return [record for page in pages if not page.feed for record in page.records]


def reasons(name, transport, window=ONE_DAY):
    """Return why rows were kept out of a read that has no other row."""
    pages = list(read(name, transport, window))
    assert not any(page.records for page in pages)
    return [kept.reason for page in pages for kept in page.kept_out]


def lines_to_store(name, transport, window=ONE_DAY):
    """Return the lines loading makes of a read, before rows of one key are added up."""
    with Spool(window) as spool:
        for page in read(name, transport, window):
            spool.add(page)
        return [decode(line) for day in window for line in spool.day(day)]


def report(*rows, more=None, refreshed=REFRESHED):
    return ok(
        {
            "data": list(rows),
            "has_more": more is not None,
            "next_page": more,
            "data_refreshed_at": refreshed,
            "organization_id": "org_1",
        }
    )


def bucket(day, *rows):
    return {"starting_at": f"{day}T00:00:00Z", "results": list(rows)}


def cost(amount, list_amount=None, **dimensions):
    return {
        "amount": amount,
        "list_amount": list_amount or amount,
        "currency": "USD",
        **dimensions,
    }


def of(actor, row, day=FIRST):
    return {"actor": actor, "starting_at": f"{day}T00:00:00Z", **row}


# --- Money and days ------------------------------------------------------------------------


def test_cents_on_the_wire_are_dollars_in_the_record():
    script = Script(report(of(JANE, cost("41280.000000", "45866.666667", product="chat"))))

    (record,) = records("user_cost", script)

    assert record == CostRecord(
        FIRST,
        MeterKey(product="chat"),
        PersonRef("user_jane", "jane@example.com", "Jane Smith", "user", "active"),
        Decimal("412.80"),
        Decimal("458.66666667"),
    )


@given(st.integers(-(10**25), 10**25), st.integers(0, 12))
def test_dollars_are_a_hundredth_of_the_cents_to_the_last_digit(digits, places):
    cents = Decimal(f"{digits}E-{places}")

    assert int(usd(cents).scaleb(places + 2)) == digits


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1" * 1_100, "1e-1100"])
def test_what_is_no_amount_is_kept_out(amount):
    (reason,) = reasons("user_cost", Script(report(of(JANE, cost(amount)))))

    assert "amount" in reason or "number" in reason


def test_another_currency_is_kept_out_not_added():
    euros = {**cost("1"), "currency": "EUR"}

    (reason,) = reasons("user_cost", Script(report(of(JANE, euros))))

    assert "EUR" in reason


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        (date(2026, 10, 1), date(2026, 11, 8)),  # 7 days after October
        (date(2026, 10, 8), date(2026, 11, 8)),  # both rules agree
        (date(2026, 10, 9), date(2026, 11, 9)),  # 30 days after the 9th has ended
        (date(2026, 10, 31), date(2026, 12, 1)),
        (date(2026, 12, 31), date(2027, 1, 31)),
        (date(2026, 2, 1), date(2026, 3, 8)),
    ],
)
def test_a_day_closes_by_the_later_of_both_rules(day, closes):
    assert closes_on(day) == closes


@pytest.mark.parametrize(
    ("today", "start"),
    [
        (date(2026, 11, 9), date(2026, 10, 1)),  # all of last month until the 9th
        (date(2026, 11, 10), date(2026, 10, 10)),  # then 31 days
        (date(2026, 11, 30), date(2026, 10, 30)),
        (date(2026, 3, 1), date(2026, 1, 29)),  # 31 days reach before February
        (date(2027, 1, 5), date(2026, 12, 1)),
    ],
)
def test_the_open_period_reaches_through_today(today, start):
    assert open_period(today) == Window(start, today + timedelta(days=1))


@pytest.mark.parametrize(
    "instant", [None, "", "soon", "2026-08-01T01:00:00Z", "2026-08-01T00:00:00+02:00"]
)
def test_a_day_is_a_utc_midnight(instant):
    with pytest.raises(PayloadError):
        day_of(instant)


def test_a_day_nobody_asked_for_is_kept_out():
    assert reasons("user_cost", Script(report(of(JANE, cost("1"), day=SECOND))))


# --- Per user ------------------------------------------------------------------------------


def test_tokens_keep_their_kinds_apart():
    row = {
        "uncached_input_tokens": 1_284_500,
        "cache_read_input_tokens": 3_200_000,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "output_tokens": 891_000,
        "total_tokens": 5_377_000,
        "requests": 128,
        "server_tool_use": {"web_search_requests": 10},
        "product": "claude_code",
        "model": "claude-opus-4-8",
        "context_window": "0-200k",
        "inference_geo": "us",
        "speed": "fast",
    }

    (record,) = records("user_usage", Script(report(of(JANE, row))))

    assert record == UsageRecord(
        day=FIRST,
        meter=MeterKey(
            product="claude_code",
            model="claude-opus-4-8",
            attributes=(("context_window", "0-200k"), ("inference_geo", "us"), ("speed", "fast")),
        ),
        person=PersonRef("user_jane", "jane@example.com", "Jane Smith", "user", "active"),
        requests=128,
        uncached_input_tokens=1_284_500,
        cache_read_tokens=3_200_000,
        cache_write_5m_tokens=500,
        cache_write_1h_tokens=1000,
        output_tokens=891_000,
        web_searches=10,
    )


def test_unknown_requests_stay_unknown_and_missing_tokens_are_none_used():
    (record,) = records("user_usage", Script(report(of(JANE, {"requests": None}))))

    assert record.requests is None
    assert record.output_tokens == 0


@pytest.mark.parametrize(
    ("actor", "person"),
    [
        ({**JANE, "email": None, "email_address": "j@x.org"}, ("j@x.org", "user", "active")),
        ({**JANE, "deleted": True}, ("jane@example.com", "user", "deleted")),
        ({**JANE, "email": None, "deleted": True}, ("", "user", "deleted")),
        ({**JANE, "email": None, "name": "Claude Security"}, ("", "service", "active")),
    ],
)
def test_people_differ_from_services_and_deleted_accounts(actor, person):
    (record,) = records("user_cost", Script(report(of(actor, cost("1")))))

    assert record.person.external_id == "user_jane"
    assert (record.person.email, record.person.kind, record.person.state) == person


@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        ({"type": "service_account_actor", "service_account_id": "id_1"}, "service"),
        ({"type": "api_actor", "api_key_id": "id_1"}, "api_key"),
        ({"type": "federated_actor", "subject": "id_1", "provider": {"type": "oidc"}}, "federated"),
    ],
)
def test_other_actors_are_known_by_their_own_ids(actor, kind):
    (record,) = records("user_cost", Script(report(of(actor, cost("1")))))

    assert (record.person.external_id, record.person.kind) == ("id_1", kind)


@pytest.mark.parametrize("actor", [None, {"type": "federated_actor", "subject": None}])
def test_an_actor_nobody_can_name_is_left_to_the_unattributed_rest(actor):
    assert records("user_cost", Script(report(of(actor, cost("1"))))) == []


@pytest.mark.parametrize("spelling", ["claude-in-slack", "claude-tag", "claude_tag"])
def test_claude_tag_has_one_name(spelling):
    (record,) = records("user_cost", Script(report(of(JANE, cost("1", product=spelling)))))

    assert record.meter == MeterKey(product="claude_tag")


def test_the_first_slack_bot_is_another_product():
    (record,) = records("user_cost", Script(report(of(JANE, cost("1", product="claude_in_slack")))))

    assert record.meter == MeterKey(product="claude_in_slack")


def test_two_spellings_on_one_day_are_one_meter_and_a_repeated_page_counts_once():
    old, new = cost("100", product="claude-in-slack"), cost("50", product="claude-tag")
    script = Script(
        report(of(JANE, old), of(JANE, new), more="page_2"),
        report(of(JANE, old), of(JANE, new)),
    )

    lines = lines_to_store("user_cost", script)

    assert {line.meter for line in lines} == {lines[0].meter}
    assert sorted((line.effective_cost, line.list_cost) for line in lines) == [
        (Decimal("0.5"), Decimal("0.5")),
        (Decimal(1), Decimal(1)),
    ]


def test_a_null_dimension_is_an_empty_string():
    row = cost("1", product=None, model=None, cost_type="code_execution")

    (record,) = records("user_cost", Script(report(of(JANE, row))))

    assert record.meter == MeterKey(cost_type="code_execution")


def test_an_export_that_does_not_exist_yet_is_unknown():
    (page,) = read("user_cost", Script(report(refreshed=None)))

    assert page.watermark is None
    assert page.records == ()


# --- One export ----------------------------------------------------------------------------


@given(st.lists(st.sampled_from([REFRESHED, "2026-08-22T12:00:00Z", None]), min_size=2, max_size=5))
def test_pages_of_two_exports_are_never_mixed(marks):
    answers = [
        report(refreshed=mark, more=f"page_{number}" if number < len(marks) else None)
        for number, mark in enumerate(marks, start=1)
    ]

    if len(set(marks)) == 1:
        assert len(read("user_cost", Script(*answers))) == len(marks)
    else:
        with pytest.raises(SnapshotMoved):
            read("user_cost", Script(*answers))


def test_totals_and_lines_of_two_exports_are_never_mixed():
    script = Script(
        report(bucket(FIRST, cost("1"))),
        report(bucket(FIRST, cost("1")), refreshed="2026-08-22T12:00:00Z"),
    )

    with pytest.raises(SnapshotMoved):
        read("organization_cost", script)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=1, max_size=9),
    st.integers(1, 4),
)
def test_a_page_that_comes_again_counts_once_and_every_row_of_others_counts(pairs, size):
    rows = [of({**JANE, "user_id": user}, cost("7", model=model)) for user, model in pairs]
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    answers = [
        report(*chunk, more=f"page_{number}" if number < len(chunks) else None)
        for number, chunk in enumerate(chunks, start=1)
    ]

    stored = lines_to_store("user_cost", Script(*answers))

    pages = {tuple(pairs[start : start + size]) for start in range(0, len(pairs), size)}
    expected = sorted(pair for page in pages for pair in page)
    assert sorted((line.person.external_id, line.meter.model) for line in stored) == expected


def test_a_reader_of_many_rows_needs_no_more_memory_than_one_of_few():
    def peak(pages):
        def answer(request):
            gc.collect()  # answers are cycles, and wait for it
            number = int(request.url.params.get("page", "0"))
            rows = [of({**JANE, "user_id": f"{number}-{row}"}, cost("1")) for row in range(100)]
            return report(*rows, more=str(number + 1) if number + 1 < pages else None)

        gc.freeze()  # what was there before is not looked at
        tracemalloc.start()
        with AnalyticsClient(access(httpx.MockTransport(answer))) as client:
            for _ in feed("user_cost").read(client, ONE_DAY):
                pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        gc.unfreeze()
        return highest

    peak(1)  # fills the caches

    assert peak(30) < 1.5 * peak(5)


# --- Cost of the organization --------------------------------------------------------------


class Cap(httpx.BaseTransport):
    """An API over a few known lines of one day that returns only the dearest `cap` groups."""

    NAMES = (
        *("product", "model", "context_window", "inference_geo", "speed"),
        *("cost_type", "token_type"),
    )

    def __init__(self, lines, cap):
        self.lines = lines  # (values by name, cents)
        self.cap = cap
        self.queries = []

    def handle_request(self, request):
        params = request.url.params
        names = params.get_list("group_by[]")
        filters = {
            name: params.get_list(f"{name}s[]")
            for name in self.NAMES
            if params.get_list(f"{name}s[]")
        }
        self.queries.append((len(names), filters))
        groups = {}
        for values, cents in self.lines:
            if all(
                (values.get(name) or "not_available") in wanted for name, wanted in filters.items()
            ):
                key = tuple(values.get(name) for name in names)
                groups[key] = groups.get(key, Decimal()) + Decimal(cents)
        dearest = sorted(groups.items(), key=lambda item: -item[1])[: self.cap]
        rows = [cost(str(cents), **dict(zip(names, key, strict=True))) for key, cents in dearest]
        return report(bucket(FIRST, *rows))


def lines_of(read):
    return {r.meter: r.effective_cost for r in read if isinstance(r, CostRecord)}


def test_totals_come_first_and_lines_sum_to_them():
    script = Script(
        report(bucket(FIRST, cost("1000", "1250")), bucket(SECOND)),
        report(
            bucket(
                FIRST,
                cost("900", "1125", product="chat", cost_type="tokens"),
                cost("100", "125", cost_type="code_execution"),
            ),
            bucket(SECOND),
        ),
    )

    totals, lines = read("organization_cost", script, TWO_DAYS)

    assert totals.records == (
        TotalRecord(FIRST, "effective_cost", Decimal("10")),
        TotalRecord(FIRST, "list_cost", Decimal("12.5")),
        TotalRecord(SECOND, "effective_cost", Decimal("0")),
        TotalRecord(SECOND, "list_cost", Decimal("0")),
    )
    assert lines.records == (
        CostRecord(
            FIRST,
            MeterKey(product="chat", cost_type="tokens"),
            None,
            Decimal("9"),
            Decimal("11.25"),
        ),
        CostRecord(
            FIRST, MeterKey(cost_type="code_execution"), None, Decimal("1"), Decimal("1.25")
        ),
    )
    assert totals.watermark == lines.watermark == datetime(2026, 8, 22, 8, tzinfo=UTC)
    assert totals.organization_id == "org_1"


def test_an_empty_day_is_zero_only_where_the_export_covers_it():
    script = Script(report(bucket(FIRST), bucket(SECOND), refreshed="2026-08-01T20:00:00Z"))

    read_records = records("organization_cost", script, TWO_DAYS)

    assert {record.day for record in read_records} == {FIRST}
    assert {record.value for record in read_records} == {Decimal(0)}


def test_without_an_export_there_are_no_totals():
    totals, lines = read("organization_cost", Script(report(bucket(FIRST), refreshed=None)))

    assert totals.records == lines.records == ()
    assert totals.watermark is None


def test_a_complete_day_takes_two_requests():
    api = Cap([({"product": "chat"}, "5"), ({"product": "cowork"}, "3")], cap=2)

    read("organization_cost", api)

    assert len(api.queries) == 2


def test_what_was_cut_off_is_fetched_value_by_value():
    api = Cap(
        [
            ({"product": "chat", "model": "opus"}, "50"),
            ({"product": "chat", "model": "sonnet"}, "40"),
            ({"product": "cowork", "model": "opus"}, "5"),
            ({"product": "cowork", "model": "sonnet"}, "3"),
        ],
        cap=2,
    )

    rows = lines_of(records("organization_cost", api))

    assert rows == {
        MeterKey(product="chat", model="opus"): Decimal("0.50"),
        MeterKey(product="chat", model="sonnet"): Decimal("0.40"),
        MeterKey(product="cowork", model="opus"): Decimal("0.05"),
        MeterKey(product="cowork", model="sonnet"): Decimal("0.03"),
    }
    # Totals, all groups, without components, products, and the one product that was short.
    assert [filters for _, filters in api.queries] == [{}, {}, {}, {}, {"product": ["cowork"]}]


def test_groups_of_many_components_are_fetched_several_at_once(monkeypatch):
    """Six groups of three rows: eighteen rows a day, of which ten come back, in two queries."""
    monkeypatch.setattr(LegacyReports, "group_cap", 10)
    cents = iter(range(90, 0, -5))
    api = Cap(
        [
            (
                {"product": product, "model": model, "cost_type": "tokens", "token_type": kind},
                str(next(cents)),
            )
            for product in ("chat", "cowork")
            for model in ("opus", "sonnet", "haiku")
            for kind in ("output", "input", "cache")
        ],
        cap=10,
    )

    rows = lines_of(records("organization_cost", api))

    assert sorted(rows.values()) == [Decimal(cents) / 100 for cents in range(5, 95, 5)]
    # Of chat nothing lacks: it has the nine dearest rows.
    assert api.queries[2:] == [(5, {}), (7, {"product": ["cowork"]})]


def test_where_one_model_has_too_many_groups_it_is_cut_again(monkeypatch):
    monkeypatch.setattr(LegacyReports, "group_cap", 3)
    cents = iter((80, 70, 60, 50, 40, 30, 20, 10))
    api = Cap(
        [
            (
                {"product": "chat", "inference_geo": geo, "speed": speed, "model": model},
                str(next(cents)),
            )
            for geo in ("us", "global")
            for speed in ("fast", "standard")
            for model in ("opus", "haiku")
        ],
        cap=3,
    )

    rows = lines_of(records("organization_cost", api))

    assert sorted(rows.values()) == [Decimal(cents) / 100 for cents in range(10, 90, 10)]
    assert api.queries[-1][1].keys() == {"model", "speed"}


def test_rows_without_a_product_are_read_by_their_model():
    api = Cap(
        [
            ({"product": "chat", "model": "opus", "speed": "fast"}, "50"),
            ({"product": "chat", "model": "opus", "speed": "standard"}, "40"),
            ({"product": None, "model": "sonnet"}, "5"),
        ],
        cap=2,
    )

    rows = lines_of(records("organization_cost", api))

    assert rows[MeterKey(model="sonnet")] == Decimal("0.05")
    assert sum(rows.values()) == Decimal("0.95")
    assert api.queries[-1] == (7, {"model": ["sonnet"]})


def test_lines_without_a_region_have_a_filter_of_their_own(monkeypatch):
    monkeypatch.setattr(LegacyReports, "group_cap", 4)
    api = Cap(
        [
            ({"product": "chat", "inference_geo": "us", "speed": "fast"}, "50"),
            ({"product": "chat", "inference_geo": "us", "speed": "standard"}, "40"),
            ({"product": "chat", "inference_geo": None, "speed": "fast"}, "30"),
            ({"product": "chat", "inference_geo": None, "speed": "standard"}, "20"),
            ({"product": "chat", "inference_geo": None, "speed": None}, "5"),
        ],
        cap=4,
    )

    rows = lines_of(records("organization_cost", api))

    assert rows[MeterKey(product="chat")] == Decimal("0.05")
    assert api.queries[-1][1]["inference_geo"] == ["not_available"]


def test_what_nobody_can_itemize_stands_as_one_line():
    def answer(request):
        grouped = request.url.params.get_list("group_by[]")
        amount = "900" if grouped else "1000.000001"
        return report(bucket(FIRST, cost(amount, product="chat" if grouped else None)))

    rows = lines_of(records("organization_cost", Script(answer)))

    assert rows == {
        MeterKey(product="chat"): Decimal("9"),
        MeterKey(cost_type="not_itemized"): Decimal("1.00000001"),
    }


def test_an_api_that_never_adds_up_is_not_asked_for_ever():
    count = 0

    def answer(request):
        nonlocal count
        count += 1
        grouped = request.url.params.get_list("group_by[]")
        rows = [cost("1", **{name: f"{name}{number}" for name in grouped}) for number in range(100)]
        return report(bucket(FIRST, *rows) if grouped else bucket(FIRST, cost("1000")))

    read = lines_of(records("organization_cost", Script(answer)))

    assert sum(read.values()) == Decimal("10")
    assert count <= 100


# --- Activity ------------------------------------------------------------------------------


def user_row(**blocks):
    return {"user": {"id": "user_jane", "email_address": "jane@example.com"}, **blocks}


def test_every_number_of_a_user_is_kept_under_its_path():
    row = user_row(
        chat_metrics={"message_count": 42, "distinct_conversation_count": 0},
        claude_code_metrics={"core_metrics": {"lines_of_code": {"added_count": 812}}},
        cowork_metrics={"plugins_used_count": None, "is_new": True},
        brand_new_metrics={"share": 0.25},
        web_search_count=2,
        last_activity_date="2026-08-01",
        distinct_user_count=None,
    )

    (record,) = records("users", Script(ok({"data": [row], "next_page": None})))

    assert record == EngagementRecord(
        FIRST,
        "user_jane",
        PersonRef("user_jane", "jane@example.com"),
        {
            "chat_metrics.message_count": 42,
            "chat_metrics.distinct_conversation_count": 0,
            "claude_code_metrics.core_metrics.lines_of_code.added_count": 812,
            "brand_new_metrics.share": Decimal("0.25"),
            "web_search_count": 2,
        },
    )


def test_users_are_asked_for_day_by_day():
    script = Script(ok({"data": [], "next_page": None}))

    read("users", script, TWO_DAYS)

    assert [request.url.params.multi_items() for request in script.requests] == [
        [("date", "2026-08-01"), ("limit", "1000")],
        [("date", "2026-08-02"), ("limit", "1000")],
    ]


def test_a_page_of_users_that_is_sent_twice_counts_once():
    once = user_row(web_search_count=2)
    script = Script(
        ok({"data": [once], "next_page": "page_2"}), ok({"data": [once], "next_page": None})
    )

    assert len(records("users", script)) == 1


def test_a_user_in_two_rows_is_two_parts_and_never_new_data():
    script = Script(ok({"data": [user_row(), user_row()], "next_page": None}))

    assert len(records("users", script)) == 2


def test_summaries_keep_percentages_exact():
    entry = {
        "starting_at": "2026-08-01T00:00:00Z",
        "ending_at": "2026-08-02T00:00:00Z",
        "daily_active_user_count": 251,
        "daily_adoption_rate": 59.76,
        "assigned_seat_count": None,
    }
    script = Script(ok({"summaries": [entry]}))

    assert records("summaries", script) == [
        EngagementRecord(
            FIRST,
            "",
            None,
            {"daily_active_user_count": 251, "daily_adoption_rate": Decimal("59.76")},
        )
    ]


@pytest.mark.parametrize("name", ["summaries", "users"])
@time_machine.travel(datetime(2026, 8, 3, 1, tzinfo=UTC))
def test_today_is_never_asked_for(name):
    script = Script(ok({"data": []}))

    read(name, script, Window(SECOND, date(2026, 8, 5)))
    assert all("2026-08-04" not in str(request.url) for request in script.requests)

    with pytest.raises(NotAvailable):
        read(name, script, Window(date(2026, 8, 3), date(2026, 8, 4)))
    assert len(script.requests) == 1


@time_machine.travel(datetime(2026, 8, 20, 1, tzinfo=UTC))
def test_summaries_are_read_without_the_days_that_are_refused_as_too_recent():
    script = Script(error(400), error(400), ok({"summaries": []}))

    read("summaries", script, Window(FIRST, date(2026, 8, 21)))

    assert [request.url.params["ending_date"] for request in script.requests] == [
        "2026-08-20",
        "2026-08-19",
        "2026-08-18",
    ]


@time_machine.travel(datetime(2026, 8, 20, 1, tzinfo=UTC))
def test_days_that_stay_refused_are_not_available():
    script = Script(error(400))

    with pytest.raises(NotAvailable):
        read("summaries", script, Window(FIRST, date(2026, 8, 21)))
    with pytest.raises(NotAvailable):
        read("summaries", script, Window(FIRST, SECOND))

    assert len(script.requests) <= 6


@time_machine.travel(datetime(2026, 8, 20, 12, tzinfo=UTC))
def test_whether_the_idle_are_listed_with_zeros_or_left_out_changes_no_count_of_people():
    working = user_row(
        chat_metrics={"message_count": 3},
        office_metrics={"excel": {"message_count": 0}, "word": {"message_count": 2}},
        web_search_count=0,
    )
    idle = {
        "user": {"id": "user_omar"},
        "chat_metrics": {"message_count": 0},
        "office_metrics": {"excel": {"message_count": None}},
        "web_search_count": 0,
    }
    day = Window(date(2026, 8, 19), date(2026, 8, 20))

    def spans(*rows):
        return records("users_spans", Script(ok({"data": list(rows), "next_page": None})), day)

    assert [record.values for record in spans(working, idle)] == [
        {
            "distinct_user_count": 1,
            "chat_metrics.distinct_user_count": 1,
            "office_metrics.distinct_user_count": 1,
        }
    ] * 3
    assert spans(working, idle) == spans(working) == spans(idle, working, working)


# --- Items, groups and channels ------------------------------------------------------------


def record_of(name, *rows):
    """Return the only record of a row of such a feed."""
    (record,) = records(name, Script(ok({"data": list(rows), "next_page": None})))
    return record


def test_a_skill_keeps_its_id_its_name_and_its_estimates_in_dollars():
    record = record_of(
        "skills",
        {
            "skill_name": "skill_01abc",
            "skill_display_name": "Contract review",
            "distinct_user_count": 18,
            "chat_metrics": {"distinct_conversation_skill_used_count": 22},
            "office_metrics": {"excel": {"distinct_session_skill_used_count": 9}},
            "invocation_count": 57,
            "enable_count": None,
            "share_status": "organization",
            "estimated_overage_spend": "1250",
            "attributed_list_price": "3120.75",
            "currency": "USD",
        },
    )

    assert (record.subject, record.name, record.person, record.days) == (
        *("skill_01abc", "Contract review", None, 1),
    )
    assert record.values == {
        "distinct_user_count": 18,
        "chat_metrics.distinct_conversation_skill_used_count": 22,
        "office_metrics.excel.distinct_session_skill_used_count": 9,
        "invocation_count": 57,
        "estimated_overage_spend_usd": Decimal("12.50"),
        "attributed_list_price_usd": Decimal("31.2075"),
    }


def test_estimates_of_a_skill_that_are_null_are_unknown_and_in_euros_are_kept_out():
    row = {"skill_name": "xlsx", "estimated_overage_spend": None, "currency": None}
    assert record_of("skills", row).values == {}

    for amount, currency, reason in (("1", "EUR", "EUR"), ("many", "USD", "not a number")):
        broken = {**row, "estimated_overage_spend": amount, "currency": currency}
        (kept,) = reasons("skills", Script(ok({"data": [broken], "next_page": None})))
        assert reason in kept


def test_a_connector_is_known_by_its_normalized_name():
    record = record_of(
        "connectors",
        {
            "connector_name": "mcpsrv_01",
            "connector_display_name": "Internal wiki",
            "distinct_user_count": 64,
            "read_call_count": 910,
            "write_call_count": 0,
            "managed_auth_distinct_user_count": None,
        },
    )

    assert (record.subject, record.name) == ("mcpsrv_01", "Internal wiki")
    assert record.values == {
        "distinct_user_count": 64,
        "read_call_count": 910,
        "write_call_count": 0,
    }


def test_a_plugin_is_known_by_its_id_and_unnamed_ones_by_their_common_name():
    named = {"plugin_name": "serena", "plugin_id": "serena@claude-plugins-official"}
    record = record_of("plugins", {**named, "install_count": 2, "invocation_count": 88})
    assert (record.subject, record.name) == ("serena@claude-plugins-official", "serena")
    assert record.values == {"install_count": 2, "invocation_count": 88}

    unnamed = record_of("plugins", {"plugin_name": "third-party", "plugin_id": None})
    assert (unnamed.subject, unnamed.name) == ("third-party", "third-party")


def test_artifacts_differ_by_type_and_by_being_shared():
    made = {"artifact_type": "text/markdown", "artifacts_created_count": 37}

    private = record_of("artifacts", {**made, "is_shared": False})
    shared = record_of("artifacts", {**made, "is_shared": True})

    assert (private.subject, shared.subject) == ("text/markdown|private", "text/markdown|shared")
    assert private.name == "text/markdown"
    assert private.values == {"artifacts_created_count": 37}


def test_a_project_keeps_its_name_and_not_who_made_it():
    record = record_of(
        "projects",
        {
            "project_id": "claude_proj_01",
            "project_name": "Q3 pricing",
            "message_count": 64,
            "distinct_user_count": 5,
            "distinct_conversation_count": None,
            "created_at": "2026-06-02T14:11:09Z",
            "created_by": {"id": "user_jane", "email_address": "jane@example.com"},
        },
    )

    assert (record.subject, record.name, record.person) == ("claude_proj_01", "Q3 pricing", None)
    assert record.values == {"message_count": 64, "distinct_user_count": 5}


@time_machine.travel(datetime(2026, 8, 20, 12, tzinfo=UTC))
def test_spans_of_items_end_with_the_newest_day_and_carry_their_length():
    def answer(request):
        params = request.url.params
        start, end = (date.fromisoformat(params[f"{name}_date"]) for name in ("starting", "ending"))
        return ok({"data": [{"skill_name": "xlsx", "distinct_user_count": (end - start).days}]})

    read_records = records(
        "skills_spans", Script(answer), Window(date(2026, 8, 19), date(2026, 8, 20))
    )

    assert [(r.day, r.days, r.values["distinct_user_count"]) for r in read_records] == [
        (date(2026, 8, 19), days, days) for days in (7, 30, 90)
    ]


def test_slack_channels_stand_for_themselves_and_what_is_outside_is_left_out():
    rows = [cost("700", slack_channel_id="C0HELP"), cost("9000", slack_channel_id=None)]

    (record,) = records("slack_channel_cost", Script(report(bucket(FIRST, *rows))))

    assert (record.subject, record.person) == ("C0HELP", None)
    assert record.values == {"effective_cost": Decimal("7"), "list_cost": Decimal("7")}


def test_slack_channels_beyond_the_cap_stand_as_one_line(monkeypatch):
    """Two groups come back of the day's 30 dollars; the second day is whole."""
    monkeypatch.setattr(LegacyReports, "group_cap", 2)

    def answer(request):
        if not request.url.params.get_list("group_by[]"):
            return report(bucket(FIRST, cost("3000")), bucket(SECOND, cost("500")))
        first = [cost("1200", slack_channel_id="C0HELP"), cost("1000", slack_channel_id=None)]
        return report(bucket(FIRST, *first), bucket(SECOND, cost("500", slack_channel_id="C0DATA")))

    read_records = records("slack_channel_cost", Script(answer), TWO_DAYS)

    assert [(r.day, r.subject, r.values["effective_cost"]) for r in read_records] == [
        (FIRST, "C0HELP", Decimal("12")),
        (SECOND, "C0DATA", Decimal("5")),
        (FIRST, "not_itemized", Decimal("8")),
    ]


def test_who_is_in_no_group_is_a_subject_of_its_own():
    rows = [
        cost("100", rbac_group_id="rbac_group_1"),
        cost("250", rbac_group_id=None),
    ]

    read_records = records("group_cost", Script(report(bucket(FIRST, *rows))))

    assert {r.subject: r.values["effective_cost"] for r in read_records} == {
        "rbac_group_1": Decimal("1"),
        "no_group": Decimal("2.5"),
    }


# --- Items by person, product and group ----------------------------------------------------


def used(user, product, **numbers):
    return {"connector_name": "github", "user_id": user, "product": product, **numbers}


def listing(*rows, cursor=None):
    return ok({"data": list(rows), "next_page": cursor})


def test_one_answer_by_person_and_product_holds_the_whole_as_well():
    script = Script(
        listing(
            used("user_jane", "chat", distinct_user_count=1, read_call_count=5, write_call_count=1),
            used(
                "user_jane", "cowork", distinct_user_count=1, read_call_count=2, write_call_count=0
            ),
            cursor="page_2",
        ),
        listing(
            used(
                "user_omar", "chat", distinct_user_count=1, read_call_count=4, write_call_count=None
            )
        ),
    )

    pages = read("connectors", script)

    by_person = [(page.feed, record) for page in pages[:-1] for record in page.records]
    assert {feed for feed, _ in by_person} == {"connectors_by_person"}
    assert [
        (r.subject, r.person.external_id, dict(r.labels), r.values["read_call_count"])
        for _, r in by_person
    ] == [
        ("github|user_jane|chat", "user_jane", {"item": "github", "service": "chat"}, 5),
        ("github|user_jane|cowork", "user_jane", {"item": "github", "service": "cowork"}, 2),
        ("github|user_omar|chat", "user_omar", {"item": "github", "service": "chat"}, 4),
    ]
    (whole,) = pages[-1].records
    assert (pages[-1].feed, whole.subject, whole.person, whole.labels) == ("", "github", None, {})
    # Two people, though one of them in two products; writes are not known of everybody.
    assert whole.values == {"distinct_user_count": 2, "read_call_count": 11}
    asked = script.requests[0].url.params.get_list("group_by[]")
    assert (asked, len(script.requests)) == (["user_id", "product"], 2)


def test_a_block_that_few_people_have_is_added_where_it_is():
    """Jane has Chat and Cowork in one, Omar does not: his rows lack the block."""
    unified = {"chat": {"distinct_conversation_connector_used_count": 3}}
    own = {"distinct_conversation_connector_used_count": 2}

    (whole,) = records(
        "connectors",
        Script(
            listing(
                used(
                    "user_jane",
                    "chat_cowork_unified",
                    chat_cowork_unified_metrics=unified,
                    chat_metrics={"distinct_conversation_connector_used_count": 0},
                ),
                used("user_omar", "chat", chat_metrics=own),
            )
        ),
    )

    path = "chat.distinct_conversation_connector_used_count"
    assert whole.values == {
        f"chat_cowork_unified_metrics.{path}": 3,
        "chat_metrics.distinct_conversation_connector_used_count": 2,
    }


def test_artifacts_are_asked_for_without_products_where_the_api_does_not_know_them():
    made = {"artifact_type": "text/html", "is_shared": False, "user_id": "user_jane"}

    def answer(request):
        if "product" in request.url.params.get_list("group_by[]"):
            return error(400, "invalid_request_error", "group_by[]: unknown.")
        return listing({**made, "artifacts_created_count": 4, "distinct_user_count": 1})

    script = Script(answer)
    with AnalyticsClient(access(script)) as client:
        first = list(feed("artifacts").read(client, ONE_DAY))
        second = list(feed("artifacts").read(client, ONE_DAY))

    # One more finds out that it is not too large. The second read knows.
    assert len(script.requests) == 4
    for *_, cut, whole in (first, second):
        (record,) = cut.records
        assert record.labels == {"item": "text/html|private", "service": "not_read"}
        assert [r.values for r in whole.records] == [
            {"artifacts_created_count": 4, "distinct_user_count": 1}
        ]


def test_a_day_that_is_too_recent_for_every_cut_is_not_available():
    with pytest.raises(NotAvailable):
        read("artifacts", Script(error(400, "invalid_request_error", "Not yet available.")))


def test_items_by_group_overlap_and_bring_the_names_of_groups():
    rows = [
        {"skill_name": "xlsx", "rbac_group_id": "g1", "rbac_group_name": "Legal"},
        {"skill_name": "xlsx", "rbac_group_id": None, "rbac_group_name": None},
    ]

    (page,) = read(
        "skills_by_group", Script(listing(*({**r, "invocation_count": 7} for r in rows)))
    )

    assert [(r.subject, dict(r.labels), r.person) for r in page.records] == [
        ("xlsx|g1", {"item": "xlsx", "rbac_group_id": "g1"}, None),
        ("xlsx|", {"item": "xlsx", "rbac_group_id": ""}, None),
    ]
    assert [(one.external_id, one.name) for one in page.resources] == [("g1", "Legal")]


@pytest.mark.parametrize(
    ("block", "surface"),
    [
        ({"chat_cowork_unified_metrics": {"chat": {"message_count": 1}}}, "chat"),
        ({"chat_cowork_unified_metrics": {"sessions": {"action_count": 1}}}, "cowork"),
        ({"science_metrics": {"delegation_count": 1}}, "science"),
        ({"claude_tag_metrics": {"active_message_count": 1}}, "claude_tag"),
        ({"chat_metrics": {"message_count": 1}}, "chat"),
    ],
)
def test_what_members_did_is_activity_in_one_product(block, surface):
    row = {"user": {"id": "user_jane"}, **block}
    (record,) = records("users", Script(listing(row)))

    surfaces = feed("users").surfaces
    active = {name for name, paths in surfaces.items() if any(map(record.values.get, paths))}
    assert active == {surface}


def test_slack_channels_have_tokens_too():
    row = {"slack_channel_id": "C0HELP", "output_tokens": 50, "requests": 3}

    (record,) = records("slack_channel_usage", Script(report(bucket(FIRST, row))))

    assert (record.subject, record.values["output_tokens"], record.values["requests"]) == (
        *("C0HELP", 50, 3),
    )
