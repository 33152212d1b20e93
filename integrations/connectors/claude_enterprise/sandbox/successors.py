"""`/cost` and `/usage`: the newer endpoints, in beta. Flat rows, every combination, no cap."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from integrations.connectors.anthropic_api.sandbox.query import ApiError, Query, bad_request
from integrations.connectors.claude_enterprise.sandbox.ledger import CLAUDE_TAG
from integrations.connectors.claude_enterprise.sandbox.reports import (
    FILTERS,
    LONGEST,
    NEWER_FILTERS,
    ORDER_BY,
    asked_range,
    envelope,
    filter_value,
    offset_of,
)
from integrations.connectors.claude_enterprise.sandbox.sums import (
    COMPONENTS,
    DIMENSIONS,
    NEWER_DIMENSIONS,
    WIDTHS,
    Cell,
    Cut,
    Kind,
    Request,
    actor,
    floor,
    instant,
    money,
    parts,
    ranked,
    usage,
)

BETA = "analytics-usage-cost-2026-08-24"
_MOST_DIMENSIONS = 5  # components are not counted
_CONSOLE_ONLY = (
    *("agent_id", "api_key_id", "deployment_id", "environment_id", "organization_id"),
    *("service_tier", "session_id", "user_profile_id", "workspace_id"),
)
_ACTOR_TYPES = ("user_actor", "api_actor", "service_account_actor", "federated_actor")


def report(request: Request, kind: Kind) -> dict[str, Any]:
    """One endpoint of the two; `limit` counts rows, but not their parts."""
    if not request.company.in_beta:
        raise ApiError(
            400,
            "invalid_request_error",
            "This organization is not enrolled in the beta.",
            details={"error_code": "organization_not_enrolled_in_beta"},
        )
    if BETA not in request.betas:
        raise bad_request(f"anthropic-beta: {BETA} is required.")
    filters = FILTERS | NEWER_FILTERS
    lists = {*filters, "group_by", "rbac_group_ids", "actor_ids", "actor_types"}
    plain = {"starting_at", "ending_at", "time_bucket_width", "limit", "page"}
    query = Query(
        request.query_string,
        allowed={f"{name}[]" for name in lists}
        | plain
        | {"order", "order_by", "exclude_deleted_users"},
    )
    cut = _cut(query, request, kind, filters)
    offset, limit = offset_of(query, request), query.limit(20, 1000)
    found = ranked(cut)
    data = [row for cell in found[offset : offset + limit] for row in _rows(cut, cell)]
    body = envelope(query, request, data, cut.start, offset + limit, len(found))
    return {name: value for name, value in body.items() if name != "organization_id"}


def _cut(query: Query, request: Request, kind: Kind, filters: dict[str, str]) -> Cut:
    width_name = query.choice("time_bucket_width", tuple(WIDTHS), None)
    longest = timedelta(days=1) if width_name == "1m" else LONGEST
    start, end = asked_range(query, request.now, longest)
    if width_name and query.text("ending_at") is None:
        raise bad_request("ending_at: required when time_bucket_width is set.")
    if width_name is None:
        start, end = floor(start, WIDTHS["1h"]), floor(end, WIDTHS["1h"])
    dimensions = (*DIMENSIONS, *NEWER_DIMENSIONS, *_CONSOLE_ONLY, "actor", "actor_type")
    group_by = query.list("group_by", among=dimensions + (COMPONENTS if kind == "cost" else ()))
    if len([name for name in group_by if name not in COMPONENTS]) > _MOST_DIMENSIONS:
        raise bad_request(f"group_by[]: at most {_MOST_DIMENSIONS} dimensions.")
    if {"claude_tag_user_id", "rbac_group_id"} <= {*group_by}:
        raise bad_request("group_by[]: claude_tag_user_id cannot go with rbac_group_id.")
    exclude_deleted = query.flag("exclude_deleted_users")
    if exclude_deleted and "actor" not in group_by:
        raise bad_request("exclude_deleted_users: requires group_by[]=actor.")
    types = query.list("actor_types", among=_ACTOR_TYPES)
    order_by = query.choice("order_by", (*ORDER_BY[kind], "time"), ORDER_BY[kind][0]) or ""
    if order_by == "time" and width_name is None:
        order_by = ORDER_BY[kind][0]
    return Cut(
        kind=kind,
        slug=request.company.slug,
        export=request.export,
        newer=True,
        start=start,
        end=end,
        width=WIDTHS[width_name] if width_name else None,
        group_by=group_by,
        filters=tuple(
            (name, frozenset(filter_value(name, value) for value in values))
            for parameter, name in filters.items()
            if (values := query.list(parameter))
        ),
        user_ids=frozenset(query.list("actor_ids")),
        group_ids=frozenset(query.list("rbac_group_ids")),
        actor_types=frozenset(types),
        per_user="actor" in group_by or "actor_type" in group_by,
        everyone=True,
        exclude_deleted=exclude_deleted,
        order_by=order_by,
        descending=query.choice("order", ("asc", "desc"), "desc") == "desc",
    )


def _rows(cut: Cut, cell: Cell) -> Iterator[dict[str, Any]]:
    start = cell.start or cut.start
    row: dict[str, Any] = {
        "starting_at": instant(start),
        "ending_at": instant(start + cut.width if cut.width else cut.end),
    }
    group: dict[str, Any] = dict.fromkeys((*_CONSOLE_ONLY, *DIMENSIONS, *NEWER_DIMENSIONS))
    group |= {"actor": None, "actor_type": None}
    group |= dict(zip(cut.dimensions, cell.values, strict=True))
    if group["product"] == CLAUDE_TAG:
        group["product"] = "claude_tag"
    if cell.member is not None:
        whom = actor(cell.member, cut.export.date(), newer=True)
        if "actor" in cut.group_by:
            group["actor"] = whom
        if "actor_type" in cut.group_by:
            group["actor_type"] = whom["type"]
    if cut.kind == "usage":
        yield row | {"group": group, "usage": usage(cell, with_total=True)}
        return
    group |= {"cost_type": None, "token_type": None}
    if not cut.components:
        cost = {**money(cell.amount, cell.list_amount), "currency": "USD"}
        yield row | {"group": group, "cost": {**cost, "requests": cell.requests}}
        return
    for (cost_type, token_type), amounts in sorted(parts(cut, cell).items()):
        priced: dict[str, Any] = {**money(*amounts), "currency": "USD", "requests": None}
        component = {"cost_type": cost_type, "token_type": token_type or None}
        yield row | {"group": group | component, "cost": priced}
