"""The lists: what exists in an organization, object by object."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sandbox.anthropic.query import Query, bad_request
from sandbox.claude_console.company import Company, Key, Member, Workspace


def organization(company: Company) -> dict[str, Any]:
    return {"id": company.organization_id, "type": "organization", "name": company.name}


def workspaces(company: Company, query_string: str, today: date) -> dict[str, Any]:
    query = Query(query_string, allowed={*_PAGING, "include_archived", "include_default", "ids[]"})
    archived, default = query.flag("include_archived"), query.flag("include_default")
    wanted = query.list("ids")
    rows = [
        _workspace(one)
        for one in company.workspaces
        if (archived or one.archived_on is None or one.archived_on > today)
        and (default or not one.is_default)
        and (not wanted or one.id in wanted)
    ]
    return _listing(query, rows)


def api_keys(company: Company, query_string: str, *, newer: bool) -> dict[str, Any]:
    query = Query(query_string, allowed={*_PAGING, "status", "workspace_id", "created_by_user_id"})
    statuses = ("active", "inactive", "archived", "expired")
    status = query.choice("status", statuses, None)
    workspace, creator = query.text("workspace_id"), query.text("created_by_user_id")
    rows = [
        _api_key(key, newer=newer)
        for key in company.keys
        if (status is None or key.status == status)
        and (workspace is None or key.workspace.id == workspace)
        and (creator is None or key.created_by.id == creator)
    ]
    return _listing(query, rows)


def users(company: Company, query_string: str, today: date) -> dict[str, Any]:
    query = Query(query_string, allowed={*_PAGING, "email", "roles[]"})
    email, roles = query.text("email"), query.list("roles")
    rows = [
        _user(member)
        for member in company.members
        if (member.left_on is None or member.left_on > today)
        and (email is None or member.email == email)
        and (not roles or member.role in roles)
    ]
    return _listing(query, rows)


_PAGING = {"limit", "after_id", "before_id"}


def _listing(query: Query, objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    limit = query.limit(20, 1000)
    after, before = query.text("after_id"), query.text("before_id")
    ids = [one["id"] for one in objects]
    if (after or before) and (after or before) not in ids:
        raise bad_request("after_id: there is no such object.")
    start = ids.index(after) + 1 if after else 0
    end = ids.index(before) if before else len(ids)
    page = list(objects[max(start, end - limit) if before else start : end])[:limit]
    more = start > 0 if before else start + len(page) < end
    return {
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": more,
    }


def _workspace(workspace: Workspace) -> dict[str, Any]:
    return {
        "id": workspace.id,
        "type": "workspace",
        "name": workspace.name,
        "archived_at": f"{workspace.archived_on}T12:00:00Z" if workspace.archived_on else None,
        "created_at": f"{workspace.created_on}T09:00:00Z",
        "display_color": workspace.color,
        "tags": dict(workspace.tags),
        "external_key_id": None,
        "compartment_id": workspace.id.replace("wrkspc_", "cmpt_"),
        "data_residency": {
            "allowed_inference_geos": "unrestricted",
            "default_inference_geo": "global",
            "workspace_geo": "us",
        },
    }


def _api_key(key: Key, *, newer: bool) -> dict[str, Any]:
    workspace = key.workspace
    where: dict[str, Any] = (
        {"scope": {"type": "workspace", "workspace_id": workspace.id}}
        if newer
        else {"workspace_id": None if workspace.is_default else workspace.id}
    )
    principal = (
        {"type": "service_account_actor", "service_account_id": key.service_account_id}
        if newer
        else {"id": key.service_account_id, "type": "service_account"}
    )
    return {
        "id": key.id,
        "type": "api_key",
        "name": key.name,
        "status": key.status,
        "created_by": {"id": key.created_by.id, "type": "user"},
        "principal": principal if key.service_account_id else None,
        "partial_key_hint": f"sk-ant-api03-{key.id[-7:-4]}...{key.id[-4:]}",
        "created_at": f"{key.created_on}T09:00:00Z",
        "expires_at": f"{key.expires_on}T00:00:00Z" if key.expires_on else None,
        **where,
    }


def _user(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "type": "user",
        "email": member.email,
        "name": member.name,
        "role": member.role,
        "added_at": "2025-10-01T09:00:00Z",
    }
