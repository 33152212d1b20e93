"""Health check of database and Redis for load balancers and `make run`.

The web server reserves a thread for it (`config.webserver`), so it answers while all others work.
"""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.cache import never_cache


@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Respond 200 and "ok", or 503 and the name of the server that does not answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("database", status=503, content_type="text/plain")
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return HttpResponse("redis", status=503, content_type="text/plain")
    return HttpResponse("ok", content_type="text/plain")


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
