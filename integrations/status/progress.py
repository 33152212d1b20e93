"""How far the active run of a connection is, by feed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from integrations.models import Connection, SyncWindow

StepState = Literal["waiting", "running", "done", "failed", "paused"]


@dataclass(frozen=True)
class ProgressStep:
    """One feed of a run. `done` of `total` are days; `rows` is what the provider sent.

    `started_at` is the first request of any of its parts, `finished_at` None until all are read.
    """

    feed: str
    label: str
    state: StepState
    done: int
    total: int
    requests: int
    rows: int
    error: str
    repair: str
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def seconds(self) -> int | None:
        """From the first request to the last answer; None until then."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds())


@dataclass(frozen=True)
class Progress:
    """How far a run is. Days are those whose every feed has been read, newest first."""

    days_total: int
    percent: int
    seconds_left: int | None
    steps: tuple[ProgressStep, ...]


def measure_progress(connection: Connection, windows: Sequence[SyncWindow]) -> Progress:
    by_feed: dict[str, list[SyncWindow]] = defaultdict(list)
    for window in windows:
        by_feed[window.feed].append(window)
    steps = tuple(_step(connection, feed, parts) for feed, parts in by_feed.items())
    wanted: set[date] = set()
    for window in windows:
        wanted.update(window.window)
    finished = [window for window in windows if window.state in SyncWindow.FINISHED]
    return Progress(
        days_total=len(wanted),
        percent=100 * len(finished) // len(windows) if windows else 0,
        seconds_left=_seconds_left(windows, finished),
        steps=steps,
    )


def _step(connection: Connection, name: str, windows: Sequence[SyncWindow]) -> ProgressStep:
    feed = connection.connector.feed(name)
    states = {window.state for window in windows}
    problem = next((window for window in windows if window.error), None)
    state: StepState
    if states <= set(SyncWindow.FINISHED):
        state = "failed" if SyncWindow.State.FAILED in states else "done"
    elif SyncWindow.State.RUNNING in states:
        state = "running"
    elif any(window.not_before for window in windows):
        state = "paused"
    else:
        state = "running" if states & set(SyncWindow.FINISHED) else "waiting"
    shown = problem if problem is not None and state in {"failed", "paused"} else None
    finished = [w.finished_at for w in windows if w.finished_at] if state == "done" else []
    return ProgressStep(
        feed=name,
        label=feed.label if feed else name,
        state=state,
        done=sum(len(w.window) for w in windows if w.state in SyncWindow.FINISHED),
        total=sum(len(w.window) for w in windows),
        requests=sum(window.requests for window in windows),
        rows=sum(window.rows for window in windows),
        error=shown.error if shown else "",
        repair=shown.error_repair if shown else "",
        started_at=min((w.started_at for w in windows if w.started_at), default=None),
        finished_at=max(finished, default=None),
    )


def _seconds_left(windows: Sequence[SyncWindow], finished: Sequence[SyncWindow]) -> int | None:
    """From how long windows of each feed have taken so far; None before there is a measure."""
    took: dict[str, list[float]] = defaultdict(list)
    for window in finished:
        if window.started_at and window.finished_at:
            took[window.feed].append((window.finished_at - window.started_at).total_seconds())
    if not took:
        return None
    everything = [seconds for feed in took.values() for seconds in feed]
    left = 0.0
    for window in windows:
        if window.state not in SyncWindow.FINISHED:
            known = took.get(window.feed) or everything
            left += sum(known) / len(known)
    return round(left)
