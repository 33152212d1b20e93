"""Deadlines of web requests.

A request waits for Python and for PostgreSQL. Loops call `check`, statements have a timeout, and a
thread cancels the statement of a client that has disconnected. Workers have a deadline where
members choose what is read: their files and mailed reports (`limited`).
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

_ASK_FOR_LESS = "Choose fewer days, a longer interval or fewer groupings."
_LOOK_FIRST = "Check what was stored before you try again."
# What changes something may ask a provider, whose answers take their time, and is not cut short
# where a page would be: all of it may take this many times `REQUEST_SECONDS`.
_WRITING = 6
_LOOK_SECONDS = 0.5  # between looks at the sockets of requests that wait for PostgreSQL


class Stopped(Exception):
    """Request stopped because its response is no longer useful."""


class TooSlow(Stopped):
    """The work took longer than it may, a request longer than `REQUEST_SECONDS`."""

    def __init__(self, seconds: float | None = None, advice: str = "") -> None:
        most = _spelled(seconds or settings.REQUEST_SECONDS)
        super().__init__(f"This took longer than {most} and was stopped. {advice or _ASK_FOR_LESS}")


def _spelled(seconds: float) -> str:
    return f"{seconds:g} seconds" if seconds <= 120 else f"{seconds / 60:g} minutes"


class ReaderLeft(Stopped):
    """The client has closed the connection."""


@dataclass(eq=False)
class Deadline:
    """Deadline of one request. `ends_at` is None if only single statements are bounded.

    `seconds` bounds a statement. `all_seconds` is the limit that the message names, if it is not
    that of a page. Django calls it around every statement.
    """

    seconds: float
    ends_at: float | None
    reader: socket.socket | None = None
    is_set: bool = False
    all_seconds: float | None = None
    advice: str = ""
    running: "psycopg.Connection[Any] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raise `Stopped` if the request should not continue."""
        if self.ends_at is not None and time.monotonic() > self.ends_at:
            raise self.too_slow
        if self.has_left():
            raise ReaderLeft

    @property
    def too_slow(self) -> TooSlow:
        return TooSlow(self.all_seconds, self.advice)

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
        if not (isinstance(sql, str) and sql.startswith("ROLLBACK TO SAVEPOINT")):
            self.check()  # what was stopped still has to be undone
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
        return ReaderLeft() if self.has_left() else self.too_slow

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


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Bound what a worker does for a member; raise `TooSlow` when that takes longer.

    Its connection serves other tasks afterwards, so it loses the statement timeout again.
    """
    deadline = Deadline(seconds, time.monotonic() + seconds, all_seconds=seconds)
    try:
        with bounded(deadline):
            yield
    except OperationalError as error:
        raise deadline.translated(error) from error  # of a row that a cursor was asked for
    finally:
        raw: psycopg.Connection[Any] | None = connection.connection
        if deadline.is_set and raw is not None:
            with suppress(psycopg.Error):  # a transaction that is rolled back has reset it
                raw.execute("RESET statement_timeout")


def shorter(seconds: float) -> AbstractContextManager[None]:
    """Run the block with less time than the request has left, so that it can still respond."""
    around = _current.get()
    return bounded(Deadline(seconds, time.monotonic() + seconds, around.reader if around else None))


def deadlines(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Set a deadline for each request (middleware).

    Requests that change data have six times as long, and no more for a single statement.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        seconds = settings.REQUEST_SECONDS
        reader = _socket(request)
        if request.method in {"GET", "HEAD"}:
            deadline = Deadline(seconds, time.monotonic() + seconds, reader)
        else:
            most = _WRITING * seconds
            deadline = Deadline(
                seconds, time.monotonic() + most, reader, all_seconds=most, advice=_LOOK_FIRST
            )
        with bounded(deadline):
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
