"""System checks: a bad or missing setting is a sentence with a hint, not a traceback.

`config.settings` never fails on a bad value: it uses a default and adds the name to
`INVALID_SETTINGS`, which is reported here. No message repeats a value.
"""

from collections.abc import Sequence
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import redis
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

_MAKE_KEY = (
    'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)
_YEAR = 31_536_000  # seconds


@register()
def check_readable(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    return [
        Error(f"{name} cannot be read.", hint=hint, id="spendglass.E001")
        for name, hint in settings.INVALID_SETTINGS.items()
    ]


@register()
def check_secrets(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    messages: list[CheckMessage] = []
    if settings.SECRET_KEY_MISSING:
        messages.append(
            Error(
                "SECRET_KEY is not set.",
                hint="Set it to a long random text, the same for web, worker and beat. "
                'One is made by: python -c "import secrets; print(secrets.token_urlsafe(64))"',
                id="spendglass.E002",
            )
        )
    if not settings.CREDENTIALS_KEYS:
        messages.append(
            Error(
                "CREDENTIALS_KEYS is not set: credentials could not be stored.",
                hint=f"Set it to a Fernet key. One is made by: {_MAKE_KEY}",
                id="spendglass.E003",
            )
        )
    for position, key in enumerate(settings.CREDENTIALS_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            messages.append(
                Error(
                    f"Key {position} of CREDENTIALS_KEYS is not a Fernet key.",
                    hint=f"Keys are separated by commas. One is made by: {_MAKE_KEY}",
                    id="spendglass.E004",
                )
            )
    return messages


@register()
def check_servers(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    messages: list[CheckMessage] = []
    if settings.DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql":
        messages.append(
            Error(
                "DATABASE_URL does not name a PostgreSQL database.",
                hint="Write it as postgres://user:password@host:5432/name; Spendglass needs "
                "PostgreSQL 15 or newer (docs/architecture.md says why).",
                id="spendglass.E005",
            )
        )
    try:
        redis.ConnectionPool.from_url(settings.REDIS_URL)
    except ValueError:
        messages.append(
            Error(
                "REDIS_URL is not the address of a Redis.",
                hint="Write it as redis://host:6379/0, rediss://… or unix:///path/to/socket.",
                id="spendglass.E006",
            )
        )
    return messages


@register()
def check_mail_path(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    messages: list[CheckMessage] = []
    base = urlsplit(settings.BASE_URL)
    if settings.BASE_URL and (base.scheme not in {"http", "https"} or not base.hostname):
        messages.append(
            Error(
                "BASE_URL is not an http or https address.",
                hint="Write what people type to get here, such as https://spendglass.example.com.",
                id="spendglass.E010",
            )
        )
    if not settings.EMAIL_CONFIGURED:
        return messages
    if not settings.BASE_URL:
        messages.append(
            Error(
                "EMAIL_URL is set and BASE_URL is not: links in mails would lead nowhere.",
                hint="Write what people type to get here, such as https://spendglass.example.com.",
                id="spendglass.E011",
            )
        )
    try:
        validate_email(parseaddr(settings.DEFAULT_FROM_EMAIL)[1])
    except ValidationError:
        messages.append(
            Error(
                "EMAIL_URL is set and DEFAULT_FROM_EMAIL is not an address to send from.",
                hint="Write it as Spendglass <spendglass@example.com>.",
                id="spendglass.E012",
            )
        )
    return messages


@register()
def check_proxy_count(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if settings.TRUSTED_PROXIES < 0:
        return [
            Error(
                "TRUSTED_PROXIES is negative.",
                hint="Write how many proxies stand in front of the web server; 0 for none.",
                id="spendglass.E013",
            )
        ]
    return []


@register()
def check_preloading(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Check the conditions under which browsers preload a host (hstspreload.org)."""
    is_allowed = settings.SECURE_HSTS_INCLUDE_SUBDOMAINS and settings.SECURE_HSTS_SECONDS >= _YEAR
    if not settings.SECURE_HSTS_PRELOAD or is_allowed:
        return []
    return [
        Error(
            "HSTS_PRELOAD is set, and HSTS_INCLUDE_SUBDOMAINS or a year of HSTS_SECONDS is not.",
            hint="Set HSTS_INCLUDE_SUBDOMAINS=true and HSTS_SECONDS=31536000, or leave "
            "HSTS_PRELOAD unset.",
            id="spendglass.E014",
        )
    ]


@register()
def check_security_contact(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    contact = urlsplit(settings.SECURITY_CONTACT)
    if not settings.SECURITY_CONTACT or contact.scheme in {"https", "mailto", "tel"}:
        return []
    return [
        Error(
            "SECURITY_CONTACT is not an https, mailto or tel address.",
            hint="Write it as mailto:security@example.com or https://example.com/security.",
            id="spendglass.E015",
        )
    ]


@register(Tags.security, deploy=True)
def check_hosts(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if "*" in settings.ALLOWED_HOSTS:
        return [
            Warning(
                "ALLOWED_HOSTS accepts every host name.",
                hint="Name the hosts people use, separated by commas.",
                id="spendglass.W001",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_redis_policy(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Check the memory policy of the configured Redis, if it answers."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            memory = client.info("memory")
    except (redis.RedisError, ValueError):
        return []  # `/healthz` reports that it does not answer
    policy = memory.get("maxmemory_policy", "noeviction")
    if memory.get("maxmemory") and policy != "noeviction":
        return [
            Warning(
                f"Redis deletes keys when its memory is full (maxmemory-policy {policy}).",
                hint="It would drop waiting tasks, sign-in counters and rate limits. Use a Redis "
                "of its own with maxmemory-policy noeviction.",
                id="spendglass.W002",
            )
        ]
    return []
