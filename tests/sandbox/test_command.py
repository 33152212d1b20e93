"""`python -m sandbox`, as a newcomer starts it."""

import signal
import socket
import subprocess
import sys

import httpx

from sandbox.__main__ import main
from sandbox.app import APIS

KEY = APIS["claude-enterprise"].keys[0]


def test_it_serves_until_ctrl_c_and_logs_no_key(settings):
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0"],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        announcement = process.stdout.readline()
        address = announcement.split()[-1]
        path = "/v1/organizations/analytics/summaries"
        answer = httpx.get(
            f"{address}{path}",
            params={"starting_date": "2026-11-16"},
            headers={"x-api-key": KEY, "anthropic-version": "2023-06-01"},
            timeout=30,
        )
        refused = httpx.get(f"{address}{path}", timeout=30)
        process.send_signal(signal.SIGINT)
        out, log = process.communicate(timeout=10)
    finally:
        process.kill()

    assert answer.status_code == 200
    assert refused.status_code == 401
    assert process.returncode == 0
    assert out == "Stopped.\n"
    assert [line.rsplit(" ", 2)[0] for line in log.splitlines()] == [
        f"GET {path} 200",
        f"GET {path} 401",
    ]


def test_a_port_in_use_is_one_clear_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert main(["--port", str(port)]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Cannot listen on 127.0.0.1:{port}")
