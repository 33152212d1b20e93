"""Speed of storing days: `loading` compared with an upsert of the Django ORM."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from benchmarks.ledger import Ledger
from benchmarks.measure import timed
from integrations.connectors.records import METER_FIELDS, CostRecord, MeterKey, Page, PersonRef
from integrations.loading import load
from integrations.models import Connection, CostFact
from integrations.window import Window, midnight

_PAGE = 1000


def rows_a_second(ledger: Ledger, *, days: int) -> tuple[int, float, float]:
    """Return the number of rows and the rows per second of `load` and of the upsert.

    `load` also spools, reconciles, checks and rolls up; the upsert only writes the facts.
    """
    window = Window(ledger.window.start, ledger.window.start + timedelta(days=days))
    stored = list(
        CostFact.objects.within(window)
        .filter(connection=ledger.connection, person__isnull=False)
        .select_related("meter", "person")
    )
    other = Connection.objects.create(
        organization=ledger.organization, label="other", connector_slug="claude-enterprise"
    )
    feed = next(f for f in other.connector.feeds if (f.table, f.grain) == ("cost", "person"))
    export = midnight(window.end)
    load(other, feed, window, _pages(stored, Decimal(0), export))

    def by_load() -> None:
        load(other, feed, window, _pages(stored, Decimal(1), export + timedelta(hours=1)))

    took = timed(by_load, 1)
    facts: list[Any] = list(CostFact.objects.filter(connection=other, person__isnull=False))
    for fact in facts:
        fact.effective_cost += 1
        fact.pk = None

    def by_upsert() -> None:
        with transaction.atomic():
            CostFact.objects.bulk_create(
                facts,
                batch_size=1000,
                update_conflicts=True,
                unique_fields=["connection", "day", "meter", "person"],
                update_fields=["effective_cost", "list_cost"],
            )

    upsert = timed(by_upsert, 1)
    rows = len(stored)
    other.delete()
    return rows, rows / took * 1000, rows / upsert * 1000


def _pages(stored: list[Any], more: Decimal, export: datetime) -> list[Page]:
    """Return pages as a provider would send them: the stored rows, each amount a little higher."""
    records = tuple(
        CostRecord(
            fact.day,
            MeterKey(
                **{name: getattr(fact.meter, name) for name in METER_FIELDS},
                attributes=tuple(sorted(fact.meter.attributes.items())),
            ),
            PersonRef(fact.person.external_id, fact.person.email, fact.person.name),
            fact.effective_cost + more,
            fact.list_cost,
        )
        for fact in stored
    )
    return [Page(records[at : at + _PAGE], export) for at in range(0, len(records), _PAGE)]
