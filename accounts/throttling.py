"""Slowing down whoever guesses passwords: counted per account and per address, in Redis.

A quarter of an hour by the clock is one count. An attempt is counted before the password is looked
at, so that a thousand at once are not let through together.
"""

import hashlib
import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis import RedisError

from accounts.addresses import canonical

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 900


@dataclass(frozen=True)
class Throttle:
    """At most `limit` attempts on one thing, such as an account, in a quarter of an hour."""

    name: str
    limit: int

    def wait_seconds(self, subject: str) -> int:
        """Count one attempt; 0 if it may go on, otherwise how long to wait.

        Without Redis everything may go on: nobody is locked out because a cache is away.
        """
        now = time.time()
        key = self._key(subject, now)
        try:
            cache.add(key, 0, WINDOW_SECONDS)
            attempts = cache.incr(key)
        except ValueError:
            return 0  # it ran out between the two lines above
        except RedisError:
            logger.warning("Redis does not answer; attempts are not counted")
            return 0
        if attempts <= self.limit:
            return 0
        return math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS)

    def forget(self, subject: str) -> None:
        """Start counting anew: it was the right person."""
        with suppress(RedisError):
            cache.delete(self._key(subject, time.time()))

    def give_back(self, subject: str) -> None:
        """Take one attempt off the count: it was a good one, whatever the others were."""
        with suppress(RedisError, ValueError):
            cache.decr(self._key(subject, time.time()))

    def _key(self, subject: str, now: float) -> str:
        # A digest: what people type into the field for the e-mail may be anything, a password too.
        digest = hashlib.sha256(canonical(subject).encode()).hexdigest()[:32]
        return f"throttle:{self.name}:{digest}:{int(now // WINDOW_SECONDS)}"


SIGN_IN_ACCOUNT = Throttle("sign-in-account", limit=10)
# Many people of one company may share an address; only what fails stays counted.
SIGN_IN_ADDRESS = Throttle("sign-in-address", limit=100)
RESET_ACCOUNT = Throttle("reset-account", limit=3)
RESET_ADDRESS = Throttle("reset-address", limit=20)
# Mails that somebody signed in has sent to addresses that may be anybody's.
EMAIL_CHANGE = Throttle("email-change", limit=3)
INVITED_ADDRESS = Throttle("invited-address", limit=3)
INVITING_ORGANIZATION = Throttle("inviting-organization", limit=100)


def minutes(seconds: int) -> str:
    """1 → "1 minute", 61 → "2 minutes"."""
    whole = -(-seconds // 60)
    return f"{whole} minute{'s' if whole != 1 else ''}"


def address(request: HttpRequest) -> str:
    """Where the request comes from, as the outermost of our own proxies saw it.

    Entries further left in X-Forwarded-For are the client's own words. Of IPv6 the network: one
    line at home has as many addresses as it likes.
    """
    seen = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    if 0 < settings.TRUSTED_PROXIES <= len(forwarded):
        seen = forwarded[-settings.TRUSTED_PROXIES].strip() or seen
    try:
        found = ip_address(seen)
    except ValueError:
        return seen
    if isinstance(found, IPv4Address):
        return seen
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
