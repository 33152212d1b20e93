"""List feeds whose last read failed, for the card, the bell and Data health."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from django.db.models import Count, Q

from integrations.models import Connection, SyncWindow

_STOPPED = "stopped"  # the connection was switched off: no fault of the feed


@dataclass(frozen=True)
class FailingFeed:
    """A feed whose last run failed. `runs` are the failed runs in a row, newest run last."""

    connection_id: int
    feed: str
    label: str
    runs: int
    first_run_id: int
    error: str
    repair: str

    @property
    def sentence(self) -> str:
        often = "its last run" if self.runs == 1 else f"its last {self.runs} runs"
        return f"{self.label} failed in {often}: {self.error}"


def failing_feeds(connections: Sequence[Connection]) -> dict[int, list[FailingFeed]]:
    """Return the failing feeds of each connection in the connector's order, in two queries."""
    tried = (
        SyncWindow.objects.filter(run__connection__in=connections, state__in=SyncWindow.FINISHED)
        .exclude(error_code=_STOPPED)
        .values("run__connection", "feed", "run")
        .annotate(failed=Count("pk", filter=Q(state=SyncWindow.State.FAILED)))
        .order_by("-run")
    )
    outcomes: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for row in tried:
        outcomes[row["run__connection"], row["feed"]].append((row["run"], row["failed"]))
    in_a_row = {
        key: [run for run, _ in takewhile(lambda outcome: outcome[1], runs)]
        for key, runs in outcomes.items()
        if runs[0][1]
    }
    if not in_a_row:
        return {}
    windows = SyncWindow.objects.filter(
        run__in={runs[0] for runs in in_a_row.values()}, state=SyncWindow.State.FAILED
    ).select_related("run")
    last = {(window.run.connection_id, window.feed): window for window in windows.order_by("-pk")}
    by_connection: dict[int, list[FailingFeed]] = {}
    for connection in connections:
        for feed in connection.connector.feeds:
            runs = in_a_row.get((connection.pk, feed.name))
            window = last.get((connection.pk, feed.name))
            if runs and window and not connection.is_disconnected:
                by_connection.setdefault(connection.pk, []).append(
                    FailingFeed(
                        connection.pk,
                        feed.name,
                        feed.label,
                        len(runs),
                        runs[-1],
                        window.error,
                        window.error_repair,
                    )
                )
    return by_connection
