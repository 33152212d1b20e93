"""How many expensive questions a user and an organization may ask at once, and in a quarter hour.

Kept in Redis, so that all web processes count together. A slot that its holder never gave back,
because the process died, is free again when it expires. Without Redis nothing is limited here.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, wraps
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
from accounts.throttling import Throttle, minutes

logger = logging.getLogger(__name__)

_LOCAL_WAIT_SECONDS = 10  # for a turn in this process
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


class TooMany(Exception):
    """The user or the organization has too many expensive questions under way, or asked too many.

    `wait_seconds` is when another may be asked. `str(error)` is fit for the page.
    """

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, wait_seconds: int) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class Busy(TooMany):
    """This web process has no turn free."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Kind:
    """A kind of question and how many of it may be under way, of a user and an organization.

    `weight` is how many may be asked in a quarter of an hour for each report that may.
    """

    name: str
    user: int
    organization: int
    weight: int = 1


REPORT = Kind("report", user=3, organization=12)
# A dashboard asks all its widgets at once, as far as the browser lets it.
WIDGET = Kind("widget", user=8, organization=32, weight=10)


class _Turns:
    """Turns of this process: so many expensive questions are computed at once, others wait.

    Bounds memory, and leaves threads and CPU to the pages that cost little.
    """

    def __init__(self) -> None:
        self._turns = threading.BoundedSemaphore(settings.REPORTS_AT_ONCE)

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=_LOCAL_WAIT_SECONDS):
            raise Busy("Spendglass is busy with other reports. Try again in a few seconds.", 5)
        try:
            yield
        finally:
            self._turns.release()


@cache
def _turns() -> _Turns:
    return _Turns()


@contextmanager
def slot(kind: Kind, *, user: int, organization: int) -> Iterator[None]:
    """Hold a slot of the user and the organization, and a turn of this process.

    Raises `TooMany`.
    """
    _check_rate(kind, user, organization)
    keys = [f"slots:{kind.name}:user:{user}", f"slots:{kind.name}:organization:{organization}"]
    token = uuid.uuid4().hex
    full = _take(keys, token, (kind.user, kind.organization))
    if full == 1:
        raise TooMany(
            f"{kind.user} of your reports are being computed already. Wait until one is done.", 2
        )
    if full == 2:
        raise TooMany(
            f"{kind.organization} reports of your organization are being computed already."
            " Wait until one is done.",
            2,
        )
    try:
        with _turns().one():
            deadlines.check()  # the reader may have left while waiting
            yield
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
        throttle = Throttle(f"{kind.name}-{scope}", limit, survives_redis=False)
        if wait := throttle.wait_seconds(f"{subject}"):
            raise TooMany(
                f"{who} asked for {limit:,} {kind.name}s within a quarter of an hour."
                f" Try again in {minutes(wait)}.",
                wait,
            )


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


def limited(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """A view of an organization that computes a report: one slot of its user while it does."""

    @wraps(view)
    def counted(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with slot(REPORT, user=request.membership.user_id, organization=request.organization.pk):
            return view(request, *args, **kwargs)

    return counted


def refused(request: HttpRequest, error: TooMany) -> HttpResponse:
    """The page of a question that has to wait; it asks again by itself.

    What a part of a page asked for becomes a page of its own, so that the sentence is seen.
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


class Refusals:
    """Middleware: pages for what was refused or stopped. The API has documents of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, TooMany):
            return refused(request, error)
        return deadlines.answer(request, error)
