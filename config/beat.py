"""Celery's scheduler, held back while workers are away.

Every scheduled task looks in the database for what is due, so one that waits is as good as many.
"""

import logging
from typing import Any

from celery import beat
from kombu.exceptions import OperationalError

from accounts import broker

logger = logging.getLogger(__name__)

_ENOUGH = 20  # messages of one queue; two beats stay below it together


class Scheduler(beat.Scheduler):
    """Keeps nothing on disk, so there is no file that a kill could spoil."""

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Send the task, unless enough messages wait in its queue for a worker to come back."""
        try:
            if broker.waiting(entry.task) >= _ENOUGH:
                logger.warning("No worker takes from the queue of %s", entry.task)
                return None
        except OperationalError:
            pass  # sending says what is wrong
        return super().apply_async(entry, *args, **kwargs)
