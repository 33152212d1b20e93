"""Private PostgreSQL and Redis of a test run, started before Django's settings load.

Real servers, deleted at the end, without flushing to disk; one pair per test process.
`DATABASE_URL` and `REDIS_URL` name other servers.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dev.servers import start_postgres, start_redis

TEST_SETTINGS = {
    "PROVIDER_REQUESTS_PER_MINUTE": "0",
    "CREDENTIALS_KEYS": "c3BlbmRnbGFzcy10ZXN0cy1vbmx5LTMyLWJ5dGVzISE=",
    "DEBUG": "false",
    "REPORT_SECONDS": "3000",
    "REQUEST_SECONDS": "120",  # slow machines run tests too
    "HTTPS": "false",
    "SECRET_KEY": "for tests only, and long enough that no system check complains about it",
}


_OURS = "SPENDGLASS_TEST_SERVERS"  # set in a process whose children inherit addresses of ours


def _last_database(url: str) -> str:
    """Return the URL of one of the last databases of a Redis, another per test process."""
    number = 15 - int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    if url.startswith("unix://"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def _start() -> None:
    for name in os.environ.pop(_OURS, "").split():
        del os.environ[name]
    os.environ.update(TEST_SETTINGS)
    unset = {"EMAIL_URL", "DEFAULT_FROM_EMAIL", "BASE_URL", "SANDBOX"}
    for name in {*os.environ} - {*TEST_SETTINGS}:
        if name in unset or name.endswith(("_BASE_URL", "_REQUESTS_PER_MINUTE")):
            del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="spendglass-tests-"))
    folder.chmod(0o711)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["STATIC_ROOT"] = str(folder / "static")
    (folder / "static").mkdir()
    ours = []
    if not os.environ.get("DATABASE_URL"):
        ours.append("DATABASE_URL")
        postgres = start_postgres(folder / "postgres", durable=False)
        atexit.register(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
    if not os.environ.get("REDIS_URL"):
        ours.append("REDIS_URL")
        redis = start_redis(folder / "redis", durable=False)
        atexit.register(redis.stop)
        os.environ["REDIS_URL"] = redis.url
    else:  # tests empty their Redis after each test, so never use a database in use
        os.environ["REDIS_URL"] = _last_database(os.environ["REDIS_URL"])
    os.environ[_OURS] = " ".join(ours)


_start()
