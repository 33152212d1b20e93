"""Context of every page: place, membership, and freshness of the numbers."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.http import HttpRequest

from accounts.models import Membership, Organization
from accounts.permissions import Permission
from integrations.models import Notice
from integrations.status.completeness import Completeness
from integrations.status.connections import ConnectionStatus, statuses
from integrations.status.summary import Summary


@dataclass(frozen=True)
class Navigation:
    """Asks the database only for what a template looks at, and only once."""

    membership: Membership

    @property
    def organization(self) -> Organization:
        return self.membership.organization

    @cached_property
    def memberships(self) -> list[Membership]:
        """Every organization one can switch to, by name; the current one included."""
        return list(
            Membership.objects.active()
            .filter(user=self.membership.user_id)
            .select_related("organization")
            .order_by("organization__name")
        )

    @cached_property
    def overviews(self) -> list[ConnectionStatus]:
        return statuses(self.organization)

    @cached_property
    def notices(self) -> list[Notice]:
        """The newest ten that are open for this person; who manages no connection gets none."""
        if not self.membership.may(Permission.MANAGE_CONNECTIONS):
            return []
        open_notices = Notice.objects.open_for(self.organization, self.membership.user)
        return list(open_notices.select_related("connection")[:10])

    @cached_property
    def complete(self) -> Completeness[datetime]:
        """The instant to which the cost of every connection is complete."""
        return Summary.of(self.overviews).cost

    @property
    def delayed_connections(self) -> int:
        """Number of connections that stopped or are delayed, so that totals may lack last days."""
        return sum(overview.status.tone in {"bad", "warn"} for overview in self.overviews)


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Add `frame`, `organization` and `membership` to the pages of an organization."""
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None:
        return {}
    return {
        "frame": Navigation(membership),
        "organization": membership.organization,
        "membership": membership,
    }
