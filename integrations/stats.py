"""The row of figures on top of a connector's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from integrations.completeness import Completeness
from integrations.overview import Overview


@dataclass(frozen=True)
class Stats:
    """What all connections of a page reach together: the earliest of them, with its label."""

    connected: int
    disconnected: int
    cost: Completeness[datetime]
    engagement: Completeness[date]
    final: Completeness[date]
    next_sync_at: datetime | None

    @classmethod
    def of(cls, overviews: Sequence[Overview]) -> Self:
        live = [o for o in overviews if not o.connection.is_disconnected]
        return cls(
            connected=len(live),
            disconnected=len(overviews) - len(live),
            cost=Completeness.of({o.connection.label: o.cost_complete_to for o in live}),
            engagement=Completeness.of(
                {o.connection.label: o.engagement_complete_to for o in live}
            ),
            final=Completeness.of({o.connection.label: o.final_to for o in live}),
            next_sync_at=min((o.next_sync_at for o in live if o.next_sync_at), default=None),
        )
