"""Rate limits on attempts, such as passwords of an account or sign-ins from one IP address.

Attempts are counted per clock quarter of an hour: in Redis, or in PostgreSQL while Redis is away
or full. An attempt is counted before the password is checked, so that a thousand concurrent ones do
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
    """At most `limit` attempts per subject, such as an account, and quarter of an hour.

    With `survives_redis` PostgreSQL counts while Redis is away or full. Switch it off where a
    missing limit costs less than a row for each request.
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

    def reset(self, subject: str) -> None:
        """Reset the count of the subject, after a successful attempt."""
        key = self._key(subject, time.time())
        with suppress(RedisError):
            cache.delete(key)
        # Also where Redis answered: one that is full deletes keys and takes no counts.
        AttemptCount.objects.filter(key=key).delete()

    def refund(self, subject: str) -> None:
        """Take one successful attempt off the count and keep the failed ones."""
        key = self._key(subject, time.time())
        try:
            cache.decr(key)
        except (RedisError, ValueError):  # not counted there
            counted = AttemptCount.objects.filter(key=key, attempts__gt=0)
            counted.update(attempts=F("attempts") - 1)

    def _count_in_database(self, key: str, now: float) -> int:
        """Add one attempt to the row of `key` and return the new count.

        One statement, so that concurrent attempts are all counted.
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
        # A digest, because people also type passwords into the email field.
        digest = hashlib.sha256(canonical(subject).encode()).hexdigest()[:32]
        return f"throttle:{self.name}:{digest}:{int(now // WINDOW_SECONDS)}"


SIGN_IN_ACCOUNT = RateLimit("sign-in-account", limit=10)
# Many people of one company may share an address; only what fails stays counted.
SIGN_IN_ADDRESS = RateLimit("sign-in-address", limit=100)
RESET_ACCOUNT = RateLimit("reset-account", limit=3)
RESET_ADDRESS = RateLimit("reset-address", limit=20)
# Mails that signed-in users send to addresses of other people.
EMAIL_CHANGE = RateLimit("email-change", limit=3)
INVITED_ADDRESS = RateLimit("invited-address", limit=3)
INVITING_ORGANIZATION = RateLimit("inviting-organization", limit=100)


def minutes(seconds: int) -> str:
    """Format seconds as whole minutes, rounded up: 61 becomes "2 minutes"."""
    whole = -(-seconds // 60)
    return f"{whole} minute{'s' if whole != 1 else ''}"


def client_ip(request: HttpRequest) -> str:
    """Return the IP address of the client as the outermost trusted proxy saw it.

    The client can forge entries further left in X-Forwarded-For. Of IPv6 return the /64 network,
    because one client has as many addresses as it likes.
    """
    seen = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")
    if 0 < settings.TRUSTED_PROXIES <= len(forwarded):
        seen = forwarded[-settings.TRUSTED_PROXIES].strip() or seen
    try:
        ip = ip_address(seen)
    except ValueError:
        return seen
    if isinstance(ip, IPv4Address):
        return seen
    return str(ip.ipv4_mapped or ip_network((ip, 64), strict=False))
