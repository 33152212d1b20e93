"""The engagement endpoints: active users per day, and what each user did.

Computed at 10:00 UTC of the next day, from the same ledger as cost and usage.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from integrations.connectors.anthropic_api.sandbox.dice import seed
from integrations.connectors.anthropic_api.sandbox.query import (
    OLDEST,
    Query,
    bad_request,
    cursor,
    open_cursor,
)
from integrations.connectors.claude_enterprise.sandbox.company import Company, Member
from integrations.connectors.claude_enterprise.sandbox.ledger import (
    CLAUDE_TAG,
    Line,
    by_slug,
    day_lines,
)
from integrations.connectors.claude_enterprise.sandbox.reports import Request

_PUBLISHED_AT = timedelta(hours=10)
_LONGEST_RANGE = 366
_COUNTED_PRODUCTS = ("cowork", "chat", "claude_code", "claude_design", "office_agent")
_SPANS = {"daily": 1, "weekly": 7, "monthly": 30}


def newest_day(now: datetime) -> date:
    """The newest day that is published."""
    return (now - _PUBLISHED_AT).date() - timedelta(days=1)


# --- /summaries ----------------------------------------------------------------------------


def summaries(request: Request) -> dict[str, Any]:
    """`/summaries`: one entry per published day. Nobody is in a group here."""
    allowed = {"starting_date", "ending_date", "filter[]"}
    if request.newer:
        allowed |= {"limit", "page"}  # accepted, without effect
    query = Query(request.query_string, allowed=allowed)
    start, end = _range(query, request.now)
    in_group = bool(_filters(query, ("rbac_group_id",)))
    days = _days(start, min(end, newest_day(request.now) + timedelta(days=1)))
    entries = [_summary(request.company, day, newer=request.newer) for day in days]
    if in_group:
        entries = [_nobody(entry) for entry in entries]
    return {"data": entries, "next_page": None} if request.newer else {"summaries": entries}


def _summary(company: Company, day: date, *, newer: bool) -> dict[str, Any]:
    members = sum(member.is_member(day) for member in company.members)
    seats = members + company.spare_seats
    entry: dict[str, Any] = {
        "starting_at": f"{day}T00:00:00Z",
        "ending_at": f"{day + timedelta(days=1)}T00:00:00Z",
        "assigned_seat_count": seats,
        "pending_invite_count": seed(company.slug, day.isocalendar().week, "invites") % 15,
    }
    for span, days in _SPANS.items():
        active = len(_active(company, day, days))
        entry[f"{span}_active_user_count"] = active
        entry[f"{span}_adoption_rate"] = round(active / seats * 100, 2)
        for product in _COUNTED_PRODUCTS:
            counted = _active(company, day, days, product)
            entry[f"{product}_{span}_active_user_count"] = len(counted)
        entry[f"science_{span}_active_user_count"] = 0
        if newer:
            slack_days = 28 if span == "monthly" else days
            entry[f"claude_tag_{span}_active_user_count"] = len(
                _active(company, day, slack_days, CLAUDE_TAG)
            )
    entry["science_entitled_user_count"] = 0
    return entry


def _active(company: Company, day: date, days: int, product: str = "") -> set[str]:
    found: set[str] = set()
    for back in range(days):
        found |= _active_on(company.slug, day - timedelta(days=back)).get(product, frozenset())
    return found


@lru_cache(maxsize=1000)
def _active_on(slug: str, day: date) -> dict[str, frozenset[str]]:
    """Who was active on a day, by product; "" is any. Claude Tag counts people in Slack."""
    found = defaultdict(set)
    for line in day_lines(slug, day):
        if line.product == CLAUDE_TAG:
            if line.claude_tag_user_id:
                found[CLAUDE_TAG].add(line.claude_tag_user_id)
        elif line.member and line.product and not line.member.is_service:
            found[line.product].add(line.member.user_id)
        if line.member and not line.member.is_service:
            found[""].add(line.member.user_id)
    return {product: frozenset(people) for product, people in found.items()}


def _nobody(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a group without members: what only the organization has is null."""
    dates = ("starting_at", "ending_at")
    nulls = ("seat", "invite", "adoption_rate", "entitled", "claude_tag")
    return {
        name: value if name in dates else None if any(part in name for part in nulls) else 0
        for name, value in entry.items()
    }


# --- /users --------------------------------------------------------------------------------


def users(request: Request) -> dict[str, Any]:
    """`/users`: a row per active user of one day, or summed over a range; by e-mail address."""
    query = Query(
        request.query_string,
        allowed={
            *("date", "starting_date", "ending_date", "group_by[]", "filter[]"),
            *("limit", "page", "order", "order_by"),
        },
    )
    opened = open_cursor(query, request.path)
    offset, fixed_end = opened if opened else (0, "")
    days, end = _asked_days(query, request.now, fixed_end)
    limit = query.limit(100, 1000)
    wanted = _filters(query, ("user_id", "rbac_group_id", "project_id"))
    rows = _user_rows(request.company, days, newer=request.newer)
    if "rbac_group_id" in wanted or "project_id" in wanted:
        rows = []  # there are none
    if "user_id" in wanted:
        rows = [row for row in rows if row["user"]["id"] in wanted["user_id"]]
    if query.choice("order", ("asc", "desc"), "asc") == "desc":
        rows = rows[::-1]
    if query.list("group_by", among=("rbac_group_id",)):
        rows = [_everybody(rows)] if rows else []
    following = offset + limit
    more = following < len(rows)
    return {
        "data": rows[offset:following],
        "next_page": cursor(query, request.path, following, end) if more else None,
    }


def _asked_days(query: Query, now: datetime, fixed_end: str) -> tuple[list[date], str]:
    """The days asked for, and the end of their range, which stays while pages are turned."""
    day = query.day("date")
    if day is None:
        start, end = _range(query, now, fixed_end)
        return _days(start, min(end, newest_day(now) + timedelta(days=1))), end.isoformat()
    if query.text("starting_date") or query.text("ending_date"):
        raise bad_request("date: cannot be combined with starting_date or ending_date.")
    _check_day(day, now)
    return [day], ""


def _user_rows(company: Company, days: list[date], *, newer: bool) -> list[dict[str, Any]]:
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for day in days:
        for row in _day_rows(company.slug, day):
            by_user[row["user"]["id"]].append(row)
    rows = [_sum(user_rows) for user_rows in by_user.values()]
    if not newer:
        rows = [_without_newer(row) for row in rows]
    return sorted(rows, key=lambda row: (row["user"]["email_address"], row["user"]["id"]))


@lru_cache(maxsize=400)
def _day_rows(slug: str, day: date) -> list[dict[str, Any]]:
    company = by_slug(slug)
    work: dict[str, list[Line]] = defaultdict(list)
    for line in day_lines(slug, day):
        if line.member and not line.member.is_service:
            work[line.member.user_id].append(line)
    people = {member.user_id: member for member in company.members}
    return [_row(people[user_id], day, lines) for user_id, lines in work.items()]


def _row(member: Member, day: date, lines: list[Line]) -> dict[str, Any]:
    """What one user did on one day, told from the requests the work took."""
    requests: dict[str | None, int] = defaultdict(int)
    for line in lines:
        requests[line.product] += line.requests
    chat, code = requests["chat"], requests["claude_code"]
    cowork, office = requests["cowork"], requests["office_agent"]
    design, tag = requests["claude_design"], requests[CLAUDE_TAG]
    excel = office // 2
    return {
        "user": {"id": member.user_id, "email_address": member.email, "type": "user"},
        "chat_metrics": {
            "message_count": chat,
            "thinking_message_count": chat // 6,
            "connectors_used_count": chat // 8,
            "shared_conversations_viewed_count": chat // 30,
            "distinct_conversation_count": _some(chat, 6),
            "distinct_projects_used_count": chat // 15,
            "distinct_projects_created_count": chat // 60,
            "distinct_artifacts_created_count": chat // 12,
            "distinct_files_uploaded_count": chat // 9,
            "distinct_skills_used_count": chat // 20,
            "distinct_connectors_used_count": min(chat // 8, 3),
            "distinct_shared_artifacts_viewed_count": chat // 40,
        },
        "claude_code_metrics": {
            "core_metrics": {
                "commit_count": code // 28,
                "pull_request_count": code // 70,
                "distinct_session_count": _some(code, 35),
                "lines_of_code": {"added_count": code * 7, "removed_count": code * 2},
                "artifacts_created_count": code // 120,
            },
            "tool_actions": {
                "edit_tool": _decisions(code // 3),
                "multi_edit_tool": _decisions(0),
                "notebook_edit_tool": _decisions(code // 90),
                "write_tool": _decisions(code // 12),
            },
        },
        "cowork_metrics": {
            "message_count": cowork // 3,
            "action_count": cowork,
            "dispatch_turn_count": cowork // 5,
            "connectors_used_count": cowork // 7,
            "skills_used_count": cowork // 9,
            "distinct_session_count": _some(cowork, 12),
            "distinct_connectors_used_count": min(cowork // 7, 3),
            "distinct_skills_used_count": min(cowork // 9, 2),
            "artifacts_created_count": cowork // 25,
            # Off for these organizations: not known, which is not zero.
            "plugins_used_count": None,
            "distinct_plugins_used_count": None,
            "file_edit_count": None,
            "edit_tool_count": None,
            "multi_edit_tool_count": None,
            "write_tool_count": None,
            "notebook_edit_tool_count": None,
            "sessions_with_file_edits_count": None,
        },
        "office_metrics": {
            "excel": _office(excel),
            "outlook": _office((office - excel) // 3),
            "powerpoint": _office((office - excel) // 3),
            "word": _office(office - excel - (office - excel) // 3 * 2),
        },
        "design_metrics": {
            "message_count": design,
            "distinct_session_count": _some(design, 8),
            "distinct_projects_used_count": _some(design, 14),
            "distinct_projects_created_count": design // 30,
        },
        "science_metrics": {
            "message_count": 0,
            "delegation_count": 0,
            "remote_compute_job_count": 0,
            "skills_used_count": 0,
            "distinct_session_count": 0,
        },
        "claude_tag_metrics": {
            "active_day_count": int(tag > 0),
            "active_message_count": tag,
        },
        "web_search_count": sum(line.web_searches for line in lines),
        "distinct_user_count": None,
        "last_activity_date": day.isoformat(),
    }


def _some(requests: int, each: int) -> int:
    """How many sittings that many requests make: at least one if there were any."""
    return -(-requests // each)


def _decisions(offered: int) -> dict[str, int]:
    return {"accepted_count": offered - offered // 16, "rejected_count": offered // 16}


def _office(messages: int) -> dict[str, int]:
    return {
        "message_count": messages,
        "skills_used_count": messages // 6,
        "connectors_used_count": messages // 9,
        "distinct_session_count": _some(messages, 7),
        "distinct_skills_used_count": min(messages // 6, 2),
        "distinct_connectors_used_count": min(messages // 9, 2),
    }


def _without_newer(row: dict[str, Any]) -> dict[str, Any]:
    """The row as version 2023-06-01 tells it."""
    row = {name: value for name, value in row.items() if name != "claude_tag_metrics"}
    code = row["claude_code_metrics"]
    row["claude_code_metrics"] = code | {"core_metrics": _older(code["core_metrics"])}
    row["cowork_metrics"] = _older(row["cowork_metrics"])
    return row


def _older(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "artifacts_created_count"}


def _everybody(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The one group there is: those in no group."""
    return _sum(rows) | {
        "user": None,
        "distinct_user_count": len(rows),
        "rbac_group_id": None,
        "rbac_group_name": None,
    }


def _sum(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as one. No conversation or project lasts over midnight here, so counts add up."""
    if len(rows) == 1:
        return rows[0]
    return {name: _added([row[name] for row in rows]) for name in rows[0]}


def _added(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, dict) and "id" not in first:
        return {name: _added([value[name] for value in values]) for name in first}
    if isinstance(first, int):
        return sum(values)
    return max(values) if isinstance(first, str) else first


# --- Days ----------------------------------------------------------------------------------


def _range(query: Query, now: datetime, fixed_end: str = "") -> tuple[date, date]:
    start = query.day("starting_date")
    if start is None:
        raise bad_request("starting_date: required.")
    today = now.date()
    end = query.day("ending_date") or (date.fromisoformat(fixed_end) if fixed_end else today)
    if end > today:
        raise bad_request("ending_date: may be at most today.")
    _check_day(start, now)
    if end <= start:
        raise bad_request("ending_date: must be after starting_date.")
    if (end - start).days > _LONGEST_RANGE:
        raise bad_request(f"The range is longer than {_LONGEST_RANGE} days.")
    return start, end


def _check_day(day: date, now: datetime) -> None:
    if day < OLDEST:
        raise bad_request(f"Data starts at {OLDEST}.")
    newest = newest_day(now)
    if day > newest:
        raise bad_request(
            f"Data is not yet available for {day}. The most recent available day is {newest}."
        )


def _days(start: date, end: date) -> list[date]:
    return [start + timedelta(days=number) for number in range((end - start).days)]


def _filters(query: Query, dimensions: Iterable[str]) -> dict[str, set[str]]:
    """`filter[]=dimension:value`: or within a dimension, and across."""
    found: dict[str, set[str]] = defaultdict(set)
    for item in query.list("filter"):
        dimension, colon, value = item.partition(":")
        if not colon or dimension not in dimensions:
            raise bad_request(f"filter[]: unsupported dimension {dimension!r}.")
        found[dimension].add(value)
    return dict(found)
