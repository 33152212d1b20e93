"""Fixtures of every test: quick passwords, plain static files, an empty Redis, a sandbox."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import hypothesis
import pytest
import redis
from django.conf import settings as django_settings
from django.db.backends.signals import connection_created
from django.dispatch import receiver
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from config.celery import app as celery
from integrations.connectors import connectors
from sandbox.app import Sandboxes
from tests.pages import squeezed

expect.set_options(timeout=20_000)  # what a page does at once takes seconds on a busy machine
# The same examples on every machine, however slow: a test that fails, fails for everyone.
hypothesis.settings.register_profile("ours", derandomize=True, deadline=None)
hypothesis.settings.load_profile("ours")


@receiver(connection_created)
def _let_tables_be_emptied(connection: Any, **kwargs: Any) -> None:
    """Allow tests with real transactions to empty all tables, also the audit log."""
    with connection.cursor() as cursor:
        cursor.execute("SET spendglass.truncate_audit_log = 'on'")


@pytest.fixture(autouse=True)
def _quick_settings(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(autouse=True)
def _squeezed_pages() -> Iterator[None]:
    """Compare HTML without the line breaks and the indentation of templates."""
    with squeezed():
        yield


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    yield
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        client.flushdb()


@pytest.fixture
def mails(settings: Any, mailoutbox: Any) -> Iterator[Any]:
    """Configure email and return the list of sent mails. Queued tasks run at once."""
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


CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium per module, because two at once in a process conflict."""
    # Playwright keeps an event loop in this thread, which Django takes for asynchronous code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, transactional_db: None, live_server: Any) -> Iterator[Any]:
    """Return a function that opens pages, `open_page(width=390)`; console errors fail the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_one(*, width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url, viewport={"width": width, "height": height}, **options
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda message: (
                problems.append(message.text) if message.type in {"error", "warning"} else None
            ),
        )
        return page

    yield open_one
    for page in (page for context in contexts for page in context.pages):
        page.evaluate("0")  # an answer comes after everything the page had to say
    said = list(problems)
    for context in contexts:
        context.close()  # what was under way is aborted, and htmx calls that an error
    # The browser also notes answers 4xx and 503, which some tests ask for.
    assert [text for text in said if not re.search("status of (4|503)", text)] == []


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """Serve the sandboxes of all providers on a port of this machine."""
    url, server = serve(Sandboxes())
    yield url
    server.shutdown()


@pytest.fixture
def installed(settings: Any) -> Iterator[Callable[..., None]]:
    """Return a function that installs connectors by their dotted paths."""

    def install(*paths: str) -> None:
        settings.CONNECTORS = list(paths)
        connectors.cache_clear()

    yield install
    connectors.cache_clear()


@pytest.fixture
def sandbox(sandbox_url: str, settings: Any) -> str:
    """Let connections of this test talk to the sandbox."""
    settings.ANTHROPIC_BASE_URL = sandbox_url
    settings.SANDBOX = True
    return sandbox_url
