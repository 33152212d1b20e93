"""Private servers start, keep their data, and come back after a kill."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from dev.servers import EmbeddedError, start_postgres, start_redis


@pytest.fixture
def home():
    folder = Path(tempfile.mkdtemp(prefix="spendglass-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("binaries", ["installed", "wheels"])
def test_postgres_keeps_what_was_committed_when_it_is_killed(home, monkeypatch, binaries):
    monkeypatch.setenv("SPENDGLASS_BINARIES", binaries)
    server = start_postgres(home / "postgres")
    address = {"host": str(home / "postgres" / "run"), "user": "spendglass", "dbname": "spendglass"}
    with psycopg.connect(**address) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    again = start_postgres(home / "postgres")
    with psycopg.connect(**address) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    again.stop()


@pytest.mark.parametrize("binaries", ["installed", "wheels"])
def test_redis_keeps_what_was_written(home, monkeypatch, binaries):
    monkeypatch.setenv("SPENDGLASS_BINARIES", binaries)
    server = start_redis(home / "redis")
    with redis.Redis.from_url(server.url) as client:
        client.set("answer", 42)
    os.kill(server.process.pid, signal.SIGTERM)
    server.process.wait()

    again = start_redis(home / "redis")
    with redis.Redis.from_url(again.url) as client:
        assert client.get("answer") == b"42"
    again.stop()


def test_a_server_that_outlived_its_program_is_replaced(home):
    orphan = start_postgres(home / "postgres", durable=False)

    again = start_postgres(home / "postgres", durable=False)

    assert orphan.process.wait(5) == 0
    again.stop()


def test_a_path_too_long_for_a_socket_is_handled(home):
    deep = home / ("a" * 60) / ("b" * 60)
    server = start_redis(deep / "redis", durable=False)

    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
    server.stop()


def test_a_stale_process_id_hits_nobody_and_stands_in_nobodys_way(home):
    server = start_postgres(home / "postgres", durable=False)
    server.process.kill()
    server.process.wait()
    owner = pwd.getpwuid((home / "postgres" / "data").stat().st_uid).pw_name
    stranger = subprocess.Popen(
        ["sleep", "60"], user=owner if os.geteuid() == 0 else None, start_new_session=True
    )
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    _, *rest = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(stranger.pid), *rest]))

    again = start_postgres(home / "postgres", durable=False)

    assert stranger.poll() is None
    again.stop()
    stranger.kill()
    stranger.wait()


def test_a_folder_with_spaces_is_handled(home):
    server = start_postgres(home / "a folder" / "postgres", durable=False)

    folder = server.url.removeprefix("postgres://spendglass@/").removesuffix("/spendglass")
    with psycopg.connect(host=folder, user="spendglass", dbname="spendglass") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()


def test_a_socket_folder_prepared_by_somebody_else_is_refused(home, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    deep = home / ("a" * 60) / ("b" * 60) / "redis"
    digest = hashlib.sha256(str(deep).encode()).hexdigest()[:8]
    elsewhere = home / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (home / f"spendglass-{digest}").symlink_to(elsewhere)

    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        start_redis(deep, durable=False)

    assert elsewhere.stat().st_mode & 0o777 == 0o755
