"""The page Integrations: what can be connected, and how what is connected does."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from accounts.members import members_with
from accounts.tenancy import OrganizationRequest, organization_required
from integrations.status import connections as status
from integrations.status.connections import Card, ConnectionStatus
from integrations.status.summary import Summary
from integrations.status.words import ACTION_NEEDED, DISCONNECTED, IMPORTING, QUEUED, Status
from integrations.views.lookups import connector_in_use_or_404

# Tabs that are always there; a connector may bring its own.
TABS = ("Data & AI", "Others")


@dataclass(frozen=True)
class CardContext:
    """A card with what the page says besides its sentence."""

    card: Card
    stats: Summary
    is_in_progress: bool

    @classmethod
    def of(cls, card: Card) -> "CardContext":
        moving = any(summary.is_in_progress for summary in card.overviews)
        return cls(card, Summary.of(card.overviews), moving)

    @property
    def broken(self) -> ConnectionStatus | None:
        """The connection whose key has to be replaced, if it is the only one."""
        connection = self._only(ACTION_NEEDED)
        return None if connection is None or connection.can_resume_with_same_key else connection

    @property
    def disconnected(self) -> ConnectionStatus | None:
        """The connection that can be brought back, if it is the only one."""
        return self._only(DISCONNECTED)

    @property
    def is_importing(self) -> bool:
        return self.card.status is IMPORTING

    @property
    def is_queued(self) -> bool:
        return self.card.status is QUEUED

    @property
    def can_be_analyzed(self) -> bool:
        """Whether its numbers are the next step, rather than a repair."""
        return not (self.is_queued or self.broken or self.disconnected)

    def _only(self, status: Status) -> ConnectionStatus | None:
        overviews = self.card.overviews
        if len(overviews) != 1 or not self.card.connector.is_installed:
            return None
        return overviews[0] if overviews[0].status is status else None


@dataclass(frozen=True)
class Tab:
    name: str
    slug: str
    count: int
    is_current: bool


def _tabs(cards: Iterable[Card], current: str) -> list[Tab]:
    names = [card.connector.tab for card in cards]
    tabs = [Tab("All", "", len(names), current == "")]
    for name in dict.fromkeys([*TABS, *names]):
        tabs.append(Tab(name, slugify(name), names.count(name), slugify(name) == current))
    return tabs


def _matches(card: Card, words: list[str]) -> bool:
    labels = [summary.connection.label for summary in card.overviews]
    text = " ".join([card.connector.name, card.connector.summary, *labels]).casefold()
    return all(word in text for word in words)


@organization_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """All kinds of integrations as cards, by tab and search; htmx gets the cards alone."""
    cards = status.cards(request.organization)
    q, current = request.GET.get("q", "").strip()[:100], request.GET.get("tab", "")
    tabs = _tabs(cards, current)
    if not any(tab.is_current for tab in tabs):
        raise Http404
    words = q.casefold().split()
    shown = [
        CardContext.of(card)
        for card in cards
        if current in ("", slugify(card.connector.tab)) and _matches(card, words)
    ]
    context = {
        "tabs": tabs,
        "current": next(tab for tab in tabs if tab.is_current),
        "q": q,
        "count": len(shown),
        "connected": [each for each in shown if each.stats.connected],
        "available": [each for each in shown if not each.stats.connected],
        "helpers": members_with(request.organization),
        "import_days": settings.IMPORT_DAYS,
    }
    template = "integrations/_cards.html" if HtmxDetails(request) else "integrations/index.html"
    return render(request, template, context)


@organization_required
@require_safe
def card(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """One card, for the page to follow an import."""
    connector = connector_in_use_or_404(request, connector_slug)
    shown = status.card(request.organization, connector)
    context = {"shown": CardContext.of(shown), "helpers": members_with(request.organization)}
    return render(request, "integrations/_card.html", context)
