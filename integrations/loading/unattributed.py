"""Keep the facts of a day equal to the organization's lines, and check them with its total."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import Any

from django.db import connection as database
from django.db.models import Count, Sum

from integrations.connectors.base import Table
from integrations.connectors.records import COST_MEASURES, TOKEN_MEASURES, USAGE_MEASURES
from integrations.exact import EXACT
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


def _tables(table: Table) -> tuple[Any, Any, Sequence[str]]:
    """Return the facts, the organization-wide rows and their measures."""
    if table is Table.COST:
        return CostFact, CostTotal, COST_MEASURES
    return UsageFact, UsageTotal, USAGE_MEASURES


def write_unattributed(connection: Connection, table: Table, days: Sequence[date]) -> None:
    """Rewrite the lines without a person: organization-wide minus people, per day and meter.

    Only for days whose organization-wide lines are known; others have no such line.
    """
    fact, total, measures = _tables(table)
    facts = fact._meta.db_table
    known = list(
        FeedDay.objects.filter(
            connection=connection, feed__in=_total_feeds(connection, table), day__in=days
        )
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
    """Compare what the facts of a day sum to with the provider's own total.

    A check whose outcome is another than before may be read again once more.
    """
    feeds = _total_feeds(connection, table)
    checks = list(DayCheck.objects.filter(connection=connection, feed__in=feeds, day__in=days))
    if not checks:
        return
    fact, _, measures = _tables(table)
    sums = {
        row["day"]: row
        for row in fact.objects.filter(connection=connection, day__in=days)
        .values("day")
        .annotate(
            lines=Count("pk"),
            **{f"sum_{name}": Sum(name) for name in measures},
            **{f"known_{name}": Count(name) for name in measures},
        )
    }
    excesses = _over_attributed_by_day(connection, table, days)
    for check in checks:
        parts = TOKEN_MEASURES if check.measure == "total_tokens" else (check.measure,)
        sums_of_day = (
            _stored(sums.get(check.day), parts),
            _over_attributed(excesses.get(check.day), parts),
        )
        if sums_of_day != (check.stored, check.excess):
            check.stored, check.excess = sums_of_day
            check.reread_at = None
    DayCheck.objects.bulk_update(checks, ["stored", "excess", "reread_at"])


def _stored(sums: dict[str, Any] | None, parts: Sequence[str]) -> Decimal | None:
    """Sum the stored measures; None if a row does not know one of them."""
    if sums is None:
        return Decimal()
    if any(sums[f"known_{part}"] != sums["lines"] for part in parts):
        return None
    return _exact_sum(Decimal(sums[f"sum_{part}"]) for part in parts)


def _over_attributed(excesses: dict[str, Decimal] | None, parts: Sequence[str]) -> Decimal:
    return _exact_sum(excesses[part] for part in parts) if excesses else Decimal()


def _exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    return reduce(EXACT.add, numbers, Decimal())


def _over_attributed_by_day(
    connection: Connection, table: Table, days: Sequence[date]
) -> dict[date, dict[str, Decimal]]:
    """By how much people's lines exceed the organization's, per day and measure.

    That is what a line without a person falls below zero, unless the organization's own line is
    a credit.
    """
    fact, total, measures = _tables(table)
    # Both sides are stacked and aggregated. A join would go quadratic while the planner's
    # statistics do not know the connection: it expects one row and loops over all (measured for
    # the second organization of 600 people: 23 s for 31 days).
    stacked = ", ".join(
        f"sum({name}) FILTER (WHERE is_rest) AS rest_{name},"
        f" coalesce(sum({name}) FILTER (WHERE NOT is_rest), 0) AS whole_{name}"
        for name in measures
    )
    sums = ", ".join(
        f"coalesce(sum(greatest(-rest_{name} - greatest(-whole_{name}, 0), 0)), 0)"
        for name in measures
    )
    columns = ", ".join(measures)
    scope: dict[str, Any] = {"connection": connection.pk, "days": list(days)}
    here = "connection_id = %(connection)s AND day = ANY(%(days)s)"
    with database.cursor() as cursor:
        cursor.execute(
            f"SELECT day, {sums} FROM ("  # noqa: S608 - own names
            f"  SELECT day, meter_id, {stacked} FROM ("
            f"   SELECT day, meter_id, TRUE AS is_rest, {columns} FROM {fact._meta.db_table}"
            f"    WHERE {here} AND person_id IS NULL"
            f"   UNION ALL SELECT day, meter_id, FALSE, {columns} FROM {total._meta.db_table}"
            f"    WHERE {here}"
            "  ) lines GROUP BY day, meter_id"
            " ) meters GROUP BY day",
            scope,
        )
        return {
            day: dict(zip(measures, map(Decimal, numbers), strict=True))
            for day, *numbers in cursor.fetchall()
        }
