"""`make run`: a complete Spendglass on this machine, until Ctrl-C.

Private servers, migrations, a demo organization, then web server, workers, beat and the sandbox
API. A child that dies is restarted; one that keeps dying ends the run. Data stays in `var/`.
"""

import contextlib
import fcntl
import io
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

import django
import environ
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from config.connectors import CONNECTORS
from config.queues import WORKERS
from dev.servers import (
    EmbeddedError,
    Server,
    exit_with_parent,
    start_postgres,
    start_redis,
)
from integrations.connectors.base import BaseUrl, Setting

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("SPENDGLASS_VAR", ROOT / "var"))
MAILS = VAR.resolve() / "mail"
ADMIN = "admin@example.com"
_MAX_RESTARTS_PER_MINUTE = 5
_LONGEST_START_SECONDS = 180  # a busy machine may take a minute
_stopping = threading.Event()
_SHARED = (
    "SECRET_KEY",
    "CREDENTIALS_KEYS",
    "DATABASE_URL",
    "REDIS_URL",
    "SANDBOX",
    "HTTPS",
    "STATIC_ROOT",
    "EMAIL_URL",
    "DEFAULT_FROM_EMAIL",
    "BASE_URL",
)


class RunError(Exception):
    """The run cannot continue. The text is one line for the console."""


@dataclass
class Child:
    """One process of the run. Its output is prefixed with its name."""

    name: str
    command: list[str]
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=exit_with_parent(signal.SIGTERM),
        )
        threading.Thread(target=self._show, args=(self.process.stdout,), daemon=True).start()

    def kill(self) -> None:
        """Kill the process group, because workers outlive a killed master and keep its port."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _show(self, lines: IO[str]) -> None:
        for line in lines:
            if not _stopping.is_set():  # hide what programs print while they stop
                say(f"{self.name:>8} | {line.rstrip()}")


@dataclass
class Restarts:
    """Restart times per process. Five restarts within a minute end the run."""

    times: dict[str, deque[float]] = field(default_factory=dict)

    def report(self, name: str) -> None:
        now = time.monotonic()
        times = self.times.setdefault(name, deque(maxlen=_MAX_RESTARTS_PER_MINUTE))
        times.append(now)
        if len(times) == _MAX_RESTARTS_PER_MINUTE and now - times[0] < 60:
            raise RunError(
                f"{name} ended {_MAX_RESTARTS_PER_MINUTE} times within a minute. Giving up."
            )
        say(f"{name} ended; starting it again.")
        time.sleep(0.5 * (len(times) - 1))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run until a signal arrives. Return 0 after Ctrl-C, 1 after an error."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # SIGINT too: a script's `make run &` starts it ignored
    servers: list[Server] = []
    children: list[Child] = []
    VAR.mkdir(parents=True, exist_ok=True)
    with (VAR / "run.lock").open("a+") as lock:
        try:
            _acquire_lock(lock)
            serves_sandbox = _environment(servers)
            knows_password = _prepare()
            _write_settings()
            children = _children(serves_sandbox)
            for child in children:
                child.start()
            restarts = Restarts()
            _wait_until_up(children, restarts)
            _print_instructions(servers, knows_password, serves_sandbox)
            _watch(children, servers, restarts)
            say("\nmake is gone. Stopping.")
            return 0
        except KeyboardInterrupt:
            say("\nStopping.")
            return 0
        except (RunError, EmbeddedError) as exc:
            say(f"\n{exc}")
            return 1
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _stopping.set()
            if servers or children:
                _log(lock, "stopping")
            _stop(children)
            for server in reversed(servers):
                server.stop()
            if servers or children:
                (VAR / "run.env").unlink(missing_ok=True)
                _log(lock, "")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _acquire_lock(lock: IO[str]) -> None:
    """Allow one run per checkout. The kernel releases the lock however the holder ends."""
    deadline = time.monotonic() + 30
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            if "stopping" not in holder or time.monotonic() > deadline:
                raise RunError(f"Already running in this folder, process {holder}.") from None
            time.sleep(0.2)
    lock.seek(0)
    if lock.read().strip():
        # The last run was killed, and the kernel has signaled its web server, which takes a moment.
        os.environ["SPENDGLASS_PATIENCE"] = "10"
    _log(lock, "running")


def _log(lock: IO[str], state: str) -> None:
    """Store process id and state in the lock file for the next run; "" after an orderly end."""
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()} {state}" if state else "")
    lock.flush()


def _environment(servers: list[Server]) -> bool:
    """Fill the environment of this run: existing variables, then .env, then defaults.

    Return whether the run serves a sandbox, because no address of a provider was given.
    """
    environ.Env.read_env(ROOT / ".env")
    port, sandbox_port = _ports()
    _check_free(port, "PORT")
    addresses = [one for one in _declared() if isinstance(one, BaseUrl)]
    serves_sandbox = not any(
        os.environ.get(name) for one in addresses for name in (one.name, one.stand_in)
    )
    if serves_sandbox:
        _check_free(sandbox_port, "SANDBOX_PORT")
    for name, value in _secrets().items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("HTTPS", "false")
    # Celery warns at length about root, which a container or a trial machine often has.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:You're running the worker with superuser")
    # The worker ends within seconds and gives its tasks back, instead of waiting for them.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    os.environ.setdefault("STATIC_ROOT", str(VAR / "static"))
    os.environ.setdefault("BASE_URL", f"http://127.0.0.1:{port}")
    os.environ.setdefault("DEFAULT_FROM_EMAIL", "Spendglass <spendglass@localhost.localdomain>")
    MAILS.mkdir(mode=0o700, exist_ok=True)  # mails hold links that open accounts
    os.environ.setdefault("EMAIL_URL", f"filemail:///{MAILS}")
    if serves_sandbox:
        os.environ["SANDBOX"] = "1"
        os.environ["PROVIDER_BASE_URL"] = f"http://127.0.0.1:{sandbox_port}"
        # Ten times the usual rate limit, because a sandbox need not be slow.
        os.environ.setdefault("PROVIDER_REQUESTS_PER_MINUTE", "600")
    if not os.environ.get("DATABASE_URL"):
        servers.append(start_postgres(VAR / "postgres"))
        os.environ["DATABASE_URL"] = servers[-1].url
    if not os.environ.get("REDIS_URL"):
        servers.append(start_redis(VAR / "redis"))
        os.environ["REDIS_URL"] = servers[-1].url
    return serves_sandbox


def _declared() -> list[Setting]:
    """Return the environment variables that the catalogs of connectors declare."""
    return [one for path in CONNECTORS for one in import_string(path).catalog.settings]


def _ports() -> tuple[int, int]:
    """Return the ports of the web server and the sandbox, by default the next one."""
    port = _port("PORT", 8000)
    return port, _port("SANDBOX_PORT", port + 1)


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise RunError(f"{name} is {text!r}, which is not a port number.")
    return int(text)


def _check_free(port: int, name: str) -> None:
    deadline = time.monotonic() + float(os.environ.get("SPENDGLASS_PATIENCE", "0"))
    while not _is_free(port):
        if time.monotonic() > deadline:
            raise RunError(f"Port {port} is in use. Choose another: {name}={port + 10} make run")
        time.sleep(0.2)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _secrets() -> dict[str, str]:
    """Return the secrets in var/secrets.env, created at the first start, readable by the owner."""
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


def _prepare() -> bool:
    """Check the settings, migrate, collect static files, create the demo organization.

    In this process, because each `manage.py` takes a second. Return whether the password in
    var/secrets.env is still the demo user's.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from accounts.models import Organization, User

    try:
        call_command("check", stdout=io.StringIO())
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        if not Organization.objects.exists():
            _create_demo()
        user = User.objects.filter(email=ADMIN).first()
        return user is not None and user.check_password(os.environ["DEMO_PASSWORD"])
    except (CommandError, DatabaseError) as exc:
        raise RunError(str(exc).strip()) from exc
    finally:
        connections.close_all()


def _create_demo() -> None:
    command = ["create_organization", "demo", "--name", "Demo Inc.", "--admin", ADMIN]
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        input=f"{os.environ['DEMO_PASSWORD']}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RunError(f"The demo organization could not be created. {done.stderr.strip()}")


def _write_settings() -> None:
    """Write the settings for `manage.py` in a second shell, readable by the owner only."""
    path = VAR / "run.env"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        names = (
            *_SHARED,
            *dict.fromkeys(name for it in _declared() for name in (it.name, it.stand_in)),
        )
        file.writelines(f"{name}={os.environ[name]}\n" for name in names if name in os.environ)


def _children(serves_sandbox: bool) -> list[Child]:
    python, (port, sandbox_port) = sys.executable, _ports()
    celery = [python, "-m", "celery", "--app", "config", "--quiet"]
    alone = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    gunicorn = [python, "-m", "gunicorn", "--config", "config/gunicorn.py", "config.wsgi"]
    gunicorn += ["--bind", f"127.0.0.1:{port}", "--no-control-socket", "--graceful-timeout", "5"]
    children = [
        Child("web", [*gunicorn, "--log-level", "warning"]),
        *(Child(worker.name, [*celery, *worker.arguments, *alone]) for worker in WORKERS),
        Child("beat", [*celery, "beat", "--pidfile", ""]),
    ]
    if serves_sandbox:
        sandbox = [python, "-m", "sandbox", "--port", str(sandbox_port)]
        children.append(Child("sandbox", sandbox))
    return children


def _wait_until_up(children: list[Child], restarts: Restarts) -> None:
    port, sandbox_port = _ports()
    serves_sandbox = any(child.name == "sandbox" for child in children)
    url = f"http://127.0.0.1:{port}/healthz"
    deadline = time.monotonic() + _LONGEST_START_SECONDS
    while time.monotonic() < deadline:
        _restart_dead(children, restarts)
        if not serves_sandbox or not _is_free(sandbox_port):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
                return
        time.sleep(0.1)
    raise RunError(f"{url} did not answer within {_LONGEST_START_SECONDS} seconds.")


def _print_instructions(servers: list[Server], knows_password: bool, serves_sandbox: bool) -> None:
    lines = [f"Spendglass is at http://127.0.0.1:{_ports()[0]}/"]
    if knows_password:
        lines.append(f"Sign in as {ADMIN} with the password {os.environ['DEMO_PASSWORD']}")
    else:
        lines.append("Sign in with the account you made.")
    if serves_sandbox:
        lines += _sandbox_keys()
    if os.environ["EMAIL_URL"] == f"filemail:///{MAILS}":
        lines.append(f"Email is not sent: each one becomes a file in {MAILS}.")
    kept = " and ".join(str(server.home) for server in servers)
    lines.append(f"Ctrl-C stops everything; the data stays in {kept or 'your servers'}.")
    say("\n" + "\n".join(lines) + "\n")


def _sandbox_keys() -> list[str]:
    """Return lines that name the page and the sandbox key of each provider."""
    from integrations.connectors import connectors
    from sandbox.app import APIS

    lines = ["Connect a sandbox: Data ingestion and integrations → Integrations"]
    for connector in connectors().values():
        if connector.slug not in APIS:
            continue
        place = f"{connector.tab} → {connector.name} → Connect +"
        lines.append(f"  → {place}, with the key {APIS[connector.slug].keys[0]}")
    return lines


def _watch(children: list[Child], servers: list[Server], restarts: Restarts) -> None:
    """Restart processes that end. Return when the `make` that started this run was killed."""
    parent = os.getppid()
    while "MAKELEVEL" not in os.environ or os.getppid() == parent:
        for position, server in enumerate(servers):
            if server.process.poll() is not None:
                restarts.report(server.name)
                servers[position] = server.start_again()
        _restart_dead(children, restarts)
        time.sleep(0.5)


def _restart_dead(children: list[Child], restarts: Restarts) -> None:
    for child in children:
        if child.process is not None and child.process.poll() is not None:
            child.kill()
            restarts.report(child.name)
            child.start()


def _stop(children: list[Child]) -> None:
    for child in children:
        if child.process is not None:
            child.process.terminate()
    deadline = time.monotonic() + 15
    for child in children:
        if child.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, deadline - time.monotonic()))
            child.kill()


if __name__ == "__main__":
    sys.exit(main())
