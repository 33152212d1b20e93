"""The official SDK parses what the sandbox answers, strictly. It has no types for the reports."""

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal

import anthropic
import httpx
import pytest

from sandbox.anthropic.oddities import Oddities
from sandbox.claude_console import Sandbox
from sandbox.claude_console.company import by_slug
from sandbox.claude_console.ledger import known_lines
from tests.integrations.connectors.wire import sdk

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
EXPORT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MONDAY = {"starting_at": "2026-11-16T00:00:00Z", "ending_at": "2026-11-17T00:00:00Z"}
ENROLLED, STRANGER, *_ = Sandbox.keys


def organization_of(key):
    return sdk(key, Sandbox(now=lambda: NOON)).beta.organization


@pytest.mark.parametrize("key", Sandbox.keys)
def test_the_organization_and_its_lists(key, monkeypatch):
    monkeypatch.setattr(Oddities, "spoil", lambda oddities, body, *asked: body)
    organization = organization_of(key)

    assert organization.retrieve().name
    everything = list(organization.workspaces.list(include_archived=True, include_default=True))
    listed = list(organization.workspaces.list(limit=1))
    assert len(everything) > len(listed)
    keys = list(organization.api_keys.list(limit=2))
    assert {key.scope.workspace_id for key in keys} <= {one.id for one in everything}
    assert all(user.email for user in organization.users.list(limit=5))


def test_tokens_take_at_most_five_dimensions_as_the_live_api_does():
    """The body as it was measured, which no documentation has: without a request id."""
    names = [
        *("workspace_id", "api_key_id", "model", "service_tier", "context_window"),
        "inference_geo",
    ]

    def ask(count):
        client = httpx.Client(transport=httpx.WSGITransport(app=Sandbox(now=lambda: NOON)))
        with client:
            return client.get(
                "http://sandbox/v1/organizations/usage_report/messages",
                params={**MONDAY, "group_by[]": names[:count]},
                headers={"x-api-key": ENROLLED, "anthropic-version": "2023-06-01"},
            )

    assert ask(5).status_code == 200
    assert ask(6).status_code == 400
    assert ask(6).json() == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "Cannot specify more than 5 group_by[] dimensions.",
        },
    }


# --- The beta reports --------------------------------------------------------------------------
@pytest.fixture
def analytics():
    return organization_of(ENROLLED).analytics


def lines_of_monday():
    return list(known_lines(by_slug("console-my-org"), date(2026, 11, 16), EXPORT))


# What five dimensions at most allow at once.
CUTS = [
    ["actor", "product", "model", "inference_geo", "workspace_id"],
    ["actor_type", "api_key_id", "service_tier", "context_window", "speed"],
    ["agent_id", "deployment_id", "environment_id", "session_id", "user_profile_id"],
    ["organization_id", "rbac_group_id", "slack_channel_id", "claude_tag_category"],
]


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut_of_cost_sums_to_the_ledger(analytics, cut):
    rows = list(
        analytics.cost.list(
            **MONDAY,
            time_bucket_width="1d",
            group_by=[*cut, "cost_type", "token_type"],
            order_by="time",
            order="asc",
            limit=7,  # over several pages
        )
    )

    assert {row.group.cost_type for row in rows} == {
        *("tokens", "web_search", "code_execution", "session_usage")
    }
    charged = sum(charge.amount for line in lines_of_monday() for charge in line.charges)
    assert sum(Decimal(row.cost.amount) for row in rows) == Decimal(charged) / 10**6
    assert {row.cost.requests for row in rows} == {None}


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut_of_usage_sums_to_the_ledger(analytics, cut):
    rows = list(analytics.usage.list(**MONDAY, time_bucket_width="1d", group_by=cut, limit=50))

    used = [line for line in lines_of_monday() if line.model]
    assert sum(row.usage.total_tokens for row in rows) == sum(sum(line.tokens) for line in used)
    assert sum(row.usage.requests for row in rows) == sum(line.requests for line in used)


def test_actors_are_users_services_and_keys_and_sometimes_nobody(analytics):
    rows = list(analytics.cost.list(**MONDAY, group_by=["actor"], limit=1000))

    kinds = {row.group.actor.type if row.group.actor else None for row in rows}
    assert kinds == {"user_actor", "service_account_actor", "api_actor", None}


def test_a_filter_keeps_what_it_names_null_too(analytics):
    def tokens(**filters):
        (row,) = analytics.usage.list(**MONDAY, **filters)
        return row.usage.total_tokens

    by_key, by_region = defaultdict(int), defaultdict(int)
    for line in lines_of_monday():
        by_key[line.api_key_id] += sum(line.tokens)
        by_region[line.inference_geo] += sum(line.tokens)
    assert tokens(api_key_ids=[""]) == by_key[None] > 0
    assert tokens(inference_geos=["not_available"]) == by_region["not_available"] > 0
    assert tokens(inference_geos=["us", "global"]) == by_region["us"] + by_region["global"]
    assert list(analytics.usage.list(**MONDAY, rbac_group_ids=["rbac_group_1"])) == []


def test_the_dearest_come_first_unless_time_is_asked_for(analytics):
    week = {"starting_at": "2026-11-16T00:00:00Z", "ending_at": "2026-11-20T00:00:00Z"}
    by_model = analytics.cost.list(**MONDAY, group_by=["model"])
    dearest = [Decimal(row.cost.amount) for row in by_model]
    assert dearest == sorted(dearest, reverse=True)

    rows = analytics.cost.list(
        **week, time_bucket_width="1d", group_by=["model"], order_by="time", order="asc"
    )
    days = [row.starting_at for row in rows]
    assert days == sorted(days)
    assert len(set(days)) == 4


def test_a_cursor_dies_when_a_new_export_lands():
    now = [NOON]
    with sdk(ENROLLED, Sandbox(now=lambda: now[0])) as client:
        page = client.beta.organization.analytics.cost.list(**MONDAY, group_by=["model"], limit=1)
        now[0] = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
        with pytest.raises(anthropic.APIStatusError) as caught:
            page.get_next_page()

    assert caught.value.status_code == 410


def test_an_organization_that_is_not_enrolled_gets_a_clear_error():
    with pytest.raises(anthropic.BadRequestError) as caught:
        organization_of(STRANGER).analytics.usage.list(**MONDAY)

    assert caught.value.body["error"]["details"] == {
        "error_code": "organization_not_enrolled_in_beta"
    }


def test_six_dimensions_are_one_too_many(analytics):
    with pytest.raises(anthropic.BadRequestError):
        analytics.cost.list(**MONDAY, group_by=[*CUTS[0], "speed"])
