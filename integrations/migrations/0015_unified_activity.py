"""Count Chat and Cowork unified, Claude Tag and Science in the rollups that are stored already.

Days that do not change are not read again, so what a person was active in, and the sums of a day
over blocks that only some people have, are made from the documents once more.
"""

from django.db import migrations

UNIFIED = "chat_cowork_unified_metrics"
OPTIONAL = f"path LIKE '{UNIFIED}.%' OR path LIKE 'claude_tag_metrics.%'"
BY_DAY = f"""
UPDATE integrations_activitybyday days SET values = days.values || more.values
FROM (
    SELECT connection_id, feed, day, jsonb_object_agg(path, total) AS values
    FROM (
        SELECT connection_id, feed, day, path, sum(number::numeric) AS total
        FROM integrations_engagementfact
        CROSS JOIN LATERAL jsonb_each_text(values) AS said (path, number)
        WHERE feed = 'users' AND days = 1 AND ({OPTIONAL})
        GROUP BY connection_id, feed, day, path
    ) paths
    GROUP BY connection_id, feed, day
) more
WHERE days.connection_id = more.connection_id AND days.feed = more.feed AND days.day = more.day
"""  # noqa: S608 - our own names
ACTIVE = {
    "chat": [f"{UNIFIED}.chat.message_count"],
    "cowork": [f"{UNIFIED}.sessions.message_count", f"{UNIFIED}.sessions.action_count"],
    "science": ["science_metrics.message_count", "science_metrics.delegation_count"],
    "claude_tag": [
        "claude_tag_metrics.active_message_count",
        "claude_tag_metrics.active_day_count",
    ],
}


def by_person(surface: str, paths: list[str]) -> str:
    counts = " + ".join(f"coalesce((values ->> '{path}')::numeric, 0)" for path in paths)
    return f"""
UPDATE integrations_activitybyperson people SET surfaces = surfaces || '{surface}'::varchar
FROM (
    SELECT connection_id, day, person_id FROM integrations_engagementfact
    WHERE feed = 'users' AND days = 1 AND person_id IS NOT NULL AND {counts} > 0
) active
WHERE people.feed = 'users' AND people.connection_id = active.connection_id
    AND people.day = active.day AND people.person_id = active.person_id
    AND NOT '{surface}' = ANY(surfaces)
"""  # noqa: S608 - our own names


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0014_any_length_and_precision"),
    ]

    operations = [
        migrations.RunSQL(BY_DAY, migrations.RunSQL.noop),
        *(migrations.RunSQL(by_person(*one), migrations.RunSQL.noop) for one in ACTIVE.items()),
    ]
