"""The four cost and usage reports: for the whole organization by bucket, and per user."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal

from integrations.connectors.anthropic_api.sandbox.query import (
    ApiError,
    Query,
    bad_request,
    check_range,
    cursor,
    open_cursor,
)
from integrations.connectors.claude_enterprise.sandbox.company import Company, Member
from integrations.connectors.claude_enterprise.sandbox.ledger import (
    CLAUDE_TAG,
    TOKEN_TYPES,
    Line,
    by_slug,
    known_lines,
)

GROUP_CAP = 100  # rows a bucket of the organization's reports holds at most
LONGEST = timedelta(days=31)

_WIDTHS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "1m": timedelta(minutes=1)}
_BUCKET_LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 256)}
_FILTERS = {
    "products": "product",
    "models": "model",
    "context_windows": "context_window",
    "inference_geos": "inference_geo",
    "speeds": "speed",
    "slack_channel_ids": "slack_channel_id",
}
_NEWER_FILTERS = {
    "claude_tag_categories": "claude_tag_category",
    "claude_tag_user_ids": "claude_tag_user_id",
}
_DIMENSIONS = (
    "product",
    "model",
    "context_window",
    "inference_geo",
    "speed",
    "slack_channel_id",
)
_NEWER_DIMENSIONS = ("claude_tag_category", "claude_tag_user_id")
_COMPONENTS = ("cost_type", "token_type")
_ORDER_BY = {
    "cost": ("amount", "list_amount"),
    "usage": ("total_tokens", "output_tokens", "uncached_input_tokens", "requests"),
}
_TAG_SPELLINGS = {"claude-in-slack": CLAUDE_TAG, "claude_tag": CLAUDE_TAG}

Kind = Literal["cost", "usage"]


@dataclass(frozen=True)
class Request:
    """What a report needs to know besides its parameters."""

    company: Company
    path: str
    query_string: str
    now: datetime
    export: datetime
    newer: bool  # version 2026-10-21 or later


@dataclass(frozen=True)
class _Cut:
    """What a report is asked for, in one hashable value."""

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
    per_user: bool = False
    exclude_deleted: bool = False
    order_by: str = ""
    descending: bool = True

    @property
    def dimensions(self) -> tuple[str, ...]:
        return tuple(name for name in self.group_by if name in _DIMENSIONS + _NEWER_DIMENSIONS)

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(name for name in self.group_by if name in _COMPONENTS)


@dataclass(slots=True)
class _Cell:
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


# --- The two endpoints of each kind --------------------------------------------------------


def organization_report(request: Request, kind: Kind) -> dict[str, Any]:
    """`/cost_report` and `/usage_report`: `limit` counts buckets, empty ones included."""
    query = Query(request.query_string, allowed=_allowed(request))
    width_name = query.choice("bucket_width", tuple(_WIDTHS), "1d") or "1d"
    width = _WIDTHS[width_name]
    limit = query.limit(*_BUCKET_LIMITS[width_name])
    start, end = _range(query, request.now)
    first = _floor(start, width)
    buckets = [first + width * number for number in range(-((first - end) // width))]
    offset = _offset(query, request)
    cut = _cut(query, request, kind, buckets[0], buckets[-1] + width, width)
    page = buckets[offset : offset + limit]
    rows = _buckets(cut)
    data = [
        {
            "starting_at": _instant(bucket),
            "ending_at": _instant(bucket + width),
            "results": rows.get(bucket, []),
        }
        for bucket in page
    ]
    return _envelope(query, request, data, start, offset + limit, len(buckets))


def user_report(request: Request, kind: Kind) -> dict[str, Any]:
    """`/user_cost_report` and `/user_usage_report`: `limit` counts rows, but not their parts."""
    own = {"exclude_deleted_users", "order", "order_by"}
    query = Query(request.query_string, allowed=_allowed(request) | own)
    width_name = query.choice("bucket_width", tuple(_WIDTHS), None)
    limit = query.limit(20, 1000)
    longest = timedelta(days=1) if width_name == "1m" else LONGEST
    start, end = _range(query, request.now, longest)
    if width_name and query.text("ending_at") is None:
        raise bad_request("ending_at: required when bucket_width is set.")
    offset = _offset(query, request)
    cut = _cut(
        query,
        request,
        kind,
        start,
        end,
        _WIDTHS[width_name] if width_name else None,
        per_user=True,
        exclude_deleted=query.flag("exclude_deleted_users"),
        order_by=query.choice("order_by", _ORDER_BY[kind], _ORDER_BY[kind][0]) or "",
        descending=query.choice("order", ("asc", "desc"), "desc") == "desc",
    )
    ranked = _ranked(cut)
    data = [row for cell in ranked[offset : offset + limit] for row in _rows(cut, cell)]
    return _envelope(query, request, data, start, offset + limit, len(ranked))


def _allowed(request: Request) -> set[str]:
    lists = {*_FILTERS, "group_by", "user_ids", "rbac_group_ids"}
    if request.newer:
        lists |= {*_NEWER_FILTERS}
    plain = {"starting_at", "ending_at", "bucket_width", "limit", "page"}
    return {f"{name}[]" for name in lists} | plain


def _range(query: Query, now: datetime, longest: timedelta = LONGEST) -> tuple[datetime, datetime]:
    start = query.instant("starting_at")
    if start is None:
        raise bad_request("starting_at: required.")
    end = query.instant("ending_at") or min(max(now, start + _WIDTHS["1m"]), start + LONGEST)
    check_range(start, end, now=now, longest=longest)
    return start, end


def _cut(
    query: Query,
    request: Request,
    kind: Kind,
    start: datetime,
    end: datetime,
    width: timedelta | None,
    **options: Any,
) -> _Cut:
    dimensions = [*_DIMENSIONS, "rbac_group_id"]
    filters = dict(_FILTERS)
    if request.newer:
        dimensions += _NEWER_DIMENSIONS
        filters |= _NEWER_FILTERS
    if kind == "cost":
        dimensions += _COMPONENTS
    wanted = [(name, query.list(parameter)) for parameter, name in filters.items()]
    # Nobody is in a group here, so asking for one finds nothing.
    if query.list("rbac_group_ids"):
        wanted.append(("product", ("no such group",)))
    return _Cut(
        kind=kind,
        slug=request.company.slug,
        export=request.export,
        newer=request.newer,
        start=start,
        end=end,
        width=width,
        group_by=query.list("group_by", among=tuple(dimensions)),
        filters=tuple(
            (name, frozenset(_wanted(name, value) for value in values))
            for name, values in wanted
            if values
        ),
        user_ids=frozenset(query.list("user_ids")),
        **options,
    )


def _wanted(dimension: str, value: str) -> str | None:
    if dimension == "inference_geo" and value == "not_available":
        return None
    return _TAG_SPELLINGS.get(value, value) if dimension == "product" else value


def _offset(query: Query, request: Request) -> int:
    found = open_cursor(query, request.path)
    if found is None:
        return 0
    offset, export = found
    if export != request.export.isoformat():
        message = "The page cursor has expired. Restart from the first page."
        raise ApiError(410, "invalid_request_error", message)
    return offset


def _envelope(
    query: Query, request: Request, data: list[Any], start: datetime, following: int, total: int
) -> dict[str, Any]:
    more = following < total
    state = request.export.isoformat()
    return {
        "data": data,
        # Null while no export covers any of the range: not known yet, which is not zero.
        "data_refreshed_at": _instant(request.export) if start < request.export else None,
        "has_more": more,
        "next_page": cursor(query, request.path, following, state) if more else None,
        "organization_id": request.company.organization_id,
    }


# --- Sums ----------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _ranked(cut: _Cut) -> list[_Cell]:
    """Every group of a per-user report, in order: pages are slices of it."""
    cells = sorted(_cells(cut), key=lambda cell: cell.name)
    sign = -1 if cut.descending else 1
    return sorted(cells, key=lambda cell: sign * cell.rank(cut.order_by))


@lru_cache(maxsize=16)
def _buckets(cut: _Cut) -> dict[datetime, list[dict[str, Any]]]:
    """The rows of each bucket, dearest first, cut off after the hundredth."""
    by = _ORDER_BY[cut.kind][0]
    found: dict[datetime, list[tuple[int, tuple[str, ...], dict[str, Any]]]] = {}
    for cell in _cells(cut):
        assert cell.start is not None  # noqa: S101 - these reports always have a width
        for row in _rows(cut, cell):
            worth = int(row["amount"].replace(".", "")) if by == "amount" else cell.rank(by)
            found.setdefault(cell.start, []).append((-worth, cell.name, row))
    return {
        start: [row for *_, row in sorted(rows, key=lambda item: item[:2])[:GROUP_CAP]]
        for start, rows in found.items()
    }


def _cells(cut: _Cut) -> Iterator[_Cell]:
    cells: dict[tuple[Any, ...], _Cell] = {}
    dimensions = cut.dimensions
    values_of = _getter(dimensions)
    for start, line in _lines(cut):
        values = values_of(line)
        member = line.member if cut.per_user else None
        key = (start, member.user_id if member else None, values)
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = _Cell(start, member, values)
        cell.requests += line.requests
        if cut.kind == "usage":
            cell.tokens = [known + new for known, new in zip(cell.tokens, line.tokens, strict=True)]
            cell.web_searches += line.web_searches
            continue
        for cost_type, token_type, amount, list_amount in line.charges:
            cell.amount += amount
            cell.list_amount += list_amount
            if cut.components:
                part = cell.parts.setdefault((cost_type, token_type), [0, 0])
                part[0] += amount
                part[1] += list_amount
    yield from cells.values()


def _getter(names: tuple[str, ...]) -> Any:
    if not names:
        return lambda line: ()
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda line: (one(line),)
    return attrgetter(*names)


def _lines(cut: _Cut) -> Iterator[tuple[datetime | None, Line]]:
    """The charged lines inside the cut, each with the start of its bucket."""
    company = by_slug(cut.slug)
    day = cut.start.date()
    while (midnight := datetime.combine(day, time.min, tzinfo=UTC)) < min(cut.end, cut.export):
        from_minute = (cut.start - midnight) // _WIDTHS["1m"]
        to_minute = (cut.end - midnight) // _WIDTHS["1m"]
        for line in known_lines(company, day, cut.export):
            if not line.charges or not from_minute <= line.minute < to_minute:
                continue
            if cut.kind == "usage" and line.model is None:  # running code takes no tokens
                continue
            if _is_wanted(cut, line, day):
                if cut.width is None:
                    yield None, line
                elif cut.width == _WIDTHS["1d"]:
                    yield midnight, line
                else:
                    instant = midnight + timedelta(minutes=line.minute)
                    yield _floor(instant, cut.width), line
        day += timedelta(days=1)


def _is_wanted(cut: _Cut, line: Line, day: date) -> bool:
    if cut.per_user and line.member is None:
        return False
    if cut.user_ids and (line.member is None or line.member.user_id not in cut.user_ids):
        return False
    if cut.exclude_deleted and line.member and line.member.is_deleted(cut.export.date()):
        return False
    return all(getattr(line, name) in wanted for name, wanted in cut.filters)


# --- Rows ----------------------------------------------------------------------------------


def _rows(cut: _Cut, cell: _Cell) -> Iterator[dict[str, Any]]:
    """The row of a group, or one row per component where cost is asked for by component."""
    row: dict[str, Any] = {}
    if cell.member is not None:
        row["actor"] = _actor(cell.member, cut.export.date(), newer=cut.newer)
        row["starting_at"] = _instant(cell.start) if cell.start and cut.width else None
        row["ending_at"] = _instant(cell.start + cut.width) if cell.start and cut.width else None
    values = dict(zip(cut.dimensions, cell.values, strict=True))
    if values.get("product") == CLAUDE_TAG and not cut.newer:
        values["product"] = "claude-in-slack"
    for name in _DIMENSIONS + ("rbac_group_id",) + (_NEWER_DIMENSIONS if cut.newer else ()):
        row[name] = values.get(name)
    if cut.kind == "usage":
        yield row | _usage(cell, with_total=cut.per_user)
        return
    row["currency"] = "USD"
    if not cut.components:
        row |= {"requests": cell.requests, "cost_type": None, "token_type": None}
        yield row | _money(cell.amount, cell.list_amount)
        return
    for (cost_type, token_type), (amount, list_amount) in sorted(_parts(cut, cell).items()):
        row |= {"requests": None, "cost_type": cost_type, "token_type": token_type or None}
        yield row | _money(amount, list_amount)


def _parts(cut: _Cut, cell: _Cell) -> dict[tuple[str, str], tuple[int, int]]:
    """Sums per component. By token type alone, what is not tokens is left out."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for (cost_type, token_type), (amount, list_amount) in cell.parts.items():
        if cut.components == ("token_type",) and cost_type != "tokens":
            continue
        key = (cost_type, (token_type or "") if "token_type" in cut.components else "")
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + amount, before[1] + list_amount)
    return sums


def _usage(cell: _Cell, *, with_total: bool) -> dict[str, Any]:
    uncached, read, written_5m, written_1h, output = cell.tokens
    usage = {
        "uncached_input_tokens": uncached,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_1h_input_tokens": written_1h,
            "ephemeral_5m_input_tokens": written_5m,
        },
        "output_tokens": output,
        "requests": cell.requests,
        "server_tool_use": {"web_search_requests": cell.web_searches},
    }
    if with_total:
        usage["total_tokens"] = sum(cell.tokens)
    return usage


def _actor(member: Member, today: date, *, newer: bool) -> dict[str, Any]:
    deleted = member.is_deleted(today)
    erased = deleted and member.erased
    return {
        "type": "user_actor",
        "user_id": member.user_id,
        "email_address" if newer else "email": None if erased else member.email or None,
        "name": "Deleted User" if erased else member.name,
        "deleted": deleted,
    }


def _money(amount: int, list_amount: int) -> dict[str, str]:
    return {"amount": _cents(amount), "list_amount": _cents(list_amount)}


def _cents(millionths: int) -> str:
    return f"{millionths // 1_000_000}.{millionths % 1_000_000:06d}"


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _floor(at: datetime, width: timedelta) -> datetime:
    return at - (at - _EPOCH) % width
