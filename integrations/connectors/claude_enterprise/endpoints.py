"""Every endpoint of the Analytics API that is read, and where each of its fields goes.

Numbers of activity are stored under their path, and the metrics that read it are found from the
catalog. Here stands everything else. `docs/metrics.md` is written from it.
"""

from integrations.connectors.anthropic.endpoints import (
    COST,
    DOCUMENT,
    ENVELOPE,
    NAMES,
    PERSON,
    TOKENS,
    meter,
    unread,
)
from integrations.connectors.base import Endpoint, Field

_SLACK = (
    "Not read: an id of Slack, which identifies no person here, and no query combines it with "
    "groups."
)
_DIMENSIONS = (
    meter("product", "service"),
    meter("model", "sku"),
    meter("context_window"),
    meter("inference_geo"),
    meter("speed"),
    Field("rbac_group_id", f"{DOCUMENT}.subject", "rbac_group_id"),
    Field("slack_channel_id", f"{DOCUMENT}.subject", "slack_channel_id"),
    unread("claude_tag_category", "Not read: the older version of the API does not have it."),
    unread("claude_tag_user_id", _SLACK),
)
_COST_DIMENSIONS = (*_DIMENSIONS, meter("cost_type"), meter("token_type"))
_SHARED_DIMENSIONS = (
    Field("product", f"{DOCUMENT}.labels", "service"),
    Field("user_id", "Person.external_id", "user_id"),
    Field("rbac_group_id", f"{DOCUMENT}.labels", "rbac_group_id"),
    Field("rbac_group_name", NAMES, "rbac_group_id"),
)
_BETA_REPORT = tuple(
    Field(f"group.{field.name}", field.stored, field.shown, field.why) for field in _COST_DIMENSIONS
) + tuple(
    unread(f"group.{name}", "Not read: documented for the Console.")
    for name in (
        *("actor_type", "agent_id", "api_key_id", "deployment_id", "environment_id"),
        *("service_tier", "session_id", "user_profile_id", "workspace_id"),
    )
)

ENDPOINTS = (
    Endpoint(
        "/analytics/cost_report",
        ("organization_cost", "group_cost", "slack_channel_cost"),
        (*COST, *_COST_DIMENSIONS, *ENVELOPE),
    ),
    Endpoint(
        "/analytics/user_cost_report",
        ("user_cost",),
        (*COST, *_COST_DIMENSIONS, *PERSON, *ENVELOPE),
    ),
    Endpoint(
        "/analytics/usage_report",
        ("organization_usage", "group_usage"),
        (*TOKENS, *_DIMENSIONS, *ENVELOPE),
    ),
    Endpoint(
        "/analytics/user_usage_report",
        ("user_usage",),
        (
            *TOKENS,
            *_DIMENSIONS,
            *PERSON,
            unread("total_tokens", "Not stored: it is the sum of the others.", "total_tokens"),
            *ENVELOPE,
        ),
    ),
    Endpoint(
        "/analytics/cost",
        ("organization_cost", "user_cost", "group_cost", "slack_channel_cost"),
        (
            *(Field(f"cost.{f.name}", f.stored, f.shown, f.why) for f in COST),
            *(Field(f"group.{f.name}", f.stored, f.shown, f.why) for f in PERSON),
            *_BETA_REPORT,
            Field("group.organization_id", "Meter.organization_id", "organization_id"),
            *ENVELOPE,
        ),
        "The same as the four reports above, where an organization is enrolled in the beta.",
    ),
    Endpoint(
        "/analytics/usage",
        ("organization_usage", "user_usage", "group_usage"),
        (
            *(Field(f"usage.{f.name}", f.stored, f.shown, f.why) for f in TOKENS),
            unread("usage.total_tokens", "Not stored: it is the sum of the others."),
            *(Field(f"group.{f.name}", f.stored, f.shown, f.why) for f in PERSON),
            *_BETA_REPORT,
            Field("group.organization_id", "Meter.organization_id", "organization_id"),
            *ENVELOPE,
        ),
    ),
    Endpoint("/analytics/summaries", ("summaries",), ENVELOPE),
    Endpoint(
        "/analytics/users",
        ("users", "group_activity", "users_spans"),
        (
            Field("user.id", "Person.external_id", "user_id"),
            Field("user.email_address", "Person.email", "user_email"),
            unread("user.type", "Not stored: it is always a user."),
            unread("last_activity_date", "Not stored: the days of activity say the same."),
            *_SHARED_DIMENSIONS[2:],
            Field("distinct_user_count", f"{DOCUMENT}.values", "group_people"),
        ),
    ),
    Endpoint(
        "/analytics/skills",
        ("skills", "skills_by_person", "skills_by_group", "skills_by_product", "skills_spans"),
        (
            Field("skill_name", f"{DOCUMENT}.subject", "item"),
            Field("skill_display_name", f"{DOCUMENT}.name", "item"),
            Field(
                "estimated_overage_spend",
                f"{DOCUMENT}.values, in dollars",
                "skill_estimated_spend",
            ),
            Field("attributed_list_price", f"{DOCUMENT}.values, in dollars", "skill_list_price"),
            unread("currency", "Not stored: another currency than US dollars is refused."),
            unread("share_status", "Not stored: who may see a skill is neither cost nor use."),
            *_SHARED_DIMENSIONS,
        ),
    ),
    Endpoint(
        "/analytics/connectors",
        (
            *("connectors", "connectors_by_person", "connectors_by_group"),
            *("connectors_by_product", "connectors_spans"),
        ),
        (
            Field("connector_name", f"{DOCUMENT}.subject", "item"),
            Field("connector_display_name", f"{DOCUMENT}.name", "item"),
            *_SHARED_DIMENSIONS,
        ),
    ),
    Endpoint(
        "/analytics/plugins",
        ("plugins", "plugins_by_person", "plugins_by_group", "plugins_by_product", "plugins_spans"),
        (
            Field("plugin_id", f"{DOCUMENT}.subject", "item"),
            Field("plugin_name", f"{DOCUMENT}.name", "item"),
            *_SHARED_DIMENSIONS,
        ),
    ),
    Endpoint(
        "/analytics/artifacts",
        ("artifacts", "artifacts_by_person", "artifacts_by_group", "artifacts_by_product"),
        (
            Field("artifact_type", f"{DOCUMENT}.subject", "item"),
            Field("is_shared", f"{DOCUMENT}.subject", "item"),
            *_SHARED_DIMENSIONS,
        ),
    ),
    Endpoint(
        "/analytics/apps/chat/projects",
        ("projects", "projects_by_person", "projects_by_group", "projects_spans"),
        (
            Field("project_id", f"{DOCUMENT}.subject", "item"),
            Field("project_name", f"{DOCUMENT}.name", "item"),
            unread("created_at", "Not stored: no report asks how old a project is."),
            unread("created_by.*", "Not stored: who made a project is no use of it."),
            *_SHARED_DIMENSIONS[1:],
        ),
    ),
    Endpoint(
        "/rbac_groups",
        ("groups",),
        (
            Field("id", "Resource.external_id", "rbac_group_id"),
            Field("name", "Resource.name", "rbac_group_id"),
            *(
                unread(name, "Not stored: reports need the name of a group alone.")
                for name in ("type", "source_type", "role_ids", "roles", "created_at", "updated_at")
            ),
        ),
    ),
)
