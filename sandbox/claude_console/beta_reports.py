"""`/analytics/cost` and `/analytics/usage` with an Admin key, from the exports of every four hours.

The same work as in the reports: what they bill sums to the same, to the last digit. Only where an
organization `has_committed_cost`, the cost of Priority Tier comes on top, which reports lack.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sandbox.anthropic.beta_reports import (
    CONSOLE_ONLY,
    DIMENSIONS,
    SHARED,
    Asked,
    asked,
    query_of,
    refuse_strangers,
)
from sandbox.anthropic.reporting import (
    COMPONENTS,
    Kind,
    envelope,
    floor,
    instant,
    newest_export,
    offset_of,
    tokens,
)
from sandbox.claude_console.company import Company
from sandbox.claude_console.ledger import (
    TOKEN_TYPES,
    Charge,
    Line,
    known_lines,
)
from sandbox.claude_console.reports import Request, cents

_FILTERS = {f"{name}s": name for name in (*SHARED, *CONSOLE_ONLY)}
# What no work of this organization has: always null.
_NEVER = {*DIMENSIONS} - {
    *("workspace_id", "api_key_id", "service_tier"),
    *("product", "model", "context_window", "inference_geo", "organization_id"),
}


@dataclass(slots=True)
class _Cell:
    """Sums of one combination. `parts` holds amounts by component."""

    start: datetime | None
    values: tuple[str | None, ...]
    requests: int = 0
    searches: int = 0
    tokens: list[int] = field(default_factory=lambda: [0] * len(TOKEN_TYPES))
    parts: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def add(self, line: Line, charges: Iterable[Charge]) -> None:
        self.requests += line.requests
        self.searches += line.web_searches
        self.tokens = [known + new for known, new in zip(self.tokens, line.tokens, strict=True)]
        for charge in charges:
            part = (charge.cost_type, charge.token_type)
            self.parts[part] = self.parts.get(part, 0) + charge.amount

    def rank(self, order_by: str) -> int:
        match order_by:
            case "amount" | "list_amount":
                return sum(self.parts.values())
            case "requests":
                return self.requests
            case "total_tokens":
                return sum(self.tokens)
            case _:
                return self.tokens[TOKEN_TYPES.index(order_by)]


def report(request: Request, kind: Kind, *, betas: str) -> dict[str, Any]:
    """One endpoint of the two; `limit` counts combinations, but not their parts."""
    refuse_strangers(is_enrolled=request.company.enrolled, betas=betas)
    query = query_of(request.query_string, _FILTERS)
    wanted = asked(query, kind, _FILTERS, request.now)
    export = newest_export(request.now)
    offset, limit = offset_of(query, request.path, export), query.limit(20, 1000)
    combinations = _ranked(request, wanted, kind, export)
    page = combinations[offset : offset + limit]
    data = [row for cell in page for row in _rows(request.company, wanted, kind, cell)]
    return envelope(
        query, request.path, export, data, wanted.start, offset + limit, len(combinations)
    )


# --- What is asked for ---------------------------------------------------------------------


def _ranked(request: Request, wanted: Asked, kind: Kind, export: datetime) -> list[_Cell]:
    names = _names(wanted)
    cells: dict[tuple[Any, ...], _Cell] = {}
    for start, line in _lines(request, wanted, export):
        charges = _charges(request.company, line)
        if (kind == "cost" and not charges) or (kind == "usage" and line.model is None):
            continue
        values = tuple(_value(line, name) for name in names)
        cells.setdefault((start, values), _Cell(start, values)).add(line, charges)
    by_name = sorted(cells.values(), key=lambda cell: [value or "" for value in cell.values])
    sign = -1 if wanted.descending else 1
    if wanted.order_by != "time":
        return sorted(by_name, key=lambda cell: sign * cell.rank(wanted.order_by))
    dearest = sorted(by_name, key=lambda cell: -cell.rank(_WORTH[kind]))
    return sorted(dearest, key=lambda it: it.start or wanted.start, reverse=wanted.descending)


def _charges(company: Company, line: Line) -> tuple[Charge, ...]:
    """Return what a line costs here: of some organizations also what was committed before."""
    return line.charges + line.committed if company.has_committed_cost else line.charges


_WORTH: dict[Kind, str] = {"cost": "amount", "usage": "total_tokens"}


def _names(wanted: Asked) -> tuple[str, ...]:
    return tuple(name for name in wanted.group_by if name not in COMPONENTS)


def _lines(
    request: Request, wanted: Asked, export: datetime
) -> Iterator[tuple[datetime | None, Line]]:
    """Return the exported work inside the range, with the start of its bucket."""
    day = wanted.start.date()
    while (midnight := datetime.combine(day, time.min, tzinfo=UTC)) < min(wanted.end, export):
        for line in known_lines(request.company, day, export):
            at = midnight + timedelta(minutes=line.minute)
            if wanted.start <= at < wanted.end and _is_wanted(wanted, line):
                yield floor(at, wanted.width) if wanted.width else None, line
        day += timedelta(days=1)


def _is_wanted(wanted: Asked, line: Line) -> bool:
    kind, id = _actor(line)
    if wanted.actor_types and kind not in wanted.actor_types:
        return False
    if (wanted.actor_ids and id not in wanted.actor_ids) or wanted.group_ids:
        return False
    if wanted.exclude_deleted and line.account and line.account.left_on:
        return False
    return all(_value(line, name) in _words(name, words) for name, words in wanted.filters.items())


def _words(name: str, words: tuple[str, ...]) -> set[str | None]:
    """Return the values that a filter keeps. Two dimensions have a word for no value."""
    nothing = {"inference_geo": "not_available", "api_key_id": ""}.get(name)
    return {None if word == nothing else word for word in words}


def _value(line: Line, name: str) -> str | None:
    """Return a dimension in the words of these endpoints; an actor by its id."""
    if name in _NEVER:
        return None
    match name:
        case "actor":
            return _actor(line)[1]
        case "actor_type":
            return _actor(line)[0]
        case "organization_id":
            return child_of(line)
        case "workspace_id":  # here the default one has its own id
            return line.workspace.id
        case "inference_geo":
            return None if line.inference_geo == "not_available" else line.inference_geo
    value: str | None = getattr(line, name)
    return value


def child_of(line: Line) -> str | None:
    """Return the child organization of a parent; none of these organizations is one."""
    return None


def _actor(line: Line) -> tuple[str | None, str | None]:
    """(type, id): the user if one is known, else the service account, else the key."""
    if line.account:
        return "user_actor", line.account.id
    if line.service_account_id:
        return "service_account_actor", line.service_account_id
    return ("api_actor", line.key.id) if line.key else (None, None)


# --- Rows ----------------------------------------------------------------------------------


def _rows(company: Company, wanted: Asked, kind: Kind, cell: _Cell) -> Iterator[dict[str, Any]]:
    """Return the row of a combination, or one row per component of its cost."""
    start = cell.start or wanted.start
    row: dict[str, Any] = {
        "starting_at": instant(start),
        "ending_at": instant(start + wanted.width if wanted.width else wanted.end),
    }
    group: dict[str, Any] = dict.fromkeys((*DIMENSIONS, "actor", "actor_type"))
    group |= dict(zip(_names(wanted), cell.values, strict=True))
    group["actor"] = _actor_body(company, group["actor"])
    if kind == "usage":
        counts = tokens(cell.tokens, cell.searches)
        counts |= {"total_tokens": sum(cell.tokens), "requests": cell.requests}
        yield row | {"group": group, "usage": counts}
        return
    asked_for = {name for name in COMPONENTS if name in wanted.group_by}
    sums: dict[tuple[str | None, str | None], int] = {}
    for (cost_type, token_type), amount in sorted(cell.parts.items(), key=str):
        if asked_for == {"token_type"} and cost_type != "tokens":
            continue
        shown = (
            cost_type if asked_for else None,
            token_type if "token_type" in asked_for else None,
        )
        sums[shown] = sums.get(shown, 0) + amount
    for (shown_type, shown_token), amount in sums.items():
        cost = {
            "amount": cents(amount),
            "list_amount": _at_list_price(company, amount),
            "currency": "USD",
            "requests": None if asked_for else cell.requests,
        }
        component = {"cost_type": shown_type, "token_type": shown_token}
        yield row | {"group": group | component, "cost": cost}


def _at_list_price(company: Company, amount: int) -> str:
    """Cents to the last digit, whatever was added up: a fifth off has 8 decimals."""
    percent = 100 - company.discount_percent
    return f"{Decimal(amount) * 100 / percent / 1_000_000:f}"


def _actor_body(company: Company, id: str | None) -> dict[str, Any] | None:
    member = next((one for one in company.members if one.id == id), None)
    if member is not None:
        return {
            "type": "user_actor",
            "user_id": member.id,
            "name": member.name,
            "email_address": member.email,
            "deleted": member.left_on is not None,
        }
    if id is None:
        return None
    if id.startswith("apikey_"):
        return {"type": "api_actor", "api_key_id": id}
    return {"type": "service_account_actor", "service_account_id": id}
