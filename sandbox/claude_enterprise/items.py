"""Simulate items that people use and make: skills, connectors, plugins, projects, artifacts.

Uses are derived from the ledger: a person with much work on a day used more items. No conversation
and no session lasts over midnight here, so counts of days add up; people do not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from sandbox.anthropic.dice import identifier
from sandbox.anthropic.query import (
    Query,
    bad_request,
    cursor,
    open_cursor,
)
from sandbox.claude_enterprise.activity import (
    asked_days,
    filters,
    group_name,
)
from sandbox.claude_enterprise.company import Company, Member
from sandbox.claude_enterprise.ledger import UNIFIED, by_slug, day_lines
from sandbox.claude_enterprise.sums import Request

Row = dict[str, Any]
_SURFACES = ("chat", "claude_code", "cowork", "office_agent")
_CALLS_SINCE = date(2026, 5, 29)  # connector calls are classified from here
_AUTH_SINCE = date(2026, 7, 1)
_CODE_ARTIFACTS_SINCE = date(2026, 8, 17)


class Use(NamedTuple):
    """Number of `times` one person used one item through one product on one day."""

    item: str
    member: Member
    day: date
    product: str
    times: int
    half: str = ""  # of the product that unites two: chat or cowork

    @property
    def sittings(self) -> int:
        """Conversations or sessions it was used in."""
        return 1 + self.times // 4


@dataclass(frozen=True)
class Kind:
    """One endpoint. `products` are the surfaces with such items; `items` are their keys.

    `each` is the number of requests per use, `row` the row of the endpoint for the uses of an item.
    """

    products: tuple[str, ...]
    cuts: tuple[str, ...]
    filters: tuple[str, ...]
    each: int
    items: Callable[[Company], tuple[str, ...]]
    row: Callable[["Asked", str, list[Use]], Row]
    has_ranges: bool = True


class Asked(NamedTuple):
    """Parsed request, as far as rows depend on it."""

    company: Company
    first_day: date
    is_range: bool
    is_cut: bool


# --- Uses ----------------------------------------------------------------------------------


@lru_cache(maxsize=2000)
def _uses(slug: str, name: str, day: date) -> tuple[Use, ...]:
    kind, company = KINDS[name], by_slug(slug)
    items = kind.items(company)
    uses: dict[tuple[str, str, str], Use] = {}
    for line in day_lines(slug, day):
        surface = line.half or line.product
        if line.member is None or line.member.is_service or surface not in kind.products:
            continue
        if name == "/artifacts" and surface != "chat" and day < _CODE_ARTIFACTS_SINCE:
            continue
        count = line.requests // kind.each
        if not count:
            continue
        fate = crc32(f"{name}/{line.member.user_id}/{day}/{surface}".encode())
        # The first items of the list are the popular ones.
        item = items[int(len(items) * (fate % 1000 / 1000) ** 2)]
        key = (item, line.member.user_id, surface)
        before = uses[key].times if key in uses else 0
        product = line.product or ""
        uses[key] = Use(item, line.member, day, product, before + count, line.half or "")
    return tuple(uses.values())


def _people(uses: Iterable[Use]) -> int:
    return len({use.member.user_id for use in uses})


def _count(uses: Iterable[Use], product: str = "") -> int:
    return sum(use.times for use in uses if product in ("", use.product))


def _sittings(uses: Iterable[Use], product: str, half: str = "") -> int:
    return sum(use.sittings for use in uses if (use.product, use.half) == (product, half))


def _blocks(noun: str, uses: list[Use]) -> Row:
    """Conversations and sessions by surface. Office people work in Excel."""
    sessions = f"distinct_session_{noun}_used_count"
    office: Row = {name: {sessions: 0} for name in ("outlook", "powerpoint", "word")}
    return {
        "chat_metrics": {f"distinct_conversation_{noun}_used_count": _sittings(uses, "chat")},
        "claude_code_metrics": {sessions: _sittings(uses, "claude_code")},
        "cowork_metrics": {sessions: _sittings(uses, "cowork")},
        "office_metrics": office | {"excel": {sessions: _sittings(uses, "office_agent")}},
        f"{UNIFIED}_metrics": {
            "chat": {f"distinct_conversation_{noun}_used_count": _sittings(uses, UNIFIED, "chat")},
            "sessions": {sessions: _sittings(uses, UNIFIED, "cowork")},
        },
    }


# --- Rows ----------------------------------------------------------------------------------


def _skills(company: Company) -> tuple[str, ...]:
    own = tuple(identifier("skill_01", company.slug, number) for number in range(4))
    return ("xlsx", "pptx", "docx", "pdf", "brand-voice", *own, "unknown")


_SKILL_NAMES = ("Quarterly report", "Contract review", None, "Release notes")


def _skill(asked: Asked, item: str, uses: list[Use]) -> Row:
    names = dict(zip(_skills(asked.company)[5:9], _SKILL_NAMES, strict=True))
    reports = asked.company.plan == "usage"  # uses and money are not reported on seats
    only_chat = {use.product for use in uses} == {"chat"}
    return {
        "skill_name": item,
        "skill_display_name": names.get(item),
        "distinct_user_count": _people(uses),
        **_blocks("skill", uses),
        "invocation_count": _count(uses) if reports else None,
        "enable_count": None if asked.is_cut or asked.is_range else len(uses) // 6,
        "share_status": "organization" if item in names else None,
        "estimated_overage_spend": f"{_count(uses) * 22}" if reports else None,
        "attributed_list_price": None
        if not reports or only_chat
        else f"{(_count(uses) - _count(uses, 'chat')) * 4175 / 100:.2f}",
        "currency": "USD" if reports else None,
    }


def _connectors(company: Company) -> tuple[str, ...]:
    own = identifier("mcpsrv_01", company.slug)
    return ("atlassian", "github", "google_drive", "slack", "notion", "salesforce", own)


def _connector(asked: Asked, item: str, uses: list[Use]) -> Row:
    calls = [use.times * 3 for use in uses]
    written, other = sum(n // 5 for n in calls), sum(n // 7 for n in calls)
    classified = asked.first_day >= _CALLS_SINCE
    authorized = asked.first_day >= _AUTH_SINCE
    return {
        "connector_name": item,
        "connector_display_name": "Internal wiki" if item.startswith("mcpsrv_") else None,
        "distinct_user_count": _people(uses),
        **_blocks("connector", uses),
        "read_call_count": sum(calls) - written - other if classified else None,
        "write_call_count": written if classified else None,
        "unclassified_call_count": other if classified else None,
        "managed_auth_distinct_user_count": _people(filter(_is_managed, uses))
        if authorized
        else None,
        "individual_auth_distinct_user_count": _people(uses) if authorized else None,
    }


def _is_managed(use: Use) -> bool:
    """Return True if the organization gives the person access, which is fixed per person."""
    return crc32(f"{use.member.user_id}/{use.item}".encode()) % 3 == 0


_PLUGINS = {
    "serena@claude-plugins-official": "serena",
    "commit-commands@claude-plugins-official": "commit-commands",
    "third-party": "third-party",  # all that are not named
    "research-kit@brightwater": "research-kit",
}


def _plugin(asked: Asked, item: str, uses: list[Use]) -> Row:
    sessions = "distinct_session_plugin_used_count"
    return {
        "plugin_name": _PLUGINS[item],
        "plugin_id": None if item == "third-party" else item,
        "distinct_user_count": _people(uses),
        "install_count": _people(use for use in uses if use.times > 4),
        "invocation_count": _count(uses),
        "claude_code_metrics": {sessions: _sittings(uses, "claude_code")},
        "cowork_metrics": {sessions: _sittings(uses, "cowork")},
        f"{UNIFIED}_metrics": {sessions: _sittings(uses, UNIFIED, "cowork")},
    }


_PROJECT_NAMES = (
    *("Q3 pricing", "Support handbook", "Hiring", "Website relaunch", "Security reviews"),
    *("Board papers", "Field research", "Onboarding", "Translations", "Tender 2026"),
)


def _projects(company: Company) -> tuple[str, ...]:
    return tuple(
        identifier("claude_proj_01", company.slug, number) for number in range(len(_PROJECT_NAMES))
    )


def _project(asked: Asked, item: str, uses: list[Use]) -> Row:
    place = _projects(asked.company).index(item)
    author = asked.company.members[place]
    gone = place == 6  # deleted before anybody wrote down whose it was
    return {
        "project_id": item,
        "project_name": _PROJECT_NAMES[place],
        "message_count": _count(uses),
        "distinct_user_count": _people(uses),
        "distinct_conversation_count": sum(use.sittings for use in uses),
        "created_at": None if gone else f"2026-02-{place + 1:02}T14:11:09Z",
        "created_by": None
        if gone
        else {"id": author.user_id, "email_address": author.email, "type": "user"},
    }


_ARTIFACTS = ("text/markdown", "text/html", "application/vnd.ant.react", "image/svg+xml", "other")


def _artifact(asked: Asked, item: str, uses: list[Use]) -> Row:
    type_, shared = item.split("|")
    created = _count(uses)
    published = sum(use.times // 5 for use in uses)
    return {
        "artifact_type": type_,
        "is_shared": shared == "shared",
        "artifacts_created_count": created,
        "published_artifacts_created_count": published if shared == "shared" else 0,
        "distinct_user_count": _people(uses),
    }


_CUTS = ("product", "rbac_group_id", "user_id")
KINDS = {
    "/skills": Kind(
        products=_SURFACES,
        cuts=_CUTS,
        filters=(*_CUTS, "share_status", "skill_name"),
        each=9,
        items=_skills,
        row=_skill,
    ),
    "/connectors": Kind(
        products=_SURFACES,
        cuts=_CUTS,
        filters=(*_CUTS, "connector_name"),
        each=7,
        items=_connectors,
        row=_connector,
    ),
    "/plugins": Kind(
        products=("claude_code", "cowork"),
        cuts=_CUTS,
        filters=(*_CUTS, "plugin_name"),
        each=25,
        items=lambda company: tuple(_PLUGINS),
        row=_plugin,
    ),
    "/apps/chat/projects": Kind(
        products=("chat",),
        cuts=_CUTS[1:],
        filters=(*_CUTS[1:], "project_id"),
        each=3,
        items=_projects,
        row=_project,
    ),
    "/artifacts": Kind(
        products=_SURFACES[:3],
        cuts=_CUTS,
        filters=(*_CUTS, "artifact_type", "is_shared"),
        each=12,
        items=lambda company: tuple(
            f"{type_}|{shared}" for shared in ("private", "shared") for type_ in _ARTIFACTS
        ),
        row=_artifact,
        has_ranges=False,
    ),
}


# --- The endpoints -------------------------------------------------------------------------


def listing(request: Request, endpoint: str) -> Row:
    """Rows of one day, or rolled up over a range, by name and cut."""
    kind = KINDS[endpoint]
    query = Query(
        request.query_string,
        allowed={"date", "group_by[]", "filter[]", "limit", "page"}
        | ({"starting_date", "ending_date", "order", "order_by"} if kind.has_ranges else set()),
    )
    if not kind.has_ranges and query.day("date") is None:
        raise bad_request("date: required.")
    offset, fixed_end = open_cursor(query, request.path) or (0, "")
    days, end = asked_days(query, request.now, fixed_end)
    limit = query.limit(100, 1000)
    # Not every organization can cut artifacts by product: documentation does not name it yet.
    without_product = endpoint == "/artifacts" and not request.company.cuts_artifacts
    cuts = tuple(cut for cut in kind.cuts if not (without_product and cut == "product"))
    group_by = query.list("group_by", among=cuts)
    wanted = filters(query, kind.filters)
    asked = Asked(
        request.company,
        first_day=days[0] if days else request.now.date(),
        is_range=query.day("date") is None,
        is_cut=bool(group_by or wanted),
    )
    uses = (use for day in days for use in _uses(request.company.slug, endpoint, day))
    by_item: dict[tuple[str, ...], list[Use]] = defaultdict(list)
    for use in uses:
        if _is_wanted(use, wanted):
            for values in _values(use, group_by):
                by_item[use.item, *values].append(use)
    rows = []
    for (item, *parts), group in sorted(by_item.items()):
        cut = {name: value or None for name, value in zip(group_by, parts, strict=True)}
        if "rbac_group_id" in cut:
            cut["rbac_group_name"] = group_name(request.company, cut["rbac_group_id"] or "")
        rows.append(kind.row(asked, item, group) | cut)
    if query.choice("order", ("asc", "desc"), "asc") == "desc":
        rows.reverse()
    following = offset + limit
    if endpoint == "/artifacts" and not group_by:
        following = len(rows)  # the whole cube, whatever the limit
    more = following < len(rows)
    return {
        "data": rows[offset:following],
        "next_page": cursor(query, request.path, following, end) if more else None,
    }


def _values(use: Use, group_by: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Return the values of a use; by group, one set for each group of the person."""
    for group in use.member.groups_on(use.day) or ("",):
        known = {"product": use.product, "user_id": use.member.user_id, "rbac_group_id": group}
        yield tuple(known[name] for name in group_by)
        if "rbac_group_id" not in group_by:
            return


def _is_wanted(use: Use, wanted: dict[str, set[str]]) -> bool:
    known = {
        "product": (use.product,),
        "user_id": (use.member.user_id,),
        "rbac_group_id": use.member.groups_on(use.day),
        "artifact_type": (use.item.split("|")[0],),
        "is_shared": ("true" if use.item.endswith("|shared") else "false",),
        "share_status": ("organization" if use.item.startswith("skill_") else "",),
    }
    return all(
        not values.isdisjoint(known.get(name, (use.item,))) for name, values in wanted.items()
    )


# --- Groups --------------------------------------------------------------------------------


def groups(request: Request) -> Row:
    """`/v1/organizations/rbac_groups`: those there are now, whether anybody is active or not."""
    query = Query(request.query_string, allowed={"limit", "page"})
    offset, _ = open_cursor(query, request.path) or (0, "")
    limit = query.limit(20, 1000)
    rows = [
        {
            "id": group.id,
            "type": "rbac_group",
            "name": group.name,
            "source_type": group.source,
            "role_ids": [],
            "created_at": "2025-09-01T08:00:00Z",
            "updated_at": "2026-08-03T08:00:00Z",
        }
        for group in request.company.groups
        if not group.deleted
    ]
    more = offset + limit < len(rows)
    return {
        "data": rows[offset : offset + limit],
        "next_page": cursor(query, request.path, offset + limit, "") if more else None,
    }
