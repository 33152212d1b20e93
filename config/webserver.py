"""The worker class of the web server: threads, none of which waits for slow readers or writers.

gunicorn's threaded worker gives a connection to a thread before the request has arrived, so a few
half-sent requests take all threads. Here a connection waits beside the others until the head of
its request is there. Health has a thread of its own, so that it answers while all others work.
"""

import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

from gunicorn.workers.gthread import TConn, ThreadWorker

_LOOK_SECONDS = 0.1  # between looks at a head that has arrived in part
_HEAD_SECONDS = 20.0  # for a head to arrive
_HEAD_BYTES = 32_768  # a longer one is gunicorn's to refuse
_BODY_SECONDS, _ANSWER_SECONDS = 20, 60  # without a byte of a body, or taken of an answer
_HEALTH = (b"GET /healthz", b"HEAD /healthz")


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Threads for whole requests, and one for `/healthz`."""

    def init_process(self) -> None:
        self._health = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._arriving: list[tuple[float, TConn]] = []  # until when to wait for their heads
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Give the connection to a thread as soon as the head of its request is there."""
        if conn.is_http2 or self.cfg.is_ssl or (conn.parser and _has_read_ahead(conn)):
            super().enqueue_req(conn)
        elif not self._dispatch(conn):
            self._arriving.append((time.monotonic() + _HEAD_SECONDS, conn))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, and look at heads that were not whole the last time."""
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
        """Give a whole head to a thread; False if the head is still arriving."""
        try:
            head = conn.sock.recv(_HEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            head = b""
        if head and b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
            return False
        conn.data_ready = True
        _bound(conn.sock)
        if head.startswith(_HEALTH):
            future = self._health.submit(self.handle, conn)
            future.add_done_callback(
                lambda done: self.method_queue.defer(self.finish_request, conn, done)
            )
        else:
            super().enqueue_req(conn)
        return True


def _has_read_ahead(conn: TConn) -> bool:
    """Has the parser taken the beginning of the next request off the socket?"""
    return bool(conn.parser.unreader.buf.getvalue())


def _bound(sock: socket.socket) -> None:
    """Free the thread of a body that does not arrive, and of an answer that nobody takes."""
    if isinstance(sock, socket.socket):
        for option, seconds in (
            (socket.SO_RCVTIMEO, _BODY_SECONDS),
            (socket.SO_SNDTIMEO, _ANSWER_SECONDS),
        ):
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))
