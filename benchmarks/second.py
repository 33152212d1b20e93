"""Import time of the second organization of an installation compared with the first.

`make bench` prints second ÷ first, of feeds whose days are compared with the organization's totals.
The planner's statistics are those of the moment after the first import and are never refreshed, as
while a second organization is imported: they do not include its connection.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db import connection as database

from accounts.models import Organization
from integrations.connectors.base import Feed
from integrations.connectors.records import (
    CostRecord,
    MeterKey,
    Page,
    PersonRef,
    TotalRecord,
    UsageRecord,
)
from integrations.loading import load
from integrations.models import Connection
from integrations.window import Window, midnight

_FEEDS = ("organization_cost", "user_cost", "organization_usage", "user_usage")
_METERS = tuple(
    MeterKey(
        product=f"product-{number % 6}",
        model=f"model-{number}",
        attributes=(("speed", "standard"),),
    )
    for number in range(90)
)
_METERS_OF_ONE = 8  # that a person uses on a day
_PAGE = 1000
_DAY = date(2026, 8, 1)


@dataclass(frozen=True)
class Imported:
    """Seconds of one organization's import, by feed."""

    seconds: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def two_organizations(*, people: int, days: int) -> tuple[Imported, Imported]:
    """Import two organizations of equal size, one after the other, next to existing rows."""
    tables = [
        *("integrations_costfact", "integrations_costtotal", "integrations_usagefact"),
        *("integrations_usagetotal", "integrations_meter", "integrations_person"),
    ]
    imports = []
    for number, slug in enumerate(("first", "second")):
        organization = Organization.objects.create(slug=slug, name=slug.capitalize())
        connection = Connection.objects.create(
            organization=organization, label=slug, connector_slug="claude-enterprise"
        )
        imports.append(_import(connection, people, days))
        if number == 0:
            with database.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                for table in tables:
                    cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
                    cursor.execute(f"ANALYZE {table}")
    with database.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")
    return imports[0], imports[1]


def _import(connection: Connection, people: int, days: int) -> Imported:
    took = {}
    for name in _FEEDS:
        feed = connection.connector.feed(name)
        assert feed is not None  # noqa: S101 - named above
        start = time.perf_counter()
        for window in Window(_DAY, _DAY + timedelta(days=days)).split(31):
            load(connection, feed, window, _pages(feed, window, people))
        took[name] = time.perf_counter() - start
    return Imported(took)


def _pages(feed: Feed, window: Window, people: int) -> Iterator[Page]:
    records: list[CostRecord | UsageRecord | TotalRecord] = []
    for day in window:
        records += _records(feed, day, people)
        while len(records) >= _PAGE:
            yield Page(tuple(records[:_PAGE]), midnight(window.end))
            del records[:_PAGE]
    yield Page(tuple(records), midnight(window.end))


def _records(
    feed: Feed, day: date, people: int
) -> Sequence[CostRecord | UsageRecord | TotalRecord]:
    """Return the records of a day: each person uses some meters, and the total is twice as high."""
    is_cost = "cost" in feed.name
    whole: dict[MeterKey, int] = dict.fromkeys(_METERS, people)
    lines: list[CostRecord | UsageRecord | TotalRecord] = []
    for number in range(people):
        person = PersonRef(f"user_{number}", f"user{number}@example.com", f"User {number}")
        for place in range(_METERS_OF_ONE):
            meter = _METERS[(number * 7 + place * 11 + day.day) % len(_METERS)]
            whole[meter] += 3
            if feed.grain == "person":
                lines.append(_record(is_cost, day, meter, person, 3))
    if feed.grain == "person":
        return lines
    measure = "effective_cost" if is_cost else "total_tokens"
    return [
        TotalRecord(day, measure, Decimal(sum(whole.values()))),
        *(_record(is_cost, day, meter, None, amount) for meter, amount in whole.items()),
    ]


def _record(
    is_cost: bool, day: date, meter: MeterKey, person: PersonRef | None, amount: int
) -> CostRecord | UsageRecord:
    if is_cost:
        return CostRecord(day, meter, person, Decimal(amount), Decimal(amount))
    return UsageRecord(day, meter, person, 1, 0, 0, 0, 0, amount, 0)
