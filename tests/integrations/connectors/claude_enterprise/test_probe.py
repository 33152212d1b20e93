from datetime import UTC, date, datetime

import httpx
import pytest

from integrations.connectors import get_connector
from integrations.connectors.base import (
    ActionNeeded,
    ConnectorError,
    NotAvailable,
    PayloadError,
    TransientError,
)
from tests.integrations.connectors.wire import Script, access, error, ok

TODAY = date(2026, 8, 22)
CONNECTOR = get_connector("claude-enterprise")
WEEK = ok(
    {
        "summaries": [
            {"starting_at": f"2026-08-{day}T00:00:00Z", "daily_active_user_count": 5}
            for day in (19, 21, 20)
        ]
    },
    **{"anthropic-organization-id": "org_header"},
)


def cost_answer(*results, refreshed="2026-08-22T08:00:00Z"):
    return ok(
        {
            "data": [{"starting_at": "2026-08-21T00:00:00Z", "results": list(results)}],
            "has_more": False,
            "next_page": None,
            "data_refreshed_at": refreshed,
            "organization_id": "org_body",
        }
    )


PRICED = cost_answer({"amount": "5", "list_amount": "5", "currency": "USD"})


CLOSED = error(400, "invalid_request_error", "This organization is not enrolled in the beta.")
GROUPS = ok({"data": [{"id": "rbac_group_1", "name": "Legal"}], "next_page": None})


NOTHING = ok({"data": [], "has_more": False, "data_refreshed_at": "2026-08-22T08:00:00Z"})


def by_path(cost, *, summaries=WEEK, beta=CLOSED, groups=GROUPS, usage=NOTHING, newer_usage=CLOSED):
    """Return an API whose endpoints respond as given; a trial has nothing to itemize."""
    answers = {
        "summaries": summaries,
        "cost": beta,
        "usage": newer_usage,
        "cost_report": cost,
        "usage_report": usage,
        "user_cost_report": NOTHING,
        "user_usage_report": NOTHING,
        "rbac_groups": groups,
    }
    return Script(lambda request: fresh(answers[request.url.path.rsplit("/", 1)[1]]))


def fresh(answer):
    if isinstance(answer, Exception):
        raise answer
    return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def probe(summaries, cost, **answers):
    script = by_path(cost, summaries=summaries, **answers)
    return CONNECTOR.probe(access(script, attempts=1), today=TODAY)


def checks(probe_result):
    return {check.label: (check.state, check.detail) for check in probe_result.checks}


def test_a_good_key_passes_every_check():
    probe_result = probe(WEEK, PRICED)

    assert probe_result.organization_id == "org_header"
    assert probe_result.engagement_complete_to == date(2026, 8, 21)
    assert probe_result.cost_complete_to == datetime(2026, 8, 22, 8, tzinfo=UTC)
    assert probe_result.options == {"dialect": "reports"}
    assert probe_result.limits == ()
    assert checks(probe_result) == {
        "Key accepted": ("passed", ""),
        "Scope read:analytics": ("passed", ""),
        "Organization recognized": ("passed", "org_header"),
        "Plan": (
            "info",
            "Not shown by the API. There is cost in the last days: all of it on a usage-based "
            "plan, additional usage charges only on a seat-based one.",
        ),
        "Cost data": ("passed", "Complete to 22 Aug 2026, 08:00 UTC."),
        "Cost and usage endpoints": ("passed", "The four reports every organization has."),
        "Engagement data": ("passed", "Complete to 21 Aug 2026."),
        "Optional scope read:rbac_groups": ("passed", "Groups are shown by their names."),
        "Queries of the import": ("passed", "Cost and tokens are available by all dimensions."),
    }


def grouped(request):
    return [value for name, value in request.url.params.multi_items() if name == "group_by[]"]


CUT = ["product", "model", "context_window", "inference_geo", "speed"]


def test_it_asks_for_a_week_of_activity_a_month_of_cost_and_what_imports_ask():
    script = by_path(PRICED)

    CONNECTOR.probe(access(script), today=TODAY)

    asked = [request.url.path.rsplit("/", 1)[1] for request in script.requests]
    assert asked[:4] == ["summaries", "cost", "cost", "cost_report"]  # closed, so tried twice
    assert script.requests[0].url.params.multi_items() == [("starting_date", "2026-08-15")]
    for request in script.requests[1:4]:
        assert request.url.params["starting_at"] == "2026-07-23T00:00:00Z"
        assert not grouped(request)
    assert asked[4] == "rbac_groups"
    trial = script.requests[5:]
    assert {request.url.params["starting_at"] for request in trial} == {"2026-08-19T00:00:00Z"}
    assert [(name, grouped(request)) for name, request in zip(asked[5:], trial, strict=True)] == [
        ("cost_report", []),
        ("cost_report", [*CUT, "cost_type", "token_type"]),
        ("user_cost_report", [*CUT, "cost_type", "token_type"]),
        ("usage_report", []),
        ("usage_report", CUT),
        ("user_usage_report", CUT),
    ]


def newer(amount, refreshed="2026-08-22T08:00:00Z", day=21):
    row = {
        "starting_at": f"2026-08-{day}T00:00:00Z",
        "group": {},
        "cost": {"amount": amount, "list_amount": "5", "currency": "USD"},
    }
    return ok({"data": [row], "has_more": False, "data_refreshed_at": refreshed})


def counted(tokens, day=21):
    bucket = {
        "starting_at": f"2026-08-{day}T00:00:00Z",
        "results": [{"output_tokens": tokens}],
    }
    body = {"data": [bucket], "has_more": False, "data_refreshed_at": "2026-08-22T08:00:00Z"}
    row = {"starting_at": bucket["starting_at"], "group": {}, "usage": {"output_tokens": tokens}}
    return ok(body), ok({**body, "data": [row]})


def test_the_newer_endpoints_are_used_where_they_tell_the_same():
    probe_result = probe(WEEK, PRICED, beta=newer("5"))

    assert probe_result.options == {"dialect": "successors"}
    assert probe_result.cost_complete_to == datetime(2026, 8, 22, 8, tzinfo=UTC)
    assert checks(probe_result)["Cost data"][0] == "passed"
    assert checks(probe_result)["Cost and usage endpoints"] == (
        "passed",
        "The beta reports: every combination, however many a day has. For each day, their cost "
        "and tokens equal those of the four reports.",
    )


def test_the_newer_endpoints_are_not_used_where_they_leave_something_out():
    """As those of a parent organization do, which no answer says."""
    probe_result = probe(WEEK, PRICED, beta=newer("4"))

    difference = (
        "The beta reports are not used: for 21 Aug 2026 they report $0.04 instead of $0.05. "
        "They leave out child organizations with HIPAA readiness."
    )
    assert probe_result.options == {"dialect": "reports", "note.versions": difference}
    assert checks(probe_result)["Cost and usage endpoints"] == (
        "info",
        f"The four reports every organization has. {difference}",
    )
    assert CONNECTOR.not_read(probe_result.options) == (difference,)


def test_tokens_are_compared_too_because_seats_may_have_no_cost():
    _, fewer = counted(6)
    usage, same = counted(7)
    free = cost_answer()

    apart = probe(WEEK, free, beta=NOTHING, usage=usage, newer_usage=fewer)
    assert apart.options["dialect"] == "reports"
    assert "they report 6 tokens instead of 7 tokens" in apart.options["note.versions"]
    alike = probe(WEEK, free, beta=NOTHING, usage=usage, newer_usage=same)
    assert alike.options == {"dialect": "successors"}


@pytest.mark.parametrize(
    "answers",
    [
        {"beta": newer("4", refreshed=None)},
        {"beta": NOTHING, "cost": cost_answer()},
        # Both exports have to cover the whole day.
        {"beta": newer("4", refreshed="2026-08-21T20:00:00Z")},
    ],
    ids=["no export yet", "nothing used", "an earlier export"],
)
def test_where_nothing_can_be_compared_the_older_endpoints_stay(answers):
    probe_result = probe(WEEK, **{"cost": PRICED, **answers})

    assert probe_result.options == {"dialect": "reports"}
    if "cost" in answers:
        assert "nothing yet to compare" in checks(probe_result)["Cost and usage endpoints"][1]


def test_where_the_four_reports_are_closed_the_newer_ones_are_used_and_may_lack_something():
    probe_result = probe(WEEK, error(403), beta=newer("5"))

    assert probe_result.options["dialect"] == "successors"
    state, detail = checks(probe_result)["Cost and usage endpoints"]
    assert state == "info"
    assert "unknown whether the beta reports are complete" in detail


@pytest.mark.parametrize("answer", [error(400), error(403), error(404), ok({"rows": []})])
def test_a_beta_that_is_closed_or_speaks_otherwise_leaves_the_four_reports(answer):
    assert probe(WEEK, PRICED, beta=answer).options == {"dialect": "reports"}


@pytest.mark.parametrize(
    ("answer", "state"),
    [(error(403), "limited"), (error(404), "limited"), (error(503), "skipped")],
)
def test_names_of_groups_are_not_needed(answer, state):
    assert checks(probe(WEEK, PRICED, groups=answer))["Optional scope read:rbac_groups"][0] == state


def test_the_organization_is_taken_from_the_body_where_no_header_names_it():
    assert probe(ok({"summaries": []}), PRICED).organization_id == "org_body"


@pytest.mark.parametrize("answer", [cost_answer(), cost_answer({"amount": "0"})])
def test_people_at_work_who_cost_nothing_are_probably_on_seats(answer):
    by_label = checks(probe(WEEK, answer))

    assert by_label["Cost data"] == ("passed", "Complete to 22 Aug 2026, 08:00 UTC.")
    assert by_label["Plan"][0] == "limited"
    assert by_label["Plan"][1].startswith("Probably seat-based: people were active")


def test_the_plan_of_an_idle_organization_is_unknown():
    assert checks(probe(ok({"summaries": []}), cost_answer()))["Plan"] == (
        "info",
        "Not shown by the API. Nothing was used in the last days.",
    )


@pytest.mark.parametrize("answer", [cost_answer(refreshed=None), error(403)])
def test_the_plan_is_unknown_without_visible_cost(answer):
    assert checks(probe(WEEK, answer))["Plan"] == ("info", "Not shown by the API.")


def test_cost_that_is_not_published_yet_is_no_failure():
    probe_result = probe(WEEK, cost_answer(refreshed=None))

    assert probe_result.cost_complete_to is None
    assert [check.label for check in probe_result.limits] == ["Cost data"]


@pytest.mark.parametrize("status", [400, 403, 404])
def test_closed_cost_is_no_failure_where_activity_is_open(status):
    assert checks(probe(WEEK, error(status)))["Cost data"] == (
        "limited",
        "Anthropic does not give out cost for this organization.",
    )


@pytest.mark.parametrize(
    ("status", "problem"), [(503, TransientError), (429, TransientError), (401, ActionNeeded)]
)
def test_other_trouble_with_cost_fails_the_test(status, problem):
    with pytest.raises(problem):
        probe(WEEK, error(status))


def test_an_organization_without_activity_yet_can_connect_for_its_cost():
    probe_result = probe(error(400), PRICED)

    assert probe_result.engagement_complete_to is None
    assert checks(probe_result)["Engagement data"][0] == "info"


def test_neither_activity_nor_cost_is_a_failure():
    with pytest.raises((PayloadError, NotAvailable)):
        probe(error(400), error(400))


SCOPES = "Missing required scopes. Got: ['read:members'] Needed: ['read:analytics']"


@pytest.mark.parametrize(
    ("answer", "key", "scope"),
    [
        (error(401), ("failed", "No (401)."), ("skipped", "")),
        (error(404), ("failed", "Not clear (404)."), ("skipped", "")),
        (error(503), ("waiting", "Not known yet (503)."), ("skipped", "")),
        (
            httpx.ConnectTimeout("nobody there"),
            ("waiting", "Not known: nothing answered."),
            ("skipped", ""),
        ),
        (error(402), ("passed", ""), ("failed", "Stopped (402).")),
        (error(403), ("passed", ""), ("failed", "Stopped (403).")),
        (error(403, "permission_error", SCOPES), ("passed", ""), ("failed", "Missing.")),
        (error(429), ("passed", ""), ("waiting", "Waiting (429).")),
    ],
)
def test_a_refused_key_shows_what_was_proven_before(answer, key, scope):
    with pytest.raises(ConnectorError) as caught:
        probe(answer, PRICED)

    assert checks(caught.value) == {
        "Key accepted": key,
        "Scope read:analytics": scope,
        "Organization recognized": ("skipped", ""),
        "Plan": ("skipped", ""),
        "Cost data": ("skipped", ""),
        "Engagement data": ("skipped", ""),
    }


def test_trouble_with_cost_leaves_what_was_proven():
    with pytest.raises(TransientError) as caught:
        probe(WEEK, error(503))

    assert checks(caught.value) == {
        "Key accepted": ("passed", ""),
        "Scope read:analytics": ("passed", ""),
        "Organization recognized": ("passed", "org_header"),
        "Plan": ("skipped", ""),
        "Cost data": ("waiting", "Waiting (503)."),
        "Engagement data": ("passed", "Complete to 21 Aug 2026."),
    }


@pytest.mark.parametrize(
    ("key", "code", "sentence"),
    [
        ("sk-ant-admin01-abcdef", "wrong_key_kind", "This is an Admin key of the Claude Console."),
        ("sk-ant-api03-abcdef", "wrong_key_kind", "This key runs models"),
        ("sk-ant-oat01-abcdef", "wrong_key_kind", "sign-in token of one person"),
        ("sk-proj-abcdef", "wrong_key_kind", "This is not an Analytics API key"),
        ("", "wrong_key_kind", "This is not an Analytics API key"),
        ("sk-ant-api01-abc def", "key_malformed", "a space or a line break inside"),
        ("sk-ant-api01-abc\ndef", "key_malformed", "a space or a line break inside"),
        (" sk-ant-api01-abcdef", "key_malformed", "a space or a line break inside"),
        ("sk-ant-api01-", "key_malformed", "its end is missing"),
    ],
)
def test_a_key_of_another_kind_is_refused_with_its_own_sentence(key, code, sentence):
    with pytest.raises(ActionNeeded) as caught:
        CONNECTOR.check_key(key)

    assert caught.value.code == code
    assert sentence in str(caught.value)
    assert caught.value.repair


def test_an_admin_key_is_rejected_with_the_connector_it_belongs_to():
    with pytest.raises(ActionNeeded) as caught:
        CONNECTOR.check_key("sk-ant-admin01-abcdef")

    assert str(caught.value) == (
        "This is an Admin key of the Claude Console. Its card is Anthropic (Claude Console). "
        "This card needs an Analytics API key, "
        "which starts with sk-ant-api01-. It was not sent to Anthropic."
    )


def test_history_starts_with_2026_and_reaches_a_year_back():
    assert CONNECTOR.earliest_day(date(2026, 11, 22)) == date(2026, 1, 1)
    assert CONNECTOR.earliest_day(date(2027, 6, 1)) == date(2026, 6, 1)
