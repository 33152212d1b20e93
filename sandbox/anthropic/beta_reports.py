"""`/analytics/cost` and `/analytics/usage` as both products ask them: the beta and its parameters.

Flat rows, one per combination with use; none is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.anthropic.query import (
    ApiError,
    Query,
    bad_request,
    refuse_many_dimensions,
)
from sandbox.anthropic.reporting import (
    COMPONENTS,
    LONGEST,
    ORDER_BY,
    WIDTHS,
    Kind,
    asked_range,
    floor,
)

BETA = "analytics-usage-cost-2026-08-24"
CONSOLE_ONLY = (
    *("agent_id", "api_key_id", "deployment_id", "environment_id", "organization_id"),
    *("service_tier", "session_id", "user_profile_id", "workspace_id"),
)
ENTERPRISE_ONLY = (
    *("rbac_group_id", "slack_channel_id", "claude_tag_category", "claude_tag_user_id"),
)
SHARED = ("product", "model", "context_window", "inference_geo", "speed")
DIMENSIONS = (*SHARED, *ENTERPRISE_ONLY, *CONSOLE_ONLY)
_ACTOR_TYPES = ("user_actor", "api_actor", "service_account_actor", "federated_actor")
_PLAIN = {
    *("starting_at", "ending_at", "time_bucket_width", "limit", "page"),
    *("order", "order_by", "exclude_deleted_users"),
}


@dataclass(frozen=True)
class Asked:
    """Parsed request. `filters` are the wanted words of each filtered dimension.

    `width` None: one row per combination for the whole range.
    """

    start: datetime
    end: datetime
    width: timedelta | None
    group_by: tuple[str, ...]
    filters: Mapping[str, tuple[str, ...]]
    actor_ids: frozenset[str]
    actor_types: frozenset[str]
    group_ids: frozenset[str]
    exclude_deleted: bool
    order_by: str
    descending: bool

    @property
    def is_by_actor(self) -> bool:
        return "actor" in self.group_by or "actor_type" in self.group_by


def refuse_strangers(*, is_enrolled: bool, betas: str) -> None:
    """400 for who is not in the beta, or does not ask for it by its header."""
    if not is_enrolled:
        raise ApiError(
            400,
            "invalid_request_error",
            "This organization is not enrolled in the beta.",
            details={"error_code": "organization_not_enrolled_in_beta"},
        )
    if BETA not in betas:
        raise bad_request(f"anthropic-beta: {BETA} is required.")


def query_of(query_string: str, filters: Mapping[str, str]) -> Query:
    """Parse a query; `filters` maps parameters of filters to their dimensions."""
    lists = {*filters, "group_by", "rbac_group_ids", "actor_ids", "actor_types"}
    return Query(query_string, allowed={f"{name}[]" for name in lists} | _PLAIN)


def asked(query: Query, kind: Kind, filters: Mapping[str, str], now: datetime) -> Asked:
    """Read all parameters but the page; raises 400."""
    width_name = query.choice("time_bucket_width", tuple(WIDTHS), None)
    longest = timedelta(days=1) if width_name == "1m" else LONGEST
    start, end = asked_range(query, now, longest)
    if width_name and query.text("ending_at") is None:
        raise bad_request("ending_at: required when time_bucket_width is set.")
    if width_name is None:
        start, end = floor(start, WIDTHS["1h"]), floor(end, WIDTHS["1h"])
    dimensions = (*DIMENSIONS, "actor", "actor_type")
    group_by = query.list("group_by", among=dimensions + (COMPONENTS if kind == "cost" else ()))
    refuse_many_dimensions([name for name in group_by if name not in COMPONENTS])
    if {"claude_tag_user_id", "rbac_group_id"} <= {*group_by}:
        raise bad_request("group_by[]: claude_tag_user_id cannot go with rbac_group_id.")
    exclude_deleted = query.flag("exclude_deleted_users")
    if exclude_deleted and "actor" not in group_by:
        raise bad_request("exclude_deleted_users: requires group_by[]=actor.")
    order_by = query.choice("order_by", (*ORDER_BY[kind], "time"), ORDER_BY[kind][0]) or ""
    if order_by == "time" and width_name is None:
        order_by = ORDER_BY[kind][0]
    return Asked(
        start=start,
        end=end,
        width=WIDTHS[width_name] if width_name else None,
        group_by=group_by,
        filters={
            name: values for parameter, name in filters.items() if (values := query.list(parameter))
        },
        actor_ids=frozenset(query.list("actor_ids")),
        actor_types=frozenset(query.list("actor_types", among=_ACTOR_TYPES)),
        group_ids=frozenset(query.list("rbac_group_ids")),
        exclude_deleted=exclude_deleted,
        order_by=order_by,
        descending=query.choice("order", ("asc", "desc"), "desc") == "desc",
    )
