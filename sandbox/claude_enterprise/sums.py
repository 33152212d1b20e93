"""Sums over the ledger: what a report is asked for, and its groups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

from sandbox.anthropic.dice import identifier
from sandbox.anthropic.reporting import (
    COMPONENTS,
    WIDTHS,
    Kind,
    floor,
    tokens,
)
from sandbox.claude_enterprise.company import Company, Member
from sandbox.claude_enterprise.ledger import (
    TOKEN_TYPES,
    Line,
    by_slug,
    known_lines,
)

GROUP = "rbac_group_id"
DIMENSIONS = (
    "product",
    "model",
    "context_window",
    "inference_geo",
    "speed",
    "slack_channel_id",
    GROUP,
)
NEWER_DIMENSIONS = ("claude_tag_category", "claude_tag_user_id")
CHILD = "organization_id"  # of the newest endpoints alone


@dataclass(frozen=True)
class Request:
    """Context of a report besides its parameters."""

    company: Company
    path: str
    query_string: str
    now: datetime
    export: datetime
    newer: bool  # version 2026-10-21 or later
    betas: str = ""  # as the header lists them


@dataclass(frozen=True)
class Cut:
    """Parameters of a report in one hashable value.

    `per_user` separates users and leaves out use without a person unless `everyone` is set.
    `hidden_ids` are the child organizations that are left out without notice.
    """

    kind: Kind
    slug: str
    export: datetime
    newer: bool
    start: datetime
    end: datetime
    width: timedelta | None
    group_by: tuple[str, ...]
    filters: tuple[tuple[str, frozenset[str | None]], ...]
    user_ids: frozenset[str]
    group_ids: frozenset[str] = frozenset()
    per_user: bool = False
    everyone: bool = False
    actor_types: frozenset[str] = frozenset()
    hidden_ids: frozenset[str] = frozenset()
    exclude_deleted: bool = False
    order_by: str = ""
    descending: bool = True

    @cached_property
    def dimensions(self) -> tuple[str, ...]:
        known = (*DIMENSIONS, *NEWER_DIMENSIONS, CHILD)
        return tuple(name for name in self.group_by if name in known)

    @cached_property
    def components(self) -> tuple[str, ...]:
        return tuple(name for name in self.group_by if name in COMPONENTS)


@dataclass(slots=True)
class Cell:
    """Sums of one group. `parts` holds amounts by (cost_type, token_type) where asked for."""

    start: datetime | None
    member: Member | None
    values: tuple[str | None, ...]
    amount: int = 0
    list_amount: int = 0
    requests: int = 0
    web_searches: int = 0
    tokens: list[int] = field(default_factory=lambda: [0] * len(TOKEN_TYPES))
    parts: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)

    def rank(self, order_by: str) -> int:
        match order_by:
            case "amount":
                return self.amount
            case "list_amount":
                return self.list_amount
            case "requests":
                return self.requests
            case "total_tokens":
                return sum(self.tokens)
            case _:
                return self.tokens[TOKEN_TYPES.index(order_by)]

    @property
    def name(self) -> tuple[str, ...]:
        """Settles the order of equals."""
        user_id = self.member.user_id if self.member else ""
        start = self.start.isoformat() if self.start else ""
        return (user_id, start, *(value or "" for value in self.values))


# --- Groups --------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def ranked(cut: Cut) -> list[Cell]:
    """Every group in order: pages are slices of it. By time: the dearest of a bucket first."""
    by_name = sorted(cells(cut), key=lambda cell: cell.name)
    sign = -1 if cut.descending else 1
    if cut.order_by != "time":
        return sorted(by_name, key=lambda cell: sign * cell.rank(cut.order_by))
    by = "amount" if cut.kind == "cost" else "total_tokens"
    dearest = sorted(by_name, key=lambda cell: -cell.rank(by))
    return sorted(dearest, key=lambda cell: cell.start or cut.start, reverse=cut.descending)


def cells(cut: Cut) -> Iterator[Cell]:
    by_key: dict[tuple[Any, ...], Cell] = {}
    dimensions = cut.dimensions
    values_of = _getter(tuple(name for name in dimensions if name != GROUP))
    place = dimensions.index(GROUP) if GROUP in dimensions else None
    for start, day, line in _lines(cut):
        member = _actor(cut, line) if cut.per_user else None
        values = values_of(line)
        cuts = [values]
        if place is not None:  # who is in several groups counts in each
            cuts = [(*values[:place], id, *values[place:]) for id in _groups(line, day) or (None,)]
        for values in cuts:
            key = (start, member.user_id if member else None, values)
            cell = by_key.get(key)
            if cell is None:
                cell = by_key[key] = Cell(start, member, values)
            _add(cut, cell, line)
    yield from by_key.values()


def _add(cut: Cut, cell: Cell, line: Line) -> None:
    cell.requests += line.requests
    if cut.kind == "usage":
        cell.tokens = [known + new for known, new in zip(cell.tokens, line.tokens, strict=True)]
        cell.web_searches += line.web_searches
        return
    for cost_type, token_type, amount, list_amount in line.charges:
        cell.amount += amount
        cell.list_amount += list_amount
        if cut.components:
            part = cell.parts.setdefault((cost_type, token_type), [0, 0])
            part[0] += amount
            part[1] += list_amount


def _groups(line: Line, day: date) -> tuple[str, ...]:
    return line.member.groups_on(day) if line.member else ()


def _actor(cut: Cut, line: Line) -> Member | None:
    """Return the actor: the user, else the API key."""
    if line.member is None and line.product is None and line.model is not None:
        return api_key(cut.slug)
    return line.member


def _actor_type(cut: Cut, line: Line) -> str | None:
    member = _actor(cut, line)
    if member is None:
        return None
    return "api_actor" if member.department == "api_key" else "user_actor"


@lru_cache
def api_key(slug: str) -> Member:
    """Return the only key that automation uses."""
    return Member(
        user_id=identifier("apikey_01", slug),
        name="",
        email="",
        department="api_key",
        diligence=1,
        appetite=1,
        joined_on=date.min,
        is_service=True,
    )


def _getter(names: tuple[str, ...]) -> Any:
    if not names:
        return lambda line: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda line: (one(line),)
    return attrgetter(*names)


def _lines(cut: Cut) -> Iterator[tuple[datetime | None, date, Line]]:
    """Return the charged lines inside the filters, with the start of the bucket and the day."""
    company = by_slug(cut.slug)
    day = cut.start.date()
    while (midnight := datetime.combine(day, time.min, tzinfo=UTC)) < min(cut.end, cut.export):
        from_minute = (cut.start - midnight) // WIDTHS["1m"]
        to_minute = (cut.end - midnight) // WIDTHS["1m"]
        for line in known_lines(company, day, cut.export):
            if not line.charges or not from_minute <= line.minute < to_minute:
                continue
            if cut.kind == "usage" and line.model is None:  # running code takes no tokens
                continue
            if _is_wanted(cut, line, day):
                if cut.width is None:
                    yield None, day, line
                elif cut.width == WIDTHS["1d"]:
                    yield midnight, day, line
                else:
                    moment = midnight + timedelta(minutes=line.minute)
                    yield floor(moment, cut.width), day, line
        day += timedelta(days=1)


def _is_wanted(cut: Cut, line: Line, day: date) -> bool:
    if line.organization_id in cut.hidden_ids:
        return False
    if cut.per_user and line.member is None and not cut.everyone:
        return False
    if cut.group_ids and cut.group_ids.isdisjoint(_groups(line, day)):
        return False
    if cut.actor_types and _actor_type(cut, line) not in cut.actor_types:
        return False
    if cut.user_ids and (line.member is None or line.member.user_id not in cut.user_ids):
        return False
    if cut.exclude_deleted and line.member and line.member.is_deleted(cut.export.date()):
        return False
    return all(getattr(line, name) in wanted for name, wanted in cut.filters)


# --- What a group comes to -----------------------------------------------------------------


def parts(cut: Cut, cell: Cell) -> dict[tuple[str, str], tuple[int, int]]:
    """Return sums per component. By token type, charges other than tokens are left out."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for (cost_type, token_type), (amount, list_amount) in cell.parts.items():
        if cut.components == ("token_type",) and cost_type != "tokens":
            continue
        key = (cost_type, (token_type or "") if "token_type" in cut.components else "")
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + amount, before[1] + list_amount)
    return sums


def usage(cell: Cell, *, with_total: bool) -> dict[str, Any]:
    usage = {**tokens(cell.tokens, cell.web_searches), "requests": cell.requests}
    if with_total:
        usage["total_tokens"] = sum(cell.tokens)
    return usage


def actor(member: Member, today: date, *, newer: bool) -> dict[str, Any]:
    if member.department == "api_key":
        return {"type": "api_actor", "api_key_id": member.user_id}
    deleted = member.is_deleted(today)
    erased = deleted and member.erased
    return {
        "type": "user_actor",
        "user_id": member.user_id,
        "email_address" if newer else "email": None if erased else member.email or None,
        "name": "Deleted User" if erased else member.name,
        "deleted": deleted,
    }


def money(amount: int, list_amount: int) -> dict[str, str]:
    return {"amount": _cents(amount), "list_amount": _cents(list_amount)}


def _cents(millionths: int) -> str:
    return f"{millionths // 1_000_000}.{millionths % 1_000_000:06d}"
