"""Convert error responses of Anthropic into errors that say what to do.

The sentences may stand on a page. What differs by product, such as who can replace a key, is in its
`ErrorMessages`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, final

import httpx
import msgspec

from integrations import text
from integrations.connectors.base import (
    ActionNeeded,
    ConnectorError,
    NotAvailable,
    PayloadError,
    SnapshotMoved,
    TransientError,
)

UNEXPECTED = "unexpected_answer"  # the code of what only we can repair
_RETRIED = {408, 409, 429}  # and every 5xx; 410 on purpose not
_LONGEST_WISH_SECONDS = 86_400.0
_NO_SENSE_SECONDS = 7 * 86_400.0


@dataclass(frozen=True)
class ErrorMessages:
    """Sentences of one product: who can solve a problem, and where."""

    scope: str  # what a key needs at least; "" where keys have no scopes
    key_repair: str  # 401
    billing_repair: str  # 402
    denied: str  # 403 that names no scopes
    denied_repair: str
    scope_repair: str  # 403 that names them
    not_found: str  # 404
    not_found_repair: str
    rate_limited: str  # 429
    not_available: str  # 400 about days
    not_available_repair: str


@final
class FailedAttempt:
    """One try that failed: what to raise, and whether and when to try again."""

    def __init__(
        self, error: ConnectorError, *, retry: bool = False, wait_seconds: float | None = None
    ) -> None:
        self.error = error
        self.retry = retry
        self.wait_seconds = wait_seconds


def error_from_response(
    response: httpx.Response, wording: ErrorMessages, bad_request: type[ConnectorError]
) -> FailedAttempt:
    """Turn an answer other than 200 into the error that says what to do."""
    status, headers = response.status_code, response.headers
    wait_seconds = retry_after(headers)
    should_retry = headers.get("x-should-retry")
    retry = status in _RETRIED or status >= 500
    if should_retry in {"true", "false"}:
        retry = should_retry == "true"
    words = _provider_words(response)
    about: dict[str, Any] = {
        "status": status,
        "provider_message": words.error.message[:1000],
        "request_id": headers.get("request-id", "") or words.request_id or "",
    }
    error: ConnectorError
    match status:
        case 400:
            error = _bad_request(bad_request, words, wording, about)
        case 401:
            error = ActionNeeded(
                "Anthropic rejected the key. It may be revoked, expired or mistyped.",
                code="key_rejected",
                repair=wording.key_repair,
                **about,
            )
        case 402:
            error = ActionNeeded(
                "Anthropic reports a billing problem with the organization. Until it is settled, "
                "no data is given out.",
                code="billing",
                repair=wording.billing_repair,
                **about,
            )
        case 403:
            error = _forbidden(wording, about)
        case 404:
            error = ActionNeeded(
                wording.not_found, code="not_found", repair=wording.not_found_repair, **about
            )
        case 410:
            error = _redirect_error(about)
        case 429:
            error = TransientError(
                wording.rate_limited,
                code="rate_limited",
                repair=_wait_text(wait_seconds),
                retry_after_seconds=wait_seconds,
                **about,
            )
        case _ if retry or status >= 500 or status in _RETRIED:
            error = TransientError(
                f"Anthropic did not answer properly ({status}). The problem is on its side.",
                code="outage",
                repair="Try again in a few minutes.",
                retry_after_seconds=wait_seconds,
                **about,
            )
        case _ if 300 <= status < 400:
            error = unexpected(
                f"Anthropic's address answered with a redirect ({status}). "
                "A proxy between this server and Anthropic may have redirected it.",
                **about,
            )
        case _:
            error = unexpected(f"Anthropic answered with an unexpected status ({status}).", **about)
    return FailedAttempt(error, retry=retry, wait_seconds=wait_seconds)


def unreachable(exc: httpx.TransportError, base_url: str) -> TransientError:
    """No answer at all. The exception's own text stays out: it may quote what was sent."""
    host = httpx.URL(base_url).host or base_url
    if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        message = f"This server cannot reach {host} ({name(exc)})."
        repair = (
            f"Ask the operator of Spendglass to allow HTTPS to {host}, or to set HTTPS_PROXY. "
            "If it worked before, try again in a few minutes."
        )
    elif isinstance(exc, httpx.TimeoutException):
        message = f"Anthropic did not answer in time ({name(exc)})."
        repair = "Try again in a few minutes."
    else:
        message = f"The connection to {host} broke off in the middle of an answer ({name(exc)})."
        repair = "Try again in a few minutes."
    return TransientError(message, code="outage", repair=repair)


def unexpected(message: str, **about: Any) -> PayloadError:
    """Something the documentation does not promise: for us to repair."""
    return PayloadError(
        message,
        code=UNEXPECTED,
        repair="Report this with the request ID. No number was changed.",
        **about,
    )


def name(exc: Exception) -> str:
    return type(exc).__name__


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds the provider asks to wait, a day at most; None if it names none that makes sense.

    What cannot be read does not hide what can: milliseconds first, then seconds or a date.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    wish = headers.get("retry-after")
    seconds = _seconds(wish)
    if seconds is None:
        # By the clock that wrote the date: ours may be off by hours.
        until, now = _instant(wish), _instant(headers.get("date"))
        if until is None or now is None or not now <= until < now + timedelta(days=7):
            return None
        seconds = (until - now).total_seconds()
    return min(seconds, _LONGEST_WISH_SECONDS)


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < _NO_SENSE_SECONDS else None


def _instant(text: str | None) -> datetime | None:
    """Parse an HTTP date, which is UTC even without a zone."""
    try:
        parsed = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


# --- The envelope of errors ----------------------------------------------------------------


class _ErrorDetails(msgspec.Struct):
    error_code: str | None = None


class _ErrorDetail(msgspec.Struct):
    message: str = ""
    details: _ErrorDetails | None = None

    @property
    def code(self) -> str:
        """The stable machine code, where Anthropic sends one."""
        return text.label((self.details and self.details.error_code) or "")[:50]


class _ErrorBody(msgspec.Struct):
    error: _ErrorDetail
    request_id: str | None = None


def _provider_words(response: httpx.Response) -> _ErrorBody:
    """Return the provider's own message, or "" if the body is not its envelope."""
    try:
        return msgspec.json.decode(response.content, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _ErrorBody(_ErrorDetail())


def _bad_request(
    kind: type[ConnectorError], words: _ErrorBody, wording: ErrorMessages, about: dict[str, Any]
) -> ConnectorError:
    if kind is NotAvailable:
        return NotAvailable(
            wording.not_available,
            code="not_available",
            repair=wording.not_available_repair,
            **about,
        )
    if kind is SnapshotMoved:
        return _redirect_error(about)
    error = unexpected("Anthropic rejected a query that its documentation allows.", **about)
    error.code = words.error.code or error.code
    return error


def _redirect_error(about: dict[str, Any]) -> SnapshotMoved:
    return SnapshotMoved(
        "Anthropic published new data during the read.",
        code="snapshot_moved",
        repair="These days are read again automatically.",
        **about,
    )


_SCOPE_PATTERN = re.compile(
    r"Got:\s*\[(?P<got>[^]]*)\].*?Needed:\s*\[(?P<needed>[^]]*)\]", re.DOTALL
)


def _forbidden(wording: ErrorMessages, about: dict[str, Any]) -> ActionNeeded:
    """403: the message lists scopes if it is about them. Read for the wording only."""
    scopes = _SCOPE_PATTERN.search(about["provider_message"])
    if scopes is None:
        return ActionNeeded(
            wording.denied, code="access_denied", repair=wording.denied_repair, **about
        )
    got = _scope_names(scopes["got"])
    lacking = [scope for scope in _scope_names(scopes["needed"]) if scope not in got]
    return ActionNeeded(
        f"The key lacks {', '.join(lacking) or wording.scope}. "
        f"It has: {', '.join(got) or 'no scopes'}.",
        code="scope_missing",
        repair=wording.scope_repair,
        **about,
    )


def _scope_names(text: str) -> list[str]:
    return re.findall(r"[\w:.-]+", text)[:20]


def _wait_text(seconds: float | None) -> str:
    if seconds is None:
        return "Wait a minute, then try again."
    return f"Wait {round(seconds) or 1} seconds, then try again."
