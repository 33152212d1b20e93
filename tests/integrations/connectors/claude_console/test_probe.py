"""What the connection test says, and which keys never leave the machine."""

from datetime import UTC, date, datetime

import httpx
import pytest
import time_machine

from integrations.connectors import connectors, get_connector
from integrations.connectors.base import ActionNeeded, TransientError
from sandbox.claude_console import Sandbox
from tests.integrations.connectors.wire import Script, access, error, ok

CONNECTOR = get_connector("claude-console")
TODAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ME = ok({"id": "8f3c", "type": "organization", "name": "Brightwater"})
CLOSED = error(400, "invalid_request_error", "This organization is not enrolled in the beta.")
NOTHING = ok({"data": [], "has_more": False, "data_refreshed_at": "2026-11-20T08:00:00Z"})
WORKSPACES = ok({"data": [{"id": "wrkspc_1", "name": "Production"}], "has_more": False})


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOON, tick=False):
        yield


def report(*results, day="2026-11-10"):
    bucket = {"starting_at": f"{day}T00:00:00Z", "results": list(results)}
    return ok({"data": [bucket], "has_more": False, "next_page": None})


def newer(*rows, day="2026-11-10", refreshed="2026-11-20T08:00:00Z"):
    """Rows of (amount, workspace)."""
    data = [
        {
            "starting_at": f"{day}T00:00:00Z",
            "group": {"workspace_id": workspace},
            "cost": {"amount": amount, "list_amount": amount, "currency": "USD"},
        }
        for amount, workspace in rows
    ]
    return ok({"data": data, "has_more": False, "data_refreshed_at": refreshed})


def counted(newer_tokens, older_tokens):
    """Output tokens of the default workspace on one day, as both API variants report them."""
    usage = {"starting_at": "2026-11-10T00:00:00Z", "usage": {"output_tokens": newer_tokens}}
    return (
        ok(
            {"data": [usage | {"group": {"workspace_id": "wrkspc_nowhere"}}], "has_more": False}
            | {"data_refreshed_at": "2026-11-20T08:00:00Z"}
        ),
        report({"output_tokens": older_tokens, "workspace_id": None}),
    )


def by_path(cost, beta=CLOSED, me=ME, trial=None, tokens=(NOTHING, NOTHING)):
    """Return an API whose endpoints respond as given; `trial` responds to import queries."""
    answers = {
        "/v1/organizations/analytics/usage": tokens[0],
        "/v1/organizations/usage_report/messages": tokens[1],
        "/v1/organizations/me": me,
        "/v1/organizations/cost_report": cost,
        "/v1/organizations/analytics/cost": beta,
        "/v1/organizations/workspaces": WORKSPACES,
    }

    def answer(request):
        if request.url.params.get("starting_at", "2026-11-07")[:10] != "2026-11-07":
            response = trial(request) if trial else NOTHING
        else:
            response = answers[request.url.path]
        return httpx.Response(
            response.status_code, headers=response.headers, content=response.content
        )

    return Script(answer)


def probe(cost, beta=CLOSED, me=ME, trial=None, tokens=(NOTHING, NOTHING)):
    script = by_path(cost, beta, me, trial, tokens)
    return CONNECTOR.probe(access(script, attempts=1), today=TODAY)


def checks(probe_result):
    return {check.label: (check.state, check.detail) for check in probe_result.checks}


SPENT = report(
    {"amount": "123.5", "currency": "USD", "workspace_id": "wrkspc_1"},
    {"amount": "7", "currency": "USD", "workspace_id": None},
)
ENDPOINTS = "Cost and usage endpoints"


def test_a_good_key_names_its_organization():
    probe_result = probe(SPENT)

    assert probe_result.organization_id == "8f3c"
    assert probe_result.options == {"dialect": "reports"}
    assert checks(probe_result) == {
        "Key accepted": ("passed", ""),
        "Organization recognized": ("passed", "Brightwater, 8f3c"),
        "Cost data": ("passed", "Complete to 20 Nov 2026, 11:45 UTC."),
        ENDPOINTS: ("passed", "The reports every organization has."),
        "Queries of the import": ("passed", "Cost and tokens are available by all dimensions."),
    }


def test_an_organization_that_spends_nothing_can_be_connected():
    assert checks(probe(report()))["Cost data"] == ("info", "No cost in the last 14 days.")


def test_the_newer_endpoints_are_used_where_they_tell_the_same_cost():
    """By workspace: the one on no list is the default one, which the reports call null."""
    probe_result = probe(SPENT, newer(("123.5", "wrkspc_1"), ("7", "wrkspc_nowhere")))

    assert probe_result.options == {"dialect": "successors"}
    assert probe_result.cost_complete_to == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert checks(probe_result)["Cost data"] == ("passed", "Complete to 20 Nov 2026, 08:00 UTC.")
    assert checks(probe_result)[ENDPOINTS] == (
        "passed",
        "The beta reports. They report the same cost and tokens as the legacy reports.",
    )


def test_beta_reports_with_another_cost_are_not_used_and_the_reason_is_shown():
    probe_result = probe(SPENT, newer(("123.5", "wrkspc_1"), ("8.25", "wrkspc_nowhere")))

    assert probe_result.options["dialect"] == "reports"
    assert probe_result.cost_complete_to == datetime(2026, 11, 20, 11, 45, tzinfo=UTC)
    assert checks(probe_result)[ENDPOINTS] == (
        "info",
        "The reports every organization has. The beta reports are not used: for 10 Nov 2026 they "
        "report $0.0825 instead of $0.07.",
    )


def test_beta_reports_with_other_tokens_are_not_used_although_their_cost_is_the_same():
    same = newer(("123.5", "wrkspc_1"), ("7", "wrkspc_nowhere"))

    assert probe(SPENT, same, tokens=counted(1_200, 1_200)).options == {"dialect": "successors"}

    differing = probe(SPENT, same, tokens=counted(1_000, 1_200))
    assert differing.options["dialect"] == "reports"
    assert checks(differing)[ENDPOINTS] == (
        "info",
        "The reports every organization has. The beta reports are not used: for 10 Nov 2026 they "
        "report 1,000 tokens instead of 1,200 tokens.",
    )


def test_a_closed_legacy_report_of_tokens_is_not_compared():
    same = newer(("123.5", "wrkspc_1"), ("7", "wrkspc_nowhere"))
    beta, _ = counted(1_200, 0)

    closed = probe(SPENT, same, tokens=(beta, error(403, "permission_error", "Not for you.")))

    assert closed.options["dialect"] == "successors"


def test_how_the_newer_endpoints_differ_is_kept_for_the_pages_of_the_connection():
    probe_result = probe(SPENT, newer(("123.5", "wrkspc_1"), ("8.25", "wrkspc_nowhere")))

    assert CONNECTOR.not_read(probe_result.options) == (
        "The beta reports are not used: for 10 Nov 2026 they report $0.0825 instead of $0.07.",
    )
    assert CONNECTOR.not_read(probe(SPENT).options) == ()


def test_the_same_sum_of_other_workspaces_is_another_cost():
    probe_result = probe(SPENT, newer(("7", "wrkspc_1"), ("123.5", "wrkspc_nowhere")))

    assert probe_result.options["dialect"] == "reports"


def test_days_that_can_still_be_late_are_not_compared():
    recent = report({"amount": "5", "currency": "USD"}, day="2026-11-18")

    probe_result = probe(recent, newer(("4", "wrkspc_nowhere"), day="2026-11-18"))

    assert probe_result.options == {"dialect": "reports"}
    assert "there was nothing yet to compare" in checks(probe_result)[ENDPOINTS][1]


@pytest.mark.parametrize(
    "answer",
    [
        CLOSED,
        error(403),
        error(404),
        ok({"rows": []}),
        newer(refreshed=None),
        newer(("1", "wrkspc_new"), ("1", "wrkspc_nowhere")),
    ],
    ids=["400", "403", "404", "another shape", "no export yet", "two workspaces on no list"],
)
def test_a_beta_that_is_closed_or_cannot_be_read_leaves_the_reports(answer):
    assert probe(SPENT, answer).options == {"dialect": "reports"}


def test_an_outage_of_the_newer_endpoints_is_no_answer():
    with pytest.raises(TransientError):
        probe(SPENT, error(503))


def test_it_asks_for_two_weeks_of_cost_and_tokens_by_workspace():
    script = by_path(SPENT, newer(("123.5", "wrkspc_1"), ("7", "wrkspc_nowhere")))

    CONNECTOR.probe(access(script), today=TODAY)

    _, cost, beta, _, tokens, older_tokens, *trial = (
        request.url.params.multi_items() for request in script.requests
    )
    for asked in (cost, beta, tokens, older_tokens):
        assert ("starting_at", "2026-11-07T00:00:00Z") in asked
        assert [value for name, value in asked if name == "group_by[]"] == ["workspace_id"]
    # Then a month of cost by child organization, of which there is none.
    # Then what imports ask, of three days: total and lines of cost, total and regions of tokens,
    # the regions of accounts and of service accounts. Nothing was used, so no region is asked for.
    assert [[value for name, value in asked if name == "group_by[]"] for asked in trial] == [
        ["organization_id"],
        [],
        ["workspace_id", "model", "service_tier", "context_window", "inference_geo", "cost_type",
         "token_type"],
        [],
        ["inference_geo"],
        ["inference_geo", "context_window"],
        ["inference_geo", "context_window"],
    ]  # fmt: skip


def refuse_tokens(request):
    """400 for every question about tokens that names more than three dimensions."""
    names = request.url.params.get_list("group_by[]")
    if request.url.path.endswith("messages") and len(names) > 3:
        return error(400, "invalid_request_error", "Too large.")
    day = {"starting_at": "2026-11-18T00:00:00Z", "results": []}
    if "messages" in request.url.path:
        day["results"] = [{"output_tokens": 7, "account_id": "user_1"}]
    return ok({"data": [day], "has_more": False})


def test_a_refusal_of_what_imports_ask_shows_when_the_key_is_tested():
    """The smaller question is known then, before anything is imported."""
    probe_result = probe(SPENT, trial=refuse_tokens)

    assert [check.label for check in probe_result.limits] == ["Queries of the import"]
    assert checks(probe_result)["Queries of the import"] == (
        "limited",
        "Token lines are not read by API key, context window, region, model and service tier: "
        "Anthropic refuses answers in that detail. Totals are complete.",
    )
    # Of five dimensions two were left, and of the three that people's lines then named, one.
    assert probe_result.options["not_read.usage"] == (
        "api_key_id,context_window,inference_geo,model,service_tier"
    )


def test_a_closed_report_is_named_and_fails_no_test():
    def closed(request):
        if "messages" in request.url.path:
            return error(403, "permission_error")
        return report(day="2026-11-18")

    assert checks(probe(SPENT, trial=closed))["Queries of the import"] == (
        "limited",
        "Anthropic does not answer for Organization tokens (403) and Tokens per person (403).",
    )


def test_every_organization_of_the_sandbox_finds_its_api_variant():
    app = Sandbox()
    results = [
        CONNECTOR.probe(access(httpx.WSGITransport(app=app), key=key), today=TODAY).options
        for key in app.keys
    ]

    assert results == [
        {"dialect": "successors"},
        {"dialect": "reports"},
        {
            "dialect": "reports",
            "note.versions": "The beta reports are not used: for 8 Nov 2026 they report "
            "$8.58730849 instead of $2.85020585.",
        },
        {"dialect": "successors"},
    ]


@pytest.mark.parametrize(
    ("status", "code"), [(401, "key_rejected"), (403, "access_denied"), (404, "not_found")]
)
def test_a_rejected_key_says_who_can_replace_it(status, code):
    with pytest.raises(ActionNeeded) as caught:
        probe(SPENT, me=error(status))

    assert caught.value.code == code
    assert "admin of the Claude Console" in caught.value.repair
    assert checks(caught.value)["Cost data"] == ("skipped", "")


def test_trouble_with_cost_leaves_what_was_proven():
    with pytest.raises(ActionNeeded) as caught:
        probe(error(403))

    assert checks(caught.value) == {
        "Key accepted": ("passed", ""),
        "Organization recognized": ("passed", "Brightwater, 8f3c"),
        "Cost data": ("failed", "Stopped (403)."),
    }


@pytest.mark.parametrize(
    ("key", "code", "sentence"),
    [
        ("sk-ant-api01-abcdef", "wrong_key_kind", "Its card is Anthropic (Analytics API)."),
        ("sk-ant-api03-abcdef", "wrong_key_kind", "This key runs models"),
        ("sk-ant-oat01-abcdef", "wrong_key_kind", "sign-in token of one person"),
        ("sk-proj-abcdef", "wrong_key_kind", "This is not an Admin key"),
        ("sk-ant-admin01-abc def", "key_malformed", "a space or a line break inside"),
        ("sk-ant-admin01-", "key_malformed", "its end is missing"),
    ],
)
def test_a_key_of_another_kind_is_refused_with_its_own_sentence(key, code, sentence):
    with pytest.raises(ActionNeeded) as caught:
        CONNECTOR.check_key(key)

    assert caught.value.code == code
    assert sentence in str(caught.value)
    assert caught.value.repair


def test_each_card_sends_the_key_of_the_other_to_it_by_name():
    keys = {"claude-enterprise": "sk-ant-admin01-abcd", "claude-console": "sk-ant-api01-abcd"}
    for card, key in keys.items():
        other = next(one for slug, one in connectors().items() if slug != card)
        with pytest.raises(ActionNeeded) as caught:
            get_connector(card).check_key(key)
        assert other.name in str(caught.value)
