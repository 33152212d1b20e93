"""What every test gets: quick passwords, plain static files, an empty Redis, a sandbox."""

import threading
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import redis
from django.conf import settings as django_settings

from integrations.connectors import get_connector


@pytest.fixture(autouse=True)
def _quick_settings(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    yield
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        client.flushdb()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def serve(app: Any) -> tuple[str, WSGIServer]:
    """Serve a WSGI application from a thread; return its address and the server to shut down."""
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", server


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """The sandbox of Anthropic's Analytics API on a port of this machine."""
    url, server = serve(get_connector("claude-enterprise").sandbox())
    yield url
    server.shutdown()


@pytest.fixture
def sandbox(sandbox_url: str, settings: Any) -> str:
    """Connections made in this test talk to the sandbox."""
    settings.ANTHROPIC_BASE_URL = sandbox_url
    return sandbox_url
