"""What several connections reach together: the one fold for cards, top bar and dashboards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from integrations.status.completeness import Completeness
from integrations.status.connections import ConnectionStatus
from integrations.status.words import DELETING


@dataclass(frozen=True)
class Summary:
    """The earliest of what every connection reaches, with the labels that hold it back.

    A disconnected connection owes nothing any more, so it counts only where all of them are.
    """

    connected: int
    disconnected: int
    cost: Completeness[datetime]
    engagement: Completeness[date]
    final: Completeness[date]
    next_sync_at: datetime | None

    @classmethod
    def of(cls, statuses: Sequence[ConnectionStatus]) -> Self:
        live = [one for one in statuses if not one.connection.is_disconnected]
        counted = live or [one for one in statuses if one.status is not DELETING]
        return cls(
            connected=len(live),
            disconnected=len(statuses) - len(live),
            cost=Completeness.of({s.connection.label: s.cost_complete_to for s in counted}),
            engagement=Completeness.of(
                {s.connection.label: s.engagement_complete_to for s in counted}
            ),
            final=Completeness.of({s.connection.label: s.final_to for s in counted}),
            next_sync_at=min((s.next_sync_at for s in live if s.next_sync_at), default=None),
        )
