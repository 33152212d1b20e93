"""Words of every status: one table for pages, API, admin and mails."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True)
class Status:
    """Icon, word and tone, always shown together."""

    word: str
    tone: Literal["good", "busy", "warn", "bad", "off"]
    icon: str


NOT_CONNECTED = Status("Not connected", "off", "dash")
QUEUED = Status("Queued", "off", "queue")
IMPORTING = Status("Importing", "busy", "sync")
CONNECTED = Status("Connected", "good", "ok")
PARTLY_READ = Status("Partly read", "warn", "warn")
PARTLY_FAILING = Status("Partly failing", "warn", "warn")
DELAYED = Status("Delayed", "warn", "clock")
PAUSED = Status("Paused (rate limit)", "warn", "pause")
ACTION_NEEDED = Status("Action needed", "bad", "warn")
NEEDS_ATTENTION = Status("Needs attention", "bad", "warn")
NOT_INSTALLED = Status("Not installed", "warn", "dash")
DISCONNECTED = Status("Disconnected", "off", "off")
ARCHIVED = Status("Archived", "off", "archive")
DELETING = Status("Deleting", "off", "trash")
# Of runs, of their parts and of feeds.
RUNNING = Status("Running", "busy", "sync")
WAITING = Status("Waiting", "off", "queue")
DONE = Status("Done", "good", "ok")
UNCHANGED = Status("Unchanged", "good", "ok")
UNAVAILABLE = Status("Not available", "off", "dash")
FAILED = Status("Failed", "bad", "fail")
STOPPED = Status("Stopped", "off", "off")
UP_TO_DATE = Status("Up to date", "good", "ok")


class FeedState(StrEnum):
    """State of one feed. Derived, never stored."""

    QUEUED = "queued"  # never read
    READING = "reading"
    CURRENT = "current"
    PARTLY_READ = "partly_read"  # rows of some days are kept out
    DELAYED = "delayed"
    PAUSED = "paused"  # by the provider's rate limit
    WAITING = "waiting"  # for its run, or for a key that works
    UNAVAILABLE = "unavailable"  # the key or the organization need not have it
    ACTION_NEEDED = "action_needed"
    FAILED = "failed"
    DISCONNECTED = "disconnected"
    DELETING = "deleting"


FEED_WORDS: Mapping[FeedState, Status] = {
    FeedState.QUEUED: QUEUED,
    FeedState.READING: RUNNING,
    FeedState.CURRENT: UP_TO_DATE,
    FeedState.PARTLY_READ: PARTLY_READ,
    FeedState.DELAYED: DELAYED,
    FeedState.PAUSED: PAUSED,
    FeedState.WAITING: WAITING,
    FeedState.UNAVAILABLE: UNAVAILABLE,
    FeedState.ACTION_NEEDED: ACTION_NEEDED,
    FeedState.FAILED: FAILED,
    FeedState.DISCONNECTED: DISCONNECTED,
    FeedState.DELETING: DELETING,
}


def format_day(value: date) -> str:
    return f"{value.day} {value:%b %Y}"


def format_instant(value: datetime) -> str:
    return f"{value.day} {value:%b, %H:%M} UTC"
