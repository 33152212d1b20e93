"""The Celery application: workers, beat and everyone who enqueues share it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("spendglass")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
