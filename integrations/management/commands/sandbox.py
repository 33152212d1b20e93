"""`manage.py sandbox`: serve the sandboxes of all providers on a port."""

import signal
import sys
import time
from argparse import ArgumentParser
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.management.base import BaseCommand, CommandError

from integrations import connectors
from integrations.connectors.sandboxes import Sandboxes


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # Ctrl-C does not wait for a report in the making


class _Handler(WSGIRequestHandler):
    """Logs one short line per request. Headers, and with them keys, stay out of it."""

    def handle(self) -> None:
        self.started = time.monotonic()
        super().handle()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        took_ms = (time.monotonic() - self.started) * 1000
        path = self.path.partition("?")[0].encode("ascii", "backslashreplace").decode()
        sys.stderr.write(f"{self.command} {path} {code} {took_ms:.0f} ms\n")


class Command(BaseCommand):
    help = "Serve the sandboxes: the providers' APIs over invented data."
    requires_system_checks: list[str] = []  # serves without a database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "connector",
            nargs="?",
            choices=list(connectors.connectors()),
            help="only this one; without it, all answer at one address",
        )
        parser.add_argument("--port", type=int, default=8001)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *, connector: str | None, host: str, port: int, **options: Any) -> None:
        known = connectors.connectors()
        served = [known[connector]] if connector else list(known.values())
        try:
            server = make_server(
                host, port, Sandboxes(served), server_class=_Server, handler_class=_Handler
            )
        except OSError as exc:
            raise CommandError(f"Cannot listen on {host}:{port}: {exc.strerror}.") from exc
        with server:
            names = " and ".join(one.slug for one in served)
            self.stdout.write(
                f"The sandbox of {names} answers on http://{host}:{server.server_port}"
            )
            self.stdout.flush()
            # Shells start background jobs with Ctrl-C ignored; `kill -INT` shall end us there too.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                self.stdout.write("Stopped.")
