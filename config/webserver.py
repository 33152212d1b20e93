"""gunicorn worker whose threads do not wait for slow clients.

gunicorn's threaded worker gives a connection to a thread before the request has arrived, so a few
half-sent requests take all threads. Here a connection waits in the event loop until its request is
complete: the head, and the body up to 32 KB, which covers every form. A larger body is read in a
thread, with a time limit. `/healthz` has a thread of its own, so that it answers while all others
work. A repeated request that was just refused waits for a second.
"""

import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from common import refusals

_LOOK_SECONDS = 0.1  # between looks at a request that has arrived in part
_ARRIVAL_SECONDS = 20.0  # for a request to arrive
_AWAITED_BYTES = 32_768  # of a request; a longer head is gunicorn's to refuse
# A session that repeats a refused request waits so long, without a thread. Fifty windows that ask
# again at once came two hundred times a second, which took a core.
_REPEAT_SECONDS = 1.0
_BODY_SECONDS = 30  # for the whole of a longer body
_BYTE_SECONDS, _ANSWER_SECONDS = 20, 60  # without a byte of a body, or taken of an answer
_HEALTH = re.compile(rb"(?:GET|HEAD) /healthz[ ?]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Worker with threads for complete requests and one for `/healthz`."""

    def init_process(self) -> None:
        self._health = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._arriving: list[tuple[float, TConn]] = []  # until when to wait for their requests
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Give the connection to a thread as soon as its request is complete."""
        if conn.is_http2 or self.cfg.is_ssl or (conn.parser and _has_read_ahead(conn)):
            super().enqueue_req(conn)
        elif not self._dispatch(conn):
            self._arriving.append((time.monotonic() + _ARRIVAL_SECONDS, conn))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, and check requests that were incomplete before."""
        super().wait_for_and_dispatch_events(_LOOK_SECONDS if self._arriving else timeout)
        arriving, self._arriving = self._arriving, []
        now = time.monotonic()
        for until, conn in arriving:
            if self._dispatch(conn):
                continue
            if now < until and self.alive:
                self._arriving.append((until, conn))
            else:
                self.nr_conns -= 1
                conn.close()

    def _dispatch(self, conn: TConn) -> bool:
        """Give a complete request to a thread; return False if it is still arriving."""
        try:
            sent = conn.sock.recv(_AWAITED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            sent = b""
        if sent and len(sent) < min(_length(sent), _AWAITED_BYTES):
            return False
        if self._is_held_back(conn, sent):
            return False
        conn.data_ready = True
        _bound(conn.sock)
        if _HEALTH.match(sent) and not _has_body(sent):
            future = self._health.submit(self.handle, conn)
            future.add_done_callback(
                lambda done: self.method_queue.defer(self.finish_request, conn, done)
            )
        else:
            super().enqueue_req(conn)
        return True

    def _is_held_back(self, conn: TConn, sent: bytes) -> bool:
        """Return whether a refused request is repeated so soon that it waits."""
        held_until = getattr(conn, "held_until", None)
        if held_until is None:
            key = refusals.key_of_head(sent)
            if key is None or refusals.recall(key) is None:
                return False
            conn.held_until = time.monotonic() + _REPEAT_SECONDS
            return True
        if time.monotonic() < held_until:
            return True
        conn.held_until = None  # the next request of this connection is another one
        return False

    def handle(self, conn: TConn) -> Any:
        """Answer one request, with a time limit for its body."""
        if not self.cfg.is_ssl and not conn.is_http2:
            conn.init()
            if not conn.is_http2:
                reader = conn.parser.unreader
                if not isinstance(reader.sock, _Timed):
                    reader.sock = _Timed(reader.sock)
                reader.sock.until = time.monotonic() + _BODY_SECONDS
        return super().handle(conn)


class _Timed:
    """Socket that is read until a deadline. Slowly sent bytes would hold a thread forever."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.until = 0.0

    def recv(self, size: int) -> bytes:
        if time.monotonic() > self.until:
            raise ConnectionResetError("The request did not arrive in time.")
        return self._sock.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _length(sent: bytes) -> int:
    """Return the length of a request in bytes, as far as the received part shows."""
    end = sent.find(b"\r\n\r\n")
    if end < 0:
        return _AWAITED_BYTES
    head = sent[: end + 4]
    if _CHUNKED.search(head):  # ends where it says so, and may say so earlier
        return len(sent) if sent.endswith(b"0\r\n\r\n") else _AWAITED_BYTES
    announced = _LENGTH.search(head)
    return len(head) + (int(announced[1]) if announced else 0)


def _has_body(sent: bytes) -> bool:
    """Return whether a body follows the head, for which a thread may have to wait."""
    head = sent[: sent.find(b"\r\n\r\n") + 4]
    announced = _LENGTH.search(head)
    return bool(_CHUNKED.search(head) or (announced and int(announced[1])))


def _has_read_ahead(conn: TConn) -> bool:
    """Return whether the parser has already read a part of the next request."""
    return bool(conn.parser.unreader.buf.getvalue())


def _bound(sock: socket.socket) -> None:
    """Set timeouts for bodies that do not arrive and responses that are not read."""
    if isinstance(sock, socket.socket):
        for option, seconds in (
            (socket.SO_RCVTIMEO, _BYTE_SECONDS),
            (socket.SO_SNDTIMEO, _ANSWER_SECONDS),
        ):
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))
