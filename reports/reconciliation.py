"""Compare a report with the provider's own total."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Max, Q, Sum

from integrations.exact import EXACT, total
from integrations.models import CostByPerson, DayCheck, FeedDay
from reports.catalog.metrics import Source
from reports.coverage import feed_names
from reports.engine import Report, provider_name

CENT = Decimal("0.01")
CHECKABLE = {"provider", "billing_account", "currency"}


@dataclass(frozen=True)
class Reconciliation:
    """Our sum beside the provider's, in one currency. `problem` says why they cannot be compared.

    `unknown` belongs to people that are not known yet, on `unknown_days` days: it is no part of
    what is not attributed, and nothing is proven as long as there is such a day.
    """

    vendor: str
    problem: str = ""
    attributed: Decimal = Decimal(0)
    unattributed: Decimal = Decimal(0)
    unknown: Decimal = Decimal(0)
    unknown_days: int = 0
    reported: Decimal = Decimal(0)
    read_at: datetime | None = None

    @property
    def ours(self) -> Decimal:
        return total((self.attributed, self.unattributed, self.unknown))

    @property
    def difference(self) -> Decimal:
        return EXACT.subtract(self.ours, self.reported)

    @property
    def agrees(self) -> bool:
        """To the cent: what differs by less is a rounding of the provider's own."""
        return abs(self.difference) < CENT / 2

    @property
    def is_proven(self) -> bool:
        """Return True if the totals agree and the people of every day are known."""
        return self.agrees and not self.unknown_days


def reconcile(report: Report) -> Reconciliation | None:
    """Check the cost of a report; None if it has none. Three queries."""
    spec, connections = report.spec, report.connections
    if "cost" not in spec.metrics or not connections:
        return None
    vendor = _provider_names(provider_name(connection) for connection in connections)
    if len(report.currencies) > 1:
        return Reconciliation(
            vendor,
            f"Amounts in {' and '.join(report.currencies)} have no sum, so there is none to check."
            " Filter by one currency.",
        )
    if spec.overlapping:
        return Reconciliation(
            vendor,
            f"{vendor} reports no total for groups that overlap, so there is none to check"
            " against.",
        )
    narrowing = [f.dimension for f in spec.filters if f.dimension not in CHECKABLE]
    if narrowing:
        return Reconciliation(
            vendor,
            f"{vendor} reports no total for these filters, so there is none to check against.",
        )
    feeds = Q(pk__in=[])
    for connection in connections:
        totals, _ = feed_names(connection, Source.COST)
        feeds |= Q(connection=connection, feed__in=totals)
    days = Q(day__gte=spec.window.start, day__lt=spec.window.end)
    ours: dict[tuple[int, date], tuple[Decimal, Decimal]] = {
        (connection_id, day): (attributed or Decimal(0), unattributed or Decimal(0))
        for connection_id, day, attributed, unattributed in CostByPerson.objects.within(spec.window)
        .filter(connection__in=connections)
        .values("connection_id", "day")
        .annotate(
            attributed=Sum("effective_cost", filter=Q(person__isnull=False)),
            unattributed=Sum("effective_cost", filter=Q(person__isnull=True)),
        )
        .values_list("connection_id", "day", "attributed", "unattributed")
    }
    theirs: dict[tuple[int, date], Decimal] = {
        (connection_id, day): reported
        for connection_id, day, reported in DayCheck.objects.filter(
            feeds, days, measure="effective_cost"
        ).values_list("connection_id", "day", "reported")
    }
    known = {
        (part.connection_id, day)
        for part in report.coverage.parts
        if part.source is Source.COST
        for day in part.unnamed.union(part.states)
        if day in spec.window
    }
    unnamed = {
        (part.connection_id, day)
        for part in report.coverage.parts
        if part.source is Source.COST
        for day in part.unnamed
        if day in spec.window
    }
    unchecked = {day for _, day in (known | ours.keys()) - theirs.keys()}
    if unchecked or not theirs:
        return Reconciliation(vendor, _missing_days(vendor, len(unchecked)))
    return Reconciliation(
        vendor,
        attributed=total(a for a, _ in ours.values()),
        unattributed=total(u for at, (_, u) in ours.items() if at not in unnamed),
        unknown=total(u for at, (_, u) in ours.items() if at in unnamed),
        unknown_days=len({day for _, day in unnamed}),
        reported=total(theirs.values()),
        read_at=FeedDay.objects.filter(feeds, days).aggregate(at=Max("read_at"))["at"],
    )


def _provider_names(names: Iterable[str]) -> str:
    """“Anthropic” of “Anthropic (Analytics API)”; the provider, where there are several."""
    providers = {name.partition(" (")[0] for name in names}
    return providers.pop() if len(providers) == 1 else "The provider"


def _missing_days(vendor: str, days: int) -> str:
    if not days:
        return f"{vendor} has not reported a total for these days yet."
    noun = "day" if days == 1 else "days"
    return f"{vendor}’s own total is missing for {days} {noun}, so the sum cannot be checked yet."
