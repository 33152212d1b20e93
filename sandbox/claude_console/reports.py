"""The three reports: tokens and cost by bucket, and Claude Code by developer."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sandbox.anthropic.query import (
    Query,
    bad_request,
    cursor,
    open_cursor,
    refuse_many_dimensions,
)
from sandbox.anthropic.reporting import (
    WIDTHS,
    floor,
    instant,
    tokens,
)
from sandbox.claude_console.company import Company
from sandbox.claude_console.ledger import (
    TOKEN_TYPES,
    Charge,
    Line,
    known_lines,
)

_LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1440)}
_ACTIVITY_LAG = timedelta(hours=1)

_USAGE_DIMENSIONS = (
    "account_id",
    "api_key_id",
    "context_window",
    "inference_geo",
    "model",
    "service_account_id",
    "service_tier",
    "workspace_id",
)
_FILTERS = {  # one of them is singular
    "account_ids": "account_id",
    "api_key_ids": "api_key_id",
    "context_window": "context_window",
    "inference_geos": "inference_geo",
    "models": "model",
    "service_account_ids": "service_account_id",
    "service_tiers": "service_tier",
    "workspace_ids": "workspace_id",
}
_PARSED = (
    "description",
    "cost_type",
    "token_type",
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
)


@dataclass(frozen=True)
class Request:
    """Context of a report besides its parameters."""

    company: Company
    path: str
    query_string: str
    now: datetime


def messages(request: Request) -> dict[str, Any]:
    """`/usage_report/messages`: a row per group with use; `limit` counts buckets."""
    query = Query(
        request.query_string,
        allowed={*_BUCKETED, *(f"{name}[]" for name in _FILTERS)},
    )
    group_by = query.list("group_by", among=_USAGE_DIMENSIONS)
    refuse_many_dimensions(group_by)
    filters = [(name, query.list(parameter)) for parameter, name in _FILTERS.items()]

    def rows(lines: list[Line]) -> list[dict[str, Any]]:
        sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * (len(TOKEN_TYPES) + 1))
        for line in lines:
            if line.model is None or any(
                wanted and getattr(line, name) not in wanted for name, wanted in filters
            ):
                continue
            group = sums[tuple(getattr(line, name) for name in group_by)]
            for place, count in enumerate((*line.tokens, line.web_searches)):
                group[place] += count
        return [
            _usage_row(dict(zip(group_by, values, strict=True)), counts)
            for values, counts in sorted(sums.items(), key=lambda item: str(item[0]))
        ]

    return _bucketed(request, query, rows)


def cost(request: Request) -> dict[str, Any]:
    """`/cost_report`: by day only, cut by workspace and description at most."""
    query = Query(request.query_string, allowed=_BUCKETED)
    query.choice("bucket_width", ("1d",), "1d")
    group_by = query.list("group_by", among=("workspace_id", "description"))

    def key(line: Line, charge: Charge) -> tuple[Any, ...]:
        parsed = (
            (*charge[:3], line.model, line.service_tier, line.context_window, line.inference_geo)
            if charge.cost_type == "tokens"
            else (*charge[:3], None, None, None, None)
        )
        return (
            line.workspace_id if "workspace_id" in group_by else None,
            *(parsed if "description" in group_by else (None,) * len(_PARSED)),
        )

    def rows(lines: list[Line]) -> list[dict[str, Any]]:
        sums: dict[tuple[Any, ...], int] = defaultdict(int)
        for line in lines:
            for charge in line.charges:
                sums[key(line, charge)] += charge.amount
        return [
            {
                "currency": "USD",
                "amount": cents(amount),
                **dict(zip(("workspace_id", *_PARSED), values, strict=True)),
            }
            for values, amount in sorted(sums.items(), key=lambda item: str(item[0]))
        ]

    return _bucketed(request, query, rows)


_BUCKETED = {"starting_at", "ending_at", "bucket_width", "group_by[]", "limit", "page"}


def _bucketed(
    request: Request, query: Query, rows: Callable[[list[Line]], list[dict[str, Any]]]
) -> dict[str, Any]:
    width_name = query.choice("bucket_width", tuple(WIDTHS), "1d") or "1d"
    width = WIDTHS[width_name]
    limit = query.limit(*_LIMITS[width_name])
    start = query.instant("starting_at")
    if start is None:
        raise bad_request("starting_at: required.")
    end = query.instant("ending_at") or request.now
    if end <= start:
        raise bad_request("ending_at: must be after starting_at.")
    first = floor(start, width)
    total = -((first - end) // width)
    opened = open_cursor(query, request.path)
    offset = opened[0] if opened else 0
    data = []
    for number in range(offset, min(offset + limit, total)):
        bucket = first + width * number
        data.append(
            {
                "starting_at": instant(bucket),
                "ending_at": instant(bucket + width),
                "results": rows(list(_lines(request, bucket, bucket + width))),
            }
        )
    following = offset + limit
    more = following < total
    return {
        "data": data,
        "has_more": more,
        "next_page": cursor(query, request.path, following, "") if more else None,
    }


def _lines(request: Request, start: datetime, end: datetime) -> Iterator[Line]:
    """Return the work of a bucket that has arrived; a bucket never spans midnight."""
    midnight = datetime.combine(start.date(), time.min, tzinfo=UTC)
    first, last = (start - midnight) // WIDTHS["1m"], (end - midnight) // WIDTHS["1m"]
    for line in known_lines(request.company, start.date(), request.now):
        if first <= line.minute < last:
            yield line


def _usage_row(values: dict[str, Any], counts: list[int]) -> dict[str, Any]:
    *counted, searches = counts
    return {**tokens(counted, searches), **{name: values.get(name) for name in _USAGE_DIMENSIONS}}


# --- Claude Code ---------------------------------------------------------------------------


def claude_code(request: Request) -> dict[str, Any]:
    """`/usage_report/claude_code`: one day; a row per developer and terminal."""
    query = Query(request.query_string, allowed={"starting_at", "limit", "page"})
    day = query.day("starting_at")
    if day is None:
        raise bad_request("starting_at: required.")
    if day > request.now.date():
        raise bad_request("starting_at: is in the future.")
    limit = query.limit(20, 1000)
    opened = open_cursor(query, request.path)
    offset = opened[0] if opened else 0
    rows = list(_developers(request.company, day, request.now - _ACTIVITY_LAG))
    following = offset + limit
    more = following < len(rows)
    return {
        "data": rows[offset:following],
        "has_more": more,
        "next_page": cursor(query, request.path, following, "") if more else None,
    }


def _developers(company: Company, day: date, now: datetime) -> Iterator[dict[str, Any]]:
    work: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in known_lines(company, day, now):
        if line.account and line.terminal:
            work["user_actor", line.account.email, line.terminal].append(line)
        elif line.key and line.key.name == "ci-runner":
            work["api_actor", line.key.name, "non-interactive"].append(line)
    for (kind, name, terminal), lines in sorted(work.items()):
        actor = (
            {"type": kind, "email_address": name}
            if kind == "user_actor"
            else {"type": kind, "api_key_name": name}
        )
        yield _developer_row(company, day, actor, terminal, lines)


def _developer_row(
    company: Company, day: date, actor: dict[str, str], terminal: str, lines: list[Line]
) -> dict[str, Any]:
    requests = sum(line.requests for line in lines)
    models: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        models[line.model or ""].append(line)
    return {
        "date": f"{day}T00:00:00Z",
        "organization_id": company.organization_id,
        "actor": actor,
        "customer_type": "api",
        "subscription_type": None,
        "terminal_type": terminal,
        "is_remote": False,
        "core_metrics": {
            "num_sessions": -(-requests // 35),
            "lines_of_code": {"added": requests * 7, "removed": requests * 2},
            "commits_by_claude_code": requests // 28,
            "pull_requests_by_claude_code": requests // 70,
        },
        "tool_actions": {
            "edit_tool": _decisions(requests // 3),
            "multi_edit_tool": _decisions(0),
            "notebook_edit_tool": _decisions(requests // 90),
            "write_tool": _decisions(requests // 12),
        },
        "model_breakdown": [
            {
                "model": model,
                "tokens": {
                    "input": sum(line.tokens[0] for line in used),
                    "output": sum(line.tokens[4] for line in used),
                    "cache_read": sum(line.tokens[1] for line in used),
                    "cache_creation": sum(line.tokens[2] + line.tokens[3] for line in used),
                },
                "estimated_cost": {
                    "currency": "USD",
                    # Rounded to whole cents: an estimate.
                    "amount": sum(c.amount for line in used for c in line.charges) // 1_000_000,
                },
            }
            for model, used in sorted(models.items())
        ],
    }


def _decisions(offered: int) -> dict[str, int]:
    return {"accepted": offered - offered // 16, "rejected": offered // 16}


def cents(millionths: int) -> str:
    """As the API writes it, without trailing zeros: 123.78912."""
    whole, part = divmod(millionths, 1_000_000)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".")
