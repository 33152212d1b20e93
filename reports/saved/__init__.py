"""Saved reports, their schedules and deliveries."""

from reports.saved.service import (
    adopt,
    delete,
    duplicate,
    pause,
    save,
    schedule,
    send_now,
    take_over_schedule,
    unschedule,
)

__all__ = [
    "adopt",
    "delete",
    "duplicate",
    "pause",
    "save",
    "schedule",
    "send_now",
    "take_over_schedule",
    "unschedule",
]
