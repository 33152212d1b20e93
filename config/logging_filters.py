"""What stays out of the log: links that open an account, and what looks like a secret."""

import logging
import re

from integrations.redaction import redact

_SECRET_PATH = re.compile(r"\A/(invitations|password|account/email)/.+")


class RedactSecretPaths(logging.Filter):
    """Django logs the path of what it refuses; of a mailed link that is the secret itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _SECRET_PATH.sub(r"/\1/…", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


class WithoutSecrets(logging.Formatter):
    """Redacts each entry as a whole: message, arguments and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class WithoutSecretsAfter(logging.Formatter):
    """Redacts what another formatter, such as Celery's, has made of an entry."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._formatter.format(record))
