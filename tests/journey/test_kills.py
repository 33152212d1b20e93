"""An import of `make run` survives the death of each of its processes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.environment import TEST_SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Installation:
    """`python -m dev.run` on its own ports and in its own folder."""

    def __init__(self, folder):
        clean = {
            name: value
            for name, value in os.environ.items()
            if name not in {*TEST_SETTINGS, "DATABASE_URL", "REDIS_URL", "STATIC_ROOT"}
        }
        self.environment = clean | {
            "SPENDGLASS_VAR": str(folder / "var"),
            "PORT": free_port(),
            "SANDBOX_PORT": free_port(),
            "ANTHROPIC_REQUESTS_PER_MINUTE": "240",  # slow enough to be hit in the middle
            "IMPORT_DAYS": "10",
        }
        self.log = folder / "log"
        self.process = self.start()

    def start(self):
        with self.log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "dev.run"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.wait_for(lambda: "Ctrl-C" in self.log.read_text() or process.poll(), 300)
        assert process.poll() is None, self.log.read_text()
        return process

    @property
    def database(self):
        kept = re.search(r"the data stays in (\S+)", self.log.read_text())[1]
        return f"host={kept}/run user=spendglass dbname=spendglass"

    def manage(self, *arguments, text=""):
        var = Path(self.environment["SPENDGLASS_VAR"])
        secrets = dict(
            line.split("=", 1) for line in (var / "secrets.env").read_text().splitlines()
        )
        environment = self.environment | secrets
        environment["DATABASE_URL"] = (
            "postgres://spendglass@/" + re.search(r"host=(\S+)", self.database)[1] + "/spendglass"
        )
        environment["REDIS_URL"] = f"unix://{var}/redis/run/redis.sock"
        environment["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{environment['SANDBOX_PORT']}"
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def query(self, sql):
        with psycopg.connect(self.database) as connection:
            return connection.execute(sql).fetchall()

    def finished_windows(self):
        sql = "SELECT count(*) FROM integrations_syncwindow WHERE state IN ('done', 'unavailable')"
        try:
            return self.query(sql)[0][0]
        except psycopg.OperationalError:
            return 0

    def kill(self, pattern):
        """SIGKILL every process of this installation whose command line has the pattern."""
        mine = str(self.process.pid)
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                command = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
                parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
                grandparent = (
                    Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1]
                    if parent != "0"
                    else ""
                )
            except OSError:
                continue
            if pattern in command and mine in {parent, grandparent}:
                os.kill(int(folder.name), signal.SIGKILL)

    def wait_for(self, condition, seconds):
        """Wait for minutes: the limits end a hang, not what is slow on a busy machine."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.2)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)


@pytest.fixture
def installation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)  # PostgreSQL runs as another user if this one is root
    running = Installation(folder)
    yield running
    running.stop()


def test_an_import_survives_the_death_of_every_process(installation):
    installation.manage(
        "connect",
        "claude-enterprise",
        "labs",
        "--organization=demo",
        text="sk-ant-api01-sandbox-labs\n",
    )
    installation.wait_for(lambda: installation.finished_windows() >= 3, 300)

    for pattern in ("celery --app config --quiet worker", "redis-server", "postgres"):
        installation.kill(pattern)
        installation.wait_for(lambda: installation.finished_windows() >= 3, 300)
    assert "starting it again" in installation.log.read_text()

    # The run itself, and with it everything: a second start goes on where it was.
    installation.process.kill()
    installation.process.wait()
    time.sleep(2)
    installation.process = installation.start()

    done = "SELECT count(*) FROM integrations_syncrun WHERE state = 'done'"
    installation.wait_for(lambda: installation.query(done) == [(1,)], 600)
    differences = "SELECT count(*) FROM integrations_daycheck WHERE reported <> stored"
    assert installation.query(differences) == [(0,)]
    # All that had ended when it was planned. Of the day it began on nothing may be published yet.
    assert installation.query(
        "SELECT count(*) FROM integrations_feedday WHERE feed = 'organization_cost'"
        ' AND day < (SELECT "end" - 1 FROM integrations_syncrun)'
    ) == [(9,)]
    assert installation.stop() == 0
