"""All settings, read from the environment. `.env.example` explains each variable.

A value that cannot be read does not raise: its name goes into `INVALID_SETTINGS`, and the system
checks of `config.checks` explain the repair.
"""

import os
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from config import queues
from config.connectors import CONNECTORS as CONNECTORS

T = TypeVar("T")

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")
if "DATABASE_URL" not in os.environ:
    # There while `make run` is up: its settings, so that `manage.py` in a second shell fits.
    env.read_env(Path(os.environ.get("SPENDGLASS_VAR", BASE_DIR / "var")) / "run.env")

INVALID_SETTINGS: dict[str, str] = {}


def _read(name: str, read: Callable[..., T], default: T, hint: str) -> T:
    try:
        return read(name, default=default)
    except (ValueError, ImproperlyConfigured):
        INVALID_SETTINGS[name] = hint
        return default


def _yes_or_no(name: str, *, default: bool) -> bool:
    """Parse a boolean as `env.bool` does, but refuse unknown words."""
    text = env.str(name, default=str(default)).strip().lower()
    if text in env.BOOLEAN_TRUE_STRINGS:
        return True
    if text in {"false", "off", "n", "no", "0", ""}:
        return False
    raise ValueError(name)


_YES_NO = "Write true or false."
_NUMBER = "Write a whole number."

DEBUG = _read("DEBUG", _yes_or_no, False, _YES_NO)
SECRET_KEY = env.str("SECRET_KEY", default="")
SECRET_KEY_MISSING = not SECRET_KEY
# Django refuses an empty key with a traceback wherever it first looks; our check comes before.
# Random, so that an installation that skips the check has a secret key.
SECRET_KEY = SECRET_KEY or secrets.token_urlsafe(64)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- What is installed -------------------------------------------------------------------
INSTALLED_APPS = [
    "accounts",
    "integrations",
    "reports",
    "api",
    "config.apps.Admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "ninja",  # its documentation page, from our own files
]

MIDDLEWARE = [
    # Outermost, so that responses of other middleware have the headers too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.health.health_first",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "accounts.limits.repeat_refusals",
    "api.problems.problem_documents",
    "accounts.deadlines.deadlines",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.no_store",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.limits.Refusals",
    "reports.currency.reset_currency",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "integrations.context_processors.navigation",
            ],
        },
    }
]

# --- Where data lives --------------------------------------------------------------------
_LOCAL_DATABASE = "postgres:///spendglass"
_DATABASE_HINT = "Write it as postgres://user:password@host:5432/name."
try:
    DATABASES = {"default": env.db_url("DATABASE_URL", default=_LOCAL_DATABASE)}
except (ValueError, ImproperlyConfigured):
    INVALID_SETTINGS["DATABASE_URL"] = _DATABASE_HINT
    DATABASES = {"default": env.db_url_config(_LOCAL_DATABASE)}
# One connection per web thread and per worker process; no pool to share across a fork.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# A process frozen inside a transaction would keep its locks forever.
_options = DATABASES["default"].setdefault("OPTIONS", {})
# A report has one process of PostgreSQL, not three, so that it leaves the others to other requests:
# with memory to group in, that is less work and takes no longer. Options in the address take
# precedence, as `?options=-c%20max_parallel_workers_per_gather%3D2`.
_options["options"] = (
    "-c idle_in_transaction_session_timeout=5min -c max_parallel_workers_per_gather=0"
    f" -c work_mem=32MB -c jit=off {_options.get('options', '')}".strip()
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # A Redis that hangs is treated as unavailable: users must be able to sign in.
        "OPTIONS": {"socket_timeout": 2},
    }
}

# --- Email ------------------------------------------------------------------------------
_EMAIL_URL = env.str("EMAIL_URL", default="").strip()
EMAIL_CONFIGURED = bool(_EMAIL_URL)
try:
    _mail = env.email_url_config(_EMAIL_URL or "dummymail://")
except (ValueError, ImproperlyConfigured):
    INVALID_SETTINGS["EMAIL_URL"] = "Write it as smtp+tls://user:password@host:587."
    _mail = env.email_url_config("dummymail://")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST = _mail["EMAIL_HOST"] or "localhost"
EMAIL_USE_TLS = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _mail.get("EMAIL_USE_SSL", False)
EMAIL_PORT = _mail["EMAIL_PORT"] or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
EMAIL_HOST_USER = _mail["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_FILE_PATH = _mail["EMAIL_FILE_PATH"]
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
# Public URL of the installation. Links in mails start with it, because a Host can be forged.
BASE_URL = env.str("BASE_URL", default="").rstrip("/")

# --- Providers ---------------------------------------------------------------------------
# Catalogs of connectors declare their own variables, see `integrations.connectors.environment`.
# Whether the provider's address is the emulator of `python -m sandbox`: the connect pages then show
# its keys.
SANDBOX = _read("SANDBOX", _yes_or_no, False, _YES_NO)
# Fernet keys; the first encrypts, all decrypt (see docs/security.md for rotation).
CREDENTIALS_KEYS = env.list("CREDENTIALS_KEYS", default=[])
SYNC_INTERVAL = timedelta(hours=6)
# Windows of one organization that are read at the same time.
IMPORTS_PER_ORGANIZATION = max(1, _read("IMPORTS_PER_ORGANIZATION", env.int, 2, _NUMBER))
IMPORT_DAYS = _read("IMPORT_DAYS", env.int, 90, _NUMBER)  # of the first import
# Who answers expert inquiries; empty: the Admins of the organization that asks.
EXPERT_EMAILS = env.list("EXPERT_EMAILS", default=[])

# --- Background work ---------------------------------------------------------------------
# Celery has a scheme of its own for Unix sockets, and another name for the database number.
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://").replace(
    "?db=", "?virtual_host="
)
# Declared, so that a worker without --queues takes from all of them.
CELERY_TASK_QUEUES = [Queue(name) for name in queues.NAMES]
CELERY_TASK_ROUTES = {task: {"queue": name} for task, name in queues.ROUTES.items()}
CELERY_TASK_DEFAULT_QUEUE = queues.HOUSEKEEPING
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,  # far above the longest task: one window
    "unacked_restore_interval": 15,
    "unacked_restore_throttle": 1,
}
# Nothing expires: that is decided by the worker's clock, and one that runs ahead dropped every
# tick. Instead beat sends nothing to a queue in which enough waits.
CELERY_BEAT_SCHEDULER = "config.beat.Scheduler"
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "integrations.tasks.tick", "schedule": timedelta(seconds=30)},
    # Covers each connection once a day.
    "start_comparisons": {
        "task": "integrations.tasks.start_comparisons",
        "schedule": timedelta(hours=1),
    },
    "prune": {"task": "integrations.tasks.prune", "schedule": timedelta(hours=1)},
    "tell": {"task": "integrations.tasks.detect_events", "schedule": timedelta(minutes=1)},
    "purge-sessions": {
        "task": "accounts.tasks.purge_sessions",
        "schedule": timedelta(hours=6),
    },
    "reports": {"task": "reports.tasks.tick", "schedule": timedelta(minutes=1)},
    "mails": {"task": "accounts.mail.sweep", "schedule": timedelta(seconds=30)},
}

# --- People ------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
PASSWORD_RESET_TIMEOUT = 4 * 60 * 60

# How many of these one organization may have; `LIMIT_TOKENS` and so on change them.
LIMITS = {
    name: _read(f"LIMIT_{name.upper()}", env.int, default, _NUMBER)
    for name, default in {
        "saved_reports": 2_000,
        "schedules": 200,
        "recipients": 200,
        "tokens": 500,
        "connections": 100,
        "invitations": 1_000,
        "inquiries": 200,
    }.items()
}

# --- The API -----------------------------------------------------------------------------
API_REQUESTS = _read("API_REQUESTS", env.int, 1_800, _NUMBER)  # of one token in 15 minutes

# --- Limits of web requests ---------------------------------------------------------------
REQUEST_SECONDS = _read("REQUEST_SECONDS", env.int, 20, _NUMBER)
REPORTS_AT_ONCE = _read("REPORTS_AT_ONCE", env.int, 3, _NUMBER)  # computed by one web process
REPORT_SECONDS = _read("REPORT_SECONDS", env.int, 30, _NUMBER)  # of computing, of a user
REPORT_REQUESTS = _read("REPORT_REQUESTS", env.int, 600, _NUMBER)  # of a user in 15 minutes

# --- Pages -------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "config.formats"
STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# --- Safety ------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
HTTPS = _read("HTTPS", _yes_or_no, not DEBUG, _YES_NO)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = _read("HSTS_SECONDS", env.int, 31_536_000 if HTTPS else 0, _NUMBER)
# Both bind hosts beside ours, and preloading cannot be taken back for months: an operator decides.
SECURE_HSTS_INCLUDE_SUBDOMAINS = _read("HSTS_INCLUDE_SUBDOMAINS", _yes_or_no, False, _YES_NO)
SECURE_HSTS_PRELOAD = _read("HSTS_PRELOAD", _yes_or_no, False, _YES_NO)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # demand the two above
# How many proxies of ours stand in front. The one that terminates HTTPS counts.
TRUSTED_PROXIES = _read("TRUSTED_PROXIES", env.int, 1 if HTTPS else 0, _NUMBER)
# Without a proxy of ours the header is a client's own word.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES > 0 else None
# Contact in /.well-known/security.txt for security reports; without it the page is a 404.
SECURITY_CONTACT = env.str("SECURITY_CONTACT", default="").strip()
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER = "config.debug.SecretReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.debug.SecretFilter"

# --- Logs --------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "config.logging_filters.WithoutSecrets",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "filters": {
        "without_links": {"()": "config.logging_filters.RedactSecretPaths"},
        "in_one_line": {"()": "config.logging_filters.RefusalsInOneLine"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["without_links", "in_one_line"],
        }
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {"accounts": {"level": "INFO"}, "integrations": {"level": "INFO"}},
}
