"""The proof in small: one user does not stop the others. `make load` is the whole of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_one_user_does_not_stop_the_others():
    """Fifty reports over a year of one member at once: no process grows and no response is lost.

    How long the others wait is for `make load` on a quiet machine to say: tests run beside this.
    """
    options = ["--seconds=8", "--people=8", "--windows=50", "--ledger=10", "--days=365"]
    options += ["--p99=60", "--health=30", "--turned-away=1000", "--megabytes=500"]
    environment = {name: v for name, v in os.environ.items() if name != "REQUEST_SECONDS"}

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: 0\n" in done.stdout
    (abuser,) = re.findall(r"^\| abuser .*", done.stdout, re.MULTILINE)
    assert " × 429" in abuser
