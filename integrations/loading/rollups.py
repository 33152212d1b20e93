"""Keep the rollups of a day equal to its facts, in the transaction that wrote the facts."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import connection as database

from integrations.connectors.base import Feed, Table
from integrations.connectors.records import COST_MEASURES, USAGE_MEASURES
from integrations.models import (
    ActivityByDay,
    ActivityByPerson,
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    EngagementFact,
    Meter,
    Person,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
)

# The key of each rollup, as SQL over facts, meters and people.
_BY_METER = {"meter_id": "facts.meter_id"}
_BY_PERSON = {
    "person_id": "facts.person_id",
    "project_id": "COALESCE(NULLIF(meters.workspace_id, ''), people.external_id, '')",
}
_NAMED = (
    f" JOIN {Meter._meta.db_table} meters ON meters.id = facts.meter_id"
    f" LEFT JOIN {Person._meta.db_table} people ON people.id = facts.person_id"
)


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
            f" FROM {facts._meta.db_table} facts{_NAMED if 'project_id' in keys else ''}"
            " WHERE facts.connection_id = %(connection)s AND facts.day = ANY(%(days)s)"
            f" GROUP BY facts.connection_id, facts.day, {', '.join(keys.values())}",
            scope,
        )


def roll_up_activity(connection: Connection, feed: Feed, days: Sequence[date]) -> None:
    """Write what people did on `days` again from the documents that are stored now.

    A path that some documents lack has no sum, unless the connector declares it as optional: then
    it is the sum of those that have it.
    """
    scope: dict[str, Any] = {
        "connection": connection.pk,
        "feed": feed.name,
        "days": list(days),
    }
    here = "connection_id = %(connection)s AND feed = %(feed)s AND day = ANY(%(days)s)"
    with database.cursor() as cursor:
        for rollup in (ActivityByDay, ActivityByPerson):
            cursor.execute(f"DELETE FROM {rollup._meta.db_table} WHERE {here}", scope)  # noqa: S608
        optional = {
            path
            for metric in connection.connector.catalog.metrics
            if feed.name in metric.feeds
            for path in metric.optional_paths
        }
        words = {"optional": sorted(optional)}
        cursor.execute(_ACTIVITY_BY_DAY.format(here=here), scope | words)
        if feed.surfaces:
            surfaces, paths = _active_surfaces(feed)
            cursor.execute(_ACTIVITY_BY_PERSON.format(here=here, surfaces=surfaces), scope | paths)


_ACTIVITY_BY_DAY = f"""
INSERT INTO {ActivityByDay._meta.db_table} (connection_id, feed, day, values)
WITH documents AS (
    SELECT connection_id, feed, day, values FROM {EngagementFact._meta.db_table}
    WHERE {{here}} AND days = 1
),
paths AS (
    SELECT day, path, sum(number::numeric) AS total, count(number) AS told
    FROM documents CROSS JOIN LATERAL jsonb_each_text(values) AS said (path, number)
    GROUP BY day, path
),
whole AS (
    SELECT connection_id, feed, day, count(*) AS told FROM documents
    GROUP BY connection_id, feed, day
)
SELECT connection_id, feed, whole.day,
    coalesce(jsonb_object_agg(path, total) FILTER (WHERE path IS NOT NULL), '{{{{}}}}')
FROM whole LEFT JOIN paths ON paths.day = whole.day
    AND (paths.told = whole.told OR paths.path = ANY(%(optional)s))
GROUP BY connection_id, feed, whole.day
"""  # noqa: S608 - our own names
_ACTIVITY_BY_PERSON = f"""
INSERT INTO {ActivityByPerson._meta.db_table} (connection_id, feed, day, person_id, surfaces)
SELECT connection_id, feed, day, person_id, array_remove(ARRAY[{{surfaces}}], NULL)
FROM {EngagementFact._meta.db_table}
WHERE {{here}} AND days = 1 AND person_id IS NOT NULL
GROUP BY connection_id, feed, day, person_id
"""  # noqa: S608


def _active_surfaces(feed: Feed) -> tuple[str, dict[str, str]]:
    """Return SQL for the surfaces of a person's documents, with its parameters.

    A path that is not known adds nothing to what was done.
    """
    cases, words = [], {}
    for number, (surface, paths) in enumerate(feed.surfaces.items()):
        words[f"surface_{number}"] = surface
        counts = []
        for place, path in enumerate(paths):
            words[f"path_{number}_{place}"] = path
            counts.append(f"coalesce((values ->> %(path_{number}_{place})s)::numeric, 0)")
        cases.append(f"CASE WHEN bool_or({' + '.join(counts)} > 0) THEN %(surface_{number})s END")
    return ", ".join(cases), words
