"""Check migrations, generated documents and production settings.

Run as `python -m tests.settings_check`.
"""

import os
import subprocess
import sys

from tests import environment  # noqa: F401 - starts the servers

PRODUCTION = {"HTTPS": "true", "ALLOWED_HOSTS": "spendglass.example.com"}


def main() -> int:
    manage = [sys.executable, "manage.py"]
    checks = (
        [*manage, "makemigrations", "--check", "--dry-run"],
        [*manage, "docs", "--check"],
        [*manage, "check", "--deploy", "--fail-level", "WARNING"],
    )
    started = [subprocess.Popen(check, env=os.environ | PRODUCTION) for check in checks]
    return max(check.wait() for check in started)


if __name__ == "__main__":
    sys.exit(main())
