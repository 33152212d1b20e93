"""`/analytics/cost` and `/analytics/usage`, as a client of either product asks them."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from integrations.connectors.anthropic import beta_reports
from integrations.connectors.anthropic.actors import to_person
from integrations.connectors.anthropic.client import ApiClient
from integrations.connectors.anthropic.reports import (
    ReportRow,
    add_measures,
    meter_of,
    subtract_measures,
    total,
)
from integrations.connectors.base import SnapshotMoved
from integrations.connectors.claude_enterprise.client import WORDING
from integrations.connectors.records import MeterKey, PersonRef
from integrations.window import Window
from tests.integrations.connectors.wire import Script, access, error, ok

FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)
DAYS = Window(FIRST, date(2026, 11, 3))
JANE = {
    "type": "user_actor",
    "user_id": "user_jane",
    "name": "Jane Smith",
    "email_address": "jane@example.com",
    "deleted": False,
}
PRICE = {"amount": "2310.551200", "list_amount": "2567.279111", "currency": "USD", "requests": 731}
TOKENS = {
    "uncached_input_tokens": 10,
    "cache_read_input_tokens": 20,
    "cache_creation": {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 4},
    "output_tokens": 50,
    "total_tokens": 87,
    "requests": 6,
    "server_tool_use": {"web_search_requests": 7},
}


def report(*rows, more=None, refreshed="2026-11-02T08:00:00Z"):
    return ok(
        {
            "data": list(rows),
            "data_refreshed_at": refreshed,
            "has_more": more is not None,
            "next_page": more,
        },
        **{"anthropic-organization-id": "org_1"},
    )


def row(day=FIRST, *, cost=PRICE, **group):
    return {
        "starting_at": f"{day}T00:00:00Z",
        "ending_at": f"{day}T23:00:00Z",
        "group": {"actor": None, "workspace_id": None, **group},
        "cost": cost,
    }


def read(script, reader=beta_reports.read_cost, window=DAYS, **asked):
    client = ApiClient(access(script), root="/v1/organizations", wording=WORDING)
    with client:
        return list(reader(client, window, **asked))


def lines(script, *args, **asked):
    return [line for part in read(script, *args, **asked) for line in part.rows]


def test_they_are_asked_day_by_day_oldest_first_with_the_header_of_the_beta():
    script = Script(report())

    read(script, group_by=["actor", "model"], filters={"inference_geos": ["us", "not_available"]})

    (request,) = script.requests
    assert request.url.path == "/v1/organizations/analytics/cost"
    assert request.headers["anthropic-beta"] == "analytics-usage-cost-2026-08-24"
    assert request.url.params.multi_items() == [
        ("starting_at", "2026-11-01T00:00:00Z"),
        ("ending_at", "2026-11-03T00:00:00Z"),
        ("time_bucket_width", "1d"),
        ("order_by", "time"),
        ("order", "asc"),
        ("limit", "1000"),
        ("group_by[]", "actor"),
        ("group_by[]", "model"),
        ("inference_geos[]", "us"),
        ("inference_geos[]", "not_available"),
    ]


def test_a_client_with_another_root_names_the_rest_of_the_path():
    script = Script(report())
    client = ApiClient(access(script), root="/v1/organizations/analytics", wording=WORDING)

    with client:
        list(beta_reports.read_usage(client, DAYS, prefix=""))

    assert script.requests[0].url.path == "/v1/organizations/analytics/usage"


def test_cents_of_a_row_are_dollars_of_a_line():
    script = Script(report(row(actor=JANE, product="claude_code", model=None)))

    (part,) = read(script, group_by=["actor", "product", "model"])

    (line,) = part.rows
    assert part.data_refreshed_at == datetime(2026, 11, 2, 8, tzinfo=UTC)
    assert part.organization_id == "org_1"
    assert line.day == FIRST
    assert line.values == ("claude_code", None)
    assert line.numbers == (Decimal("23.105512"), Decimal("25.67279111"))
    assert to_person(line.actor) == PersonRef(
        "user_jane", "jane@example.com", "Jane Smith", "user", "active"
    )


def test_tokens_keep_their_kinds_apart():
    usage = {"starting_at": "2026-11-02T00:00:00Z", "group": {"model": "opus"}, "usage": TOKENS}

    rows = lines(Script(report(usage)), beta_reports.read_usage, group_by=["model"])

    assert rows == [ReportRow(SECOND, None, ("opus",), (6, 10, 20, 4, 3, 50, 7))]


def test_the_dimensions_of_both_products_become_a_meter():
    group = {"workspace_id": "wrkspc_1", "api_key_id": "apikey_1", "service_tier": "flex"}
    names = [*group, "product"]

    (line,) = lines(Script(report(row(**group, product="claude-tag"))), group_by=names)

    assert meter_of(names, line.values) == MeterKey(
        product="claude_tag",
        workspace_id="wrkspc_1",
        api_key_id="apikey_1",
        attributes=(("service_tier", "flex"),),
    )


def test_every_page_is_read_and_a_dead_cursor_means_new_data():
    script = Script(report(row(), more="page_2"), report(row(SECOND)))
    assert [line.day for line in lines(script)] == [FIRST, SECOND]

    with pytest.raises(SnapshotMoved):
        read(Script(report(row(), more="page_2"), error(410)))


def test_unknown_words_and_fields_nulls_and_missing_keys_are_fine():
    odd = row(product="claude_on_mars", invented={"a": 1}, cost={"amount": "5", "brand": "new"})

    (line,) = lines(Script(report(odd, refreshed=None)), group_by=["product", "speed"])

    assert line.values == ("claude_on_mars", None)
    assert line.numbers == (Decimal("0.05"), None)


def kept_out(script):
    """Return the rows that were kept out, as (day, number), and the lines of the others."""
    client = ApiClient(access(script), root="/v1/organizations", wording=WORDING)
    with client:
        parts = list(beta_reports.read_cost(client, DAYS))
        rows = [(one.day, one.rows) for one in client.kept_out.take()]
    return rows, [line.numbers[0] for part in parts for line in part.rows]


@pytest.mark.parametrize("amount", ["NaN", "ten"])
def test_a_row_without_an_amount_is_kept_out_and_costs_its_day_alone(amount):
    script = Script(report(row(SECOND, cost={"amount": amount}), row()))

    assert kept_out(script) == ([(SECOND, 1)], [Decimal("23.10551200")])


def test_a_row_of_a_day_that_was_not_asked_for_leaves_no_day_whole():
    script = Script(report(row(date(2026, 11, 3)), row()))

    assert kept_out(script) == ([(None, 1)], [Decimal("23.10551200")])


@pytest.mark.parametrize(
    ("status", "closed"), [(400, True), (403, True), (404, True), (413, False)]
)
def test_a_closed_beta_differs_from_other_errors(status, closed):
    with pytest.raises(Exception, match=r"Anthropic") as caught:
        read(Script(error(status)))

    assert beta_reports.is_closed(caught.value) == closed


def test_what_one_side_does_not_know_neither_sum_nor_difference_knows():
    known, unknown = (Decimal(5), Decimal(7)), (Decimal(2), None)

    assert add_measures(known, unknown) == (7, None)
    assert subtract_measures(known, unknown) == (3, None)
    assert total([known, known], ("effective_cost", "list_cost")) == (10, 14)
    assert total([], ("effective_cost", "list_cost")) == (0, 0)
