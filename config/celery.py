"""Celery application of workers, beat and every process that enqueues."""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import after_setup_logger, after_setup_task_logger

from config.logging_filters import WithoutSecretsAfter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("spendglass")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@after_setup_logger.connect
@after_setup_task_logger.connect
def redact_worker_logs(logger: logging.Logger, **kwargs: Any) -> None:
    """Keep secrets out of the logs of workers, which Celery formats itself."""
    for handler in logger.handlers:
        if handler.formatter is not None:
            handler.setFormatter(WithoutSecretsAfter(handler.formatter))
