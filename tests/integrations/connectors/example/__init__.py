"""The smallest connector there can be: two feeds that need no network. Nothing else knows it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from integrations.connectors.base import (
    Access,
    ActionNeeded,
    ActivityMetric,
    Attribute,
    Catalog,
    Check,
    Connector,
    DocumentDimensions,
    Feed,
    Preset,
    Probe,
    Product,
    Table,
)
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    MeterKey,
    Page,
    TotalRecord,
)
from integrations.window import Window

PRICES_EUR = {"window": Decimal("0.30"), "corner": Decimal("0.07")}  # of every day, by desk


def read_cost(client: None, window: Window) -> Iterator[Page]:
    read_at = datetime.now(UTC)
    total = sum(PRICES_EUR.values(), Decimal())
    yield Page(tuple(TotalRecord(day, "effective_cost", total) for day in window), read_at)
    yield Page(tuple(_cost(day, desk) for day in window for desk in PRICES_EUR), read_at)


def _cost(day: date, desk: str) -> CostRecord:
    meter = MeterKey(
        product="example_product",
        model="example-1",
        workspace_id="room-1",
        attributes=(("example_desk", desk),),
    )
    return CostRecord(day, meter, None, PRICES_EUR[desk], None)


def read_greetings(client: None, window: Window) -> Iterator[Page]:
    greetings = {"hello": 4, "goodbye": 1}
    records = tuple(
        EngagementRecord(day, word, None, {"greeting.count": count}, name=word.title())
        for day in window
        for word, count in greetings.items()
    )
    yield Page(records, datetime.now(UTC))


def a_feed(name: str, label: str, table: Table, read: Any) -> Feed:
    return Feed(
        name=name,
        label=label,
        table=table,
        grain="total",
        window_days=31,
        refresh_days=lambda today: Window.last(3, today=today),
        closes_on=lambda day: day + timedelta(days=2),
        read=read,
    )


class Example(Connector):
    slug = "example"
    name = "Example (Tests)"
    publisher = "Example"
    summary = "Thirty-seven cents a day"
    tab = "Others"
    icon = "con"
    key_label = "Example Key"
    key_prefix = "example-"
    base_url = "https://example.invalid"
    requests_per_minute = 0
    feeds = (
        a_feed("cost", "Cost", Table.COST, read_cost),
        a_feed("example_greetings", "Greetings", Table.ENGAGEMENT, read_greetings),
    )
    catalog = Catalog(
        metrics=(
            ActivityMetric(
                "example_greetings",
                "Greetings",
                "How often a greeting was said.",
                paths=("greeting.count",),
                feeds=("example_greetings",),
                section="Greetings",
            ),
        ),
        document_dimensions=(
            DocumentDimensions("example_greetings", "example_greetings", subject="item"),
        ),
        dimensions={"cost": frozenset({"service", "sku", "workspace_id", "project_id"})},
        attributes=(
            Attribute(
                "example_desk",
                "Desk",
                "The desk where the question was asked.",
                values={"window": "By the window"},
                tables=frozenset({Table.COST}),
                is_price_driver=True,
            ),
        ),
        products={"example_product": Product("Example product", color=1)},
        presets=(Preset("Spend by desk", "Cost of 30 days by desk.", "group_by=example_desk"),),
    )

    def check_key(self, key: str) -> None:
        if not key.startswith(self.key_prefix):
            raise ActionNeeded("This is not an Example key.", code="wrong_key_kind", repair="Ask.")

    def open(self, access: Access) -> AbstractContextManager[None]:
        return nullcontext()

    def probe(self, access: Access, *, today: date) -> Probe:
        return Probe("example-org", (Check("Key accepted", "passed"),), currency="EUR")

    def earliest_day(self, today: date) -> date:
        return today - timedelta(days=90)
