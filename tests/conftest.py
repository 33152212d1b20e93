"""What every test gets: quick passwords, plain static files, an empty Redis, a sandbox."""

import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import hypothesis
import pytest
import redis
from django.conf import settings as django_settings

from config.celery import app as celery
from integrations.connectors import connectors
from integrations.connectors.sandboxes import Sandboxes

# The same examples on every machine, however slow: a test that fails, fails for everyone.
hypothesis.settings.register_profile("ours", derandomize=True, deadline=None)
hypothesis.settings.load_profile("ours")


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


@pytest.fixture
def mails(settings: Any, mailoutbox: Any) -> Iterator[Any]:
    """E-mail is configured; the list of what was sent. Queued tasks run as soon as they start."""
    settings.EMAIL_CONFIGURED = True
    settings.BASE_URL = "https://spendglass.example.com"
    settings.DEFAULT_FROM_EMAIL = "Spendglass <spendglass@example.com>"
    celery.conf.task_always_eager = True
    yield mailoutbox
    celery.conf.task_always_eager = False


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
    """The sandboxes of all providers on a port of this machine."""
    url, server = serve(Sandboxes(connectors().values()))
    yield url
    server.shutdown()


@pytest.fixture
def installed(settings: Any) -> Iterator[Callable[..., None]]:
    """Makes these the connectors of the installation, by the paths the settings have of them."""

    def install(*paths: str) -> None:
        settings.CONNECTORS = list(paths)
        connectors.cache_clear()

    yield install
    connectors.cache_clear()


@pytest.fixture
def sandbox(sandbox_url: str, settings: Any) -> str:
    """Connections made in this test talk to the sandbox."""
    settings.ANTHROPIC_BASE_URL = sandbox_url
    return sandbox_url
