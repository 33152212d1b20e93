"""`make run`: everything of a working Spendglass on this machine, until Ctrl-C.

Private servers, migrations, a demo organization, then web server, worker, beat and the sandbox
API. A child that dies is started again; one that keeps dying ends the run. Data stays in `var/`.
"""

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

import environ
from cryptography.fernet import Fernet

from config.embedded import (
    EmbeddedError,
    Server,
    die_with_parent,
    start_postgres,
    start_redis,
)

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("SPENDGLASS_VAR", ROOT / "var"))
SANDBOX_KEY = "sk-ant-api01-sandbox-my-org"
ADMIN = "admin@example.com"
_DEATHS_A_MINUTE = 5
_STARTERS: dict[str, Callable[[], Server]] = {
    "PostgreSQL": lambda: start_postgres(VAR / "postgres"),
    "Redis": lambda: start_redis(VAR / "redis"),
}


class RunError(Exception):
    """The run cannot go on. The text is one clear line."""


@dataclass
class Child:
    """One process of the run, its last starts, and its output under its name."""

    name: str
    command: list[str]
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=_DEATHS_A_MINUTE))
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        now = time.monotonic()
        if len(self.starts) == _DEATHS_A_MINUTE and now - self.starts[0] < 60:
            raise RunError(
                f"{self.name} ended {_DEATHS_A_MINUTE} times within a minute. Giving up."
            )
        self.starts.append(now)
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        threading.Thread(target=self._show, args=(self.process.stdout,), daemon=True).start()

    def _show(self, lines: IO[str]) -> None:
        for line in lines:
            say(f"{self.name:>8} | {line.rstrip()}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run until a signal comes; 0 after Ctrl-C, 1 when something stands in the way."""
    for number in (signal.SIGTERM, signal.SIGINT):  # the latter is ignored in background jobs
        signal.signal(number, _interrupt)
    servers: list[Server] = []
    children: list[Child] = []
    VAR.mkdir(parents=True, exist_ok=True)
    with (VAR / "run.lock").open("a+") as lock:
        try:
            _take(lock)
            _environment(servers)
            _prepare()
            children = _children()
            for child in children:
                child.start()
            _wait_until_up(children)
            _tell(servers)
            _watch(children, servers)
        except KeyboardInterrupt:
            say("\nStopping.")
            return 0
        except (RunError, EmbeddedError) as exc:
            say(f"\n{exc}")
            return 1
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _stop(children)
            for server in reversed(servers):
                server.stop()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _take(lock: IO[str]) -> None:
    """One run a checkout. The kernel lets go of the lock however the holder ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        raise RunError(f"Already running in this folder, process {lock.read().strip()}.") from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()


def _environment(servers: list[Server]) -> None:
    """Settings of this run: the environment, then .env, then what this machine gets by default."""
    environ.Env.read_env(ROOT / ".env")
    for port, name in (
        (_port("PORT", 8000), "PORT"),
        (_port("SANDBOX_PORT", 8001), "SANDBOX_PORT"),
    ):
        if name == "SANDBOX_PORT" and os.environ.get("ANTHROPIC_BASE_URL"):
            continue
        _check_free(port, name)
    for name, value in _secrets().items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("HTTPS", "false")
    # Celery warns at length about root, which a container or a trial machine often has.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser")
    os.environ.setdefault("STATIC_ROOT", str(VAR / "static"))
    if not os.environ.get("ANTHROPIC_BASE_URL"):
        os.environ["SPENDGLASS_SANDBOX"] = "1"
        os.environ["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{_port('SANDBOX_PORT', 8001)}"
        # Ten times Anthropic's pace: nobody needs to wait for a sandbox.
        os.environ.setdefault("ANTHROPIC_REQUESTS_PER_MINUTE", "600")
    if not os.environ.get("DATABASE_URL"):
        servers.append(_STARTERS["PostgreSQL"]())
        os.environ["DATABASE_URL"] = servers[-1].url
    if not os.environ.get("REDIS_URL"):
        servers.append(_STARTERS["Redis"]())
        os.environ["REDIS_URL"] = servers[-1].url


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise RunError(f"{name} is {text!r}, which is not a port number.")
    return int(text)


def _check_free(port: int, name: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RunError(
                f"Port {port} is in use. Choose another: {name}={port + 10} make run"
            ) from None


def _secrets() -> dict[str, str]:
    """Made at the first start, kept in var/secrets.env, readable by its owner alone."""
    path = VAR / "secrets.env"
    if not path.exists():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(64),
            "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
            "DEMO_PASSWORD": secrets.token_urlsafe(12),
        }
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in made.items())
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _prepare() -> None:
    """Check the settings, migrate, collect static files, create the demo organization."""
    _manage("check", "--fail-level", "ERROR")
    _manage("migrate", "--verbosity", "0")
    _manage("collectstatic", "--no-input", "--verbosity", "0")
    exists = "from accounts.models import Organization as O; raise SystemExit(O.objects.exists())"
    if _run_manage("shell", "--no-imports", "-c", exists).returncode == 0:
        password = os.environ["DEMO_PASSWORD"]
        demo = ["create_organization", "demo", "--name", "Demo Inc.", "--admin", ADMIN]
        _manage(*demo, text=f"{password}\n")


def _manage(*arguments: str, text: str = "") -> None:
    done = _run_manage(*arguments, text=text)
    if done.returncode != 0:
        raise RunError(f"manage.py {arguments[0]} failed:\n{(done.stderr or done.stdout).strip()}")


def _run_manage(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )


def _children() -> list[Child]:
    python, port = sys.executable, _port("PORT", 8000)
    celery = [python, "-m", "celery", "--app", "config", "--quiet"]
    gunicorn = [python, "-m", "gunicorn", "config.wsgi", "--no-control-socket"]
    gunicorn += ["--bind", f"127.0.0.1:{port}"]
    children = [
        Child("web", [*gunicorn, "--workers", "2", "--threads", "4", "--log-level", "warning"]),
        Child("worker", [*celery, "worker", "--concurrency", "2", "--loglevel", "WARNING"]),
        Child("beat", [*celery, "beat", "--schedule", str(VAR / "beat"), "--pidfile", ""]),
    ]
    if os.environ.get("SPENDGLASS_SANDBOX"):
        sandbox = [python, "manage.py", "sandbox", "--port", str(_port("SANDBOX_PORT", 8001))]
        children.append(Child("sandbox", sandbox))
    return children


def _wait_until_up(children: list[Child]) -> None:
    url = f"http://127.0.0.1:{_port('PORT', 8000)}/healthz"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        _restart_dead(children)
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RunError(f"{url} did not answer within a minute.")


def _tell(servers: list[Server]) -> None:
    url = f"http://127.0.0.1:{_port('PORT', 8000)}/"
    lines = [
        f"Spendglass is at {url}",
        f"Sign in as {ADMIN} with the password {os.environ['DEMO_PASSWORD']}",
    ]
    if os.environ.get("SPENDGLASS_SANDBOX"):
        lines += [
            "Connect the sandbox: Data ingestion and integrations → Integrations → Others",
            f"  → Anthropic (Analytics API) → Connect +, with the key {SANDBOX_KEY}",
        ]
    kept = " and ".join(str(server.home) for server in servers)
    lines.append(f"Ctrl-C stops everything; the data stays in {kept or 'your servers'}.")
    say("\n" + "\n".join(lines) + "\n")


def _watch(children: list[Child], servers: list[Server]) -> NoReturn:
    while True:
        for position, server in enumerate(servers):
            if server.process.poll() is not None:
                say(f"{server.name} ended; starting it again.")
                servers[position] = _STARTERS[server.name]()
        _restart_dead(children)
        time.sleep(0.5)


def _restart_dead(children: list[Child]) -> None:
    for child in children:
        if child.process is not None and child.process.poll() is not None:
            say(f"{child.name} ended with status {child.process.returncode}; starting it again.")
            child.start()


def _stop(children: list[Child]) -> None:
    running = [
        child.process for child in children if child.process and child.process.poll() is None
    ]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + 15
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
