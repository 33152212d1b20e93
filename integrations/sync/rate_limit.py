"""Share one request budget per provider organization between all workers and pages.

Requests are spaced evenly, not in bursts: providers may enforce 60 a minute as 1 a second
(https://platform.claude.com/docs/en/api/rate-limits). The spacing is 5 % wider than the budget
requires, because the time of arrival counts: the network changes distances, and the first request
of an unknown key is not paced.

Redis keeps the instant of the next free slot and reads its own clock, so that machines with
different clocks agree. A slot is reserved first and waited for afterwards: requests go in the order
they came, without polling. If Redis is emptied, one request may be early.
"""

import time
from functools import cache

import redis
from django.conf import settings
from redis.commands.core import Script

from integrations.connectors.base import Connector, TransientError
from integrations.connectors.ids import canonical_id

_MARGIN = 1.05
_REMEMBERED_SECONDS = 86_400  # to which organization a key or connection belongs

# Returns how many milliseconds to wait; -1, and takes no turn, if that is more than ARGV[2].
_TAKE_TURN = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
if turn - now > tonumber(ARGV[2]) then return -1 end
local free = turn + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', free - now)
return turn - now
"""


class RateLimitExceeded(TransientError):
    """The budget is used up for longer than the caller can wait, or cannot be counted."""


class RateLimiter:
    """Callable that waits until a request may be sent, or raises `RateLimitExceeded`.

    `stand_in` is a stable key for counting while the provider's id of its organization is unknown.
    Once a response names it (`learn`), requests count with all others of the organization, also for
    later limiters with the same `stand_in`.
    """

    def __init__(
        self,
        connector: Connector,
        organization_id: str,
        *,
        stand_in: str,
        patience_seconds: float = 300,
    ) -> None:
        self._slug = connector.slug
        self._organization_id = canonical_id(organization_id)
        self._stand_in = stand_in
        self._patience_ms = round(patience_seconds * 1000)
        per_minute = connector.requests_per_minute
        self._interval_ms = round(60_000 / per_minute * _MARGIN) if per_minute else 0

    def __call__(self) -> None:
        if not self._interval_ms:
            return
        try:
            wait_ms = self.acquire()
        except redis.RedisError as exc:
            raise RateLimitExceeded(
                "The request budget cannot be counted, because Redis does not answer.",
                code="no_turn",
                repair="Reading resumes as soon as Redis is back.",
            ) from exc
        if wait_ms < 0:
            raise RateLimitExceeded(
                "The request budget of this organization is used up by other work.",
                code="no_turn",
                repair="Try again in a minute.",
            )
        time.sleep(wait_ms / 1000)

    def acquire(self) -> int:
        """Milliseconds until the turn that is now ours; -1 if that is too long to wait for."""
        if not self._organization_id:
            known = _redis().get(self._alias)
            self._organization_id = known.decode() if isinstance(known, bytes) else ""
        bucket = f"pacing:{self._slug}:{self._organization_id or self._stand_in}"
        return int(_script()(keys=[bucket], args=[self._interval_ms, self._patience_ms]))

    def learn(self, organization_id: str) -> None:
        """Use the organization that a response named for counting from now on."""
        organization_id = canonical_id(organization_id)
        if not organization_id or organization_id == self._organization_id:
            return
        self._organization_id = organization_id
        if self._interval_ms:
            try:
                _redis().set(self._alias, organization_id, ex=_REMEMBERED_SECONDS)
            except redis.RedisError:
                return  # the next limiter has to learn it too

    @property
    def _alias(self) -> str:
        return f"pacing:{self._slug}:is:{self._stand_in}"


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL)


@cache
def _script() -> Script:
    return _redis().register_script(_TAKE_TURN)
