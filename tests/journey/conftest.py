"""A real browser on a real server, with a real worker and the sandbox behind it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

expect.set_options(timeout=20_000)  # what a page does at once takes seconds on a busy machine
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


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Playwright keeps an event loop in this thread, which Django takes for asynchronous code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, transactional_db: None, live_server: Any) -> Iterator[Any]:
    """Open pages by `open_page(width=390, …)`; any error in their consoles fails the test."""
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
    for context in contexts:
        context.close()
    # The browser also notes answers 4xx, which some tests ask for.
    assert [text for text in problems if "status of 4" not in text] == []


@pytest.fixture
def worker(transactional_db: None, sandbox: str) -> Iterator[None]:
    """A Celery worker in a process of its own, on the database of the test."""
    base = os.environ["DATABASE_URL"].rpartition("/")[0]
    environment = os.environ | {
        "DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}",
        "REDIS_URL": django_settings.REDIS_URL,
        "ANTHROPIC_BASE_URL": sandbox,
    }
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--pool", "solo"]
    process = subprocess.Popen(
        [*command, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"],
        env=environment,
    )
    yield
    process.terminate()
    process.wait(20)
