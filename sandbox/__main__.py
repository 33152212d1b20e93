"""Serve the emulated APIs on a port until Ctrl-C: `python -m sandbox`."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sandbox.app import APIS, Sandboxes


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # Ctrl-C does not wait for a report being computed


class _Handler(WSGIRequestHandler):
    """Log one short line per request, without headers, which hold keys."""

    def handle(self) -> None:
        self.started = time.monotonic()
        super().handle()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        took_ms = (time.monotonic() - self.started) * 1000
        path = self.path.partition("?")[0].encode("ascii", "backslashreplace").decode()
        sys.stderr.write(f"{self.command} {path} {code} {took_ms:.0f} ms\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT. Return 0 then, and 1 if the address cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Serve the providers' APIs over an invented organization.",
    )
    parser.add_argument("api", nargs="?", choices=list(APIS), help="only this one (default: all)")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args(arguments)
    served = [options.api] if options.api else list(APIS)
    try:
        server = make_server(
            options.host,
            options.port,
            Sandboxes(served),
            server_class=_Server,
            handler_class=_Handler,
        )
    except OSError as exc:
        sys.stderr.write(f"Cannot listen on {options.host}:{options.port}: {exc.strerror}.\n")
        return 1
    with server:
        address = f"http://{options.host}:{server.server_port}"
        sys.stdout.write(f"The sandbox of {' and '.join(served)} answers on {address}\n")
        sys.stdout.flush()
        # Shells start background jobs with Ctrl-C ignored, but `kill -INT` has to end them too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("Stopped.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
