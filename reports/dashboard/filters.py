"""The bar above the widgets: what can be filtered, what is, and how far it can be relied on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from django.db.models import Q

from integrations.models import Connection, Meter, Person
from integrations.status.completeness import Completeness
from integrations.status.connections import read_statuses
from integrations.status.days import DayState
from integrations.status.summary import Summary
from reports import engine, limits
from reports.catalog import labels
from reports.dashboard.health import restated
from reports.dashboard.people import PersonLabel, names
from reports.dashboard.scope import Scope
from reports.engine.periods import CUSTOM, RANGES
from reports.explore.controls import dates
from reports.explore.menus import Option

RANGE_OPTIONS = ("7d", "30d", "90d", "last_week", "mtd", "last_month", "qtd", "12m")
MATCHES = 20  # people that a search shows


@dataclass(frozen=True)
class DataFreshness:
    """Freshness and finality of the cost of the selected days."""

    complete: Completeness[datetime]
    known_to: date | None
    final_to: date | None
    open_days: int
    unknown_days: int
    moved: Decimal  # US dollars that complete days moved by since yesterday
    moved_days: int


@dataclass(frozen=True)
class FilterBar:
    """The filters as the page shows them. Asks the database for what a template looks at."""

    scope: Scope
    find: str = ""

    @cached_property
    def _every(self) -> list[Connection]:
        """All connections, whatever is filtered."""
        filters = replace(self.scope.filters.without("billing_account"), single_currency=False)
        return engine.connections_of(self.scope.organization, filters)

    @property
    def currency_note(self) -> str:
        """Say which connections are left out, as they are charged in another currency."""
        chosen = self.scope.values_of("billing_account")
        asked = [c for c in self._every if c.label in chosen] if chosen else self._every
        return limits.currency_note(asked, engine.main_currency(asked))

    @property
    def connections(self) -> list[Option]:
        chosen = self.scope.values_of("billing_account")
        return [Option(c.label, c.label, c.label in chosen) for c in self._every]

    @property
    def connection_label(self) -> str:
        return _some(self.scope.values_of("billing_account"), "All")

    @property
    def ranges(self) -> list[Option]:
        chosen = self.scope.filters.range
        options = [Option(name, RANGES[name].label, name == chosen) for name in RANGE_OPTIONS]
        return [*options, Option(CUSTOM, "Custom dates", chosen not in RANGE_OPTIONS)]

    @property
    def range_label(self) -> str:
        chosen = self.scope.filters.range
        return RANGES[chosen].label if chosen in RANGES else dates(self.scope.window)

    @property
    def dates(self) -> str:
        return dates(self.scope.window)

    @property
    def products(self) -> list[Option]:
        chosen = self.scope.values_of("service")
        stored = Meter.objects.filter(connection__in=self._every).values_list("product", flat=True)
        words = {*stored.distinct().order_by(), *chosen}
        options = [Option(word, labels.label("service", word), word in chosen) for word in words]
        return sorted(options, key=lambda option: (not option.value, option.label.casefold()))

    @property
    def product_label(self) -> str:
        words = self.scope.values_of("service")
        return _some([labels.label("service", word) for word in words], "All")

    @cached_property
    def chosen_people(self) -> list[PersonLabel]:
        ids = [id for id in self.scope.values_of("project_id") if id]
        return list(names(self.scope, ids).values()) if ids else []

    @property
    def people_label(self) -> str:
        return _some([who.name for who in self.chosen_people], "Everybody")

    @property
    def people(self) -> list[Option]:
        """Those who are chosen, then the first others whose name or address fits the search."""
        chosen = {who.id for who in self.chosen_people}
        matching = Person.objects.filter(connection__in=self._every).exclude(external_id__in=chosen)
        if piece := self.find.replace("\0", ""):  # which PostgreSQL refuses
            pieces = (Q(**{f"{field}__icontains": piece}) for field in _NAMES)
            matching = matching.filter(Q(*pieces, _connector=Q.OR))
        rows = matching.order_by("name", "email", "external_id").values_list(
            "external_id", flat=True
        )
        known = engine.People.of(self.scope.organization).identities
        listed = dict.fromkeys(known.value("project_id", id) for id in rows[: 2 * MATCHES])
        others = [id for id in listed if id not in chosen][:MATCHES]
        return [
            *(Option(who.id, who.name, True, who.detail) for who in self.chosen_people),
            *(
                Option(who.id, who.name, False, who.detail if who.detail != who.id else "")
                for who in names(self.scope, others).values()
            ),
        ]

    @cached_property
    def reliance(self) -> DataFreshness:
        connections = engine.connections_of(self.scope.organization, self.scope.filters)
        known = engine.coverage(self.scope.organization, self.scope.spec("cost"))
        moved, days = restated(connections)
        return DataFreshness(
            complete=Summary.of(read_statuses(connections)).cost,
            known_to=known.known_to,
            final_to=known.final_to,
            open_days=known.count(DayState.PROVISIONAL, DayState.INCOMPLETE),
            unknown_days=known.count(DayState.UNKNOWN),
            moved=moved,
            moved_days=days,
        )


_NAMES = ("name", "email", "external_id")


def _some(words: Sequence[str], nothing: str) -> str:
    if not words:
        return nothing
    return words[0] if len(words) == 1 else f"{words[0]} and {len(words) - 1} more"
