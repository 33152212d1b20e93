"""The official SDK parses every answer of the sandbox, strictly: it is the oracle.

It speaks a newer version than our client does, so both spellings of the API are served.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args, get_type_hints

import anthropic
import pytest
from anthropic.types.beta.organization import analytics as analytics_types

from integrations.connectors.anthropic.beta_reports import report as beta_report
from integrations.connectors.claude_enterprise import report_api
from sandbox.anthropic.oddities import Oddities
from sandbox.claude_enterprise import Sandbox
from sandbox.claude_enterprise.company import companies
from tests.integrations.connectors import wire

CAMPUS = "sk-ant-api01-sandbox-campus"  # in the beta
ODD = "sk-ant-api01-sandbox-oddities"  # see `oddities.py` for what its answers break
NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
FRIDAY = {"starting_at": "2026-11-13T00:00:00Z", "ending_at": "2026-11-14T00:00:00Z"}
MONDAY = {"starting_at": "2026-11-16T00:00:00Z", "ending_at": "2026-11-17T00:00:00Z"}
USAGE_DIMENSIONS = [
    *("product", "model", "context_window", "inference_geo", "speed"),
    *("rbac_group_id", "slack_channel_id", "claude_tag_category"),
]
COST_DIMENSIONS = [*USAGE_DIMENSIONS, "cost_type", "token_type"]


@pytest.fixture(params=Sandbox.keys)
def analytics(request, monkeypatch):
    """Every organization. The odd one as it is without its oddities: see `oddities.py`."""
    monkeypatch.setattr(Oddities, "spoil", lambda oddities, body, *asked: body)
    with sdk(request.param) as client:
        yield client.beta.organization.analytics


def sdk(key, app=None):
    return wire.sdk(key, app or Sandbox(now=lambda: NOON))


def test_the_oracle_tells_a_wrong_answer():
    def without_cowork(environ, start_response):
        (content,) = Sandbox(now=lambda: NOON)(environ, lambda status, headers: None)
        start_response("200 OK", [("content-type", "application/json")])
        return [content.replace(b"cowork_daily_active_user_count", b"cowork_dau")]

    with (
        sdk(Sandbox.keys[0], without_cowork) as client,
        pytest.raises(anthropic.APIResponseValidationError),
    ):
        client.beta.organization.analytics.summaries.list(starting_date="2026-11-02")


# What the official client refuses of the odd organization, and where it stands. All the rest of
# its oddities are names, amounts, spellings and equal keys, which the types of the client allow.
REFUSED = {
    "a map of zeros is null": (
        "server_tool_use",
        lambda analytics: analytics.usage_report.list(**FRIDAY, group_by=["product"]),
    ),
    "a map inside of another": (
        "multi_edit_tool",
        lambda analytics: analytics.users.list(date="2026-11-12"),
    ),
    "a broken row": (
        "connector_name",
        lambda analytics: analytics.connectors.list(date="2026-11-13", group_by=["user_id"]),
    ),
}


@pytest.mark.parametrize(("field", "ask"), REFUSED.values(), ids=REFUSED)
def test_what_the_odd_organization_breaks_is_refused_for_that_alone(field, ask):
    with sdk(ODD) as client, pytest.raises(anthropic.APIResponseValidationError) as refused:
        ask(client.beta.organization.analytics)

    problems = refused.value.__cause__.errors()
    assert {problem["loc"][-1] for problem in problems} <= {field, "cache_creation"}
    assert field in {problem["loc"][-1] for problem in problems}


def test_equal_keys_long_decimals_and_odd_spellings_pass_the_official_client():
    with sdk(ODD) as client:
        analytics = client.beta.organization.analytics
        skills = [row.skill_name for row in analytics.skills.list(date="2026-11-12", limit=1000)]
        page = analytics.cost_report.list(**FRIDAY)

    assert len(skills) == 2 * len(set(skills))
    (row,) = page.data[0].results
    assert row.currency == "usd"
    assert len(row.amount.rpartition(".")[2]) > 20
    assert page.next_page == ""
    assert page.data_refreshed_at.tzinfo is None


def test_summaries(analytics):
    page = analytics.summaries.list(starting_date="2026-11-02")

    assert len(page.data) == 18
    assert page.data[0].weekly_active_user_count >= page.data[0].daily_active_user_count > 0
    assert page.data[0].claude_tag_daily_active_user_count is not None


def test_users(analytics):
    users = list(analytics.users.list(date="2026-11-16", limit=30))

    assert len({row.user.id for row in users}) == len(users) > 20
    assert sum(row.chat_metrics.message_count for row in users) > 0
    assert users[0].cowork_metrics.plugins_used_count is None


def test_users_in_a_range_and_by_group(analytics):
    rows = list(
        analytics.users.list(
            starting_date="2026-11-10", ending_date="2026-11-17", group_by=["rbac_group_id"]
        )
    )

    assert {row.user for row in rows} == {None}
    assert all(row.distinct_user_count > 0 for row in rows)
    assert any(row.rbac_group_name for row in rows)


CUTS = {
    "skills": ["product", "rbac_group_id", "user_id"],
    "connectors": ["product", "rbac_group_id", "user_id"],
    "plugins": ["product", "rbac_group_id", "user_id"],
    "artifacts": ["product", "rbac_group_id", "user_id"],
    "projects": ["rbac_group_id", "user_id"],
}


def items_of(analytics, name):
    return analytics.apps.chat.projects if name == "projects" else getattr(analytics, name)


@pytest.mark.parametrize("name", CUTS)
def test_what_people_use(analytics, name):
    listing = items_of(analytics, name)

    rows = list(listing.list(date="2026-11-16", limit=3))

    assert rows
    assert all(row.distinct_user_count > 0 for row in rows)
    if name != "artifacts":  # those are asked for day by day
        week = list(listing.list(starting_date="2026-11-10", ending_date="2026-11-17"))
        assert len(week) >= len(rows)
        assert max(row.distinct_user_count for row in week) >= max(
            row.distinct_user_count for row in rows
        )


@pytest.mark.parametrize(("name", "cut"), [(name, cut) for name in CUTS for cut in CUTS[name]])
def test_cuts_of_what_people_use(request, analytics, name, cut):
    def ask():
        return list(items_of(analytics, name).list(date="2026-11-16", group_by=[cut], limit=400))

    if (name, cut) == ("artifacts", "product") and not _cuts_artifacts(request):
        with pytest.raises(anthropic.BadRequestError):
            ask()
        return
    rows = ask()

    assert len({getattr(row, cut) for row in rows}) > 1


def _cuts_artifacts(request):
    """Return True unless the organization rejects artifacts by product, as the live API may."""
    return companies()[request.node.callspec.params["analytics"]].cuts_artifacts


def test_groups():
    with sdk(Sandbox.keys[0]) as client:
        groups = list(client.beta.organization.rbac_groups.list(limit=4))

    assert {group.source_type for group in groups} == {"direct", "scim"}
    assert len({group.id for group in groups}) == len(groups) == 9


def test_groups_without_the_scope():
    with sdk(Sandbox.keys[1]) as client, pytest.raises(anthropic.PermissionDeniedError):
        client.beta.organization.rbac_groups.list()


def test_cost_report(analytics):
    def total(**asked):
        return [
            sum(Decimal(row.amount) for row in bucket.results)
            for bucket in analytics.cost_report.list(
                starting_at="2026-11-01T00:00:00Z",
                ending_at="2026-11-20T00:00:00Z",
                bucket_width="1d",
                **asked,
            )
        ]

    assert len(total()) == 19  # over three pages
    assert total(limit=31) == total(limit=31, group_by=["cost_type", "token_type"])
    assert len(total(limit=31, group_by=COST_DIMENSIONS)) == 19


def test_usage_report(analytics):
    page = analytics.usage_report.list(**MONDAY, bucket_width="1h", group_by=USAGE_DIMENSIONS)

    assert len(page.data) == 24
    rows = [row for bucket in page.data for row in bucket.results]
    assert sum(row.output_tokens for row in rows) > 0
    assert page.data_refreshed_at == datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_user_cost_report(analytics):
    rows = list(
        analytics.user_cost_report.list(
            **MONDAY, bucket_width="1d", group_by=COST_DIMENSIONS, limit=500, order_by="list_amount"
        )
    )

    assert rows
    assert {row.actor.type for row in rows} == {"user_actor"}
    assert all(Decimal(row.list_amount) >= Decimal(row.amount) > 0 for row in rows)


def test_user_usage_report(analytics):
    rows = list(analytics.user_usage_report.list(**MONDAY, group_by=USAGE_DIMENSIONS, limit=500))

    assert rows
    assert all(row.total_tokens >= row.output_tokens for row in rows)
    assert all(row.starting_at is None for row in rows)


# What five dimensions at most allow at once.
BETA_DIMENSIONS = [
    ["actor", "product", "model", "inference_geo", "speed"],
    ["actor_type", "context_window", "rbac_group_id", "slack_channel_id", "workspace_id"],
    ["claude_tag_category", "claude_tag_user_id", "api_key_id", "service_tier", "session_id"],
]


@pytest.mark.parametrize("cut", BETA_DIMENSIONS)
def test_beta_cost_report(cut):
    with sdk(CAMPUS) as client:
        rows = list(
            client.beta.organization.analytics.cost.list(
                **MONDAY,
                time_bucket_width="1d",
                group_by=[*cut, "cost_type", "token_type"],
                order_by="time",
                order="asc",
                limit=400,
            )
        )

    assert len(rows) > 1
    assert {row.group.cost_type for row in rows} >= {"tokens", "web_search"}
    assert all(Decimal(row.cost.list_amount) >= Decimal(row.cost.amount) for row in rows)


@pytest.mark.parametrize("cut", BETA_DIMENSIONS)
def test_beta_usage_report(cut):
    with sdk(CAMPUS) as client:
        rows = list(
            client.beta.organization.analytics.usage.list(
                **MONDAY, time_bucket_width="1d", group_by=cut, limit=400
            )
        )

    assert len(rows) > 1
    assert all(row.usage.total_tokens >= row.usage.output_tokens for row in rows)


def test_actors_of_beta_reports_are_of_several_kinds():
    with sdk(CAMPUS) as client:
        rows = list(
            client.beta.organization.analytics.cost.list(**MONDAY, group_by=["actor"], limit=1000)
        )

    kinds = {row.group.actor.type if row.group.actor else None for row in rows}
    assert kinds == {"user_actor", "api_actor", None}


def test_without_a_width_beta_reports_return_the_whole_range():
    with sdk(CAMPUS) as client:
        (row,) = client.beta.organization.analytics.cost.list(
            starting_at="2026-11-16T00:20:00Z", ending_at="2026-11-17T00:00:00Z"
        )

    assert row.starting_at == datetime(2026, 11, 16, tzinfo=UTC)


def test_a_closed_beta_is_a_clear_error():
    with sdk(Sandbox.keys[0]) as client, pytest.raises(anthropic.BadRequestError) as caught:
        client.beta.organization.analytics.cost.list(**MONDAY)

    assert caught.value.body["error"]["details"] == {
        "error_code": "organization_not_enrolled_in_beta"
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("revoked", anthropic.AuthenticationError),
        ("noscope", anthropic.PermissionDeniedError),
        ("off", anthropic.PermissionDeniedError),
        ("missing", anthropic.NotFoundError),
        ("busy", anthropic.RateLimitError),
        ("outage", anthropic.InternalServerError),
    ],
)
def test_failing_keys(name, error):
    with (
        sdk(f"sk-ant-api01-sandbox-{name}") as client,
        pytest.raises(error) as caught,
    ):
        client.beta.organization.analytics.summaries.list(starting_date="2026-11-16")

    assert caught.value.request_id.startswith("req_")


def test_a_bad_question():
    with sdk(Sandbox.keys[0]) as client, pytest.raises(anthropic.BadRequestError):
        client.beta.organization.analytics.cost_report.list(starting_at="2025-01-01T00:00:00Z")


# What the importer asks, in the words of the official client: (its parameters, ours).
ASKED = [
    (analytics_types.CostListParams, beta_report("cost", ())),
    (analytics_types.UsageListParams, beta_report("usage", ())),
    (analytics_types.CostReportListParams, report_api.COST_REPORT),
    (analytics_types.UsageReportListParams, report_api.USAGE_REPORT),
    (analytics_types.UserCostReportListParams, report_api.USER_COST_REPORT),
    (analytics_types.UserUsageReportListParams, report_api.USER_USAGE_REPORT),
]


@pytest.mark.parametrize(("params", "report"), ASKED, ids=lambda one: getattr(one, "name", ""))
def test_the_official_client_knows_every_filter_and_dimension_that_we_ask_by(params, report):
    known = get_type_hints(params)
    dimensions = {
        value
        for choices in get_args(known["group_by"])
        for literal in get_args(choices)
        for value in get_args(literal)
    }

    assert set(report.filters.values()) <= set(known)
    assert set(report.filters) <= dimensions
    assert set(report.optional) <= dimensions | {"cost_type", "token_type"}
