"""The engagement endpoints: active users per day, and what each user did.

Computed at 10:00 UTC of the next day, from the same ledger as cost and usage.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from sandbox.anthropic.dice import seed
from sandbox.anthropic.query import (
    OLDEST,
    Query,
    bad_request,
    cursor,
    open_cursor,
)
from sandbox.claude_enterprise.company import Company, Member
from sandbox.claude_enterprise.ledger import (
    CLAUDE_TAG,
    UNIFIED,
    Line,
    by_slug,
    day_lines,
)
from sandbox.claude_enterprise.sums import Request

_PUBLISHED_AT = timedelta(hours=10)
_LONGEST_RANGE = 366
_COUNTED_PRODUCTS = ("cowork", "chat", "claude_code", "claude_design", "office_agent")
SCIENCE = "science"
_SPANS = {"daily": 1, "weekly": 7, "monthly": 30}


def newest_day(now: datetime) -> date:
    """Return the newest day that is published."""
    return (now - _PUBLISHED_AT).date() - timedelta(days=1)


# --- /summaries ----------------------------------------------------------------------------


def summaries(request: Request) -> dict[str, Any]:
    """`/summaries`: one entry per published day, of everybody or of the people of groups."""
    allowed = {"starting_date", "ending_date", "filter[]"}
    if request.newer:
        allowed |= {"limit", "page"}  # accepted, without effect
    query = Query(request.query_string, allowed=allowed)
    start, end = _range(query, request.now)
    groups = filters(query, ("rbac_group_id",)).get("rbac_group_id")
    days = span_of_days(start, min(end, newest_day(request.now) + timedelta(days=1)))
    entries = [_summary(request.company, day, groups) for day in days]
    return {"data": entries, "next_page": None} if request.newer else {"summaries": entries}


def _summary(company: Company, day: date, groups: set[str] | None) -> dict[str, Any]:
    members = sum(member.is_member(day) for member in company.members)
    seats = members + company.spare_seats
    entry: dict[str, Any] = {
        "starting_at": f"{day}T00:00:00Z",
        "ending_at": f"{day + timedelta(days=1)}T00:00:00Z",
        "assigned_seat_count": seats,
        "pending_invite_count": seed(company.slug, day.isocalendar().week, "invites") % 15,
    }
    for span, days in _SPANS.items():
        active = len(_active(company, day, days, groups))
        entry[f"{span}_active_user_count"] = active
        entry[f"{span}_adoption_rate"] = round(active / seats * 100, 2)
        for product in _COUNTED_PRODUCTS:
            counted = _active(company, day, days, groups, product)
            entry[f"{product}_{span}_active_user_count"] = len(counted)
        entry[f"science_{span}_active_user_count"] = len(
            _active(company, day, days, groups, SCIENCE)
        )
        four_weeks = 28 if span == "monthly" else days
        entry[f"claude_tag_{span}_active_user_count"] = len(
            _active(company, day, four_weeks, None, CLAUDE_TAG)
        )
        entry[f"{UNIFIED}_{span}_active_user_count"] = len(
            _active(company, day, four_weeks if groups is None else days, groups, UNIFIED)
        )
    entry["science_entitled_user_count"] = sum(
        member.does_science and member.is_member(day) for member in company.members
    )
    return entry if groups is None else _scoped(entry)


def _active(
    company: Company, day: date, days: int, groups: set[str] | None, product: str = ""
) -> set[str]:
    emails: set[str] = set()
    for back in range(days):
        then = day - timedelta(days=back)
        active = _active_on(company.slug, then).get(product, frozenset())
        emails |= active if groups is None else active & _in_groups(company, then, groups)
    return emails


def _in_groups(company: Company, day: date, groups: set[str]) -> set[str]:
    return {
        member.user_id for member in company.members if not groups.isdisjoint(member.groups_on(day))
    }


@lru_cache(maxsize=1000)
def _active_on(slug: str, day: date) -> dict[str, frozenset[str]]:
    """Return the active people of a day by product; "" is any. Claude Tag is in Slack."""
    by_day = defaultdict(set)
    for line in day_lines(slug, day):
        if line.product == CLAUDE_TAG:
            if line.claude_tag_user_id:
                by_day[CLAUDE_TAG].add(line.claude_tag_user_id)
        elif line.member and line.product and not line.member.is_service:
            by_day[line.product].add(line.member.user_id)
            if _science(line.member, line.requests if _is_chat(line) else 0):
                by_day[SCIENCE].add(line.member.user_id)
        if line.member and not line.member.is_service:
            by_day[""].add(line.member.user_id)
    return {product: frozenset(people) for product, people in by_day.items()}


def _scoped(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of groups, in which values of the organization alone are null."""
    nulls = ("seat", "invite", "adoption_rate", "entitled", "claude_tag")
    return {
        name: None if any(part in name for part in nulls) else value
        for name, value in entry.items()
    }


# --- /users --------------------------------------------------------------------------------


def users(request: Request) -> dict[str, Any]:
    """`/users`: a row per active user of one day, or summed over a range; by email address."""
    query = Query(
        request.query_string,
        allowed={
            *("date", "starting_date", "ending_date", "group_by[]", "filter[]"),
            *("limit", "page", "order", "order_by"),
        },
    )
    opened = open_cursor(query, request.path)
    offset, fixed_end = opened if opened else (0, "")
    days, end = asked_days(query, request.now, fixed_end)
    limit = query.limit(100, 1000)
    wanted = filters(query, ("user_id", "rbac_group_id", "project_id"))
    by_group = bool(query.list("group_by", among=("rbac_group_id",)))
    if "project_id" in wanted and (by_group or "rbac_group_id" in wanted):
        raise bad_request("filter[]: project_id cannot go with rbac_group_id.")
    people = tuple((name, frozenset(wanted[name])) for name in sorted(wanted))
    rows: Sequence[dict[str, Any]] = ()
    if "project_id" not in wanted:
        rows = _user_rows(
            request.company.slug, tuple(days), people, by_group=by_group, newer=request.newer
        )
    if query.choice("order", ("asc", "desc"), "asc") == "desc":
        rows = rows[::-1]
    following = offset + limit
    more = following < len(rows)
    return {
        "data": rows[offset:following],
        "next_page": cursor(query, request.path, following, end) if more else None,
    }


def asked_days(query: Query, now: datetime, fixed_end: str) -> tuple[list[date], str]:
    """Return the requested days and the end of their range, which stays while paging."""
    day = query.day("date")
    if day is None:
        start, end = _range(query, now, fixed_end)
        return span_of_days(start, min(end, newest_day(now) + timedelta(days=1))), end.isoformat()
    if query.text("starting_date") or query.text("ending_date"):
        raise bad_request("date: cannot be combined with starting_date or ending_date.")
    _check_day(day, now)
    return [day], ""


@lru_cache(maxsize=8)  # pages of one answer
def _user_rows(
    slug: str,
    days: tuple[date, ...],
    people_wanted: tuple[tuple[str, frozenset[str]], ...],
    *,
    by_group: bool,
    newer: bool,
) -> tuple[dict[str, Any], ...]:
    """Return a row per user, or per group of a user on that day, which overlap."""
    company = by_slug(slug)
    people = {member.user_id: member for member in company.members}
    by_user: dict[str, list[dict[str, Any]]] = defaultdict(list)
    wanted = dict(people_wanted)
    users = wanted.get("user_id")
    for day in days:
        for row in _day_rows(company.slug, day):
            user_id = row["user"]["id"]
            groups = people[user_id].groups_on(day)
            if users is not None and user_id not in users:
                continue
            if "rbac_group_id" in wanted and wanted["rbac_group_id"].isdisjoint(groups):
                continue
            for key in (groups or ("",)) if by_group else (user_id,):
                by_user[key].append(row)
    rows = {key: _sum(parts) for key, parts in by_user.items()}
    if by_group:
        rows = {id: _grouped(company, id, row, by_user[id]) for id, row in rows.items()}
    if not newer:
        rows = {key: _without_newer(row) for key, row in rows.items()}
    return tuple(rows[key] for key in sorted(rows, key=lambda key: _place(people.get(key), key)))


def _place(member: Member | None, key: str) -> tuple[str, str]:
    return (member.email if member else "", key)


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
    """Return the activity of a user on one day, derived from the requests of the work."""
    requests: dict[str | None, int] = defaultdict(int)
    for line in lines:
        requests[f"{UNIFIED}/{line.half}" if line.half else line.product] += line.requests
    chat, code = requests["chat"], requests["claude_code"]
    cowork, office = requests["cowork"], requests["office_agent"]
    design, tag = requests["claude_design"], requests[CLAUDE_TAG]
    excel = office // 2
    science = _science(member, chat + requests[f"{UNIFIED}/chat"])
    return {
        "user": {"id": member.user_id, "email_address": member.email, "type": "user"},
        "chat_metrics": _chat(chat),
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
        "cowork_metrics": _cowork(cowork),
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
            "message_count": science,
            "delegation_count": science // 5,
            "remote_compute_job_count": science // 9,
            "skills_used_count": science // 7,
            "distinct_session_count": _some(science, 10),
        },
        "claude_tag_metrics": {
            "active_day_count": int(tag > 0),
            "active_message_count": tag,
        },
        f"{UNIFIED}_metrics": {
            "chat": _chat(requests[f"{UNIFIED}/chat"])
            | {"distinct_shared_artifacts_viewed_count": None},
            "sessions": _cowork(requests[f"{UNIFIED}/cowork"]),
        },
        "web_search_count": sum(line.web_searches for line in lines),
        "distinct_user_count": None,
        "last_activity_date": day.isoformat(),
    }


def _chat(chat: int) -> dict[str, Any]:
    return {
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
    }


def _cowork(cowork: int) -> dict[str, Any]:
    return {
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
    }


def _is_chat(line: Line) -> bool:
    return "chat" in (line.product, line.half)


def _science(member: Member, chat: int) -> int:
    """Messages to Claude Science: of some people, a part of what they also chat about."""
    return -(-chat // 4) if member.does_science else 0


def _some(requests: int, each: int) -> int:
    """Return the number of sittings of that many requests: at least one if any."""
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
    """Return the row in the shape of version 2023-06-01."""
    row = dict(row)
    code = row["claude_code_metrics"]
    row["claude_code_metrics"] = code | {"core_metrics": _older(code["core_metrics"])}
    row["cowork_metrics"] = _older(row["cowork_metrics"])
    unified = row[f"{UNIFIED}_metrics"]
    row[f"{UNIFIED}_metrics"] = unified | {"sessions": _older(unified["sessions"])}
    return row


def _older(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "artifacts_created_count"}


def _grouped(
    company: Company, id: str, row: dict[str, Any], parts: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a row of one group; "" is people in no group."""
    return row | {
        "user": None,
        "distinct_user_count": len({part["user"]["id"] for part in parts}),
        "last_activity_date": None,
        "rbac_group_id": id or None,
        "rbac_group_name": group_name(company, id),
    }


def group_name(company: Company, id: str) -> str | None:
    """Return the group's name; None for people in no group and where it was deleted."""
    names = {group.id: group.name for group in company.groups if not group.deleted}
    return names.get(id)


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


def span_of_days(start: date, end: date) -> list[date]:
    return [start + timedelta(days=number) for number in range((end - start).days)]


def filters(query: Query, dimensions: Iterable[str]) -> dict[str, set[str]]:
    """`filter[]=dimension:value`: or within a dimension, and across."""
    values: dict[str, set[str]] = defaultdict(set)
    for item in query.list("filter"):
        dimension, colon, value = item.partition(":")
        if not colon or dimension not in dimensions:
            raise bad_request(f"filter[]: unsupported dimension {dimension!r}.")
        values[dimension].add(value)
    return dict(values)
