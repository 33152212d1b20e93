"""Configuration of gunicorn: `gunicorn --config config/gunicorn.py config.wsgi`.

Command-line options take precedence. `WEB_CONCURRENCY` and `WEB_THREADS` come from the environment.
"""

import os
import sys

bind = [os.environ.get("WEB_BIND", "0.0.0.0:8000")]  # a proxy stands in front
worker_class = "config.webserver.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Far more threads than reports that a process computes at once (REPORTS_AT_ONCE), so that pages
# that cost little find a free one. Each keeps a database connection.
threads = int(os.environ.get("WEB_THREADS", "16"))
worker_connections = 1000
backlog = 512
# Seconds without a heartbeat of a worker process, not of a request: its threads may take as long
# as a download takes. `REQUEST_SECONDS` bounds what is computed.
timeout = 60
# A worker that is replaced finishes its downloads.
graceful_timeout = 90
# Longer than a proxy keeps its connections (60 s): the proxy closes first, and loses no request.
keepalive = 75
# Python gives memory back to itself, not to the system: a new process begins small.
max_requests = 20_000
max_requests_jitter = 4_000


def post_fork(server: object, worker: object) -> None:
    """Switch threads ten times as often as Python does by default.

    A page waits for PostgreSQL a dozen times, and each time afterwards for the thread that computes
    a report: 5 ms each, more than the page takes.
    """
    sys.setswitchinterval(0.0005)
