"""Health check of database and Redis for load balancers and `make run`.

The web server reserves a thread for it (`config.webserver`), so it answers while all others work.
"""

import threading
import time
from collections.abc import Callable

import psycopg
import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.cache import never_cache

ANSWER_SECONDS = 2.0  # load balancers wait some five


class _Probe:
    """Asks one server in a thread of its own, so that a frozen one delays no other answer.

    A frozen server accepts connections and answers nothing, so no timeout of its own fires. There
    is one thread at a time: while a question is open, the next request waits for its answer.
    """

    def __init__(self, name: str, ask: Callable[[], None]) -> None:
        self.name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._open: _HealthCheck | None = None

    def start(self) -> "_HealthCheck":
        with self._lock:
            if self._open is None or not self._open.is_alive():
                self._open = _HealthCheck(self._ask)
                self._open.start()
            return self._open


class _HealthCheck(threading.Thread):
    """One question; `is_answered` once the server has answered."""

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="health")
        self._ask = ask
        self.is_answered = False

    def run(self) -> None:
        try:
            self._ask()
        except (psycopg.Error, redis.RedisError, OSError):
            return
        self.is_answered = True


def _ask_database() -> None:
    # A connection of its own: one that exists may be answered where no new one would be.
    options = {
        **connection.get_connection_params(),
        "autocommit": True,
        "connect_timeout": 2,  # the least that libpq takes
        "tcp_user_timeout": 5000,  # milliseconds: ends a question into a cut network
    }
    with psycopg.connect(**options) as raw:
        raw.execute("SELECT 1")


def _ask_redis() -> None:
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
    ) as client:
        client.ping()


_PROBES = (_Probe("database", _ask_database), _Probe("redis", _ask_redis))


@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Respond 200 and "ok", or 503 and the servers that do not answer within `ANSWER_SECONDS`."""
    ends_at = time.monotonic() + ANSWER_SECONDS
    questions = {probe.name: probe.start() for probe in _PROBES}
    for question in questions.values():
        question.join(max(0.0, ends_at - time.monotonic()))
    silent = [name for name, question in questions.items() if not question.is_answered]
    return HttpResponse(
        ", ".join(silent) or "ok", status=503 if silent else 200, content_type="text/plain"
    )


def health_first(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answer `/healthz` for any host name or IP, without session or user (middleware).

    Load balancers address a machine by its IP, which is not in `ALLOWED_HOSTS`.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path == "/healthz" and request.method in {"GET", "HEAD"}:
            return healthz(request)
        return get_response(request)

    return middleware
