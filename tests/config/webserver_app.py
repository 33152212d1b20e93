"""Slow WSGI application for the test of the web server."""

import time
from collections.abc import Iterable
from typing import Any

from common import refusals


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/slow":
        time.sleep(5)
    if environ["PATH_INFO"] == "/refused":
        key = refusals.key_of(environ["RAW_URI"], environ.get("HTTP_COOKIE", ""))
        refusals.remember(key, "a response", 60)
    answer = b"ok"
    if environ["PATH_INFO"] == "/count":
        answer = b"%06d" % len(environ["wsgi.input"].read())
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", headers)
    return [answer]
