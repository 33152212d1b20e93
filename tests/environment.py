"""Loaded before Django's settings: gives every test run its own PostgreSQL and Redis.

Real servers, thrown away at the end, without flushing to disk. `DATABASE_URL` and `REDIS_URL`
point the tests elsewhere.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from config.embedded import start_postgres, start_redis

TEST_SETTINGS = {
    "ANTHROPIC_REQUESTS_PER_MINUTE": "0",
    "CREDENTIALS_KEYS": "c3BlbmRnbGFzcy10ZXN0cy1vbmx5LTMyLWJ5dGVzISE=",
    "DEBUG": "false",
    "HTTPS": "false",
    "SECRET_KEY": "for tests only, and long enough that no system check complains about it",
}


def _last_database(url: str) -> str:
    if url.startswith("unix://"):
        return url.partition("?")[0] + "?db=15"
    return urlunsplit(urlsplit(url)._replace(path="/15"))


def _start() -> None:
    os.environ.update(TEST_SETTINGS)
    for name in ("ANTHROPIC_BASE_URL", "EMAIL_URL", "DEFAULT_FROM_EMAIL", "BASE_URL"):
        os.environ.pop(name, None)
    folder = Path(tempfile.mkdtemp(prefix="spendglass-tests-"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["STATIC_ROOT"] = str(folder / "static")
    (folder / "static").mkdir()
    if not os.environ.get("DATABASE_URL"):
        postgres = start_postgres(folder / "postgres", durable=False)
        atexit.register(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
    if not os.environ.get("REDIS_URL"):
        redis = start_redis(folder / "redis", durable=False)
        atexit.register(redis.stop)
        os.environ["REDIS_URL"] = redis.url
    else:  # tests empty their Redis after each test: never the database somebody works with
        os.environ["REDIS_URL"] = _last_database(os.environ["REDIS_URL"])


_start()
