"""Reads one answer within bounds: bytes on the wire, bytes unpacked, nesting, and seconds.

httpx times out a single read, so an answer that arrives byte by byte never ends, and it unpacks
whatever a server compressed: 1.5 MB of gzip became 6.3 GB in a worker. Here the request as a whole
has a deadline, also while headers arrive, and unpacking stops at a limit.
"""

import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from common.redaction import redact, redact_json
from integrations.connectors.base import PayloadError, TransientError

# What is unpacked below needs no other decoder, and a server is asked for nothing else.
ACCEPTED_ENCODING = "gzip"
_GZIP = {"gzip", "x-gzip"}
_ANY_HEADER = 32 + zlib.MAX_WBITS  # zlib recognizes gzip and zlib by their first bytes
_CONSUMED = {"content-encoding", "content-length", "transfer-encoding"}


@dataclass(frozen=True)
class Bounds:
    """Limits of one response. `seconds` counts from before the request is sent."""

    seconds: float
    wire_bytes: int = 32_000_000
    unpacked_bytes: int = 64_000_000
    # Each becomes a Python object of a few hundred bytes, however few bytes it has on the wire.
    objects: int = 400_000
    depth: int = 64  # documented answers nest eight deep


class BoundedReader:
    """Sends requests through one httpx client, one at a time, and reads answers within bounds.

    `secrets` are taken out of every answer before anybody sees it.
    """

    def __init__(self, http: httpx.Client, bounds: Bounds, *, secrets: tuple[str, ...]) -> None:
        self._http = http
        self._bounds = bounds
        self._secrets = secrets
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        self._keep(None)

    def get(
        self, url: str, *, params: httpx.QueryParams, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Return the complete response, its body unpacked.

        Raise `PayloadError` for an answer beyond the bounds, `TransientError` for one that is not
        complete in time, and what httpx raises where a connection or an encoding fails.
        """
        started = time.monotonic()
        request = self._http.build_request(
            "GET",
            url,
            params=params,
            headers={"Accept-Encoding": ACCEPTED_ENCODING, **(headers or {})},
            extensions={"trace": self._watch},
        )

        def is_late() -> bool:
            return time.monotonic() - started >= self._bounds.seconds

        ended_by_us = False
        try:
            with self._deadline(), _streamed(self._http, request) as response:
                body = self._body(response, is_late)
        except httpx.TransportError:
            if not is_late():
                raise
            ended_by_us = True
        if ended_by_us:  # raised here, so that no httpx exception, which knows the key, hangs on
            raise _too_slow(self._bounds)
        return httpx.Response(
            response.status_code,
            headers=[
                (name, redact(value, *self._secrets))
                for name, value in response.headers.multi_items()
                if name not in _CONSUMED
            ],
            content=redact_json(body, *self._secrets),
        )

    def _body(self, response: httpx.Response, is_late: Callable[[], bool]) -> bytes:
        bounds, wire_bytes, body = self._bounds, 0, bytearray()
        unpack = _unpacker(response)
        # A transport without a network may hand over a response that httpx has read already.
        is_read = response.is_stream_consumed
        for chunk in [response.content] if is_read else response.iter_raw():
            wire_bytes += len(chunk)
            body += unpack(chunk, bounds.unpacked_bytes + 1 - len(body))
            if is_late():
                raise _too_slow(bounds)
            if wire_bytes > bounds.wire_bytes or len(body) > bounds.unpacked_bytes:
                raise _refused(response, "is larger than any that is documented")
        if is_late():  # an answer without a length ends where its connection does
            raise _too_slow(bounds)
        if body.count(b"{") + body.count(b"[") > bounds.objects:
            raise _refused(response, "holds more objects than any that is documented")
        if _is_deeper(body, bounds.depth):
            raise _refused(response, "nests deeper than any that is documented")
        return bytes(body)

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """End what happens inside when its time is up, by shutting the socket from a timer."""
        timer = threading.Timer(self._bounds.seconds, self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except BaseException:
            self._shut()  # the rest is not needed, so the server need not send it
            raise
        finally:
            timer.cancel()

    def _watch(self, event: str, info: Mapping[str, Any]) -> None:
        """Keep a duplicate of the socket; httpcore calls this at each step of a request.

        A duplicate, because TLS replaces the object that connected.
        """
        if event.endswith("connect_tcp.complete"):
            connected = info["return_value"].get_extra_info("socket")
            self._keep(socket.socket(fileno=os.dup(connected.fileno())))

    def _keep(self, duplicate: socket.socket | None) -> None:
        with self._lock:
            before, self._socket = self._socket, duplicate
            if before is not None:
                before.close()

    def _shut(self) -> None:
        with self._lock, suppress(OSError):  # closed by the other side already
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def _streamed(http: httpx.Client, request: httpx.Request) -> Iterator[httpx.Response]:
    response = http.send(request, stream=True)
    try:
        yield response
    finally:
        response.close()


def _unpacker(response: httpx.Response) -> Callable[[bytes, int], bytes]:
    """Return a function of the bytes and of the most bytes it may return, above zero."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"} or response.is_stream_consumed:
        return lambda chunk, most: chunk
    if encoding not in _GZIP:
        raise _refused(response, "is compressed in a way that was not asked for")
    decompressor = zlib.decompressobj(_ANY_HEADER)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            return decompressor.decompress(chunk, most)
        except zlib.error:
            raise httpx.DecodingError("gzip") from None

    return unpack


_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"\\'))
_STRINGS_AND_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])', re.DOTALL)


def _is_deeper(body: bytes | bytearray, limit: int) -> bool:
    """Return True if brackets nest deeper than `limit`, not counting those inside strings.

    Innermost pairs are removed until none is left: a few passes for a usual answer, at the speed
    of copying. Only where that does not come to an end, brackets are counted one by one.
    """
    rest = bytes(body.translate(None, _NOT_STRUCTURE)).replace(b'""', b"")
    for _ in range(min(limit, 16)):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
        if not rest:
            return False
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(body):
        depth += (match.lastindex == 1) - (match.lastindex == 2)
        if depth > limit:
            return True
    return False


def _refused(response: httpx.Response, problem: str) -> PayloadError:
    return PayloadError(
        f"Anthropic's answer {problem}, so it was not read.",
        code="unexpected_answer",
        repair="Check that nothing between this server and Anthropic changes answers. If nothing "
        "does, report it with the request ID. No number was changed.",
        status=response.status_code,
        request_id=redact(response.headers.get("request-id", "")),
    )


def _too_slow(bounds: Bounds) -> TransientError:
    return TransientError(
        f"Anthropic's answer was not complete after {bounds.seconds:.0f} seconds.",
        code="outage",
        repair="Try again in a few minutes.",
    )
