"""A rollup says what the facts say, with fewer rows, whatever has happened to them."""

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import deletion
from integrations.connectors import get_connector
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    MeterKey,
    Page,
    PersonRef,
    UsageRecord,
)
from integrations.loading import load
from integrations.models import (
    ActivityByDay,
    ActivityByPerson,
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    EngagementFact,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
)
from integrations.window import Window
from tests.factories import activity, cost, make_connection, make_organization, make_person, usage

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")
ORGANIZATION_COST = CONNECTOR.feed("organization_cost")
USER_COST = CONNECTOR.feed("user_cost")
USER_USAGE = CONNECTOR.feed("user_usage")
USERS = CONNECTOR.feed("users")

FIRST, SECOND = date(2026, 8, 1), date(2026, 8, 2)
DAYS = Window(FIRST, date(2026, 8, 3))
EXPORT = datetime(2026, 8, 20, 8, tzinfo=UTC)
METERS = [
    MeterKey(product="chat", model="claude-sonnet-4-6"),
    MeterKey(product="claude_code", model="claude-opus-4-6"),
    MeterKey(product="chat", model="claude-sonnet-4-6", workspace_id="wrkspc_1"),
]
PEOPLE = [PersonRef("user_jane"), PersonRef("user_omar")]
AMOUNTS = st.decimals("0", "99999999", places=8)
LEDGERS = st.dictionaries(
    st.tuples(st.sampled_from([FIRST, SECOND]), st.sampled_from(METERS), st.sampled_from(PEOPLE)),
    st.tuples(AMOUNTS, st.none() | AMOUNTS, st.none() | st.integers(0, 2**40)),
    max_size=12,
)
WHOLE = st.dictionaries(
    st.tuples(st.sampled_from([FIRST, SECOND]), st.sampled_from(METERS)),
    st.tuples(AMOUNTS, st.none() | AMOUNTS),
    max_size=6,
)
COST = ("effective_cost", "list_cost")
USAGE = (
    "requests",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "web_searches",
)


@pytest.fixture
def connection():
    return make_connection(make_organization())


@pytest.fixture
def fresh_connection():
    """Create a new connection for every example of hypothesis."""
    organization = make_organization()

    def fresh() -> Connection:
        return make_connection(organization, label=f"org-{organization.connections.count()}")

    return fresh


def added_up(model, measures, key, connection):
    """Sum the facts in plain Python; one unknown value makes a sum unknown."""
    parts = defaultdict(list)
    for fact in model.objects.filter(connection=connection).select_related("meter", "person"):
        parts[key(fact)].append([getattr(fact, name) for name in measures])
    return {
        group: tuple(None if None in column else sum(column) for column in zip(*rows, strict=True))
        for group, rows in parts.items()
    }


def stored(rollup, measures, key, connection):
    rows = list(rollup.objects.filter(connection=connection))
    sums = {key(row): tuple(getattr(row, name) for name in measures) for row in rows}
    assert len(sums) == len(rows)
    return sums


def by_meter(row):
    return row.day, row.meter_id


def fact_by_person(fact):
    person = fact.person.external_id if fact.person else ""
    return fact.day, fact.person_id, fact.meter.workspace_id or person


def by_person(row):
    return row.day, row.person_id, row.project_id


def assert_equal_to_the_facts(connection):
    for fact, measures, meters, people in (
        (CostFact, COST, CostByMeter, CostByPerson),
        (UsageFact, USAGE, UsageByMeter, UsageByPerson),
    ):
        assert stored(meters, measures, by_meter, connection) == added_up(
            fact, measures, by_meter, connection
        )
        assert stored(people, measures, by_person, connection) == added_up(
            fact, measures, fact_by_person, connection
        )


def test_a_rollup_adds_up_people_and_one_adds_up_meters(connection):
    jane, omar = make_person(connection, "user_jane"), make_person(connection, "user_omar")
    cost(connection, FIRST, "1.25", person=jane, product="chat")
    cost(connection, FIRST, "2.50", person=omar, product="chat")
    cost(connection, FIRST, "4", person=omar, product="cowork", list_amount=None)
    cost(connection, FIRST, "8", product="cowork")

    assert {
        (r.meter.product, r.effective_cost, r.list_cost) for r in CostByMeter.objects.all()
    } == {
        ("chat", Decimal("3.75"), Decimal("3.75")),
        ("cowork", Decimal(12), None),
    }
    assert {(r.project_id, r.effective_cost, r.list_cost) for r in CostByPerson.objects.all()} == {
        ("user_jane", Decimal("1.25"), Decimal("1.25")),
        ("user_omar", Decimal("6.50"), None),
        ("", Decimal(8), Decimal(8)),
    }


def test_counts_that_only_fit_one_by_one_add_up(connection):
    biggest = 2**63 - 1
    for name in ("user_jane", "user_omar"):
        usage(connection, FIRST, person=make_person(connection, name), output_tokens=biggest)

    assert UsageByMeter.objects.get().output_tokens == 2 * biggest


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ledgers=st.lists(st.tuples(WHOLE, LEDGERS), min_size=1, max_size=3))
def test_rollups_equal_the_facts_after_any_history(fresh_connection, ledgers):
    connection = fresh_connection()
    for number, (whole, ledger) in enumerate(ledgers):
        export = datetime(2026, 8, 20, number, tzinfo=UTC)
        lines = [CostRecord(d, m, None, *amounts) for (d, m), amounts in whole.items()]
        theirs = [CostRecord(*key, paid, listed) for key, (paid, listed, _) in ledger.items()]
        counts = [
            UsageRecord(*key, count, 1, 2, 3, 4, 2**40, 0) for key, (_, _, count) in ledger.items()
        ]
        for feed, records in (
            (USER_COST, theirs),
            (ORGANIZATION_COST, lines),
            (USER_USAGE, counts),
        ):
            load(connection, feed, DAYS, [Page(tuple(records), export)])
            assert_equal_to_the_facts(connection)


def test_a_load_that_fails_leaves_facts_and_rollups_as_they_were(connection, monkeypatch):
    def page(amount):
        return [Page((CostRecord(FIRST, METERS[0], PEOPLE[0], Decimal(amount), None),), EXPORT)]

    load(connection, USER_COST, DAYS, page("1"))

    def broken(*args):
        raise RuntimeError("the server went away")

    monkeypatch.setattr("integrations.loading._mark_days", broken)
    with pytest.raises(RuntimeError):
        load(connection, USER_COST, DAYS, page("2"))

    assert CostFact.objects.get().effective_cost == Decimal(1)
    assert_equal_to_the_facts(connection)


def test_a_day_that_vanished_upstream_vanishes_from_the_rollups(connection):
    record = CostRecord(FIRST, METERS[0], PEOPLE[0], Decimal(1), Decimal(1))
    load(connection, USER_COST, DAYS, [Page((record,), EXPORT)])
    load(connection, USER_COST, DAYS, [Page((), EXPORT.replace(hour=9))])

    assert not CostByMeter.objects.exists()
    assert not CostByPerson.objects.exists()


# --- What people did ---------------------------------------------------------------------------
CHAT, ACTIONS = "chat_metrics.message_count", "cowork_metrics.action_count"


def did(connection, day, *documents):
    """Load what people did on a day: pairs of a person and a document."""
    records = tuple(
        EngagementRecord(day, who.external_id, who, {k: Decimal(v) for k, v in values.items()})
        for who, values in documents
    )
    load(connection, USERS, Window(day, day.replace(day=day.day + 1)), [Page(records, None)])


def days():
    return {row.day: row.values for row in ActivityByDay.objects.all()}


def people():
    rows = ActivityByPerson.objects.select_related("person")
    return {(row.day, row.person.external_id): row.surfaces for row in rows}


def test_documents_of_a_day_add_up_path_by_path(connection):
    jane, omar = PEOPLE
    did(connection, FIRST, (jane, {CHAT: "2", ACTIONS: "0"}), (omar, {CHAT: "0.5", ACTIONS: "7"}))
    did(connection, SECOND, (jane, {CHAT: "0", ACTIONS: "0"}))

    assert days() == {
        FIRST: {CHAT: Decimal("2.5"), ACTIONS: 7},
        SECOND: {CHAT: 0, ACTIONS: 0},
    }
    assert people() == {
        (FIRST, "user_jane"): ["chat"],
        (FIRST, "user_omar"): ["chat", "cowork"],
        (SECOND, "user_jane"): [],  # there, and idle
    }


def test_a_path_that_one_document_lacks_has_no_sum(connection):
    jane, omar = PEOPLE
    did(connection, FIRST, (jane, {CHAT: "2"}), (omar, {CHAT: "1", ACTIONS: "7"}))
    did(connection, SECOND, (jane, {}))

    assert days() == {FIRST: {CHAT: 3}, SECOND: {}}
    assert people()[FIRST, "user_jane"] == ["chat"]


def test_what_is_read_again_is_added_up_again(connection):
    jane, omar = PEOPLE
    did(connection, FIRST, (jane, {CHAT: "2"}), (omar, {CHAT: "1"}))
    did(connection, FIRST, (omar, {CHAT: "5"}))

    assert days() == {FIRST: {CHAT: 5}}
    assert people() == {(FIRST, "user_omar"): ["chat"]}


def test_the_whole_organization_has_no_rollup_of_activity(connection):
    values = {"daily_active_user_count": Decimal(7)}
    page = Page((EngagementRecord(FIRST, "", None, values),), None)
    load(connection, CONNECTOR.feed("summaries"), Window(FIRST, SECOND), [page])

    assert EngagementFact.objects.exists()
    assert not ActivityByDay.objects.exists()


def test_an_erased_connection_leaves_no_rollup(connection):
    activity(connection, FIRST, person=make_person(connection), chat_metrics__message_count=1)
    cost(connection, FIRST, "1")
    usage(connection, FIRST, output_tokens=1)
    kept = make_connection(connection.organization, "kept")
    cost(kept, FIRST, "2")
    Connection.objects.filter(pk=connection.pk).update(state=Connection.State.DELETING)

    deletion.delete_history(connection.pk)

    assert [row.connection for row in CostByMeter.objects.all()] == [kept]
    assert [row.connection for row in CostByPerson.objects.all()] == [kept]
    assert not UsageByMeter.objects.exists()
    assert not UsageByPerson.objects.exists()
    assert not ActivityByDay.objects.exists()
    assert not ActivityByPerson.objects.exists()


def test_unified_activity_tag_and_science_count_as_surfaces():
    connection = make_connection(make_organization())
    unified = "chat_cowork_unified_metrics__chat__message_count"
    ann, zoe = make_person(connection, "user_ann"), make_person(connection, "user_zoe")
    activity(connection, "2026-11-01", person=ann, chat_metrics__message_count=2)
    activity(
        connection,
        "2026-11-01",
        person=zoe,
        chat_metrics__message_count=0,
        science_metrics__message_count=1,
        claude_tag_metrics__active_message_count=4,
        **{unified: 8},
    )

    assert _rolled_up(connection) == (
        {
            "chat_metrics.message_count": 2,
            unified.replace("__", "."): 8,
            "claude_tag_metrics.active_message_count": 4,
        },
        {ann.pk: ["chat"], zoe.pk: ["chat", "claude_tag", "science"]},
    )


def _rolled_up(connection):
    people = ActivityByPerson.objects.filter(connection=connection)
    return (
        ActivityByDay.objects.get(connection=connection).values,
        {row.person_id: sorted(row.surfaces) for row in people},
    )
