"""The shell of a sandbox: a WSGI application with request ids, errors and a pace."""

import json
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.anthropic.dice import identifier
from sandbox.anthropic.query import ApiError, bad_request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

NEWER_VERSION = "2026-10-21"
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


def not_found() -> ApiError:
    return ApiError(404, "not_found_error", "The requested resource could not be found.")


def failures(prefix: str) -> dict[str, ApiError]:
    """Return the keys that every sandbox rejects, each in its own way."""
    return {
        f"{prefix}sandbox-revoked": ApiError(
            401, "authentication_error", "The API key provided is invalid or has been revoked."
        ),
        f"{prefix}sandbox-missing": not_found(),
        f"{prefix}sandbox-busy": ApiError(
            429, "rate_limit_error", "Rate limit exceeded.", {"retry-after": "25"}
        ),
        f"{prefix}sandbox-outage": ApiError(503, "overloaded_error", "Overloaded."),
    }


class Server(ABC):
    """API for the keys of `keys`; those of `failing_keys` fail as declared, others get 401.

    `now` is the API's clock. `requests_per_minute` limits each organization in a sliding minute of
    `clock`; 0 is no limit.
    """

    keys: ClassVar[tuple[str, ...]]
    failing_keys: ClassVar[Mapping[str, ApiError]]

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        requests_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = now
        self._limiter = _Limiter(requests_per_minute, clock)
        self._numbers = count(1)

    def pace(self, organization: str) -> None:
        """Count one request of an organization; raises 429 when it has had too many."""
        self._limiter.pass_one(organization)

    @abstractmethod
    def answer(
        self, environ: "WSGIEnvironment", key: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        """Return the body for a working key, possibly adding `headers`. Raise `ApiError`."""

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
                "error": {"type": error.type, "message": str(error), **error.more},
            }
            if error.has_request_id:
                body["request_id"] = headers["request-id"]
        content = json.dumps(body, separators=(",", ":")).encode()
        headers["content-length"] = str(len(content))
        start_response(f"{status} {_STATUS[status]}", list(headers.items()))
        return [content]

    def _answer(self, environ: "WSGIEnvironment", headers: dict[str, str]) -> dict[str, Any]:
        key = self._authenticate(environ)
        if not environ.get("HTTP_ANTHROPIC_VERSION"):
            raise bad_request("anthropic-version: header is required.")
        if environ["REQUEST_METHOD"] != "GET":
            raise ApiError(405, "invalid_request_error", "Method not allowed.")
        return self.answer(environ, key, headers)

    def _authenticate(self, environ: "WSGIEnvironment") -> str:
        bearer = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        key: str = environ.get("HTTP_X_API_KEY", "") or bearer
        if key in self.keys:
            return key
        raise self.failing_keys.get(
            key, ApiError(401, "authentication_error", "The API key is invalid.")
        )


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
