"""Keep the rollups of a day equal to its facts, in the transaction that wrote the facts."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import connection as database

from integrations.connectors.base import Table
from integrations.loading.measures import COST_MEASURES, USAGE_MEASURES
from integrations.models import (
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    Meter,
    Person,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
)

# What a fact's row of each rollup is told by, as SQL over facts, meters and people.
_BY_METER = {"meter_id": "facts.meter_id"}
_BY_PERSON = {
    "person_id": "facts.person_id",
    "project_id": "COALESCE(NULLIF(meters.workspace_id, ''), people.external_id, '')",
}


def roll_up(connection: Connection, table: Table, days: Sequence[date]) -> None:
    """Write the rollups of `days` again from the facts that are stored now."""
    if table is Table.COST:
        _write(CostByMeter, CostFact, _BY_METER, COST_MEASURES, connection, days)
        _write(CostByPerson, CostFact, _BY_PERSON, COST_MEASURES, connection, days)
    else:
        _write(UsageByMeter, UsageFact, _BY_METER, USAGE_MEASURES, connection, days)
        _write(UsageByPerson, UsageFact, _BY_PERSON, USAGE_MEASURES, connection, days)


def _write(
    rollup: Any,
    facts: Any,
    keys: dict[str, str],
    measures: Sequence[str],
    connection: Connection,
    days: Sequence[date],
) -> None:
    sums = ", ".join(
        f"CASE WHEN count({name}) = count(*) THEN sum({name}) END" for name in measures
    )
    scope: dict[str, Any] = {"connection": connection.pk, "days": list(days)}
    with database.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {rollup._meta.db_table}"  # noqa: S608 - our own names, here and below
            " WHERE connection_id = %(connection)s AND day = ANY(%(days)s)",
            scope,
        )
        cursor.execute(
            f"INSERT INTO {rollup._meta.db_table}"  # noqa: S608
            f" (connection_id, day, {', '.join(keys)}, {', '.join(measures)})"
            f" SELECT facts.connection_id, facts.day, {', '.join(keys.values())}, {sums}"
            f" FROM {facts._meta.db_table} facts"
            f" JOIN {Meter._meta.db_table} meters ON meters.id = facts.meter_id"
            f" LEFT JOIN {Person._meta.db_table} people ON people.id = facts.person_id"
            " WHERE facts.connection_id = %(connection)s AND facts.day = ANY(%(days)s)"
            f" GROUP BY facts.connection_id, facts.day, {', '.join(keys.values())}",
            scope,
        )
