"""Writing is replacing: stored days equal what was sent, and sum to the provider's total."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from decimal import Context, Decimal

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from integrations.connectors import get_connector
from integrations.connectors.base import Feed, PayloadError, SnapshotMoved, Table
from integrations.connectors.records import (
    CostRecord,
    EngagementRecord,
    KeptOut,
    MeterKey,
    Page,
    PersonRef,
    ResourceRef,
    TotalRecord,
    UsageRecord,
)
from integrations.loading import Loaded, load
from integrations.loading.spool import stored_person, stored_resource
from integrations.models import (
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    CostTotal,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    Person,
    Resource,
    Restatement,
    UsageFact,
)
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")
ORGANIZATION_COST = CONNECTOR.feed("organization_cost")
USER_COST = CONNECTOR.feed("user_cost")
USER_USAGE = CONNECTOR.feed("user_usage")
USERS = CONNECTOR.feed("users")

NAMES = Feed(
    name="names",
    label="Names",
    table=Table.NAMES,
    grain="total",
    window_days=1,
    refresh_days=lambda today: Window.last(1, today=today),
    closes_on=lambda day: day,
    read=lambda client, window: iter(()),
)

FIRST, SECOND = date(2026, 8, 1), date(2026, 8, 2)
DAYS = Window(FIRST, date(2026, 8, 3))
EXPORT = datetime(2026, 8, 20, 8, tzinfo=UTC)
LATER_EXPORT = datetime(2026, 8, 20, 12, tzinfo=UTC)
CODE = MeterKey(product="claude_code", model="claude-opus-4-6")
CHAT = MeterKey(product="chat", model="claude-sonnet-4-6")
JANE = PersonRef("user_jane", "jane@example.com", "Jane Smith")
OMAR = PersonRef("user_omar", "omar@example.com", "Omar Haddad")


@pytest.fixture
def connection():
    return make_connection(make_organization())


def line(day, meter, amount, person=None, list_amount=None):
    return CostRecord(day, meter, person, Decimal(amount), Decimal(list_amount or amount))


def tokens(day, meter, person, *, output, requests=1):
    return UsageRecord(day, meter, person, requests, 0, 0, 0, 0, output, 0)


def pages(*records, watermark=EXPORT, size=100):
    """Split the records into pages, as a provider would send them."""
    chunks = [records[at : at + size] for at in range(0, len(records), size)] or [()]
    return [Page(tuple(chunk), watermark) for chunk in chunks]


def costs(connection):
    """(day, product, person, dollars) of every stored fact."""
    return {
        (fact.day, fact.meter.product, fact.person and fact.person.external_id): fact.effective_cost
        for fact in CostFact.objects.filter(connection=connection).select_related("meter", "person")
    }


def test_people_and_the_rest_sum_to_the_organization_line(connection):
    load(connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "10.5")))
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "4.25", JANE)))

    assert costs(connection) == {
        (FIRST, "claude_code", "user_jane"): Decimal("4.25"),
        (FIRST, "claude_code", None): Decimal("6.25"),
    }


def test_the_order_of_the_two_feeds_makes_no_difference(connection):
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "4.25", JANE)))
    assert costs(connection) == {(FIRST, "claude_code", "user_jane"): Decimal("4.25")}

    load(connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "10.5")))

    assert costs(connection)[(FIRST, "claude_code", None)] == Decimal("6.25")


def test_an_unknown_list_price_makes_the_rest_unknown_and_not_zero(connection):
    whole = CostRecord(FIRST, CODE, None, Decimal("10"), None)
    load(connection, ORGANIZATION_COST, DAYS, pages(whole))
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "4", JANE)))

    rest = CostFact.objects.get(connection=connection, person=None)
    assert (rest.effective_cost, rest.list_cost) == (Decimal("6"), None)


def test_reading_the_same_again_writes_nothing(connection):
    records = [line(FIRST, CODE, "1.5", JANE), line(SECOND, CHAT, "2", OMAR)]
    load(connection, USER_COST, DAYS, pages(*records))
    before = list(CostFact.objects.order_by("pk").values())

    again = load(connection, USER_COST, DAYS, pages(*reversed(records), watermark=LATER_EXPORT))

    assert (again.rows_written, again.changed) == (0, ())
    assert list(CostFact.objects.order_by("pk").values()) == before
    assert {day.watermark for day in FeedDay.objects.all()} == {LATER_EXPORT}


def test_the_same_export_is_recognized_on_its_first_page(connection):
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1.5", JANE)))

    def first_page_only():
        yield Page((), EXPORT)
        raise AssertionError("asked for a second page")

    assert load(connection, USER_COST, DAYS, first_page_only()) == Loaded(
        0, 0, EXPORT, (), unchanged_export=True
    )


def test_only_the_day_that_moved_is_written(connection):
    load(
        connection,
        USER_COST,
        DAYS,
        pages(line(FIRST, CODE, "1", JANE), line(SECOND, CODE, "2", JANE)),
    )
    kept = CostFact.objects.get(day=FIRST).pk

    moved = load(
        connection,
        USER_COST,
        DAYS,
        pages(line(FIRST, CODE, "1", JANE), line(SECOND, CODE, "3", JANE), watermark=LATER_EXPORT),
    )

    assert moved.changed == (SECOND,)
    assert CostFact.objects.get(day=FIRST).pk == kept


def test_what_vanished_upstream_vanishes_here(connection):
    load(
        connection,
        USER_COST,
        DAYS,
        pages(line(FIRST, CODE, "1", JANE), line(FIRST, CODE, "2", OMAR)),
    )

    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", JANE), watermark=LATER_EXPORT))

    assert costs(connection) == {(FIRST, "claude_code", "user_jane"): Decimal("1")}


def test_a_restated_day_keeps_what_it_said_before(connection):
    load(
        connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "10"), line(FIRST, CHAT, "5"))
    )

    load(
        connection,
        ORGANIZATION_COST,
        DAYS,
        pages(line(FIRST, CODE, "10"), line(FIRST, CHAT, "7.5"), watermark=LATER_EXPORT),
    )

    moved = Restatement.objects.get(measure="effective_cost")
    assert moved.day == FIRST
    assert (moved.old, moved.new) == (Decimal("15"), Decimal("17.5"))
    assert (moved.old_watermark, moved.new_watermark) == (EXPORT, LATER_EXPORT)
    assert moved.meters == [{"meter": "chat · claude-sonnet-4-6", "old": "5", "new": "7.5"}]


def restate(connection, feed, before, after):
    load(connection, feed, DAYS, pages(*before))
    load(connection, feed, DAYS, pages(*after, watermark=LATER_EXPORT))
    return {row.measure: row for row in Restatement.objects.filter(connection=connection)}


def test_a_list_price_that_moves_alone_is_a_restatement_of_its_own(connection):
    moved = restate(
        connection,
        ORGANIZATION_COST,
        [line(FIRST, CODE, "10", list_amount="12")],
        [line(FIRST, CODE, "10", list_amount="11")],
    )

    assert moved.keys() == {"list_cost"}
    assert moved["list_cost"].change == Decimal("-1")


def test_a_list_price_that_becomes_known_was_not_zero_before(connection):
    unknown = CostRecord(FIRST, CODE, None, Decimal("10"), None)
    moved = restate(connection, ORGANIZATION_COST, [unknown], [line(FIRST, CODE, "10")])

    restatement = moved["list_cost"]
    assert (restatement.old, restatement.new, restatement.change) == (None, Decimal("10"), None)
    assert restatement.meters[0]["old"] is None


def test_what_vanishes_from_a_complete_day_is_a_restatement(connection):
    moved = restate(
        connection,
        USER_COST,
        [line(FIRST, CODE, "10", JANE), line(FIRST, CHAT, "3", OMAR)],
        [line(FIRST, CODE, "10", JANE)],
    )

    restatement = moved["effective_cost"]
    assert (restatement.old, restatement.new, restatement.people) == (
        Decimal("13"),
        Decimal("10"),
        1,
    )
    assert restatement.meters == [{"meter": "chat · claude-sonnet-4-6", "old": "3", "new": "0"}]


def test_reattributed_numbers_are_a_restatement_without_a_changed_sum(connection):
    moved = restate(
        connection,
        USER_COST,
        [line(FIRST, CODE, "10", JANE)],
        [line(FIRST, CODE, "4", JANE), line(FIRST, CODE, "6", OMAR)],
    )

    restatement = moved["effective_cost"]
    assert (restatement.old, restatement.new, restatement.meters, restatement.people) == (
        Decimal(10),
        Decimal(10),
        [],
        2,
    )


def test_tokens_and_requests_are_restated_each_for_itself(connection):
    moved = restate(
        connection,
        USER_USAGE,
        [tokens(FIRST, CHAT, JANE, output=7, requests=1)],
        [tokens(FIRST, CHAT, JANE, output=9, requests=2)],
    )

    assert {name: row.change for name, row in moved.items()} == {
        "total_tokens": Decimal(2),
        "requests": Decimal(1),
    }


def test_activity_that_moves_names_its_paths_and_has_no_sum(connection):
    day = Window(FIRST, SECOND)

    def read(messages):
        values = {"chat.messages": messages, "chat.files": 1}
        record = EngagementRecord(FIRST, "user_jane", JANE, values)
        load(connection, USERS, day, pages(record, watermark=None))

    read(3)
    read(5)

    restatement = Restatement.objects.get()
    assert (restatement.measure, restatement.old, restatement.new) == ("activity", None, None)
    assert restatement.meters == [{"meter": "chat.messages", "old": "3", "new": "5"}]


def test_an_older_export_than_the_stored_one_changes_nothing(connection):
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "2", JANE), watermark=LATER_EXPORT))

    late = load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", JANE)))

    assert late.changed == ()
    assert costs(connection) == {(FIRST, "claude_code", "user_jane"): Decimal("2")}
    assert FeedDay.objects.get(day=FIRST).watermark == LATER_EXPORT


def test_a_day_still_filling_is_not_a_restatement(connection):
    noon = datetime(2026, 8, 1, 12, tzinfo=UTC)
    load(connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "4"), watermark=noon))
    load(connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "9")))

    assert not Restatement.objects.exists()


def test_the_state_of_a_day_follows_the_export(connection):
    noon_of_the_second = datetime(2026, 8, 2, 12, tzinfo=UTC)
    load(connection, USER_COST, DAYS, pages(watermark=noon_of_the_second))
    states = dict(FeedDay.objects.values_list("day", "state"))
    assert states == {FIRST: "provisional", SECOND: "incomplete"}

    # August closes on 8 September, and 1 August was 30 days old before that.
    closed = datetime(2026, 9, 8, tzinfo=UTC)
    load(connection, USER_COST, DAYS, pages(watermark=closed))
    assert dict(FeedDay.objects.values_list("day", "state")) == {FIRST: "final", SECOND: "final"}


def test_no_export_means_unknown_and_not_zero(connection):
    load(connection, ORGANIZATION_COST, DAYS, pages(watermark=None))

    assert not FeedDay.objects.exists()


def test_lines_of_an_export_without_a_date_are_kept_and_the_other_days_stay_unknown(connection):
    load(connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "1"), watermark=None))

    assert costs(connection) == {(FIRST, "claude_code", None): Decimal("1")}
    assert list(FeedDay.objects.values_list("day", flat=True)) == [FIRST]


def test_a_day_without_lines_inside_the_export_is_a_known_zero(connection):
    load(connection, ORGANIZATION_COST, DAYS, pages(line(FIRST, CODE, "1")))

    assert FeedDay.objects.get(day=SECOND).rows == 0


def test_totals_are_checked_against_what_is_stored(connection):
    load(
        connection,
        ORGANIZATION_COST,
        DAYS,
        pages(
            TotalRecord(FIRST, "effective_cost", Decimal("10.00000001")), line(FIRST, CODE, "10")
        ),
    )
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "4", JANE)))

    check = DayCheck.objects.get()
    assert (check.reported, check.stored) == (Decimal("10.00000001"), Decimal("10"))


def total(value, day=FIRST, measure="effective_cost"):
    return TotalRecord(day, measure, Decimal(value))


def test_a_check_follows_the_export_that_confirms_it(connection):
    lines = [total("10"), line(FIRST, CODE, "10")]
    load(connection, ORGANIZATION_COST, DAYS, pages(*lines))
    assert DayCheck.objects.get().watermark == EXPORT

    load(connection, ORGANIZATION_COST, DAYS, pages(*lines, watermark=LATER_EXPORT))

    assert DayCheck.objects.get().watermark == LATER_EXPORT


def test_people_with_more_than_the_organization_are_an_excess_until_both_agree(connection):
    load(connection, ORGANIZATION_COST, DAYS, pages(total("10"), line(FIRST, CODE, "10")))
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "12.5", JANE)))

    check = DayCheck.objects.get()
    assert (check.difference, check.excess, check.agrees) == (0, Decimal("2.5"), False)
    assert list(DayCheck.objects.failing()) == [check]

    load(
        connection,
        ORGANIZATION_COST,
        DAYS,
        pages(total("12.5"), line(FIRST, CODE, "12.5"), watermark=LATER_EXPORT),
    )
    assert DayCheck.objects.get().agrees
    assert not DayCheck.objects.failing().exists()


def test_a_credit_of_the_organization_is_no_excess(connection):
    load(connection, ORGANIZATION_COST, DAYS, pages(total("-5"), line(FIRST, CODE, "-5")))
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "-3", JANE)))

    assert costs(connection)[FIRST, "claude_code", None] == Decimal("-2")
    assert DayCheck.objects.get().agrees


def test_a_total_is_not_compared_with_a_sum_that_lacks_a_part(connection):
    known = total("22", measure="list_cost")
    unknown = CostRecord(FIRST, CHAT, None, Decimal("10"), None)
    load(connection, ORGANIZATION_COST, DAYS, pages(known, line(FIRST, CODE, "12"), unknown))

    check = DayCheck.objects.get()
    assert (check.stored, check.agrees) == (None, None)
    assert not DayCheck.objects.failing().exists()


def test_pages_of_two_exports_are_refused_whole(connection):
    mixed = [
        Page((line(FIRST, CODE, "1", JANE),), EXPORT),
        Page((line(SECOND, CODE, "2", JANE),), LATER_EXPORT),
    ]
    with pytest.raises(SnapshotMoved):
        load(connection, USER_COST, DAYS, mixed)

    assert not CostFact.objects.exists()


def test_a_page_that_is_sent_twice_counts_once(connection):
    page = pages(line(FIRST, CODE, "1.5", JANE), line(FIRST, CHAT, "2", JANE))
    load(connection, USER_COST, DAYS, [*page, *page])

    assert costs(connection) == {
        (FIRST, "claude_code", "user_jane"): Decimal("1.5"),
        (FIRST, "chat", "user_jane"): Decimal("2"),
    }


def test_rows_of_one_key_are_parts_of_one_fact(connection):
    """Also where two parts are equal by chance."""
    parts = [line(FIRST, CODE, amount, JANE) for amount in ("1", "2", "2")]
    load(connection, USER_COST, DAYS, pages(*parts))

    assert costs(connection) == {(FIRST, "claude_code", "user_jane"): Decimal("5")}


def test_what_one_part_does_not_know_is_unknown_of_all(connection):
    parts = [line(FIRST, CODE, "1", JANE), CostRecord(FIRST, CODE, JANE, Decimal("2"), None)]
    load(connection, USER_COST, DAYS, pages(*parts))

    fact = CostFact.objects.get()
    assert (fact.effective_cost, fact.list_cost) == (Decimal("3"), None)


def test_a_later_read_replaces_what_an_earlier_one_added_up(connection):
    parts = [line(FIRST, CODE, "1", JANE), line(FIRST, CODE, "2", JANE)]
    load(connection, USER_COST, DAYS, pages(*parts))
    load(connection, USER_COST, DAYS, pages(*parts, watermark=LATER_EXPORT))

    assert costs(connection) == {(FIRST, "claude_code", "user_jane"): Decimal("3")}
    assert not Restatement.objects.exists()


SKILLS = CONNECTOR.feed("skills")


def test_parts_of_a_document_add_up_and_their_distinct_counts_take_the_larger(connection):
    """A future count is recognized by its name."""
    one = {"distinct_user_count": 7, "invocation_count": 10, "distinct_moon_count": 4, "runs": 1}
    other = {"distinct_user_count": 5, "invocation_count": 3, "distinct_moon_count": 9, "hops": 2}
    parts = [
        EngagementRecord(FIRST, "xlsx", None, one, name=""),
        EngagementRecord(FIRST, "xlsx", None, other, name="Spreadsheets"),
    ]
    load(connection, SKILLS, Window(FIRST, SECOND), pages(*parts, watermark=None))

    fact = EngagementFact.objects.get()
    assert fact.name == "Spreadsheets"
    assert fact.values == {
        "distinct_user_count": 7,
        "distinct_moon_count": 9,
        "invocation_count": 13,
        "runs": 1,
        "hops": 2,
    }


def test_sessions_of_claude_code_add_up_although_they_are_called_distinct(connection):
    path = "claude_code_metrics.core_metrics.distinct_session_count"
    parts = [EngagementRecord(FIRST, "user_jane", JANE, {path: count}) for count in (3, 4)]
    load(connection, USERS, Window(FIRST, SECOND), pages(*parts, watermark=None))

    assert EngagementFact.objects.get().values == {path: 7}


# --- Amounts of any number of decimals -----------------------------------------------------

WIDE = Context(prec=100)
LONG = "0.1234567890123456789012345678901234567890123456789"


def test_any_number_of_decimals_is_stored_and_summed_exactly(connection):
    """Worked out by hand: three times the long amount, and the rest of the organization."""
    whole = "1.3703703670370370367037037036703703703670370370367"  # 1 more than three of LONG
    load(connection, USER_COST, DAYS, pages(*(line(FIRST, CODE, LONG, p) for p in (JANE, OMAR))))
    load(
        connection,
        ORGANIZATION_COST,
        DAYS,
        pages(total(whole), line(FIRST, CODE, whole)),
    )

    rows = costs(connection)
    assert rows[FIRST, "claude_code", "user_jane"] == Decimal(LONG)
    assert rows[FIRST, "claude_code", None] == Decimal(
        "1.1234567890123456789012345678901234567890123456789"
    )
    check = DayCheck.objects.get()
    assert (str(check.stored.normalize(WIDE)), check.agrees) == (whole, True)
    assert CostByMeter.objects.get().effective_cost == Decimal(whole)


def test_parts_with_many_decimals_are_not_rounded(connection):
    load(connection, USER_COST, DAYS, pages(*(line(FIRST, CODE, a, JANE) for a in (LONG, "1"))))

    assert CostFact.objects.get().effective_cost == Decimal("1" + LONG[1:])


# --- Text that no column takes as it is ----------------------------------------------------

ODD = {
    "nul": "a\x00b",
    "half a pair": "a\ud800b",
    "the other half": "a\udc00b",
    "long": "n" * 5_000,
    "long and wide": "\N{GRINNING FACE}" * 3_000,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_text_costs_nobody_a_number_and_collapses_nothing(connection, odd):
    """Odd text is stored in every field; texts that differ at the end stay apart."""
    duplicate = f"{odd}!"
    meters = [MeterKey(product=text, model=text, workspace_id=text) for text in (odd, duplicate)]
    people = [PersonRef(text, f"{text}@example.com", text) for text in (odd, duplicate)]
    load(
        connection,
        USER_COST,
        DAYS,
        pages(
            *(line(FIRST, m, "1", p) for m, p in zip(meters, people, strict=True)),
            line(FIRST, CODE, "4", JANE),
        ),
    )
    load(connection, ORGANIZATION_COST, DAYS, pages(*(line(FIRST, m, "2") for m in meters)))
    documents = [
        EngagementRecord(FIRST, text, None, {f"models.{text}.count": 1}, name=text)
        for text in (odd, duplicate)
    ]
    load(connection, SKILLS, Window(FIRST, SECOND), pages(*documents, watermark=None))
    names = tuple(ResourceRef("workspace_id", text, text) for text in (odd, duplicate))
    load(connection, NAMES, Window(FIRST, SECOND), [Page((), resources=names)])

    facts = CostFact.objects.filter(person__isnull=False).select_related("meter", "person")
    assert facts.count() == 3
    assert len({fact.meter.model for fact in facts}) == 3
    assert len({fact.person.external_id for fact in facts}) == 3
    assert len({key for one in EngagementFact.objects.all() for key in one.values}) == 2
    assert len({one.subject for one in EngagementFact.objects.all()}) == 2
    ids = set(Resource.objects.values_list("external_id", flat=True))
    odd_facts = facts.exclude(meter__model=CODE.model)
    assert ids == set(odd_facts.values_list("meter__workspace_id", flat=True))
    # Three people, what is left of two workspaces, and what Jane has beyond the organization.
    assert CostByPerson.objects.count() == 6


PLAIN = {
    PersonRef: PersonRef("user_1", "a@example.com", "A", "user", "active", "admin"),
    ResourceRef: ResourceRef(
        "workspace_id", "wrkspc_1", "Search", "active", {"tag:team": "search"}
    ),
}


@pytest.mark.parametrize("plain", PLAIN.values(), ids=lambda it: type(it).__name__)
def test_storable_text_costs_no_field(plain):
    """Every field is listed here, also future ones."""
    names = getattr(plain, "__struct_fields__", None) or [field.name for field in fields(plain)]
    assert all(getattr(plain, name) for name in names)

    stored = stored_person(plain) if isinstance(plain, PersonRef) else stored_resource(plain)

    assert stored == plain


def test_odd_text_of_attributes_and_roles_is_made_storable():
    role = stored_person(PersonRef("user_1", role="  ad\x00min\ud800 ")).role
    tagged = stored_resource(ResourceRef("workspace_id", "w", attributes={"tag:\x00": "a\x00b"}))

    assert role == "ad\ufffdmin\ufffd"
    ((name, value),) = tagged.attributes.items()
    assert "\x00" not in name
    assert name.startswith("tag:")
    assert value == "a\ufffdb"


def test_every_field_of_a_record_of_activity_is_stored(connection):
    record = EngagementRecord(
        FIRST, "deck|user_jane", JANE, {"uses": 3}, name="Deck", days=7, labels={"item": "deck"}
    )
    assert all(getattr(record, name) for name in record.__struct_fields__)
    load(connection, SKILLS, Window(FIRST, SECOND), pages(record, watermark=None))

    fact = EngagementFact.objects.get()
    assert (fact.day, fact.subject, fact.days) == (FIRST, "deck|user_jane", 7)
    assert (fact.name, fact.labels, fact.values) == ("Deck", {"item": "deck"}, {"uses": 3})
    assert fact.person.external_id == JANE.external_id


def test_names_are_stored_in_any_length_and_on_one_line(connection):
    long = "Ada " * 300
    spoken = PersonRef("user_ada", "ada@example.com", f"  {long}\n\tLovelace\x00 ")
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", spoken)))

    assert Person.objects.get().name == f"{long.strip()} Lovelace\ufffd"


def test_a_model_of_any_length_keeps_its_name(connection):
    name = "claude-" + "x" * 3_000
    load(connection, USER_COST, DAYS, pages(line(FIRST, MeterKey(model=name), "1", JANE)))

    assert Meter.objects.get().model == name


# --- Rows that make no sense ---------------------------------------------------------------


def kept_out(day, reason="Anthropic sent an amount in EUR.", rows=1):
    return Page((), EXPORT, kept_out=(KeptOut(day, reason, rows),))


def test_a_day_without_one_of_its_rows_is_incomplete_and_never_final(connection):
    with time_machine.travel(datetime(2026, 12, 1, tzinfo=UTC)):
        rows = pages(line(FIRST, CODE, "1", JANE), line(SECOND, CODE, "2", JANE))
        load(connection, USER_COST, DAYS, [*rows, kept_out(FIRST, rows=2)])
        load(connection, USER_COST, DAYS, pages(watermark=EXPORT), anew=False)  # the same export

        spoilt, whole = FeedDay.objects.order_by("day")
        assert (spoilt.state, spoilt.kept_out) == ("incomplete", 2)
        assert spoilt.kept_out_reason == "Anthropic sent an amount in EUR."
        assert (whole.state, whole.kept_out) == ("provisional", 0)
        assert costs(connection)[FIRST, "claude_code", "user_jane"] == 1

        load(connection, USER_COST, DAYS, [replace(page, watermark=LATER_EXPORT) for page in rows])
        assert set(FeedDay.objects.values_list("state", "kept_out")) == {("provisional", 0)}


def test_a_row_that_does_not_say_its_day_spoils_every_day(connection):
    rows = pages(line(FIRST, CODE, "1", JANE), line(SECOND, CODE, "2", JANE))
    load(connection, USER_COST, DAYS, [*rows, kept_out(None)])

    assert set(FeedDay.objects.values_list("state", "kept_out")) == {("incomplete", 1)}


def test_a_day_that_was_not_asked_for_is_refused(connection):
    with pytest.raises(PayloadError):
        load(connection, USER_COST, DAYS, pages(line(date(2026, 8, 3), CODE, "1", JANE)))


def test_a_writer_that_lost_its_claim_stores_nothing(connection):
    class Lost(Exception):
        pass

    def fence():
        raise Lost

    with pytest.raises(Lost):
        load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", JANE)), fence=fence)

    assert not CostFact.objects.exists()
    assert not FeedDay.objects.exists()


def test_people_keep_their_id_when_their_name_changes(connection):
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", JANE)))
    person = Person.objects.get()

    renamed = structs.replace(JANE, name="Jane Meyer", email="")
    load(
        connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", renamed), watermark=LATER_EXPORT)
    )

    assert Person.objects.get().pk == person.pk
    assert Person.objects.get().name == "Jane Meyer"
    assert Person.objects.get().email == "jane@example.com"  # silence is not a change


def test_a_feed_that_does_not_tell_leaves_a_deleted_user_deleted(connection):
    gone = structs.replace(JANE, name="Deleted User", kind="user", state="deleted")
    load(connection, USER_COST, DAYS, pages(line(FIRST, CODE, "1", gone)))

    seen_by_activity = EngagementRecord(FIRST, "user_jane", PersonRef("user_jane"), {"messages": 1})
    load(connection, USERS, Window(FIRST, SECOND), pages(seen_by_activity, watermark=None))

    person = Person.objects.get()
    assert (person.state, person.name) == ("deleted", "Deleted User")


def test_usage_without_an_organization_feed_has_people_only(connection):
    load(connection, USER_USAGE, DAYS, pages(tokens(FIRST, CHAT, JANE, output=7)))

    fact = UsageFact.objects.get()
    assert (fact.person.external_id, fact.output_tokens, fact.requests) == ("user_jane", 7, 1)


def test_engagement_keeps_zero_and_leaves_out_the_unknown(connection):
    day = Window(FIRST, SECOND)
    values = {"chat_metrics.message_count": 0, "adoption_rate": Decimal("59.76")}
    record = EngagementRecord(FIRST, "user_jane", JANE, values)
    load(connection, USERS, day, pages(record, watermark=None))

    assert EngagementFact.objects.get().values == values


def test_a_day_of_engagement_answered_with_nobody_is_known(connection):
    load(connection, USERS, Window(FIRST, SECOND), pages(watermark=None))

    assert FeedDay.objects.get().day == FIRST


AMOUNTS = st.decimals("0", "99999999", places=8, allow_nan=False, allow_infinity=False)
LEDGERS = st.dictionaries(
    st.tuples(
        st.sampled_from([FIRST, SECOND]),
        st.sampled_from([CODE, CHAT]),
        st.sampled_from([None, JANE, OMAR]),
    ),
    AMOUNTS,
    max_size=12,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ledgers=st.lists(LEDGERS, min_size=1, max_size=3), size=st.integers(1, 5))
def test_any_history_of_ledgers_ends_as_the_last_one(fresh_connection, ledgers, size):
    """Whatever was restated before: facts sum to the organization, people keep their own."""
    connection = fresh_connection()
    for number, ledger in enumerate(ledgers):
        export = datetime(2026, 8, 20, number, tzinfo=UTC)
        whole: dict = {}
        for (day, meter, _), amount in ledger.items():
            whole[day, meter] = whole.get((day, meter), Decimal(0)) + amount
        lines = [line(day, meter, str(amount)) for (day, meter), amount in whole.items()]
        mine = [line(*key[:2], str(amount), key[2]) for key, amount in ledger.items() if key[2]]
        load(connection, ORGANIZATION_COST, DAYS, pages(*lines, watermark=export, size=size))
        load(connection, USER_COST, DAYS, pages(*mine, watermark=export, size=size))

    expected = {
        (day, meter.product, person and person.external_id): amount
        for (day, meter, person), amount in ledgers[-1].items()
        if person or amount
    }
    assert costs(connection) == expected
    totals = CostTotal.objects.filter(connection=connection)
    assert sum(costs(connection).values()) == sum(row.effective_cost for row in totals)


@pytest.fixture
def fresh_connection():
    """Create a new connection for every example of hypothesis."""
    organization = make_organization()

    def fresh() -> Connection:
        number = organization.connections.count()
        return make_connection(organization, label=f"org-{number}")

    return fresh


# --- Names ---------------------------------------------------------------------------------


def workspace(name, state="active"):
    return ResourceRef("workspace_id", "wrkspc_1", name, state)


def test_names_are_kept_and_follow_a_rename(connection):
    today = Window(SECOND, date(2026, 8, 3))
    load(connection, NAMES, today, [Page((), people=(JANE,), resources=(workspace("Prod"),))])
    load(connection, NAMES, today, [Page((), resources=(workspace("Production", "archived"),))])

    kept = Resource.objects.get(connection=connection)
    assert (kept.kind, kept.external_id, kept.name, kept.state) == (
        "workspace_id",
        "wrkspc_1",
        "Production",
        "archived",
    )
    assert Person.objects.get(connection=connection).name == "Jane Smith"


def test_a_name_that_is_gone_upstream_stays(connection):
    today = Window(SECOND, date(2026, 8, 3))
    load(connection, NAMES, today, [Page((), resources=(workspace("Production"),))])
    load(connection, NAMES, today, [Page(())])

    assert Resource.objects.get(connection=connection).name == "Production"


def test_the_same_names_again_write_nothing(connection):
    today = Window(SECOND, date(2026, 8, 3))
    names = [Page((), resources=(workspace("Production"),))]

    assert load(connection, NAMES, today, names).rows_written == 1
    assert load(connection, NAMES, today, names).rows_written == 0


def test_distinct_people_of_a_span_stand_beside_those_of_its_last_day(connection):
    def skill(days, people):
        values = {"distinct_user_count": people}
        return EngagementRecord(FIRST, "xlsx", None, values, days=days)

    load(connection, USERS, Window(FIRST, SECOND), pages(skill(1, 3), skill(30, 18)))

    facts = EngagementFact.objects.filter(connection=connection, subject="xlsx")
    assert sorted((f.days, f.values["distinct_user_count"]) for f in facts) == [(1, 3), (30, 18)]


def load_workspace(connection, on, **attributes):
    ref = ResourceRef("workspace_id", "w1", "One", "active", attributes.get("tags"))
    with time_machine.travel(datetime(on.year, on.month, on.day, 12, tzinfo=UTC), tick=False):
        load(connection, NAMES, Window.last(1, today=on), [Page((), resources=(ref,))])


def test_every_change_of_a_tag_is_kept_with_its_day(connection):
    load_workspace(connection, date(2026, 11, 1), tags={"tag:team": "platform"})
    load_workspace(connection, date(2026, 11, 2), tags={"tag:team": "platform"})
    load_workspace(connection, date(2026, 11, 3), tags={"tag:team": "search"})
    load_workspace(connection, date(2026, 11, 3), tags={"tag:team": "core"})
    load_workspace(connection, date(2026, 11, 4))  # a feed that tells the name alone

    workspace = Resource.objects.get(connection=connection)
    assert workspace.attributes == {"tag:team": "core"}
    assert list(workspace.versions.order_by("since").values_list("since", "attributes")) == [
        (date(2026, 11, 1), {"tag:team": "platform"}),
        (date(2026, 11, 3), {"tag:team": "core"}),
    ]
