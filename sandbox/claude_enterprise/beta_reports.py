"""`/cost` and `/usage`: the newer endpoints, in beta. Flat rows, every combination, no cap."""

from collections.abc import Iterator
from typing import Any

from sandbox.anthropic.beta_reports import (
    DIMENSIONS,
    asked,
    query_of,
    refuse_strangers,
)
from sandbox.anthropic.query import bad_request
from sandbox.anthropic.reporting import (
    Kind,
    envelope,
    instant,
    offset_of,
)
from sandbox.claude_enterprise.ledger import CLAUDE_TAG
from sandbox.claude_enterprise.reports import (
    FILTERS,
    NEWER_FILTERS,
    filter_value,
)
from sandbox.claude_enterprise.sums import (
    CHILD,
    Cell,
    Cut,
    Request,
    actor,
    money,
    parts,
    ranked,
    usage,
)

_FILTERS = FILTERS | NEWER_FILTERS | {"organization_ids": CHILD}


def report(request: Request, kind: Kind) -> dict[str, Any]:
    """One endpoint of the two; `limit` counts rows, but not their parts."""
    refuse_strangers(is_enrolled=request.company.in_beta, betas=request.betas)
    query = query_of(request.query_string, _FILTERS)
    wanted = asked(query, kind, _FILTERS, request.now)
    hidden_ids = _hidden(request, frozenset(wanted.filters.get(CHILD, ())))
    cut = Cut(
        kind=kind,
        slug=request.company.slug,
        export=request.export,
        newer=True,
        start=wanted.start,
        end=wanted.end,
        width=wanted.width,
        group_by=wanted.group_by,
        filters=tuple(
            (name, frozenset(filter_value(name, value) for value in values))
            for name, values in wanted.filters.items()
        ),
        user_ids=wanted.actor_ids,
        group_ids=wanted.group_ids,
        actor_types=wanted.actor_types,
        hidden_ids=hidden_ids,
        per_user=wanted.is_by_actor,
        everyone=True,
        exclude_deleted=wanted.exclude_deleted,
        order_by=wanted.order_by,
        descending=wanted.descending,
    )
    path, export = request.path, request.export
    offset, limit = offset_of(query, path, export), query.limit(20, 1000)
    cells = ranked(cut)
    data = [row for cell in cells[offset : offset + limit] for row in _rows(cut, cell)]
    return envelope(query, path, export, data, cut.start, offset + limit, len(cells))


def _hidden(request: Request, named: frozenset[str]) -> frozenset[str]:
    """Return the children left out without notice; 400 if one is named or all are."""
    children, hidden = request.company.children, request.company.hidden_ids
    if named and not children:
        raise bad_request("organization_ids[]: requires a key of a parent organization.")
    if named & hidden or (children and len(hidden) == len(children)):
        raise bad_request("Not available for organizations with HIPAA readiness.")
    return hidden


def _rows(cut: Cut, cell: Cell) -> Iterator[dict[str, Any]]:
    start = cell.start or cut.start
    row: dict[str, Any] = {
        "starting_at": instant(start),
        "ending_at": instant(start + cut.width if cut.width else cut.end),
    }
    group: dict[str, Any] = dict.fromkeys((*DIMENSIONS, "actor", "actor_type"))
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
