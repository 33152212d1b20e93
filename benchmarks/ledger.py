"""A year of a company, made by DuckDB from a fixed seed and copied into PostgreSQL.

A person works on two days of three and then uses two to five of 32 meters; each is a row of usage
and four priced rows. The remainder of a day is unattributed. Some list prices are not reported.
Activity is a document of seventy numbers per person and day, in PostgreSQL only.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from django.db import connection as database

from accounts.models import Organization
from integrations.connectors.base import Table
from integrations.loading.rollups import roll_up, roll_up_activity
from integrations.models import Connection, CostFact, FeedDay, Meter, Person, UsageFact
from integrations.window import Window
from reports.catalog.metrics import METRICS, Source

SEED = 20261125
PRODUCTS = ("claude_code", "chat", "cowork", "office_agent")
MODELS = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5", "claude-sonnet-5")
TOKEN_TYPES = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_write_5m_tokens",
    "output_tokens",
)
COST_COLUMNS = "connection_id, day, meter_id, person_id, effective_cost, list_cost"
USAGE_COLUMNS = (
    "connection_id, day, meter_id, person_id, requests, uncached_input_tokens, cache_read_tokens,"
    " cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, web_searches"
)

# `n` is as good as random, and the same each time: it depends on the row and the seed alone.
_USAGE = """
CREATE TABLE integrations_usagefact AS
SELECT row_number() OVER () AS id, {connection} AS connection_id, day, meter_id, person_id,
       CASE WHEN n % 997 = 0 THEN NULL ELSE 1 + n % 60 END AS requests,
       n % 90000 AS uncached_input_tokens, n % 2000000 AS cache_read_tokens,
       n % 150000 AS cache_write_5m_tokens, 0 AS cache_write_1h_tokens,
       n % 40000 AS output_tokens, n % 3 AS web_searches
FROM (
    SELECT d.day, p.id AS person_id, m.id AS meter_id,
           (hash({seed}, p.id, d.day, m.id) % 1000000007)::BIGINT AS n
    FROM people p
    JOIN days d ON hash({seed}, p.id, d.day) % 3 < 2
    JOIN usage_meters m ON hash({seed}, p.id, m.id) % 8 = 0
                       AND hash({seed}, p.id, d.day, m.id, 'used') % 10 < 7
) ORDER BY day, meter_id
"""
_COST = """
CREATE TABLE integrations_costfact AS
SELECT row_number() OVER () AS id, {connection} AS connection_id, day, meter_id, person_id,
       effective_cost, CASE WHEN n % 99991 = 0 THEN NULL ELSE effective_cost * 1.25 END AS list_cost
FROM (
    SELECT u.day, m.id AS meter_id, u.person_id,
           (hash({seed}, u.id, m.id) % 1000000007)::BIGINT AS n,
           (n % 3000000)::DECIMAL(28, 12) / 1000000 AS amount
           , CAST(amount AS DECIMAL(28, 8)) AS effective_cost
    FROM integrations_usagefact u JOIN cost_meters m ON m.usage_meter = u.meter_id
    UNION ALL
    SELECT d.day, m.id, NULL,
           (hash({seed}, d.day, m.id) % 1000000007)::BIGINT AS n,
           (n % 40000000)::DECIMAL(28, 12) / 1000000 AS amount
           , CAST(amount AS DECIMAL(28, 8)) AS effective_cost
    FROM days d CROSS JOIN cost_meters m
) ORDER BY day, meter_id
"""


# Marks of the document, one for each product, become numbers: a product is unused now and then.
_ACTIVITY = """
INSERT INTO integrations_engagementfact
    (connection_id, feed, day, subject, name, person_id, days, values)
SELECT people.connection_id, 'users', day::date, people.external_id, '', people.id, 1, {document}
FROM integrations_person people
CROSS JOIN generate_series(%(first)s::date, %(last)s::date, '1 day') AS day
CROSS JOIN LATERAL (
    SELECT abs(hashtextextended(people.external_id || day::date, %(seed)s)) AS n
) AS chance
WHERE n %% 3 < 2
"""


@dataclass(frozen=True)
class Ledger:
    """The same rows in both databases."""

    organization: Organization
    connection: Connection
    window: Window
    duck: duckdb.DuckDBPyConnection
    facts: int

    @property
    def today(self) -> date:
        return self.window.last_day


def fill(folder: Path, *, people: int, days: int) -> Ledger:
    """Fill the empty database of Django and a DuckDB with the ledger."""
    window = Window(date(2026, 11, 25) - timedelta(days=days), date(2026, 11, 25))
    organization = Organization.objects.create(slug="bench", name="Bench Inc.")
    connection = Connection.objects.create(
        organization=organization, label="bench", connector_slug="claude-enterprise"
    )
    meters = _dimensions(connection, people)
    _mark_final(connection, window)
    duck = duckdb.connect(str(folder / "ledger.duckdb"))
    _mirror(duck, connection, window, meters)
    for model, columns, sql in (
        (UsageFact, USAGE_COLUMNS, _USAGE),
        (CostFact, COST_COLUMNS, _COST),
    ):
        duck.execute(sql.format(seed=SEED, connection=connection.pk))
        file = folder / f"{model._meta.db_table}.csv"
        rows = f"SELECT {columns} FROM {model._meta.db_table}"  # noqa: S608 - our own names
        duck.execute(f"COPY ({rows}) TO '{file}' (HEADER false)")
        _copy(model._meta.db_table, columns, file)
        file.unlink()
    _copy_activity(window)
    (users,) = (feed for feed in connection.connector.feeds if feed.name == "users")
    for part in window.split(31):
        roll_up(connection, Table.USAGE, list(part))
        roll_up(connection, Table.COST, list(part))
        roll_up_activity(connection, users, list(part))
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")
    facts = UsageFact.objects.count() + CostFact.objects.count()
    return Ledger(organization, connection, window, duck, facts)


def _copy_activity(window: Window) -> None:
    """Write activity documents: every number that a metric reads, and as many again."""
    paths = [
        path
        for metric in METRICS.values()
        for measure in metric.measures
        if measure.source in {Source("users"), Source.of(["users", "claude_code"])}
        for path in measure.paths
    ]
    paths += [f"{path}_too" for path in paths] + [f"other_metrics.count_{n}" for n in range(10)]
    products = sorted({path.partition(".")[0] for path in paths})
    marks = {product: f"#{at}#" for at, product in enumerate(products)}
    document = json.dumps({path: marks[path.partition(".")[0]] for path in paths})
    filled = "%(document)s"
    for at, mark in enumerate(marks.values()):
        filled = f"replace({filled}, '\"{mark}\"', greatest(n / {7**at} %% 9 - 2, 0)::text)"
    values: dict[str, Any] = {
        "document": document,
        "seed": SEED,
        "first": window.start,
        "last": window.last_day,
    }
    with database.cursor() as cursor:
        cursor.execute(_ACTIVITY.format(document=f"({filled})::jsonb"), values)


def _dimensions(connection: Connection, people: int) -> list[tuple[int, int | None]]:
    """Add people and meters; return (meter, its usage meter) of each."""
    Person.objects.bulk_create(
        Person(
            connection=connection,
            external_id=f"user_{number:06}",
            email=f"person{number}@example.com",
            name=f"Person {number}",
        )
        for number in range(people)
    )
    pairs: list[tuple[int, int | None]] = []
    for product in PRODUCTS:
        for model in MODELS:
            for window in ("0-200k", "200k-1M"):
                meter = {
                    "product": product,
                    "model": model,
                    "attributes": {"context_window": window},
                }
                usage = Meter.objects.create(connection=connection, **meter)
                pairs.append((usage.pk, None))
                for token_type in TOKEN_TYPES:
                    priced = Meter.objects.create(
                        connection=connection, **meter, cost_type="tokens", token_type=token_type
                    )
                    pairs.append((priced.pk, usage.pk))
    return pairs


def _mark_final(connection: Connection, window: Window) -> None:
    """Mark every day of every feed as read and final."""
    read_at = datetime.combine(window.end, datetime.min.time(), UTC)
    FeedDay.objects.bulk_create(
        FeedDay(
            connection=connection,
            feed=feed.name,
            day=day,
            state=FeedDay.State.FINAL,
            content_hash=b"\0" * 32,
            rows=1,
            read_at=read_at,
        )
        for feed in connection.connector.feeds
        for day in window
    )


def _mirror(
    duck: duckdb.DuckDBPyConnection,
    connection: Connection,
    window: Window,
    meters: list[tuple[int, int | None]],
) -> None:
    """Copy the small tables into DuckDB, with the names and ids they have in PostgreSQL."""
    duck.execute("CREATE TABLE days AS SELECT unnest(?::DATE[]) AS day", [list(window)])
    _table(duck, "meters", ("id", "usage_meter"), meters)
    duck.execute("CREATE TABLE usage_meters AS FROM meters WHERE usage_meter IS NULL")
    duck.execute("CREATE TABLE cost_meters AS FROM meters WHERE usage_meter IS NOT NULL")
    for name, model, fields in (
        ("integrations_person", Person, ("id", "external_id", "email", "name", "state", "kind")),
        (
            "integrations_meter",
            Meter,
            ("id", "product", "model", "workspace_id", "token_type", "cost_type"),
        ),
        ("integrations_connection", Connection, ("id", "label", "connector_slug")),
    ):
        _table(duck, name, fields, list(model._default_manager.values_list(*fields)))
    duck.execute("CREATE TABLE people AS SELECT id FROM integrations_person")


def _table(
    duck: duckdb.DuckDBPyConnection, name: str, fields: tuple[str, ...], rows: list[Any]
) -> None:
    """Return ids as numbers, every other column as text."""
    types = ("BIGINT" if f in {"id", "usage_meter"} else "VARCHAR" for f in fields)
    columns = ", ".join(f"{f} {t}" for f, t in zip(fields, types, strict=True))
    duck.execute(f"CREATE TABLE {name} ({columns})")
    marks = ", ".join("?" for _ in fields)
    duck.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)  # noqa: S608 - our own names


def _copy(table: str, columns: str, file: Path) -> None:
    """Copy rows and rebuild keys and indexes afterwards: one by one they take most of the time."""
    with database.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending locks the tables
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('u', 'f')",
            [table],
        )
        constraints = cursor.fetchall()
        for name, _ in constraints:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        cursor.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s"
            " AND indexname NOT LIKE %s",
            [table, "%_pkey"],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)") as copy:
            for piece in _pieces(file):
                copy.write(piece)
        for _, definition in indexes:
            cursor.execute(definition)
        for name, definition in constraints:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            yield piece
