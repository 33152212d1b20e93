"""Log filters that remove secret links, text that looks like a secret, and needless lines."""

import logging
import re

from common.redaction import redact

_SECRET_PATH = re.compile(r"\A/(invitations|password|account/email)/.+")


class RedactSecretPaths(logging.Filter):
    """Redact paths of mailed links, which Django logs when it refuses a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _SECRET_PATH.sub(r"/\1/…", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


class RefusalsInOneLine(logging.Filter):
    """Remove the traceback that Django logs with a refused request; only faults keep theirs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = None
        return True


class WithoutSecrets(logging.Formatter):
    """Redact a whole entry: message, arguments and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class WithoutSecretsAfter(logging.Formatter):
    """Redact the output of another formatter, such as Celery's."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._formatter.format(record))
