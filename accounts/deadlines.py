"""Deadlines of web requests.

A request waits for Python and for PostgreSQL. Loops call `check`, statements have a timeout, and a
thread cancels the statement of a client that has disconnected. Workers have no deadline.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

_LOOK_SECONDS = 0.5  # between looks at the sockets of requests that wait for PostgreSQL


class Stopped(Exception):
    """Request stopped because its response is no longer useful."""


class TooSlow(Stopped):
    """The request took longer than `REQUEST_SECONDS`."""

    def __init__(self) -> None:
        super().__init__(
            f"This took longer than {settings.REQUEST_SECONDS} seconds and was stopped."
            " Choose fewer days, a longer interval or fewer groupings."
        )


class ReaderLeft(Stopped):
    """The client has closed the connection."""


@dataclass(eq=False)
class Deadline:
    """Deadline of one request. `ends_at` is None if only single statements are bounded.

    Django calls it around every statement.
    """

    seconds: float
    ends_at: float | None
    reader: socket.socket | None = None
    is_set: bool = False
    running: "psycopg.Connection[Any] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raise `Stopped` if the request should not continue."""
        if self.ends_at is not None and time.monotonic() > self.ends_at:
            raise TooSlow
        if self.has_left():
            raise ReaderLeft

    def has_left(self) -> bool:
        """Return whether the client has disconnected, without consuming its bytes."""
        if self.reader is None:
            return False
        try:
            return self.reader.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            return True

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        self.check()
        raw: psycopg.Connection[Any] = context["connection"].connection
        if not self.is_set:
            # For the session: the next request on this connection sets its own.
            raw.execute(f"SET statement_timeout = {round(self.seconds * 1000)}".encode())
            self.is_set = True
        with self.lock:
            self.running = raw
        try:
            return execute(sql, params, many, context)
        except OperationalError as error:
            raise self.translated(error) from error
        finally:
            with self.lock:  # a cancellation under way is over before the next statement
                self.running = None

    def translated(self, error: OperationalError) -> Exception:
        """Convert PostgreSQL's error of a canceled statement; return any other unchanged."""
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            return error
        return ReaderLeft() if self.has_left() else TooSlow()

    def cancel_if_left(self) -> None:
        """Cancel the running statement if the client has disconnected."""
        with self.lock:
            if self.running is not None and self.has_left():
                with suppress(psycopg.Error):
                    self.running.cancel_safe(timeout=5)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def check() -> None:
    """Raise `Stopped` if the request is past its deadline or its client has disconnected.

    Call it in loops over rows. It does nothing in commands and workers.
    """
    if (deadline := _current.get()) is not None:
        deadline.check()


class _Watch:
    """Thread, one per process, that watches the statements of all requests."""

    def __init__(self) -> None:
        self._deadlines: set[Deadline] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, deadline: Deadline) -> Iterator[None]:
        with self._lock:
            self._deadlines.add(deadline)
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._look, daemon=True, name="deadlines")
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.discard(deadline)

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                deadlines = list(self._deadlines)
            for deadline in deadlines:
                deadline.cancel_if_left()


_watch = _Watch()


@contextmanager
def bounded(deadline: Deadline) -> Iterator[None]:
    """Run the block under a deadline."""
    token = _current.set(deadline)
    try:
        with connection.execute_wrapper(deadline):
            if deadline.reader is None:
                yield
            else:
                with _watch.over(deadline):
                    yield
    finally:
        _current.reset(token)


def shorter(seconds: float) -> AbstractContextManager[None]:
    """Run the block with less time than the request has left, so that it can still respond."""
    around = _current.get()
    return bounded(Deadline(seconds, time.monotonic() + seconds, around.reader if around else None))


def deadlines(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Set a deadline for each request (middleware).

    Requests that change data are only bounded per statement.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        seconds = settings.REQUEST_SECONDS
        ends_at = time.monotonic() + seconds if request.method in {"GET", "HEAD"} else None
        with bounded(Deadline(seconds, ends_at, _socket(request))):
            response = get_response(request)
        if response.streaming and not response.is_async:  # type: ignore[attr-defined]
            content: Any = response
            # Rows are written while they are read, which lasts as long as the reader takes.
            later = Deadline(seconds, None, _socket(request))
            content.streaming_content = _bounded(content.streaming_content, later)
        return response

    return middleware


def _bounded(pieces: Iterator[bytes], deadline: Deadline) -> Iterator[bytes]:
    """Stream under a deadline. Closing the stream closes its source, such as a cursor."""
    try:
        while True:
            with bounded(deadline):
                deadline.check()
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece
    finally:
        if close := getattr(pieces, "close", None):
            close()


def _socket(request: HttpRequest) -> socket.socket | None:
    """Return the client's connection, which gunicorn puts into the environment."""
    client = request.META.get("gunicorn.socket")
    return client if isinstance(client, socket.socket) else None


def answer(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """Return the page of a stopped request, or None for any other error."""
    deadline = _current.get()
    if isinstance(error, OperationalError) and deadline is not None:
        error = deadline.translated(error)  # of a row that a cursor was asked for
    if isinstance(error, ReaderLeft):
        return HttpResponse(status=503)  # the client has disconnected
    if not isinstance(error, TooSlow):
        return None
    if deadline is not None:
        deadline.ends_at = None  # the page that says so asks the database, too
    return render(request, "503.html", {"reason": str(error)}, status=503)
