"""Limits on expensive requests: how many at once, how many per quarter of an hour, how long.

Counters are in Redis, shared by all web processes. A slot whose process died expires. Without
Redis these limits do not apply.
"""

import logging
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial, wraps
from http import HTTPStatus
from typing import Any

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails
from redis.commands.core import Script

from accounts import deadlines
from accounts.throttling import RateLimit, minutes
from common import refusals

logger = logging.getLogger(__name__)

# What a user spent in computing comes back within so many seconds; an organization has fifteen
# times as much as a user: seconds on a busy machine are longer, and colleagues of one who reads too
# much are not to wait for that.
_REFILL_SECONDS = 150
_ORGANIZATION_FACTOR = 15
_LOCAL_WAIT_SECONDS = 10  # for a turn in this process
_REPEAT_SECONDS = 5  # that a refusal is repeated without a look at the slots
# Takes a slot in each set, or in none: 0, or the number of the set that is full.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
for at, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if redis.call('ZCARD', key) >= tonumber(ARGV[2 + at]) then return at end
end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + tonumber(ARGV[2]), ARGV[1])
  redis.call('EXPIRE', key, ARGV[2])
end
return 0
"""
# Token buckets, one for each key, of ARGV[3], ARGV[4] … seconds: takes ARGV[1] seconds of what is
# left and refills each within ARGV[2]. Returns what is left then, in thousandths. It may be
# negative: what a report costs is known afterwards.
_SPEND = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local all = {}
for at, key in ipairs(KEYS) do
  local capacity = tonumber(ARGV[2 + at])
  local state = redis.call('HMGET', key, 'left', 'at')
  local refill = (now - tonumber(state[2] or now)) * capacity / tonumber(ARGV[2])
  local left = math.min(capacity, tonumber(state[1] or capacity) + refill) - tonumber(ARGV[1])
  redis.call('HSET', key, 'left', tostring(left), 'at', tostring(now))
  redis.call('EXPIRE', key, 3600)
  all[at] = math.floor(left * 1000)
end
return all
"""


class TooMany(Exception):
    """The user or the organization has too many expensive requests running or sent too many.

    `wait_seconds` is the time until the next is allowed. Pages can show `str(error)`.
    """

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, wait_seconds: int) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class Busy(TooMany):
    """This web process has no free slot."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Kind:
    """Kind of expensive request and how many a user and an organization may run at once.

    `weight` is how many are allowed in a quarter of an hour for each report, and `computing` how
    many seconds they may take for each second of a report.
    """

    name: str
    user: int
    organization: int
    weight: int = 1
    computing: int = 1


REPORT = Kind("report", user=3, organization=12)
# A dashboard asks for all its widgets at once, as far as the browser lets it.
WIDGET = Kind("widget", user=8, organization=32, weight=10, computing=3)


class _Turns:
    """Slots of this process: limits how many expensive requests it computes at once.

    Bounds memory, and leaves threads and CPU to cheap pages. A user holds at most half of the
    slots and an organization all but one, so others always get one.
    """

    def __init__(self) -> None:
        most = settings.REPORTS_AT_ONCE
        self._limits = {
            "process": most,
            "user": max(1, most // 2),
            "organization": max(1, most - 1),
        }
        self._held: Counter[tuple[str, int]] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def one(self, user: int, organization: int) -> Iterator[None]:
        """Wait for a slot and hold it. Raise `Busy` after ten seconds."""
        scopes = (("process", 0), ("user", user), ("organization", organization))
        with self._changed:
            if not self._changed.wait_for(partial(self._is_free, scopes), _LOCAL_WAIT_SECONDS):
                raise Busy("Spendglass is busy with other reports. Try again in a few seconds.", 5)
            self._held.update(scopes)
        try:
            yield
        finally:
            with self._changed:
                self._held.subtract(scopes)
                for scope in scopes:
                    if not self._held[scope]:
                        del self._held[scope]
                self._changed.notify_all()

    def _is_free(self, scopes: Sequence[tuple[str, int]]) -> bool:
        return all(self._held[scope] < self._limits[scope[0]] for scope in scopes)


@cache
def _turns() -> _Turns:
    return _Turns()


@contextmanager
def slot(kind: Kind, *, user: int, organization: int) -> Iterator[None]:
    """Hold a slot of the user, the organization and this process. Raise `TooMany`."""
    _check_rate(kind, user, organization)
    at_once = _check_budget(kind, user, organization)
    keys = [f"slots:{kind.name}:user:{user}", f"slots:{kind.name}:organization:{organization}"]
    token = uuid.uuid4().hex
    full = _take(keys, token, (at_once, kind.organization))
    if full == 1:
        raise TooMany(
            f"{at_once} of your reports are being computed already. Wait until one is done."
            if at_once > 1
            else "One of your reports is being computed already. Wait until it is done.",
            2,
        )
    if full == 2:
        raise TooMany(
            f"{kind.organization} reports of your organization are being computed already."
            " Wait until one is done.",
            2,
        )
    try:
        with _turns().one(user, organization):
            deadlines.check()  # the reader may have left while waiting
            began = time.monotonic()
            try:
                yield
            finally:
                if settings.REPORT_SECONDS > 0:
                    _spend(kind, user, organization, time.monotonic() - began)
    finally:
        _give_back(keys, token)


def _check_rate(kind: Kind, user: int, organization: int) -> None:
    most = settings.REPORT_REQUESTS * kind.weight
    if most <= 0:
        return
    for scope, limit, subject, who in (
        ("user", most, user, "You have"),
        ("organization", most * 10, organization, "Your organization has"),
    ):
        throttle = RateLimit(f"{kind.name}-{scope}", limit, survives_redis=False)
        if wait := throttle.wait_seconds(f"{subject}"):
            raise TooMany(
                f"{who} asked for {limit:,} {kind.name}s within a quarter of an hour."
                f" Try again in {minutes(wait)}.",
                wait,
            )


def _check_budget(kind: Kind, user: int, organization: int) -> int:
    """Return how many requests the user may run at once: one, once half the budget is spent.

    Raise `TooMany` if the user or the organization has spent its computing seconds.
    """
    capacity = settings.REPORT_SECONDS * kind.computing
    if capacity <= 0:
        return kind.user
    left = _spend(kind, user, organization, 0)
    for seconds, share, who in zip(
        left, _shares(capacity), ("Your", "Your organization's"), strict=True
    ):
        if seconds <= 0:
            wait = math.ceil((share / 10 - seconds) * _REFILL_SECONDS / share)
            raise TooMany(
                f"{who} reports took more than {share:,} seconds to compute in the last minutes."
                f" Try again in {minutes(wait)}, or ask for fewer days or groupings.",
                wait,
            )
    return kind.user if left[0] > capacity / 2 else 1


def _spend(kind: Kind, user: int, organization: int, seconds: float) -> Sequence[float]:
    """Take computing seconds off both budgets and return what is left of each."""
    shares = _shares(settings.REPORT_SECONDS * kind.computing)
    scopes = (("user", user), ("organization", organization))
    keys = [f"computing:{kind.name}:{scope}:{pk}" for scope, pk in scopes]
    try:
        left: list[int] = _spend_script()(keys=keys, args=[seconds, _REFILL_SECONDS, *shares])
    except redis.RedisError:
        return shares
    return [thousandths / 1000 for thousandths in left]


def _shares(capacity: int) -> tuple[int, int]:
    """Return the computing seconds of a user and of an organization."""
    return capacity, capacity * _ORGANIZATION_FACTOR


def _take(keys: Sequence[str], token: str, limits: Sequence[int]) -> int:
    seconds = settings.REQUEST_SECONDS * 2 + _LOCAL_WAIT_SECONDS
    try:
        return int(_script()(keys=keys, args=[token, seconds, *limits]))
    except redis.RedisError:
        logger.warning("Redis does not answer; reports under way are not counted")
        return 0


def _give_back(keys: Sequence[str], token: str) -> None:
    with suppress(redis.RedisError):
        pipeline = _client().pipeline(transaction=False)
        for key in keys:
            pipeline.zrem(key, token)
        pipeline.execute()


@cache
def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)


@cache
def _script() -> Script:
    return _client().register_script(_TAKE)


@cache
def _spend_script() -> Script:
    return _client().register_script(_SPEND)


def limited(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Hold a slot of the user while the decorated organization view computes a report."""

    @wraps(view)
    def counted(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with slot(REPORT, user=request.membership.user_id, organization=request.organization.pk):
            return view(request, *args, **kwargs)

    return counted


def refused(request: HttpRequest, error: TooMany) -> HttpResponse:
    """Return the page of a request that has to wait. The page reloads itself.

    A refused fragment loads a whole page, so that the message is visible.
    """
    if HtmxDetails(request):
        return HttpResponseClientRedirect(request.get_full_path())
    context = {
        "reason": str(error),
        "wait_seconds": error.wait_seconds,
        "status": error.status.value,
    }
    # Plain, without a menu that asks the database: who is refused a hundred times a second must
    # cost next to nothing.
    response = HttpResponse(render_to_string("429.html", context), status=error.status)
    response["Retry-After"] = f"{error.wait_seconds}"
    return response


def repeat_refusals(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Repeat a refusal to the same session without counting again (middleware).

    Outside sessions and sign-in, so it costs neither a query nor a template: one page that
    requested sixty times a second took more than a core. Each process remembers for itself, for
    `Retry-After` and at most five seconds. Counting and fairness stay with `slot`.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        cookies = request.META.get("HTTP_COOKIE", "")
        if not cookies or request.method != "GET" or "HTTP_HX_REQUEST" in request.META:
            return get_response(request)
        # As the web server sees it, which holds repetitions back (`config.webserver`).
        key = refusals.key_of(request.META.get("RAW_URI", request.get_full_path()), cookies)
        if (refusal := refusals.recall(key)) is not None:
            return _copy(refusal)
        response = get_response(request)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and isinstance(
            response, HttpResponse
        ):
            wait_seconds = min(int(response.headers.get("Retry-After", "0")), _REPEAT_SECONDS)
            refusals.remember(key, _copy(response), wait_seconds)
        return response

    return middleware


def _copy(response: HttpResponse) -> HttpResponse:
    return HttpResponse(
        response.content, status=response.status_code, headers=dict(response.headers)
    )


class Refusals:
    """Middleware with pages for refused and stopped requests. The API has its own documents."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, TooMany):
            return refused(request, error)
        return deadlines.answer(request, error)
