"""Stand-ins for the network: a script of answers, and faults put in front of the sandbox.

And the official SDK as an oracle of what a sandbox answers.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import httpx2

from integrations.connectors.base import Access

KEY = "sk-ant-api01-wire-0123456789abcdef"


class Script(httpx.BaseTransport):
    """Gives the steps in turn, the last one for ever. A step is a response, an error to raise,
    or a function of the request. Keeps the requests."""

    def __init__(self, *steps: Any) -> None:
        self._steps = list(steps)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            # A response is used up by its reader: each request gets a fresh one.
            return httpx.Response(step.status_code, headers=step.headers, content=step.content)
        answer: httpx.Response = step(request)
        return answer


class Faulty(httpx.BaseTransport):
    """Passes requests on to an application, except that the nth ones are answered otherwise."""

    def __init__(self, app: Any, faults: dict[int, Callable[[httpx.Request], Any]]) -> None:
        self._inner = httpx.WSGITransport(app=app)
        self._faults = faults
        self.count = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        if self.count in self._faults:
            return self._faults[self.count](request)
        return self._inner.handle_request(request)


class RawServer:
    """A server on a socket that answers each request by `answer(connection)`. Keeps requests.

    `answer` returns "close" to end the connection.
    """

    def __init__(self, answer: Callable[[socket.socket], Any]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while received := connection.recv(65536):
                self.requests.append(received)
                if self.answer(connection) == "close":
                    return


def sdk(key: str, app: Any) -> anthropic.Anthropic:
    """Return the official client of an application, which parses the newest version strictly."""
    return anthropic.Anthropic(
        auth_token=key,
        base_url="http://sandbox",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.WSGITransport(app=app)),
        _strict_response_validation=True,
    )


def access(transport: httpx.BaseTransport, **options: Any) -> Access:
    return Access(**{"key": KEY, "base_url": "https://api.test", "transport": transport, **options})


def ok(body: Any, **headers: str) -> httpx.Response:
    return httpx.Response(200, json=body, headers=headers)


def error(
    status: int, type_: str = "some_error", message: str = "Human text.", **headers: str
) -> httpx.Response:
    """Return the API's error envelope."""
    body = {
        "type": "error",
        "error": {"type": type_, "message": message},
        "request_id": "req_of_the_body",
    }
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.Response(status, json=body, headers=named)


def everything_about(error: BaseException) -> str:
    """All that a log or an error tracker might print of an exception and its causes."""
    fields, seen = "", set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        fields += f"{current!s}\n{current!r}\n{current.args!r}\n{vars(current)!r}\n"
        request = getattr(current, "_request", None)
        if request is not None:
            fields += repr(request.headers.raw)
        pending += [current.__cause__, current.__context__]
    return fields
