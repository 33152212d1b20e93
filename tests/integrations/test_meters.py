"""`MeterKey` is the only list of dimensions, and attributes need no column."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from integrations.connectors import connectors
from integrations.connectors.base import (
    Attribute,
    Catalog,
    CatalogError,
    Preset,
    Product,
    Table,
)
from integrations.connectors.catalogs import (
    merged_attributes,
    merged_presets,
    merged_products,
    merged_values,
)
from integrations.connectors.records import METER_FIELDS, CostRecord, MeterKey, Page
from integrations.loading import load
from integrations.models import CostFact, Meter
from integrations.window import Window
from reports.catalog.metrics import DIMENSIONS, RESERVED_NAMES, Catalogs, Source
from reports.engine.spec import PARAMETERS
from tests.factories import make_connection, make_organization


def test_every_field_of_a_key_is_a_column_and_the_other_way_round():
    columns = {field.name for field in Meter._meta.concrete_fields} - {"id", "connection"}

    assert columns == {*METER_FIELDS, "attributes"}
    (constraint,) = Meter._meta.constraints
    hashed = re.findall(r"MD5\((?:Cast\()?F\((\w+)\)", str(constraint.expressions))
    assert hashed == [*METER_FIELDS, "attributes"]


def test_every_field_of_a_key_is_a_dimension_of_cost():
    read = {
        expression.name.removeprefix("meter__")
        for dimension in DIMENSIONS.values()
        if Source.COST in dimension.tables
        and (expression := dimension.value) is not None
        and getattr(expression, "name", "").startswith("meter__")
    }

    assert read == {*METER_FIELDS}


def test_every_field_that_connectors_declare_as_attribute_is_on_their_tables():
    for connector in connectors().values():
        for attribute in connector.catalog.attributes:
            assert attribute.tables or any(
                attribute.name in it.names for it in connector.catalog.document_dimensions
            )


@pytest.fixture
def connection(db):
    return make_connection(make_organization())


def _load(connection, *attributes, amount="1"):
    feed = connection.connector.feed("organization_cost")
    day = datetime(2026, 11, 2, tzinfo=UTC).date()
    records = tuple(
        CostRecord(day, MeterKey("chat", attributes=pairs), None, Decimal(amount), None)
        for pairs in attributes
    )
    pages = [Page(records, datetime(2026, 11, 20, tzinfo=UTC))]
    return load(connection, feed, Window.last(1, today=day), pages, anew=True)


def test_attributes_tell_meters_apart_whatever_their_order(connection):
    _load(
        connection,
        (("region", "eu"), ("plan", "pro")),
        (("plan", "pro"), ("region", "eu")),
        (("region", "us"), ("plan", "pro")),
        (("region", ""),),
        (),
    )

    stored = sorted(
        CostFact.objects.values_list("meter__attributes__region", "effective_cost"),
        key=lambda row: row[0] or "",
    )
    assert stored == [(None, Decimal(2)), ("eu", Decimal(2)), ("us", Decimal(1))]


def test_a_second_read_knows_the_meters_of_the_first(connection):
    pairs = (("plan", "pro"), ("region", "eu"))
    _load(connection, pairs)
    before = list(Meter.objects.values_list("pk", flat=True))

    assert _load(connection, pairs).changed == ()
    assert _load(connection, pairs, amount="2").rows_written == 1
    assert list(Meter.objects.values_list("pk", flat=True)) == before


def test_unseen_meters_are_stored_in_one_statement(connection):
    pairs = [(("region", str(number)),) for number in range(50)]
    with CaptureQueriesContext(database) as queries:
        _load(connection, *pairs)

    assert Meter.objects.count() == 50
    statements = [query["sql"].partition("(")[0] for query in queries]
    assert statements.count('INSERT INTO "integrations_meter" ') == 1


def test_the_database_refuses_a_meter_that_differs_in_the_order_of_attributes(connection):
    Meter.objects.create(connection=connection, attributes={"plan": "pro", "region": "eu"})

    with pytest.raises(IntegrityError), transaction.atomic():
        Meter.objects.create(connection=connection, attributes={"region": "eu", "plan": "pro"})


# --- Catalogs ------------------------------------------------------------------------------
PLAN = Attribute("plan", "Plan", "The plan.", tables=frozenset({Table.COST}))


def test_connectors_share_a_dimension_that_they_declare_alike():
    usage = Attribute("plan", "Plan", "The plan.", tables=frozenset({Table.USAGE}))

    shared = merged_attributes([Catalog(attributes=(PLAN,)), Catalog(attributes=(usage,))])

    assert shared == {"plan": Attribute("plan", "Plan", "The plan.")}


@pytest.mark.parametrize(
    ("merge", "one", "other", "message"),
    [
        (
            merged_attributes,
            Catalog(attributes=(PLAN,)),
            Catalog(attributes=(Attribute("plan", "Tariff", "The plan."),)),
            "Two connectors declare the dimension plan differently",
        ),
        (
            merged_products,
            Catalog(products={"chat": Product("Chat")}),
            Catalog(products={"chat": Product("Talk")}),
            "Two connectors call the product chat differently: Chat and Talk",
        ),
        (
            merged_products,
            Catalog(products={"chat": Product("Chat", color=1)}),
            Catalog(products={"talk": Product("Chat", color=2)}),
            "The product Chat is declared in two colors",
        ),
        (
            merged_values,
            Catalog(values={"cost_type": {"tokens": "Tokens"}}),
            Catalog(values={"cost_type": {"tokens": "Units"}}),
            "Two connectors call the value tokens of cost_type differently: Tokens and Units",
        ),
        (
            merged_presets,
            Catalog(presets=(Preset("Spend", "All of it.", ""),)),
            Catalog(presets=(Preset("Spend", "Some of it.", ""),)),
            "Two connectors declare different reports “Spend”",
        ),
    ],
)
def test_a_clash_of_two_connectors_is_refused_by_name(merge, one, other, message):
    merge([one, one])  # alike is no clash

    with pytest.raises(CatalogError, match=message):
        merge([one, other])


@pytest.mark.parametrize("name", ["service", "range", "item"])
def test_a_name_that_every_report_uses_is_refused(name, monkeypatch):
    (connector, *_) = connectors().values()
    catalog = replace(connector.catalog, attributes=(Attribute(name, "Taken", "Taken."),))
    monkeypatch.setattr(connector, "catalog", catalog)

    with pytest.raises(CatalogError, match=f"the dimension {name}, a name that every report uses"):
        Catalogs([connector])


def test_parameters_of_addresses_are_reserved():
    assert set(PARAMETERS) == RESERVED_NAMES
