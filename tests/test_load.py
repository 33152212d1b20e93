"""The proof in small: one user does not stop the others. `make load` is the whole of it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_one_user_does_not_stop_the_others():
    """The budgets of time are wide, as tests run beside it; nothing may be lost all the same."""
    options = ["--seconds=8", "--people=8", "--ledger=10", "--days=40", "--p99=10", "--health=5"]
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
    assert "lost: 0" in done.stdout
