"""Answers of a sandbox company, computed once and then served from memory.

A program that is measured with them waits for no emulator. One process of its own, HTTP/1.1 with
kept connections, as a provider has.
"""

import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-ant-api01-sandbox-my-org"


@contextmanager
def recorded_company(people: int) -> Iterator[str]:
    """Serve a company with so many people; yield the base URL."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(port, people), daemon=True
    )
    process.start()
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.join()


def larger_company(people: int) -> Any:
    """Return the sandbox whose first company has so many people."""
    from sandbox.claude_enterprise import Sandbox
    from sandbox.claude_enterprise.company import companies, make_company

    companies()[KEY] = make_company(
        "my-org",
        "brightwater.example",
        people=people,
        plan="usage",
        discount_percent=12,
        groups=companies()[KEY].groups,
    )
    return Sandbox()


def _serve(port: int, people: int) -> None:
    app = larger_company(people)
    answers: dict[str, tuple[int, list[tuple[str, str]], bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            asked = "&".join([path, *sorted(query.split("&"))])  # in whatever order
            if asked not in answers:
                answers[asked] = _ask(app, self)
            status, headers, body = answers[asked]
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def _ask(app: Any, request: BaseHTTPRequestHandler) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of the emulator's answer."""
    path, _, query = request.path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        **{f"HTTP_{name.upper().replace('-', '_')}": it for name, it in request.headers.items()},
    }
    started: list[tuple[int, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *args: Any) -> None:
        started.append((int(status.split()[0]), headers))

    body = b"".join(app(environ, start_response))
    status, headers = started[0]
    kept = [(name, it) for name, it in headers if name.lower() != "content-length"]
    return status, [*kept, ("content-length", str(len(body)))], body


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("The sandbox did not start.")
