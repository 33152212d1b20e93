"""However facts are cut, the parts add up to the whole, to the last decimal."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.connectors.base import Table
from integrations.loading.rollups import roll_up
from integrations.models import CostFact, UsageFact
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import DIMENSIONS, Source
from reports.engine.spec import ReportSpec
from tests.factories import make_connection, make_meter, make_person

WINDOW = Window(date(2026, 10, 1), date(2026, 12, 1))

DAYS = [date(2026, 9, 30), date(2026, 10, 1), date(2026, 11, 1), date(2026, 11, 30)]
AMOUNTS = st.decimals("-1000", "100000", places=12)
LINES = st.dictionaries(
    st.tuples(
        st.sampled_from(DAYS),
        st.sampled_from(["", "chat", "claude_code"]),
        st.sampled_from(["", "opus", "haiku"]),
        st.sampled_from(["", "user_a", "user_b"]),
    ),
    st.tuples(AMOUNTS, st.integers(0, 2**62)),
    max_size=25,
)
CUTS = st.lists(
    st.sampled_from([n for n, d in DIMENSIONS.items() if {Source.COST, Source.USAGE} <= d.sources]),
    max_size=3,
    unique=True,
)


def _key(name: str, day: date, product: str, model: str, person: str) -> object:
    """Return the key of a line, worked out in plain Python."""
    return {
        "day": day,
        "week": day - timedelta(days=day.isoweekday() - 1),
        "month": date(day.year, day.month, 1),
        "quarter": date(day.year, {9: 7, 10: 10, 11: 10}[day.month], 1),
        "provider": "Anthropic (Analytics API)",
        "billing_account": "my-org",
        "currency": "USD",
        "project_id": person,
        "service": product,
        "sku": model,
        "user_id": person,
        "user_email": f"{person}@example.com" if person else "",
        "user_name": f"The {person}" if person else "",
        "user_state": "active" if person else "",
    }.get(name, "")


@pytest.fixture
def people(organization):
    connection = make_connection(organization)
    return {
        "": None,
        **{
            name: make_person(connection, name, email=f"{name}@example.com", name=f"The {name}")
            for name in ("user_a", "user_b")
        },
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=LINES, group_by=CUTS)
def test_every_cut_equals_the_sums_of_plain_python(organization, people, lines, group_by):
    connection = people["user_a"].connection
    CostFact.objects.all().delete()
    UsageFact.objects.all().delete()
    meters = {
        (product, model): make_meter(connection, product=product, model=model)
        for _, product, model, _ in lines
    }
    costs: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    tokens: dict[tuple[object, ...], int] = defaultdict(int)
    for (day, product, model, person), (amount, count) in lines.items():
        line = {
            "connection": connection,
            "day": day,
            "meter": meters[product, model],
            "person": people[person],
        }
        CostFact.objects.create(**line, effective_cost=amount, list_cost=amount)
        UsageFact.objects.create(
            **line,
            requests=1,
            uncached_input_tokens=0,
            cache_read_tokens=0,
            cache_write_5m_tokens=0,
            cache_write_1h_tokens=0,
            output_tokens=count,
            web_searches=0,
        )
        if day in WINDOW:
            keys = tuple(_key(name, day, product, model, person) for name in group_by)
            costs[keys] += amount
            tokens[keys] += count

    for table in (Table.COST, Table.USAGE):
        roll_up(connection, table, DAYS)

    report = engine.run(
        organization, ReportSpec(("cost", "output_tokens"), WINDOW, tuple(group_by))
    )

    if group_by:
        assert {row.keys: row.values for row in report.rows} == {
            keys: (costs[keys], tokens[keys]) for keys in costs
        }
        assert [row.keys for row in report.rows] == sorted(costs)
    whole = (sum(costs.values()), sum(tokens.values())) if costs else (None, None)
    assert report.totals == whole
