"""Limits on attempts, such as passwords for an account or sign-ins from an address.

Attempts are counted by quarters of an hour of the clock: in Redis, or in PostgreSQL while Redis is
away or full. An attempt is counted before the password is checked, so that a thousand at once do
not pass together.
"""

import hashlib
import logging
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address, ip_network

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import F
from django.http import HttpRequest
from redis import RedisError

from accounts.addresses import canonical
from accounts.models import AttemptCount

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 900
_COUNT = """
INSERT INTO accounts_attemptcount AS counted (key, attempts, ends_at) VALUES (%s, 1, %s)
ON CONFLICT (key) DO UPDATE SET attempts = counted.attempts + 1 RETURNING attempts
"""


@dataclass(frozen=True)
class RateLimit:
    """At most `limit` attempts on one subject, such as an account, in a quarter of an hour.

    `survives_redis` is whether PostgreSQL counts while Redis is away or full. Leave it out where a
    lost limit costs less than a row for each request.
    """

    name: str
    limit: int
    survives_redis: bool = True

    def wait_seconds(self, subject: str) -> int:
        """Count one attempt and return 0 if it is allowed, otherwise the seconds until the next."""
        now = time.time()
        key = self._key(subject, now)
        try:
            cache.add(key, 0, WINDOW_SECONDS)
            attempts = cache.incr(key)
        except ValueError:
            return 0  # the key expired between the two lines above
        except RedisError:
            attempts = self._count_in_database(key, now)
        if attempts <= self.limit:
            return 0
        return math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS)

    def forget(self, subject: str) -> None:
        """Start the count again: the right person came."""
        key = self._key(subject, time.time())
        with suppress(RedisError):
            cache.delete(key)
        # Also where Redis answered: one that is full deletes keys and takes no counts.
        AttemptCount.objects.filter(key=key).delete()

    def refund(self, subject: str) -> None:
        """Take one attempt off the count: it succeeded, whatever became of the others."""
        key = self._key(subject, time.time())
        try:
            cache.decr(key)
        except (RedisError, ValueError):  # not counted there
            counted = AttemptCount.objects.filter(key=key, attempts__gt=0)
            counted.update(attempts=F("attempts") - 1)

    def _count_in_database(self, key: str, now: float) -> int:
        """Add one attempt to the row of `key` and return how many there are.

        One statement, so that attempts at the same moment are all counted.
        """
        if not self.survives_redis:
            logger.warning("Redis takes no counts; %s is not limited", self.name)
            return 0
        logger.warning("Redis takes no counts; PostgreSQL counts %s", self.name)
        ends = now - now % WINDOW_SECONDS + WINDOW_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [key, datetime.fromtimestamp(ends, UTC)])
            return int(cursor.fetchone()[0])

    def _key(self, subject: str, now: float) -> str:
        # A digest: what people type into the field for the e-mail may be anything, a password too.
        digest = hashlib.sha256(canonical(subject).encode()).hexdigest()[:32]
        return f"throttle:{self.name}:{digest}:{int(now // WINDOW_SECONDS)}"


SIGN_IN_ACCOUNT = RateLimit("sign-in-account", limit=10)
# Many people of one company may share an address; only what fails stays counted.
SIGN_IN_ADDRESS = RateLimit("sign-in-address", limit=100)
RESET_ACCOUNT = RateLimit("reset-account", limit=3)
RESET_ADDRESS = RateLimit("reset-address", limit=20)
# Mails that somebody signed in has sent to addresses that may be anybody's.
EMAIL_CHANGE = RateLimit("email-change", limit=3)
INVITED_ADDRESS = RateLimit("invited-address", limit=3)
INVITING_ORGANIZATION = RateLimit("inviting-organization", limit=100)


def minutes(seconds: int) -> str:
    """1 → "1 minute", 61 → "2 minutes"."""
    whole = -(-seconds // 60)
    return f"{whole} minute{'s' if whole != 1 else ''}"


def client_ip(request: HttpRequest) -> str:
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
