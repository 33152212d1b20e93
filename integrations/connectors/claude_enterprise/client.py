"""Reads the Claude Enterprise Analytics API, in the API's own words.

What leaves this module are decoded answers and `ConnectorError`s; nothing of HTTP leaks out.
Source: https://platform.claude.com/docs/en/build-with-claude/claude-enterprise-analytics-api
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Protocol, TypeVar, final

import httpx
import msgspec

from integrations.connectors.base import (
    Access,
    ActionNeeded,
    ConnectorError,
    NotAvailable,
    PayloadError,
    Request,
    SnapshotMoved,
    TransientError,
)
from integrations.window import Window

VERSION = "0.1.0"
API_VERSION = "2023-06-01"
ROOT = "/v1/organizations/analytics"

_RETRIED = {408, 409, 429}  # and every 5xx; 410 on purpose not
_LONGEST_WAIT_SECONDS = 60.0  # a longer wish of the provider is for the caller to plan
_LONGEST_BACKOFF_SECONDS = 30.0

Params = list[tuple[str, str]]


# --- What the API answers ------------------------------------------------------------------


class Actor(msgspec.Struct):
    """Whom usage is attributed to. Legacy reports send users only, newer ones four types."""

    type: str = "user_actor"
    user_id: str | None = None
    service_account_id: str | None = None
    api_key_id: str | None = None
    subject: str | None = None
    email: str | None = None  # version 2023-06-01
    email_address: str | None = None  # newer versions; some answers carry both
    name: str | None = None
    deleted: bool | None = None


class Dimensions(msgspec.Struct):
    """What a row was cut by. Null: not grouped by it, or not known."""

    product: str | None = None
    model: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


class CostRow(Dimensions, kw_only=True):
    """Cents as decimal strings, after and before discounts: "41280.000000" is $412.80."""

    amount: Decimal
    list_amount: Decimal | None = None
    currency: str | None = "USD"
    cost_type: str | None = None
    token_type: str | None = None


class CostBucket(msgspec.Struct):
    starting_at: str
    results: list[CostRow] = []


class UserCostRow(CostRow, kw_only=True):
    actor: Actor | None
    starting_at: str | None = None


class CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None
    ephemeral_5m_input_tokens: int | None = None


class ServerToolUse(msgspec.Struct):
    web_search_requests: int | None = None


class UserUsageRow(Dimensions, kw_only=True):
    actor: Actor | None
    starting_at: str | None = None
    uncached_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    requests: int | None = None


Row = TypeVar("Row", covariant=True)
Answer = TypeVar("Answer", bound=msgspec.Struct)


class Report(msgspec.Struct, Generic[Row]):
    """One page of a cost or usage report.

    `data_refreshed_at` None: no export covers any of the range yet, which is not zero.
    """

    data: list[Row]
    has_more: bool | None = None
    next_page: str | None = None
    data_refreshed_at: datetime | None = None
    organization_id: str | None = None


class Listing(msgspec.Struct):
    """One page of an engagement endpoint: rows of nested numbers, kept open."""

    data: list[dict[str, Any]]
    next_page: str | None = None


class Summaries(msgspec.Struct):
    """One entry per day, unpaginated: `data` in newer versions, `summaries` in 2023-06-01."""

    data: list[dict[str, Any]] | None = None
    summaries: list[dict[str, Any]] | None = None

    @property
    def days(self) -> list[dict[str, Any]] | None:
        return self.data if self.data is not None else self.summaries


class _Paged(Protocol):
    next_page: str | None


def _decoder(type_: Any) -> Callable[[bytes], Any]:
    # Fractions of open rows become Decimal, not float.
    return msgspec.json.Decoder(type_, float_hook=Decimal).decode


_COST = _decoder(Report[CostBucket])
_USER_COST = _decoder(Report[UserCostRow])
_USER_USAGE = _decoder(Report[UserUsageRow])
_LISTING = _decoder(Listing)
_SUMMARIES = _decoder(Summaries)


class _ErrorDetail(msgspec.Struct):
    type: str = ""
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _ErrorDetail
    request_id: str | None = None


# --- The client ----------------------------------------------------------------------------


class AnalyticsClient:
    """Read-only client of one organization; one connection pool, to be closed after use."""

    def __init__(self, access: Access) -> None:
        if not (access.key.isascii() and access.key.isprintable()) or " " in access.key:
            # httpx would refuse such a header too, but repeat it in its message.
            raise ActionNeeded(
                "The stored key cannot be sent: it holds characters no key has.",
                code="key_malformed",
                repair="Copy the key again, all of it and nothing else.",
            )
        self.organization_id = ""  # as the latest answer's header says
        self._access = access
        self._http = httpx.Client(
            base_url=access.base_url,
            headers={
                "x-api-key": access.key,
                "anthropic-version": API_VERSION,
                "User-Agent": f"Spendglass/{VERSION} (https://github.com/spendglass/spendglass)",
            },
            # Someone who waits is told after 30 s; the importer grants slow reports more.
            timeout=httpx.Timeout(30 if access.attempts == 1 else 120, connect=5),
            follow_redirects=False,
            transport=access.transport,
        )

    def __enter__(self) -> "AnalyticsClient":
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def cost_report(
        self,
        window: Window,
        *,
        group_by: Sequence[str] = (),
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> Iterator[Report[CostBucket]]:
        """Yield pages of daily buckets of the whole organization, oldest first.

        At most 100 groups a day come back; the rest is left out without a word. `filters` maps
        a parameter such as `products` to the values to keep.
        """
        params = _report_params(window, group_by, limit=31)
        for name, values in (filters or {}).items():
            params += [(f"{name}[]", value) for value in values]
        return self._report("/cost_report", params, _COST)

    def user_cost_report(
        self, window: Window, *, group_by: Sequence[str]
    ) -> Iterator[Report[UserCostRow]]:
        """Yield pages of rows per user, day and group, the dearest first; no row is left out."""
        return self._report(
            "/user_cost_report", _report_params(window, group_by, limit=1000), _USER_COST
        )

    def user_usage_report(
        self, window: Window, *, group_by: Sequence[str]
    ) -> Iterator[Report[UserUsageRow]]:
        """Yield pages of rows per user, day and group, most tokens first; no row is left out."""
        return self._report(
            "/user_usage_report", _report_params(window, group_by, limit=1000), _USER_USAGE
        )

    def summaries(self, start: date, end: date | None = None) -> list[dict[str, Any]]:
        """Return one entry per day from `start` to before `end` (None: as far as there is one).

        Raises `NotAvailable` for days that are too recent or too old.
        """
        params = [("starting_date", start.isoformat())]
        if end is not None:
            params.append(("ending_date", end.isoformat()))
        answer: Summaries = self._get("/summaries", params, _SUMMARIES, bad_request=NotAvailable)
        if answer.days is None:
            raise _unexpected("Anthropic answered without any daily summaries.")
        return answer.days

    def users(self, day: date) -> Iterator[Listing]:
        """Yield pages of activity per user on one day. Raises `NotAvailable` as above."""
        params = [("date", day.isoformat()), ("limit", "1000")]
        pages: Iterator[Listing] = self._pages(
            "/users", params, _LISTING, bad_request=NotAvailable, more=_has_cursor
        )
        return pages

    # --- Paging ---

    def _report(self, path: str, params: Params, decode: Callable[[bytes], Any]) -> Iterator[Any]:
        return self._pages(path, params, decode, bad_request=PayloadError, more=_says_more)

    def _pages(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes], Any],
        *,
        bad_request: type[ConnectorError],
        more: Callable[[Any], bool],
    ) -> Iterator[Any]:
        """Follow the cursors. The end is where the API says so, never where rows run short."""
        page = self._get(path, params, decode, bad_request=bad_request)
        yield page
        seen: set[str] = set()
        while more(page):
            cursor = page.next_page
            if not cursor or cursor in seen:
                problem = "twice the same" if cursor else "no"
                raise _unexpected(f"Anthropic announced another page, but sent {problem} cursor.")
            seen.add(cursor)
            # A cursor that fits no more dies with 400: the query is ours, so its data has moved.
            page = self._get(path, [*params, ("page", cursor)], decode, bad_request=SnapshotMoved)
            yield page

    # --- Requests ---

    def _get(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes], Answer],
        *,
        bad_request: type[ConnectorError],
    ) -> Answer:
        """Return the decoded answer, trying as often as the access allows."""
        attempt = 0
        while True:
            attempt += 1
            found = self._try(path, params, decode, bad_request)
            if not isinstance(found, _Failure):
                return found
            last_try = attempt >= self._access.attempts or not found.retry
            if last_try or (found.wait_seconds or 0) > _LONGEST_WAIT_SECONDS:
                # Raised here and not where it was noticed, so that no httpx exception hangs on
                # to it: those remember the request and with it the key.
                raise found.error
            time.sleep(_backoff(attempt) if found.wait_seconds is None else found.wait_seconds)

    def _try(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes], Answer],
        bad_request: type[ConnectorError],
    ) -> "Answer | _Failure":
        self._access.wait_turn()
        query = httpx.QueryParams([(name, value) for name, value in params])
        response: httpx.Response | None = None
        failure: _Failure | None = None
        started = time.monotonic()
        try:
            response = self._http.get(ROOT + path, params=query)
        except httpx.TransportError as exc:
            failure = _Failure(_unreachable(exc, self._access.base_url), retry=True)
        except (httpx.DecodingError, httpx.InvalidURL) as exc:
            failure = _Failure(_unexpected(f"The answer could not be read ({_name(exc)})."))
        request_id = response.headers.get("request-id", "") if response is not None else ""
        self._access.observe(
            Request(
                method="GET",
                path=ROOT + path,
                query=str(query),
                status=response.status_code if response is not None else None,
                request_id=request_id,
                duration_seconds=time.monotonic() - started,
            )
        )
        if response is None:
            assert failure is not None  # noqa: S101 - one of the two is there
            return failure
        self.organization_id = (
            response.headers.get("anthropic-organization-id") or self.organization_id
        )
        if response.status_code != 200:
            return _refusal(response, bad_request)
        return _decoded(response, decode)


@final
class _Failure:
    """One try that failed: what to raise, and whether and when to try again."""

    def __init__(
        self, error: ConnectorError, *, retry: bool = False, wait_seconds: float | None = None
    ) -> None:
        self.error = error
        self.retry = retry
        self.wait_seconds = wait_seconds


def _report_params(window: Window, group_by: Sequence[str], *, limit: int) -> Params:
    # Widths and limits are always sent: their defaults are not stated everywhere.
    return [
        ("starting_at", f"{window.start}T00:00:00Z"),
        ("ending_at", f"{window.end}T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", str(limit)),
        *(("group_by[]", name) for name in group_by),
    ]


def _says_more(page: Report[Any]) -> bool:
    return page.next_page is not None if page.has_more is None else page.has_more


def _has_cursor(page: _Paged) -> bool:
    return page.next_page is not None


def _decoded(response: httpx.Response, decode: Callable[[bytes], Answer]) -> "Answer | _Failure":
    """Decode an answer 200. Broken JSON may be a cut body, so it is worth another try."""
    about = {"status": 200, "request_id": response.headers.get("request-id", "")}
    if "html" in response.headers.get("content-type", ""):
        return _Failure(_unexpected("Anthropic's address answered with a web page.", **about))
    retry = True
    try:
        return decode(response.content)
    except msgspec.ValidationError as exc:
        # Names the place and the types, never a value.
        problem, retry = f"Anthropic's answer has another shape than documented: {exc}.", False
    except msgspec.DecodeError:
        problem = "Anthropic's answer is not complete JSON."
    return _Failure(_unexpected(problem, **about), retry=retry)


def _backoff(attempt: int) -> float:
    """Seconds to wait when the provider named none: 0.5, 1, 2 … with up to a quarter off."""
    longest: float = min(0.5 * 2 ** (attempt - 1), _LONGEST_BACKOFF_SECONDS)
    return longest * (1 - 0.25 * random.random())


def _wished_wait(headers: httpx.Headers) -> float | None:
    """Seconds the provider asks to wait; None if it names none that makes sense."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif "retry-after" in headers:
            try:
                seconds = float(headers["retry-after"])
            except ValueError:
                at = parsedate_to_datetime(headers["retry-after"])
                at = at if at.tzinfo else at.replace(tzinfo=UTC)
                seconds = (at - datetime.now(UTC)).total_seconds()
        else:
            return None
    except (ValueError, TypeError):
        return None
    return seconds if 0 <= seconds < 7 * 86_400 else None


# --- What went wrong, and what to do about it ----------------------------------------------


def _refusal(response: httpx.Response, bad_request: type[ConnectorError]) -> _Failure:
    """Turn an answer other than 200 into the error that says what to do."""
    status, headers = response.status_code, response.headers
    wait_seconds = _wished_wait(headers)
    should_retry = headers.get("x-should-retry")
    retry = status in _RETRIED or status >= 500
    if should_retry in {"true", "false"}:
        retry = should_retry == "true"
    message, request_id = _provider_words(response)
    about: dict[str, Any] = {
        "status": status,
        "provider_message": message,
        "request_id": headers.get("request-id", "") or request_id,
    }
    error: ConnectorError
    match status:
        case 400:
            error = _bad_request(bad_request, about)
        case 401:
            error = ActionNeeded(
                "Anthropic rejected the key. It may be revoked, expired or mistyped.",
                code="key_rejected",
                repair="Paste the key again. If that does not help, ask the Primary Owner for a "
                "new one.",
                **about,
            )
        case 402:
            error = ActionNeeded(
                "Anthropic reports a billing problem with the organization. Until it is settled, "
                "no data is given out.",
                code="billing",
                repair="Ask the Primary Owner to look at Billing in claude.ai, then test again.",
                **about,
            )
        case 403:
            error = _forbidden(message, about)
        case 404:
            error = ActionNeeded(
                "Anthropic found nothing for this key. The key may be invalid, it may lack "
                "read:analytics, or public API access is switched off in claude.ai.",
                code="not_found",
                repair="Ask the Primary Owner to open Organization settings, then API, and to "
                "check that access is on and that the key has read:analytics. Then test again.",
                **about,
            )
        case 410:
            error = _moved(about)
        case 429:
            error = TransientError(
                "Too many requests. The key itself is fine: Anthropic allows 60 requests a "
                "minute for the whole organization, and another tool may be using them.",
                code="rate_limited",
                repair=_wait_text(wait_seconds),
                retry_after_seconds=wait_seconds,
                **about,
            )
        case _ if retry or status >= 500 or status in _RETRIED:
            error = TransientError(
                f"Anthropic did not answer properly ({status}). That is a fault on its side.",
                code="outage",
                repair="Nothing to change. Try again in a few minutes.",
                retry_after_seconds=wait_seconds,
                **about,
            )
        case _ if 300 <= status < 400:
            error = _unexpected(
                f"Anthropic's address answered with a redirect ({status}). "
                "Something between this server and Anthropic may be in the way.",
                **about,
            )
        case _:
            error = _unexpected(
                f"Anthropic answered with an unexpected status ({status}).", **about
            )
    return _Failure(error, retry=retry, wait_seconds=wait_seconds)


def _bad_request(kind: type[ConnectorError], about: dict[str, Any]) -> ConnectorError:
    if kind is NotAvailable:
        return NotAvailable(
            "Anthropic has no activity data for these days: they are too recent or too old.",
            code="not_available",
            repair="Nothing to do. Activity of a day is published the day after, from 10:00 UTC; "
            "we ask again with the next refresh.",
            **about,
        )
    if kind is SnapshotMoved:
        return _moved(about)
    return _unexpected("Anthropic refused a question that its documentation allows.", **about)


def _moved(about: dict[str, Any]) -> SnapshotMoved:
    return SnapshotMoved(
        "Anthropic published new data while we were reading.",
        code="snapshot_moved",
        repair="Nothing to do. We read these days again from their start.",
        **about,
    )


_SCOPES = re.compile(r"Got:\s*\[(?P<got>[^]]*)\].*?Needed:\s*\[(?P<needed>[^]]*)\]", re.DOTALL)


def _forbidden(message: str, about: dict[str, Any]) -> ActionNeeded:
    """403: the message lists scopes if it is about them. Read for the wording only."""
    scopes = _SCOPES.search(message)
    if scopes is None:
        return ActionNeeded(
            "Anthropic denied access. Public API access may have been switched off in claude.ai.",
            code="access_denied",
            repair="Ask the Primary Owner to open Organization settings, then API, and to switch "
            "access on. Then test again.",
            **about,
        )
    got = _scope_names(scopes["got"])
    lacking = [name for name in _scope_names(scopes["needed"]) if name not in got]
    return ActionNeeded(
        f"The key lacks {', '.join(lacking) or 'read:analytics'}. "
        f"It has: {', '.join(got) or 'no scopes'}.",
        code="scope_missing",
        repair="Scopes cannot be added later, so create a new key with read:analytics and paste "
        "it here.",
        **about,
    )


def _scope_names(text: str) -> list[str]:
    return re.findall(r"[\w:.-]+", text)[:20]


def _wait_text(seconds: float | None) -> str:
    if seconds is None:
        return "Wait a minute, then try again."
    return f"Wait {round(seconds) or 1} seconds, then try again."


def _unreachable(exc: httpx.TransportError, base_url: str) -> TransientError:
    """No answer at all. The exception's own text stays out: it may quote what was sent."""
    host = httpx.URL(base_url).host or base_url
    if isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        message = f"This server cannot reach {host} ({_name(exc)})."
        repair = (
            f"Ask whoever runs Spendglass to allow HTTPS to {host}, or to set HTTPS_PROXY. "
            "If it worked before, try again in a few minutes."
        )
    elif isinstance(exc, httpx.TimeoutException):
        message = f"Anthropic did not answer in time ({_name(exc)})."
        repair = "Nothing to change. Try again in a few minutes."
    else:
        message = f"The connection to {host} broke off in the middle of an answer ({_name(exc)})."
        repair = "Nothing to change. Try again in a few minutes."
    return TransientError(message, code="outage", repair=repair)


def _unexpected(message: str, **about: Any) -> PayloadError:
    return PayloadError(
        message,
        code="unexpected_answer",
        repair="This is for us to repair. Report it with the request ID; no number was changed.",
        **about,
    )


def _name(exc: Exception) -> str:
    return type(exc).__name__


def _provider_words(response: httpx.Response) -> tuple[str, str]:
    """The provider's own message and request id; "" where the body is not its envelope."""
    try:
        body = msgspec.json.decode(response.content, type=_ErrorBody)
    except msgspec.DecodeError:
        return "", ""
    return body.error.message[:1000], body.request_id or ""
