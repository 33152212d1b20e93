"""The sandbox as a WSGI application: who may ask, how often, and what answers."""

import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from integrations.connectors.claude_enterprise.sandbox import activity, reports
from integrations.connectors.claude_enterprise.sandbox.company import Company, companies, identifier
from integrations.connectors.claude_enterprise.sandbox.ledger import watermark
from integrations.connectors.claude_enterprise.sandbox.query import ApiError, bad_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROOT = "/v1/organizations/analytics"
NEWER_VERSION = "2026-10-21"

_ENDPOINTS: dict[str, Callable[[reports.Request], dict[str, Any]]] = {
    "/summaries": activity.summaries,
    "/users": activity.users,
    "/cost_report": lambda request: reports.organization_report(request, "cost"),
    "/usage_report": lambda request: reports.organization_report(request, "usage"),
    "/user_cost_report": lambda request: reports.user_report(request, "cost"),
    "/user_usage_report": lambda request: reports.user_report(request, "usage"),
}

# Keys that fail on purpose, each in its own way.
FAILING_KEYS = {
    "sk-ant-api01-sandbox-revoked": ApiError(
        401, "authentication_error", "The API key provided is invalid or has been revoked."
    ),
    "sk-ant-api01-sandbox-noscope": ApiError(
        403,
        "permission_error",
        "Missing required scopes. Got: ['read:members'] Needed: ['read:analytics']",
    ),
    "sk-ant-api01-sandbox-off": ApiError(
        403, "permission_error", "Public API access is disabled for this organization."
    ),
    "sk-ant-api01-sandbox-missing": ApiError(
        404, "not_found_error", "The requested resource could not be found."
    ),
    "sk-ant-api01-sandbox-busy": ApiError(
        429, "rate_limit_error", "Rate limit exceeded.", {"retry-after": "25"}
    ),
    "sk-ant-api01-sandbox-outage": ApiError(503, "overloaded_error", "Overloaded."),
}

_STATUS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


class Sandbox:
    """The Analytics API for the keys of `companies()` and `FAILING_KEYS`; others get 401.

    `now` is the API's clock. `requests_per_minute` limits each organization in a sliding
    minute of `clock`; 0 is no limit.
    """

    keys = tuple(companies())
    failing_keys = tuple(FAILING_KEYS)

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        requests_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._limiter = _Limiter(requests_per_minute, clock)
        self._numbers = count(1)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        headers = {
            "content-type": "application/json",
            "request-id": identifier("req_01", next(self._numbers)),
        }
        try:
            status, body = 200, self._answer(environ, headers)
        except ApiError as error:
            status = error.status
            headers |= error.headers
            body = {
                "type": "error",
                "error": {"type": error.type, "message": str(error)},
                "request_id": headers["request-id"],
            }
        content = json.dumps(body, separators=(",", ":")).encode()
        headers["content-length"] = str(len(content))
        start_response(f"{status} {_STATUS[status]}", list(headers.items()))
        return [content]

    def _answer(self, environ: "WSGIEnvironment", headers: dict[str, str]) -> dict[str, Any]:
        company = _authenticate(environ)
        headers["anthropic-organization-id"] = company.organization_id
        version = environ.get("HTTP_ANTHROPIC_VERSION", "")
        if not version:
            raise bad_request("anthropic-version: header is required.")
        self._limiter.pass_one(company.slug)
        path = environ.get("PATH_INFO", "")
        endpoint = _ENDPOINTS.get(path.removeprefix(ROOT)) if path.startswith(ROOT) else None
        if endpoint is None:
            raise ApiError(404, "not_found_error", "The requested resource could not be found.")
        if environ["REQUEST_METHOD"] != "GET":
            raise ApiError(405, "invalid_request_error", "Method not allowed.")
        now = self._now()
        return endpoint(
            reports.Request(
                company=company,
                path=path,
                query_string=environ.get("QUERY_STRING", ""),
                now=now,
                export=watermark(now),
                newer=version >= NEWER_VERSION,
            )
        )


def _authenticate(environ: "WSGIEnvironment") -> Company:
    bearer = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    key = environ.get("HTTP_X_API_KEY", "") or bearer
    if key in FAILING_KEYS:
        raise FAILING_KEYS[key]
    company = companies().get(key)
    if company is None:
        raise FAILING_KEYS["sk-ant-api01-sandbox-revoked"]
    return company


class _Limiter:
    """At most so many requests of one organization in any sixty seconds."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._passed: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def pass_one(self, name: str) -> None:
        if not self._per_minute:
            return
        with self._lock:
            now, passed = self._clock(), self._passed[name]
            while passed and passed[0] <= now - 60:
                passed.popleft()
            if len(passed) >= self._per_minute:
                wait = max(1, -int(-(passed[0] + 60 - now) // 1))
                raise ApiError(
                    429, "rate_limit_error", "Rate limit exceeded.", {"retry-after": str(wait)}
                )
            passed.append(now)
