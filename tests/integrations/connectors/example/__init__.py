"""The smallest connector there can be: one feed that needs no network. Nothing else knows it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from integrations.connectors.base import Access, ActionNeeded, Check, Connector, Feed, Probe, Table
from integrations.connectors.records import CostRecord, MeterKey, Page, TotalRecord
from integrations.window import Window

PRICE_USD = Decimal("0.37")  # of every day


def read_cost(client: None, window: Window) -> Iterator[Page]:
    meter = MeterKey(product="example_product", model="example-1", workspace_id="room-1")
    read_at = datetime.now(UTC)
    yield Page(tuple(TotalRecord(day, "amount_usd", PRICE_USD) for day in window), read_at)
    yield Page(tuple(CostRecord(day, meter, None, PRICE_USD, None) for day in window), read_at)


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
        Feed(
            name="cost",
            label="Cost",
            table=Table.COST,
            grain="total",
            window_days=31,
            refresh_days=lambda today: Window.last(3, today=today),
            closes_on=lambda day: day + timedelta(days=2),
            read=read_cost,
        ),
    )

    def check_key(self, key: str) -> None:
        if not key.startswith(self.key_prefix):
            raise ActionNeeded("This is not an Example key.", code="wrong_key_kind", repair="Ask.")

    def open(self, access: Access) -> AbstractContextManager[None]:
        return nullcontext()

    def probe(self, access: Access, *, today: date) -> Probe:
        return Probe("example-org", (Check("Key accepted", "passed"),))

    def earliest_day(self, today: date) -> date:
        return today - timedelta(days=90)

    def sandbox(self) -> None:
        raise NotImplementedError("There is no network to stand in for.")
