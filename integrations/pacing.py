"""One request budget per provider organization, shared by every worker and page.

Requests are spaced evenly, not in bursts: providers may enforce 60 a minute as 1 a second
(anthropic-api.md, 2.8). The spacing is 2 % wider than the budget asks, because what counts is
when requests arrive, and the network does not keep their distance.
"""

from collections.abc import Callable
from functools import cache

import redis
from django.conf import settings
from pyrate_limiter import Limiter, Rate, RedisBucket

from integrations.connectors.base import Connector, TransientError

_MARGIN = 1.02


class NoTurn(TransientError):
    """The budget is used up for longer than the caller can wait, or cannot be counted."""


def turnstile(
    connector: Connector, provider_organization: str, *, patience_seconds: float = 300
) -> Callable[[], None]:
    """A function that returns when the next request may be sent; raises `NoTurn`.

    `provider_organization` is the provider's id of it, or anything as stable while the id is
    not known yet.
    """
    per_minute = connector.requests_per_minute
    if per_minute == 0:
        return lambda: None
    key = f"pacing:{connector.slug}:{provider_organization}"
    interval_ms = round(60_000 / per_minute * _MARGIN)

    def wait_turn() -> None:
        try:
            if _limiter(key, interval_ms).try_acquire(key, timeout=patience_seconds):
                return None
        except redis.RedisError as exc:
            _limiter.cache_clear()  # a restarted server has forgotten the script
            if isinstance(exc, redis.exceptions.NoScriptError):
                return wait_turn()
            raise NoTurn(
                "The request budget cannot be counted, because Redis does not answer.",
                code="no_turn",
                repair="Nothing to do: we go on as soon as Redis is back.",
            ) from exc
        raise NoTurn(
            "The request budget of this organization is used up by other work.",
            code="no_turn",
            repair="Try again in a minute.",
        )

    return wait_turn


@cache
def _limiter(key: str, interval_ms: int) -> Limiter:
    client = redis.Redis.from_url(settings.REDIS_URL)
    bucket = RedisBucket.init([Rate(1, interval_ms)], client, key)
    return Limiter(bucket)
