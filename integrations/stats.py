"""The row of figures on top of a connector's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from integrations.overview import Overview


@dataclass(frozen=True)
class Stats:
    """`complete_labels` are the connections whose cost reaches `cost_complete_to`."""

    connected: int
    disconnected: int
    cost_complete_to: datetime | None
    complete_labels: tuple[str, ...]
    engagement_complete_to: date | None
    final_to: date | None
    next_sync_at: datetime | None

    @classmethod
    def of(cls, overviews: Sequence[Overview]) -> Self:
        """The newest dates any connection has reached, and the next sync of all."""
        live = [o for o in overviews if not o.connection.is_disconnected]
        cost = max((o.cost_complete_to for o in live if o.cost_complete_to), default=None)
        return cls(
            connected=len(live),
            disconnected=len(overviews) - len(live),
            cost_complete_to=cost,
            complete_labels=tuple(
                o.connection.label for o in live if cost and o.cost_complete_to == cost
            ),
            engagement_complete_to=max(
                (o.engagement_complete_to for o in live if o.engagement_complete_to), default=None
            ),
            final_to=max((o.final_to for o in live if o.final_to), default=None),
            next_sync_at=min((o.next_sync_at for o in live if o.next_sync_at), default=None),
        )
