"""Keep the facts of a day equal to the organization's lines, and check them with its total."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.models import Sum

from integrations.connectors.base import Table
from integrations.loading.measures import COST_MEASURES, TOKEN_MEASURES, USAGE_MEASURES
from integrations.models import (
    Connection,
    CostFact,
    CostTotal,
    DayCheck,
    FeedDay,
    UsageFact,
    UsageTotal,
)


def _total_feeds(connection: Connection, table: Table) -> list[str]:
    return [
        feed.name
        for feed in connection.connector.feeds
        if feed.table is table and feed.grain == "total"
    ]


def balance(connection: Connection, table: Table, days: Sequence[date]) -> None:
    """Rewrite the lines without a person: organization-wide minus people, per day and meter.

    Only for days whose organization-wide lines are known; others have no such line.
    """
    fact, total, measures = (
        (CostFact, CostTotal, COST_MEASURES)
        if table is Table.COST
        else (UsageFact, UsageTotal, USAGE_MEASURES)
    )
    facts = fact._meta.db_table
    total_feeds = [
        f.name for f in connection.connector.feeds if (f.table, f.grain) == (table, "total")
    ]
    known = list(
        FeedDay.objects.filter(connection=connection, feed__in=total_feeds, day__in=days)
        .values_list("day", flat=True)
        .distinct()
    )
    # A number unknown on one side makes the difference unknown, not zero.
    sums = ", ".join(
        f"CASE WHEN bool_or({name} IS NULL) THEN NULL ELSE sum(sign * {name}) END AS {name}"
        for name in measures
    )
    columns = ", ".join(measures)
    nonzero = " OR ".join(f"sum(sign * {name}) <> 0" for name in measures)
    scope: dict[str, Any] = {"connection": connection.pk, "days": list(days), "known": known}
    with database.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {facts} WHERE connection_id = %(connection)s"  # noqa: S608 - own names
            " AND day = ANY(%(days)s) AND person_id IS NULL",
            scope,
        )
        cursor.execute(
            f"INSERT INTO {facts} (connection_id, day, meter_id, {columns})"  # noqa: S608
            f" SELECT connection_id, day, meter_id, {sums} FROM ("
            f"  SELECT connection_id, day, meter_id, 1 AS sign, {columns}"
            f"  FROM {total._meta.db_table}"
            "   WHERE connection_id = %(connection)s AND day = ANY(%(known)s)"
            f"  UNION ALL SELECT connection_id, day, meter_id, -1, {columns} FROM {facts}"
            "   WHERE connection_id = %(connection)s AND day = ANY(%(known)s)"
            "   AND person_id IS NOT NULL"
            f" ) lines GROUP BY connection_id, day, meter_id HAVING {nonzero}",
            scope,
        )


def check_days(connection: Connection, table: Table, days: Sequence[date]) -> None:
    """Compare what the facts of a day sum to with the provider's own total."""
    feeds = _total_feeds(connection, table)
    checks = list(DayCheck.objects.filter(connection=connection, feed__in=feeds, day__in=days))
    if not checks:
        return
    fact, measures = (
        (CostFact, COST_MEASURES) if table is Table.COST else (UsageFact, USAGE_MEASURES)
    )
    stored = {
        row["day"]: row
        for row in fact.objects.filter(connection=connection, day__in=days)
        .values("day")
        .annotate(**{f"sum_{name}": Sum(name) for name in measures})
    }
    for check in checks:
        row = stored.get(check.day, {})
        parts = TOKEN_MEASURES if check.measure == "total_tokens" else (check.measure,)
        check.stored = sum((Decimal(row.get(f"sum_{part}") or 0) for part in parts), Decimal())
    DayCheck.objects.bulk_update(checks, ["stored"])
