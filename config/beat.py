"""Celery scheduler that stops sending while workers are away.

Every scheduled task looks in the database for due work, so one waiting message is as good as many.
"""

import logging
from typing import Any

from celery import beat
from kombu.exceptions import OperationalError

from accounts import broker

logger = logging.getLogger(__name__)

_MAX_WAITING = 20  # messages of one queue; two beats stay below it together


class Scheduler(beat.Scheduler):
    """Scheduler without a state file, so a kill cannot damage one."""

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Send the task unless enough messages already wait in its queue."""
        try:
            if broker.waiting(entry.task) >= _MAX_WAITING:
                logger.warning("No worker takes from the queue of %s", entry.task)
                return None
        except OperationalError:
            pass  # sending raises the real error
        return super().apply_async(entry, *args, **kwargs)
