"""Browser tests on a real server, with a real worker and the sandbox."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.db import connection


@pytest.fixture
def worker(transactional_db: None, sandbox: str) -> Iterator[None]:
    """Start a Celery worker in its own process, on the database of the test."""
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
