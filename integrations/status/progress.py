"""How far the active run of a connection is, by feed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from integrations.connectors.base import Table
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
class ProgressPart:
    """Days of cost, tokens or activity: `done` of `total` are read by every feed of the part."""

    label: str
    done: int
    total: int

    @property
    def is_complete(self) -> bool:
        return self.done == self.total


@dataclass(frozen=True)
class Progress:
    """How far a run is. `percent` is of its requests, and never falls; `seconds_left` never rises.

    Neither counts windows that are read again to confirm a difference.
    """

    percent: int
    seconds_left: int | None
    parts: tuple[ProgressPart, ...]
    steps: tuple[ProgressStep, ...]

    @property
    def sentence(self) -> str:
        """Say what is complete and how many days of the rest are read."""
        complete = [part.label for part in self.parts if part.is_complete]
        rest = [f"{p.label} {p.done} of {p.total} days" for p in self.parts if not p.is_complete]
        if not rest:
            return "All days are read. Names and sums are being checked."
        if complete:
            verb = "is" if len(complete) == 1 else "are"
            rest = [f"{' and '.join(complete)} {verb} complete", *rest]
        text = ", ".join(rest)
        return f"{text[0].upper()}{text[1:]}."

    @property
    def open_steps(self) -> list[ProgressStep]:
        """Those being read, paused or failed."""
        return [step for step in self.steps if step.state not in _FOLDED]

    @property
    def folded_steps(self) -> list[tuple[StepState, list[ProgressStep]]]:
        """Those that are done and those that wait; states that no step is in are left out."""
        folds = [(state, [step for step in self.steps if step.state == state]) for state in _FOLDED]
        return [fold for fold in folds if fold[1]]


_FOLDED: tuple[StepState, ...] = ("done", "waiting")
_PARTS = ((Table.COST, "cost"), (Table.USAGE, "tokens"), (Table.ENGAGEMENT, "activity"))


def measure_progress(connection: Connection, windows: Sequence[SyncWindow]) -> Progress:
    by_feed: dict[str, list[SyncWindow]] = defaultdict(list)
    for window in windows:
        by_feed[window.feed].append(window)
    steps = tuple(_step(connection, feed, parts) for feed, parts in by_feed.items())
    first_reads = [window for window in windows if not window.is_recheck]
    share, seconds_left = _measure_requests(first_reads)
    is_finished = all(window.state in SyncWindow.FINISHED for window in windows)
    return Progress(
        percent=100 if is_finished else min(int(100 * share), 99),
        seconds_left=seconds_left,
        parts=tuple(_parts(connection, first_reads)),
        steps=steps,
    )


def _parts(connection: Connection, windows: Sequence[SyncWindow]) -> Iterator[ProgressPart]:
    """Yield cost, tokens and activity with their days. Feeds of the newest day alone do not count.

    A day is read if no feed of the part still has to read it or failed to.
    """
    for table, label in _PARTS:
        feeds = {
            feed.name
            for feed in connection.connector.feeds
            if feed.table is table and not feed.is_newest_only
        }
        wanted: set[date] = set()
        lacking: set[date] = set()
        for window in windows:
            if window.feed in feeds:
                wanted.update(window.window)
                if window.state not in _READ:
                    lacking.update(window.window)
        if wanted:
            yield ProgressPart(label, len(wanted - lacking), len(wanted))


_READ = (SyncWindow.State.DONE, SyncWindow.State.UNCHANGED, SyncWindow.State.UNAVAILABLE)


def _measure_requests(windows: Sequence[SyncWindow]) -> tuple[float, int | None]:
    """Return the share of requests that are done, and the seconds the others will take.

    A feed costs per day what its finished windows have, and one request a day before there is
    one. The run is gone through in the order in which windows finished, so that what was shown
    earlier is known without being stored: the share never falls and the time never rises.
    """
    days_left: dict[str, int] = defaultdict(int)
    for window in windows:
        days_left[window.feed] += len(window.window)
    days_read: dict[str, int] = defaultdict(int)
    requests: dict[str, int] = defaultdict(int)
    left = {feed: float(days) for feed, days in days_left.items()}
    left_sum, done, busy_seconds = sum(left.values()), 0, 0.0
    share, seconds_left = 0.0, None
    finished = [w for w in windows if w.state in SyncWindow.FINISHED and w.finished_at]
    for window in sorted(finished, key=lambda w: (w.finished_at, w.position)):
        feed, days = window.feed, len(window.window)
        days_left[feed] -= days
        days_read[feed] += days
        requests[feed] += window.requests
        done += window.requests
        rest = days_left[feed] * requests[feed] / days_read[feed]
        left_sum += rest - left[feed]
        left[feed] = rest
        if window.started_at and window.finished_at:
            busy_seconds += (window.finished_at - window.started_at).total_seconds()
        if done:
            share = max(share, done / (done + max(left_sum, 0.0)))
            estimate = round(max(left_sum, 0.0) * busy_seconds / done)
            seconds_left = estimate if seconds_left is None else min(seconds_left, estimate)
    return share, seconds_left


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
        state = "waiting"
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
