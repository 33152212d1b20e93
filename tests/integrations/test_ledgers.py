"""Random ledgers, pages, faults and restatements: in the end the facts are the ledger."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import sync
from integrations.connectors.base import Feed, SnapshotMoved, Table, TransientError
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.connectors.records import CostRecord, MeterKey, Page, PersonRef, TotalRecord
from integrations.encryption import Secret
from integrations.exact import EXACT
from integrations.models import CostFact, FeedDay, Restatement, SyncRun
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

DAYS = Window(date(2026, 9, 1), date(2026, 9, 6))
# Two pairs that a database would take for one, or not take at all; model and name tell them apart.
CODE, CHAT = MeterKey(product="claude_code", model="code"), MeterKey(product="chat", model="chat")
LONG = MeterKey(product=f"{'long ' * 800}a", model="long")
NEAR_DUPLICATE = MeterKey(product=f"{'long ' * 800}b", model="twin")
JANE, OMAR = PersonRef("user_\ud800", name="Jane"), PersonRef("user_\udbff\0", name="Omar")
FAULTS = (
    None,
    SnapshotMoved("Moved.", code="snapshot_moved"),
    TransientError("Down.", code="outage"),
    TransientError("Busy.", code="rate_limited", retry_after_seconds=5),
    "another export",
    "a page twice",
)

# Any number of decimals, and parts of one key: what the API may send beside what it documents.
AMOUNTS = st.decimals("0.00000001", "9999999", places=8) | st.decimals("0.1", "9", places=40)
LEDGERS = st.dictionaries(
    st.tuples(
        st.sampled_from(list(DAYS)),
        st.sampled_from([CODE, CHAT, LONG, NEAR_DUPLICATE]),
        st.sampled_from([None, JANE, OMAR]),
    ),
    AMOUNTS,
    max_size=15,
)


SPLIT = Decimal("0.000000001")  # every line of a person comes in two rows


@dataclass
class Provider:
    """Answers from a ledger, in pages, and not always well."""

    ledger: dict[Any, Decimal] = field(default_factory=dict)
    export: datetime = datetime(2026, 9, 20, tzinfo=UTC)
    size: int = 2
    faults: list[Any] = field(default_factory=list)

    def feeds(self):
        common = {
            "table": Table.COST,
            "refresh_days": lambda today: DAYS,
            "closes_on": lambda day: date(2027, 1, 1),
        }
        return (
            Feed(
                name="whole",
                label="Whole",
                grain="total",
                window_days=3,
                read=self.whole,
                **common,
            ),
            Feed(
                name="people",
                label="People",
                grain="person",
                window_days=2,
                read=self.people,
                **common,
            ),
        )

    def whole(self, client, window):
        sums, totals = {}, {}
        for (day, meter, _), amount in self.ledger.items():
            if day in window:
                sums[day, meter] = EXACT.add(sums.get((day, meter), 0), amount)
                totals[day] = EXACT.add(totals.get(day, 0), amount)
        yield from self.pages(
            [TotalRecord(day, "effective_cost", Decimal(totals.get(day, 0))) for day in window]
            + [CostRecord(*key, None, amount, amount) for key, amount in sums.items()]
        )

    def people(self, client, window):
        yield from self.pages(
            [
                CostRecord(day, meter, person, part, part)
                for (day, meter, person), amount in self.ledger.items()
                if person and day in window
                for part in (EXACT.subtract(amount, SPLIT), SPLIT)
            ]
        )

    def pages(self, records):
        cuts = [records[at : at + self.size] for at in range(0, len(records), self.size)] or [[]]
        for cut in cuts:
            fault = self.faults.pop() if self.faults else None
            if isinstance(fault, Exception):
                raise fault
            export = self.export
            if fault == "another export":
                export += timedelta(hours=4)
            yield Page(tuple(cut), export)
            if fault == "a page twice":
                yield Page(tuple(cut), export)


def read_all(connection):
    """Plan a run and work it off to its end, however often something has to wait."""
    run = sync.plan(connection, SyncRun.Kind.MANUAL, DAYS)
    for _ in range(200):
        window = sync.claim(run, now=timezone.now() + timedelta(hours=1))
        if window is None:
            break
        sync.run_window(window)
    run.refresh_from_db()
    assert run.state == SyncRun.State.DONE


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ledgers=st.lists(LEDGERS, min_size=1, max_size=3),
    size=st.integers(1, 6),
    faults=st.lists(st.sampled_from(FAULTS), max_size=12),
)
def test_whatever_happens_on_the_way_the_facts_are_the_ledger(
    tenant, monkeypatch, ledgers, size, faults
):
    provider = Provider(size=size, faults=faults)
    monkeypatch.setattr(ClaudeEnterprise, "feeds", provider.feeds())
    monkeypatch.setattr(ClaudeEnterprise, "open", lambda self, access: nullcontext())
    connection = make_connection(
        tenant, f"org-{tenant.connections.count()}", credential=Secret("sk-ant-api01-any")
    )
    before, moved = None, set()
    for ledger in ledgers:
        if before is not None:
            moved = {
                day
                for day in DAYS
                if {k: v for k, v in before.items() if k[0] == day}
                != {k: v for k, v in ledger.items() if k[0] == day}
            }
        provider.ledger = before = ledger
        provider.export += timedelta(hours=8)
        Restatement.objects.all().delete()

        read_all(connection)

        facts = CostFact.objects.filter(connection=connection).select_related("meter", "person")
        stored = {
            (f.day, f.meter.model, f.person and f.person.name): f.effective_cost for f in facts
        }
        assert stored == {
            (day, meter.model, person and person.name): amount
            for (day, meter, person), amount in ledger.items()
        }
        assert all(check.agrees for check in connection.checks.all())
        assert connection.checks.count() == len(DAYS)
        assert FeedDay.objects.filter(connection=connection).count() == 2 * len(DAYS)
        assert set(Restatement.objects.values_list("day", flat=True)) == moved

    settled = list(facts.order_by("pk").values())
    read_all(connection)  # the same export again
    assert list(facts.order_by("pk").values()) == settled


@pytest.fixture
def tenant():
    return make_organization()
