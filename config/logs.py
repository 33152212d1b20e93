"""What stays out of the log: links that open an account."""

import logging
import re

_LINK = re.compile(r"\A/(invitations|password|account/email)/.+")


class WithoutLinks(logging.Filter):
    """Django logs the path of what it refuses; of a mailed link that is the secret itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _LINK.sub(r"/\1/…", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True
