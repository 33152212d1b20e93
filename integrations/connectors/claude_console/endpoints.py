"""Every endpoint of the Admin API that is read, and where each of its fields goes."""

from integrations.connectors.anthropic.endpoints import (
    COST,
    ENVELOPE,
    PERSON,
    TOKENS,
    meter,
    unread,
)
from integrations.connectors.base import Endpoint, Field

_COMMON = (
    meter("model", "sku"),
    meter("context_window"),
    meter("inference_geo"),
    meter("service_tier"),
    meter("workspace_id"),
)
_GROUP = (
    *_COMMON,
    meter("product", "service"),
    meter("speed"),
    meter("cost_type"),
    meter("token_type"),
    meter("api_key_id"),
    meter("organization_id"),
    *(
        unread(name, "Not read: an answer has five dimensions at most, and others matter more.")
        for name in (
            *("actor_type", "agent_id", "claude_tag_category", "claude_tag_user_id"),
            *("deployment_id", "environment_id", "rbac_group_id", "session_id"),
            *("slack_channel_id", "user_profile_id"),
        )
    ),
)
_ATTRIBUTES = "Resource.attributes, each change with its day"
_KEPT = "Stored to tell keys and workspaces apart, and not a dimension of reports."
_NAMED = "Not stored: reports need its name alone."

ENDPOINTS = (
    Endpoint(
        "/cost_report",
        ("cost",),
        (
            COST[0],
            COST[2],
            unread("description", "Not stored: its parts are the fields beside it."),
            *_COMMON,
            meter("cost_type"),
            meter("token_type"),
            *ENVELOPE[:2],
        ),
    ),
    Endpoint(
        "/usage_report/messages",
        ("usage", "people_usage"),
        (
            *(field for field in TOKENS if field.name != "requests"),
            *_COMMON,
            meter("speed"),
            meter("api_key_id"),
            Field("account_id", "Person.external_id", "user_id"),
            Field("service_account_id", "Person.external_id", "user_id"),
            *ENVELOPE[:2],
        ),
    ),
    Endpoint(
        "/analytics/cost",
        ("cost", "beta_cost"),
        (
            *(Field(f"cost.{f.name}", f.stored, f.shown, f.why) for f in COST[:3]),
            Field("cost.requests", "EngagementFact.values", "beta_requests"),
            *(Field(f"group.{f.name}", f.stored, f.shown, f.why) for f in (*PERSON, *_GROUP)),
            *ENVELOPE,
        ),
        "Where an organization is enrolled in the beta.",
    ),
    Endpoint(
        "/analytics/usage",
        ("usage", "people_usage", "beta_usage"),
        (
            *(Field(f"usage.{f.name}", f.stored, f.shown, f.why) for f in TOKENS),
            unread("usage.total_tokens", "Not stored: it is the sum of the others."),
            *(Field(f"group.{f.name}", f.stored, f.shown, f.why) for f in (*PERSON, *_GROUP)),
            *ENVELOPE,
        ),
        "Where an organization is enrolled in the beta.",
    ),
    Endpoint(
        "/usage_report/claude_code",
        ("claude_code", "claude_code_by_model"),
        (
            Field("date", "the day of the document", "day"),
            Field("organization_id", why="Not stored: it is the organization of the key."),
            Field("actor.type", "Person.kind", why="Shown as a tag beside the person."),
            Field("actor.email_address", "Person.email", "user_email"),
            Field("actor.api_key_name", "Person.name", "user_name"),
            Field("terminal_type", "EngagementFact.labels", "terminal_type"),
            Field("customer_type", "EngagementFact.labels", "customer_type"),
            Field("subscription_type", "EngagementFact.labels", "subscription_type"),
            Field("is_remote", "EngagementFact.labels", "environment"),
            Field("core_metrics.num_sessions", "EngagementFact.values", "code_sessions"),
            Field("core_metrics.lines_of_code.added", "EngagementFact.values", "code_lines_added"),
            Field(
                "core_metrics.lines_of_code.removed", "EngagementFact.values", "code_lines_removed"
            ),
            Field("core_metrics.commits_by_claude_code", "EngagementFact.values", "code_commits"),
            Field(
                "core_metrics.pull_requests_by_claude_code",
                "EngagementFact.values",
                "code_pull_requests",
            ),
            Field("tool_actions.*.accepted", "EngagementFact.values", "accepted_edits"),
            Field("tool_actions.*.rejected", "EngagementFact.values", "proposed_edits"),
            Field("model_breakdown.model", "EngagementFact.labels", "sku"),
            *(
                Field(
                    f"model_breakdown.tokens.{path}", "EngagementFact.values", f"code_{name}_tokens"
                )
                for path, name in (
                    ("input", "input"),
                    ("output", "output"),
                    ("cache_read", "cache_read"),
                    ("cache_creation", "cache_write"),
                )
            ),
            Field(
                "model_breakdown.estimated_cost.amount",
                "EngagementFact.values, in dollars",
                "code_estimated_cost",
            ),
            unread(
                "model_breakdown.estimated_cost.currency",
                "Not stored: another currency than US dollars is refused.",
            ),
        ),
        is_renamed=True,
    ),
    Endpoint(
        "/workspaces",
        ("workspaces",),
        (
            Field("id", "Resource.external_id", "workspace_id"),
            Field("name", "Resource.name", "workspace_id"),
            Field("archived_at", "Resource.state", why="Archived workspaces keep their name."),
            *(
                unread(name, _NAMED)
                for name in (
                    *("type", "display_color", "external_key_id", "compartment_id"),
                    "user_profile_id",
                )
            ),
            Field("tags.*", _ATTRIBUTES, "workspace_tags"),
            *(Field(name, _ATTRIBUTES, why=_KEPT) for name in ("created_at", "data_residency.*")),
            unread(
                "inference_data_privacy.*",
                "Not requested: it needs a beta header and says nothing about cost or use.",
            ),
        ),
    ),
    Endpoint(
        "/api_keys",
        ("api_keys",),
        (
            Field("id", "Resource.external_id", "api_key_id"),
            Field("name", "Resource.name", "api_key_id"),
            Field("status", "Resource.state", why="Keys that are gone keep their name."),
            unread("type", _NAMED),
            Field("expires_at", _ATTRIBUTES, "api_key_expiry"),
            Field("created_by.*", _ATTRIBUTES, "api_key_owner"),
            Field("principal.*", _ATTRIBUTES, "api_key_owner"),
            *(
                Field(name, _ATTRIBUTES, why=_KEPT)
                for name in ("created_at", "scope.*", "workspace_id", "partial_key_hint")
            ),
        ),
    ),
    Endpoint(
        "/users",
        ("members",),
        (
            Field("id", "Person.external_id", "user_id"),
            Field("email", "Person.email", "user_email"),
            Field("name", "Person.name", "user_name"),
            Field("role", "Person.role", "user_role"),
            *(unread(name, _NAMED) for name in ("type", "added_at")),
        ),
    ),
)
