"""HTTP client of Anthropic's reporting APIs: requests, paging and retries.

What leaves this module are decoded answers and `ConnectorError`s; nothing of HTTP leaks out.
Source: https://platform.claude.com/docs/en/api/overview
"""

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Protocol, Self, TypeVar

import httpx
import msgspec

from integrations.connectors.anthropic.errors import (
    ErrorMessages,
    FailedAttempt,
    error_from_response,
    name,
    unexpected,
    unreachable,
)
from integrations.connectors.anthropic.limits import LEGACY_REPORTS, PARENT, Learned
from integrations.connectors.anthropic.page_sizes import shrinking
from integrations.connectors.anthropic.reading import BoundedReader, Bounds
from integrations.connectors.anthropic.tolerance import Decoder, Tally
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

VERSION = "0.1.0"
API_VERSION = "2023-06-01"

_LONGEST_WAIT_SECONDS = 60.0  # a longer wish of the provider is for the caller to plan
_LONGEST_BACKOFF_SECONDS = 30.0
_MOST_EMPTY_PAGES = 100  # in a row: more is a loop of ever new cursors

Params = list[tuple[str, str]]
Answer = TypeVar("Answer", bound=msgspec.Struct)
Decode = Callable[[bytes, Tally], Any]


class Paged(Protocol):
    next_page: str | None


class _Reported(Paged, Protocol):
    has_more: bool | None


def decoder(type_: Any) -> Decode:
    return Decoder(type_)


def says_more(page: _Reported) -> bool:
    """Return True if the page of a cost or usage report names another page."""
    return bool(page.next_page) if page.has_more is None else page.has_more


def has_cursor(page: Paged) -> bool:
    """Return True if the page of an engagement endpoint has a cursor that is not empty."""
    return bool(page.next_page)


@cache
def _trusted() -> ssl.SSLContext:
    """Return the trusted certificates, read once a process because each window opens a client."""
    return httpx.create_ssl_context()


class ApiClient:
    """Read-only client of one key with its own connection pool. Close it after use.

    `root` precedes every path. `organization_id` is from the header of the latest response.
    `api_variant` is the API variant this organization may use for cost and usage; `is_parent` says
    that the beta reports separate its child organizations.
    """

    def __init__(self, access: Access, *, root: str, wording: ErrorMessages) -> None:
        if not (access.key.isascii() and access.key.isprintable()) or " " in access.key:
            # httpx would refuse such a header too, but repeat it in its message.
            raise ActionNeeded(
                "The stored key cannot be sent: it holds characters no key has.",
                code="key_malformed",
                repair="Copy the key again, all of it and nothing else.",
            )
        self.organization_id = ""
        self.kept_out = Tally()
        self.learned = Learned(access.options, access.learn)
        if access.retries_refused:
            self.learned.start_over()
        self.api_variant = access.options.get("dialect", LEGACY_REPORTS)
        self.is_parent = PARENT in access.options
        self._access = access
        self._root = root
        self._wording = wording
        # A person who waits gets an error after 30 s; imports allow slow reports more.
        seconds = 30 if access.attempts == 1 else 120
        self._http = httpx.Client(
            base_url=access.base_url,
            headers={
                "x-api-key": access.key,
                "anthropic-version": API_VERSION,
                "User-Agent": f"Spendglass/{VERSION} (https://github.com/spendglass/spendglass)",
            },
            timeout=httpx.Timeout(seconds, connect=5),
            follow_redirects=False,
            transport=access.transport,
            verify=_trusted(),
        )
        self._reader = BoundedReader(self._http, Bounds(seconds), secrets=(access.key,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()
        self._reader.close()

    def pages(
        self,
        path: str,
        params: Params,
        decode: Decode,
        *,
        bad_request: type[ConnectorError] = PayloadError,
        more: Callable[[Any], bool] = says_more,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Any]:
        """Follow the cursors. The end is where the API says so, never where rows run short."""
        page = self.get(path, params, decode, bad_request=bad_request, headers=headers)
        seen: set[str] = set()
        sent = {_fingerprint(page)}
        empty = 0
        yield page
        while more(page):
            cursor = page.next_page
            if not cursor:
                # What is there is stored, and no day of it counts as whole.
                self.kept_out.note(None, "Anthropic announced another page, but sent no cursor.")
                return
            if cursor in seen:
                raise unexpected("Anthropic announced another page, but sent a cursor twice.")
            empty = 0 if getattr(page, "data", None) else empty + 1
            if empty > _MOST_EMPTY_PAGES:
                raise unexpected("Anthropic sent one page without rows after the other.")
            seen.add(cursor)
            # A cursor that fits no more dies with 400: the query is ours, so its data has moved.
            page = self.get(
                path,
                [*params, ("page", cursor)],
                decode,
                bad_request=SnapshotMoved,
                headers=headers,
            )
            fingerprint = _fingerprint(page)
            if fingerprint not in sent:  # a page sent twice counts once
                sent.add(fingerprint)
                yield page

    def largest_pages(
        self, path: str, largest: int, read: Callable[[int], Iterator[Any]]
    ) -> Iterator[Any]:
        """Yield the pages of `read(limit)`, of `largest` rows unless that is too much at once."""
        # What is refused for a single row as well is not refused for its size.
        return shrinking(
            path, largest, self.learned, read, find_fault=lambda problem: next(read(1), None)
        )

    def get(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes, Tally], Answer],
        *,
        bad_request: type[ConnectorError] = PayloadError,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the decoded answer, trying as often as the access allows.

        `bad_request` is what a 400 means here. Raises `ConnectorError`.
        """
        attempt = 0
        while True:
            attempt += 1
            outcome = self._try(path, params, decode, bad_request, headers)
            if not isinstance(outcome, FailedAttempt):
                return outcome
            last_try = attempt >= self._access.attempts or not outcome.retry
            if last_try or (outcome.wait_seconds or 0) > _LONGEST_WAIT_SECONDS:
                # Raised here and not where it was noticed, so that no httpx exception hangs on
                # to it: those remember the request and with it the key.
                raise outcome.error
            time.sleep(_backoff(attempt) if outcome.wait_seconds is None else outcome.wait_seconds)

    def _try(
        self,
        path: str,
        params: Params,
        decode: Callable[[bytes, Tally], Answer],
        bad_request: type[ConnectorError],
        headers: Mapping[str, str] | None,
    ) -> Answer | FailedAttempt:
        self._access.acquire()
        query = httpx.QueryParams([(name, value) for name, value in params])
        response: httpx.Response | None = None
        failure: FailedAttempt | None = None
        started = time.monotonic()
        try:
            response = self._reader.get(self._root + path, params=query, headers=headers)
        except (PayloadError, TransientError) as exc:
            # Not tried again here: a server that drips would hold this worker for minutes more.
            # Without its frames, which hold on to what was read.
            failure = FailedAttempt(exc.with_traceback(None))
        except httpx.TransportError as exc:
            failure = FailedAttempt(unreachable(exc, self._access.base_url), retry=True)
        except (httpx.DecodingError, httpx.InvalidURL) as exc:
            failure = FailedAttempt(unexpected(f"The answer could not be read ({name(exc)})."))
        nonzero = response.headers if response is not None else httpx.Headers()
        organization_id = nonzero.get("anthropic-organization-id", "")
        self.organization_id = organization_id or self.organization_id
        self._access.observe(
            Request(
                method="GET",
                path=self._root + path,
                query=str(query),
                status=response.status_code if response is not None else None,
                request_id=nonzero.get("request-id", ""),
                duration_seconds=time.monotonic() - started,
                organization_id=organization_id,
            )
        )
        if response is None:
            assert failure is not None  # noqa: S101 - one of the two is there
            return failure
        if response.status_code != 200:
            return error_from_response(response, self._wording, bad_request)
        return _decoded(response, decode, self.kept_out)


def _decoded(
    response: httpx.Response, decode: Callable[[bytes, Tally], Answer], kept_out: Tally
) -> Answer | FailedAttempt:
    """Decode an answer 200. Broken JSON may be a cut body, so it is worth another try."""
    about = {"status": 200, "request_id": response.headers.get("request-id", "")}
    if "html" in response.headers.get("content-type", ""):
        return FailedAttempt(unexpected("Anthropic's address answered with a web page.", **about))
    retry = True
    try:
        return decode(response.content, kept_out)
    except NotAvailable as exc:
        return FailedAttempt(exc)
    except msgspec.ValidationError as exc:
        # Names the place and the types, never a value.
        problem, retry = f"Anthropic's answer has another shape than documented: {exc}.", False
    except msgspec.DecodeError:
        problem = "Anthropic's answer is not complete JSON."
    return FailedAttempt(unexpected(problem, **about), retry=retry)


def _fingerprint(page: Any) -> bytes:
    """Return a hash that tells the rows of a page from other rows; an empty page has none."""
    rows = getattr(page, "data", None) or page.next_page
    shown = (rows, getattr(page, "data_refreshed_at", None))
    try:
        content = msgspec.msgpack.encode(shown)
    except (UnicodeEncodeError, OverflowError):  # half a pair of surrogates, an odd number
        content = repr(shown).encode("utf-8", "surrogatepass")
    return blake2b(content, digest_size=16).digest()


def _backoff(attempt: int) -> float:
    """Seconds to wait when the provider named none: 0.5, 1, 2 … with up to a quarter off."""
    longest: float = min(0.5 * 2 ** (attempt - 1), _LONGEST_BACKOFF_SECONDS)
    return longest * (1 - 0.25 * random.random())
