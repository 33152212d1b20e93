"""The four cost and usage reports: for the whole organization by bucket, and per user."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sandbox.anthropic.query import Query, bad_request
from sandbox.anthropic.reporting import (
    COMPONENTS,
    LONGEST,
    ORDER_BY,
    WIDTHS,
    Kind,
    asked_range,
    envelope,
    floor,
    instant,
    offset_of,
)
from sandbox.claude_enterprise.ledger import CLAUDE_TAG
from sandbox.claude_enterprise.sums import (
    DIMENSIONS,
    NEWER_DIMENSIONS,
    Cell,
    Cut,
    Request,
    actor,
    cells,
    money,
    parts,
    ranked,
    usage,
)

GROUP_CAP = 100  # rows a bucket of the organization's reports holds at most

_BUCKET_LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 256)}
FILTERS = {
    "products": "product",
    "models": "model",
    "context_windows": "context_window",
    "inference_geos": "inference_geo",
    "speeds": "speed",
    "slack_channel_ids": "slack_channel_id",
}
NEWER_FILTERS = {
    "claude_tag_categories": "claude_tag_category",
    "claude_tag_user_ids": "claude_tag_user_id",
}
_TAG_SPELLINGS = {"claude-in-slack": CLAUDE_TAG, "claude_tag": CLAUDE_TAG}

# --- The two endpoints of each kind --------------------------------------------------------


def organization_report(request: Request, kind: Kind) -> dict[str, Any]:
    """`/cost_report` and `/usage_report`: `limit` counts buckets, empty ones included."""
    query = Query(request.query_string, allowed=_allowed(request))
    width_name = query.choice("bucket_width", tuple(WIDTHS), "1d") or "1d"
    width = WIDTHS[width_name]
    limit = query.limit(*_BUCKET_LIMITS[width_name])
    start, end = asked_range(query, request.now)
    first = floor(start, width)
    buckets = [first + width * number for number in range(-((first - end) // width))]
    offset = offset_of(query, request.path, request.export)
    cut = _cut(query, request, kind, buckets[0], buckets[-1] + width, width)
    page = buckets[offset : offset + limit]
    rows = _buckets(cut)
    data = [
        {
            "starting_at": instant(bucket),
            "ending_at": instant(bucket + width),
            "results": rows.get(bucket, []),
        }
        for bucket in page
    ]
    return _envelope(query, request, data, start, offset + limit, len(buckets))


def user_report(request: Request, kind: Kind) -> dict[str, Any]:
    """`/user_cost_report` and `/user_usage_report`: `limit` counts rows, but not their parts."""
    own = {"exclude_deleted_users", "order", "order_by"}
    query = Query(request.query_string, allowed=_allowed(request) | own)
    width_name = query.choice("bucket_width", tuple(WIDTHS), None)
    limit = query.limit(20, 1000)
    longest = timedelta(days=1) if width_name == "1m" else LONGEST
    start, end = asked_range(query, request.now, longest)
    if width_name and query.text("ending_at") is None:
        raise bad_request("ending_at: required when bucket_width is set.")
    offset = offset_of(query, request.path, request.export)
    cut = _cut(
        query,
        request,
        kind,
        start,
        end,
        WIDTHS[width_name] if width_name else None,
        per_user=True,
        exclude_deleted=query.flag("exclude_deleted_users"),
        order_by=query.choice("order_by", ORDER_BY[kind], ORDER_BY[kind][0]) or "",
        descending=query.choice("order", ("asc", "desc"), "desc") == "desc",
    )
    cells = ranked(cut)
    data = [row for cell in cells[offset : offset + limit] for row in _rows(cut, cell)]
    return _envelope(query, request, data, start, offset + limit, len(cells))


def _allowed(request: Request) -> set[str]:
    lists = {*FILTERS, "group_by", "user_ids", "rbac_group_ids"}
    if request.newer:
        lists |= {*NEWER_FILTERS}
    plain = {"starting_at", "ending_at", "bucket_width", "limit", "page"}
    return {f"{name}[]" for name in lists} | plain


def _cut(
    query: Query,
    request: Request,
    kind: Kind,
    start: datetime,
    end: datetime,
    width: timedelta | None,
    **options: Any,
) -> Cut:
    dimensions = [*DIMENSIONS]
    filters = dict(FILTERS)
    if request.newer:
        dimensions += NEWER_DIMENSIONS
        filters |= NEWER_FILTERS
    if kind == "cost":
        dimensions += COMPONENTS
    wanted = [(name, query.list(parameter)) for parameter, name in filters.items()]
    return Cut(
        kind=kind,
        slug=request.company.slug,
        export=request.export,
        newer=request.newer,
        start=start,
        end=end,
        width=width,
        group_by=query.list("group_by", among=tuple(dimensions)),
        filters=tuple(
            (name, frozenset(filter_value(name, value) for value in values))
            for name, values in wanted
            if values
        ),
        user_ids=frozenset(query.list("user_ids")),
        group_ids=frozenset(query.list("rbac_group_ids")),
        **options,
    )


def filter_value(dimension: str, value: str) -> str | None:
    if dimension == "inference_geo" and value == "not_available":
        return None
    return _TAG_SPELLINGS.get(value, value) if dimension == "product" else value


def _envelope(
    query: Query, request: Request, data: list[Any], start: datetime, following: int, total: int
) -> dict[str, Any]:
    body = envelope(query, request.path, request.export, data, start, following, total)
    return body | {"organization_id": request.company.organization_id}


# --- Buckets -------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _buckets(cut: Cut) -> dict[datetime, list[dict[str, Any]]]:
    """Return the rows of each bucket by falling cost, cut off after the hundredth."""
    by = ORDER_BY[cut.kind][0]
    buckets: dict[datetime, list[tuple[int, tuple[str, ...], dict[str, Any]]]] = {}
    for cell in cells(cut):
        assert cell.start is not None  # noqa: S101 - these reports always have a width
        for row in _rows(cut, cell):
            worth = int(row["amount"].replace(".", "")) if by == "amount" else cell.rank(by)
            buckets.setdefault(cell.start, []).append((-worth, cell.name, row))
    return {
        start: [row for *_, row in sorted(rows, key=lambda item: item[:2])[:GROUP_CAP]]
        for start, rows in buckets.items()
    }


# --- Rows ----------------------------------------------------------------------------------


def _rows(cut: Cut, cell: Cell) -> Iterator[dict[str, Any]]:
    """Return the row of a group, or one row per component of its cost."""
    row: dict[str, Any] = {}
    if cell.member is not None:
        row["actor"] = actor(cell.member, cut.export.date(), newer=cut.newer)
        row["starting_at"] = instant(cell.start) if cell.start and cut.width else None
        row["ending_at"] = instant(cell.start + cut.width) if cell.start and cut.width else None
    values = dict(zip(cut.dimensions, cell.values, strict=True))
    if values.get("product") == CLAUDE_TAG and not cut.newer:
        values["product"] = "claude-in-slack"
    for name in DIMENSIONS + (NEWER_DIMENSIONS if cut.newer else ()):
        row[name] = values.get(name)
    if cut.kind == "usage":
        yield row | usage(cell, with_total=cut.per_user)
        return
    row["currency"] = "USD"
    if not cut.components:
        row |= {"requests": cell.requests, "cost_type": None, "token_type": None}
        yield row | money(cell.amount, cell.list_amount)
        return
    for (cost_type, token_type), (amount, list_amount) in sorted(parts(cut, cell).items()):
        row |= {"requests": None, "cost_type": cost_type, "token_type": token_type or None}
        yield row | money(amount, list_amount)
