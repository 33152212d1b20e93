"""The traps of the Console's reports, one each, on answers written by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import time_machine

from integrations.connectors import get_connector
from integrations.connectors.base import NotAvailable, PayloadError, SnapshotMoved
from integrations.connectors.claude_console.feeds.meters import meter_of
from integrations.connectors.records import NOT_READ, TotalRecord
from integrations.window import Window
from tests.integrations.connectors.wire import Script, access, error, ok

CONNECTOR = get_connector("claude-console")
DAY = date(2026, 11, 18)
ONE_DAY = Window(DAY, date(2026, 11, 19))
TOKENS = {
    "uncached_input_tokens": 1500,
    "cache_read_input_tokens": 200,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 10},
}


@pytest.fixture(autouse=True)
def _two_days_later():
    with time_machine.travel(datetime(2026, 11, 20, 12, tzinfo=UTC), tick=False):
        yield


def day(*results, of=DAY):
    bucket = {"starting_at": f"{of}T00:00:00Z", "results": list(results)}
    return ok({"data": [bucket], "has_more": False, "next_page": None})


def read(name, *answers, window=ONE_DAY):
    with CONNECTOR.open(access(Script(*answers))) as client:
        pages = CONNECTOR.feed(name).read(client, window)
        return [record for page in pages if not page.feed for record in page.records]


def lines(records):
    return [record for record in records if not isinstance(record, TotalRecord)]


def cost(amount, **fields):
    return {"amount": amount, "currency": "USD", **fields}


def test_cents_become_dollars_and_the_parsed_description_the_meter():
    (line,) = lines(
        read(
            "cost",
            day(cost("123.78912")),
            day(
                cost(
                    "123.78912",
                    description="Claude Sonnet 4 Usage - Input Tokens",
                    cost_type="tokens",
                    token_type="uncached_input_tokens",
                    model="claude-sonnet-4-20250514",
                    service_tier="batch",
                    context_window="0-200k",
                    inference_geo="global",
                    workspace_id="wrkspc_1",
                )
            ),
        )
    )

    assert line.effective_cost == Decimal("1.2378912")
    assert line.list_cost is None  # the report has one amount only
    assert line.meter.product == "message_batches_api"
    assert line.meter.workspace_id == "wrkspc_1"
    assert line.meter.token_type == "uncached_input_tokens"


def test_null_is_the_default_workspace_and_no_key_because_we_grouped_by_both():
    (line,) = lines(read("usage", day(TOKENS), day({**TOKENS, "model": "claude-opus-5-5"})))

    assert (line.meter.workspace_id, line.meter.api_key_id) == ("default", "")
    assert line.requests is None  # not reported, which is not zero
    assert line.cache_write_1h_tokens == 1000
    assert line.web_searches == 10


def test_lines_that_mean_one_meter_are_added_up():
    (line,) = lines(
        read(
            "cost",
            day(cost("3")),
            day(
                cost("1", description="Web Search Usage", cost_type="web_search"),
                cost("2", description="Web Search Usage, Priority", cost_type="web_search"),
            ),
        )
    )

    assert line.effective_cost == Decimal("0.03")


def test_what_cannot_be_itemized_is_a_line_of_its_own():
    rows = lines(
        read(
            "cost",
            day(cost("10")),
            day(cost("7", description="Web Search Usage", cost_type="web_search")),
            day(cost("10")),  # asked again: the total has not moved
        )
    )

    assert {line.meter.cost_type: line.effective_cost for line in rows} == {
        "web_search": Decimal("0.07"),
        "not_itemized": Decimal("0.03"),
    }


def test_a_day_that_moves_while_it_is_read_is_read_again():
    with pytest.raises(SnapshotMoved):
        read("cost", day(cost("10")), day(cost("12")), day(cost("12")))


def test_today_is_checked_only_where_both_answers_agree():
    today = date(2026, 11, 20)
    window = Window(today, date(2026, 11, 21))

    moving = read("cost", day(cost("10"), of=today), day(cost("12"), of=today), window=window)
    still = read("cost", day(cost("12"), of=today), day(cost("12"), of=today), window=window)

    assert not [record for record in moving if isinstance(record, TotalRecord)]
    assert [r.value for r in still if isinstance(r, TotalRecord)] == [Decimal("0.12")]
    assert lines(moving) == lines(still)


def test_an_empty_day_is_a_zero_and_checked_as_one():
    assert read("cost", day(), day()) == [TotalRecord(DAY, "effective_cost", Decimal(0))]


@pytest.mark.parametrize(
    "answer",
    [day({"amount": "1", "currency": "EUR"}), day(cost("1"), of=date(2026, 11, 17))],
    ids=["currency", "day"],
)
def test_another_currency_and_another_day_are_kept_out(answer):
    with CONNECTOR.open(access(Script(answer, answer))) as client:
        pages = list(CONNECTOR.feed("cost").read(client, ONE_DAY))

    assert not any(page.records for page in pages)
    assert any(page.kept_out for page in pages)


def developer(**fields):
    return {
        "date": "2026-11-18T00:00:00Z",
        "actor": {"type": "user_actor", "email_address": "dev@example.com"},
        "customer_type": "api",
        "terminal_type": "vscode",
        "core_metrics": {"num_sessions": 2, "lines_of_code": {"added": 30, "removed": 4}},
        "tool_actions": {"edit_tool": {"accepted": 5, "rejected": 1}},
        "model_breakdown": [
            {
                "model": "claude-opus-4-8",
                "tokens": {"input": 10},
                "estimated_cost": {"amount": 186, "currency": "USD"},
            }
        ],
        **fields,
    }


def developers(*rows):
    return ok({"data": list(rows), "has_more": False, "next_page": None})


def test_a_person_with_two_terminals_has_two_documents_and_equal_rows_are_added_up():
    vscode, tmux = developer(), developer(terminal_type="tmux")

    documents = read("claude_code", developers(vscode, tmux, developer(is_remote=None)))

    root = "claude_code_metrics"
    first, second = documents
    assert {record.person.external_id for record in documents} == {"dev@example.com"}
    assert first.labels == {
        "terminal_type": "vscode",
        "customer_type": "api",
        "subscription_type": "",
        "environment": "",
    }
    assert second.labels["terminal_type"] == "tmux"
    assert first.subject != second.subject
    assert first.values[f"{root}.core_metrics.distinct_session_count"] == 4
    assert first.values[f"{root}.core_metrics.lines_of_code.added_count"] == 60
    assert first.values[f"{root}.tool_actions.edit_tool.accepted_count"] == 10
    assert first.values[f"{root}.tokens.input"] == 20
    assert first.values[f"{root}.estimated_cost_usd"] == Decimal("3.72")
    assert second.values[f"{root}.estimated_cost_usd"] == Decimal("1.86")


def test_a_page_of_developers_that_is_sent_twice_counts_once():
    def page(cursor, **fields):
        return ok({"data": [developer(**fields)], "has_more": bool(cursor), "next_page": cursor})

    first, second = read("claude_code", page("p2"), page("p3"), page(None, terminal_type="tmux"))

    sessions = "claude_code_metrics.core_metrics.distinct_session_count"
    assert (first.values[sessions], second.values[sessions]) == (2, 2)


def test_one_answer_holds_claude_code_by_model_as_well():
    opus = {"model": "claude-opus-4-8", "tokens": {"input": 10}, "estimated_cost": {"amount": 186}}
    haiku = {"model": "claude-haiku-4-5", "tokens": {"input": 7}, "estimated_cost": {"amount": 4}}
    row = developer(
        customer_type="subscription",
        subscription_type="team",
        is_remote=True,
        model_breakdown=[opus, haiku, opus],  # a model may come twice
    )
    script = Script(developers(row))
    with CONNECTOR.open(access(script)) as client:
        pages = list(CONNECTOR.feed("claude_code").read(client, ONE_DAY))

    cut = next(page for page in pages if page.feed == "claude_code_by_model")
    root = "claude_code_metrics"
    assert [
        (r.labels["sku"], r.values[f"{root}.tokens.input"], r.values[f"{root}.estimated_cost_usd"])
        for r in cut.records
    ] == [
        ("claude-opus-4-8", 20, Decimal("3.72")),
        ("claude-haiku-4-5", 7, Decimal("0.04")),
    ]
    assert {r.labels["subscription_type"] for r in cut.records} == {"team"}
    assert {r.labels["environment"] for r in cut.records} == {"remote"}
    assert len(script.requests) == 1


def test_a_person_in_two_spellings_of_an_address_is_one_document():
    shouted = {"type": "user_actor", "email_address": "Dev@EXAMPLE.com"}

    (record,) = read("claude_code", developers(developer(actor=shouted), developer()))

    person = record.person
    assert (person.external_id, person.email) == ("dev@example.com", "Dev@EXAMPLE.com")
    assert record.values["claude_code_metrics.core_metrics.distinct_session_count"] == 4


def test_a_key_is_known_by_its_name_and_a_number_of_tomorrow_by_its_path():
    (record,) = read(
        "claude_code",
        developers(
            developer(
                actor={"type": "api_actor", "api_key_name": "ci"},
                core_metrics={"num_reviews": 3, "num_sessions": None},
            )
        ),
    )

    assert (record.person.kind, record.person.name) == ("api_key", "ci")
    assert record.values["claude_code_metrics.core_metrics.num_reviews"] == 3
    assert "claude_code_metrics.core_metrics.distinct_session_count" not in record.values


def test_the_first_hour_of_a_day_has_no_activity_yet():
    with (
        time_machine.travel(datetime(2026, 11, 18, 0, 59, tzinfo=UTC), tick=False),
        pytest.raises(NotAvailable),
    ):
        read("claude_code", developers())


def test_a_list_is_followed_to_its_end_and_a_page_without_a_cursor_is_refused():
    def page(name, **more):
        return ok({"data": [{"id": name, "name": name}], "last_id": name, **more})

    script = Script(
        page("w1", has_more=True),
        page("w2", has_more=False),
        page("w1", has_more=True),  # now with the default one
        page("w3", has_more=False),
    )
    with CONNECTOR.open(access(script)) as client:
        pages = list(CONNECTOR.feed("workspaces").read(client, ONE_DAY))
    named = [one.external_id for p in pages for one in p.resources]
    assert named == ["w1", "w2", "default"]
    assert pages[-1].resources[0].attributes == {"provider_id": "w3"}
    assert script.requests[1].url.params["after_id"] == "w1"

    with (
        CONNECTOR.open(access(Script(page("w1", has_more=True)))) as client,
        pytest.raises(PayloadError),
    ):
        list(CONNECTOR.feed("workspaces").read(client, ONE_DAY))


def objects(*rows):
    return ok({"data": list(rows), "has_more": False, "last_id": None})


def resources(name, *answers):
    with CONNECTOR.open(access(Script(*answers))) as client:
        pages = list(CONNECTOR.feed(name).read(client, ONE_DAY))
    return {one.external_id: one for page in pages for one in page.resources}


def test_a_workspace_keeps_its_tags_and_an_api_without_the_default_one_costs_nothing():
    tags = {"team": "platform", "odd": 7}
    names = resources(
        "workspaces",
        objects({"id": "w1", "name": "One", "tags": tags, "data_residency": None}),
        error(400, "invalid_request_error", "include_default: unknown parameter."),
    )

    assert names["w1"].attributes == {"tag:team": "platform", "tags": "team=platform"}
    assert (names["default"].name, names["default"].attributes) == ("Default workspace", None)


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ({"created_by": None, "principal": None}, ("", "")),
        ({"created_by": {"id": "user_1", "type": "user"}}, ("user_1", "user")),
        ({"created_by": {"id": "svac_1", "type": "service_account"}}, ("svac_1", "service")),
        (  # whom it acts as goes before who created it
            {
                "created_by": {"id": "user_1", "type": "user"},
                "principal": {"type": "service_account_actor", "service_account_id": "svac_2"},
            },
            ("svac_2", "service"),
        ),
        ({"principal": {"type": "user_actor", "user_id": "user_3"}}, ("user_3", "user")),
        ({"principal": {"type": "service_account", "id": "svac_4"}}, ("svac_4", "service")),
    ],
)
def test_the_owner_of_a_key_is_whom_it_acts_as_else_who_created_it(key, owner):
    names = resources("api_keys", objects({"id": "k", "name": "ci", "status": "active", **key}))

    expected = names["k"].attributes
    assert (expected.get("owner", ""), expected.get("owner_type", "")) == owner


def test_a_key_of_the_default_workspace_has_one_id_however_it_is_sent():
    older = resources(
        "api_keys",
        objects(
            {"id": "k1", "workspace_id": None, "expires_at": "2027-03-31T00:00:00Z"},
            {"id": "k2", "workspace_id": "w1"},
        ),
    )
    newer = resources(
        "api_keys",
        objects(
            {"id": "k1", "scope": {"type": "workspace", "workspace_id": "w_default"}},
            {"id": "k2", "scope": {"type": "workspace", "workspace_id": "w1"}},
            {"id": "k3", "scope": {"type": "organization"}},
        ),
        objects({"id": "w1"}),  # the list of workspaces, without the default one
        objects({"id": "w1"}, {"id": "w_default"}),
    )

    for names in (older, newer):
        assert names["k1"].attributes["workspace_id"] == "default"
        assert names["k2"].attributes["workspace_id"] == "w1"
    assert older["k1"].attributes["expires_at"] == "2027-03-31T00:00:00Z"
    assert "workspace_id" not in newer["k3"].attributes  # it opens every workspace


def test_members_bring_their_role():
    member = {"id": "user_1", "email": "jo@example.com", "name": "Jo", "role": "claude_code_user"}
    with CONNECTOR.open(access(Script(objects(member)))) as client:
        (page,) = CONNECTOR.feed("members").read(client, ONE_DAY)

    assert [(one.external_id, one.role) for one in page.people] == [("user_1", "claude_code_user")]


# --- The beta reports ----------------------------------------------------------------------


def beta_row(amount, day=DAY, *, actor=None, requests=3, **group):
    return {
        "starting_at": f"{day}T00:00:00Z",
        "group": {"actor": actor, **group},
        "cost": {"amount": amount, "list_amount": "125", "currency": "USD", "requests": requests},
    }


def beta(*rows):
    return ok({"data": list(rows), "data_refreshed_at": "2026-11-20T08:00:00Z", "has_more": False})


JO = {"type": "user_actor", "user_id": "user_jo", "email_address": "jo@example.com"}


def test_beta_cost_has_key_person_workspace_product_and_model():
    key = {"type": "api_actor", "api_key_id": "apikey_1"}
    where = {"workspace_id": "w_default", "product": "claude_code", "model": "claude-opus-5-5"}
    script = Script(
        beta(
            beta_row("100", actor=JO, **where),
            beta_row("40", actor=key, api_key_id="apikey_1", **where),
            # Two identities that the API cannot show, each in a row of its own.
            beta_row("10.5", product="messages_api", workspace_id="w1"),
            beta_row("0.00000000000005", product="messages_api", workspace_id="w1"),
        ),
        objects({"id": "w1", "name": "One"}),  # the default workspace is on no list
    )
    with CONNECTOR.open(access(script)) as client:
        records_of_day = [
            record
            for page in CONNECTOR.feed("beta_cost").read(client, ONE_DAY)
            for record in page.records
        ]

    jo, ci, nobody = records_of_day
    assert (jo.person.external_id, ci.person, nobody.person) == ("user_jo", None, None)
    assert jo.labels == {
        "service": "claude_code",
        "sku": "claude-opus-5-5",
        "api_key_id": "",
        "workspace_id": "default",
    }
    assert ci.labels["api_key_id"] == "apikey_1"
    assert jo.values == {
        "effective_cost": Decimal("1"),
        "list_cost": Decimal("1.25"),
        "requests": 3,
    }
    assert nobody.labels["workspace_id"] == "w1"
    assert nobody.values["effective_cost"] == Decimal("0.1050000000000005")
    assert nobody.values["requests"] == 6
    asked = script.requests[0].url.params.get_list("group_by[]")
    assert asked == ["actor", "product", "model", "api_key_id", "workspace_id"]


def test_a_day_of_the_beta_is_handed_on_when_the_next_begins():
    next_day = date(2026, 11, 19)
    answers = beta(beta_row("1", actor=JO), beta_row("2", next_day, actor=JO))
    window = Window(DAY, date(2026, 11, 20))

    with CONNECTOR.open(access(Script(answers, objects()))) as client:
        pages = list(CONNECTOR.feed("beta_cost").read(client, window))

    assert [[r.day for r in page.records] for page in pages] == [[], [DAY], [next_day]]


def test_a_closed_beta_is_an_extra_that_is_missing_and_no_fault():
    closed = error(400, "invalid_request_error", "Not enrolled.")

    for name in ("beta_cost", "beta_usage"):
        with pytest.raises(NotAvailable) as caught:
            read(name, closed)
        assert caught.value.code == "not_enrolled"
        assert caught.value.repair


def test_the_beta_is_not_asked_for_days_it_does_not_have():
    script = Script(beta())
    with CONNECTOR.open(access(script)) as client, pytest.raises(NotAvailable):
        list(CONNECTOR.feed("beta_cost").read(client, Window(date(2025, 12, 31), date(2026, 1, 2))))
    assert script.requests == []


@pytest.mark.parametrize(
    ("names", "values", "product", "model"),
    [
        (
            ("workspace_id", "model", "service_tier"),
            (None, "m", "batch"),
            "message_batches_api",
            "m",
        ),
        (("workspace_id", "model", "service_tier"), (None, "m", NOT_READ), NOT_READ, "m"),
        (("workspace_id", "model", "cost_type"), (None, "m", NOT_READ), NOT_READ, "m"),
    ],
)
def test_a_service_is_not_inferred_from_what_was_not_read(names, values, product, model):
    meter = meter_of(names, values)

    assert (meter.product, meter.model) == (product, model)
