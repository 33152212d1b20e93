"""Facts added up to a coarser grain, so that a question reads as few rows as it needs.

Written by `loading.rollups` in the transaction that writes the facts, and never read to write
anything else. A number is NULL as soon as one fact it is made of has none, so a sum over a rollup
knows exactly what a sum over the facts knows.
"""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from integrations.models.connection import Connection
from integrations.models.dimensions import Meter, Person
from integrations.models.facts import (
    CASCADE_OWNED,
    UNCONSTRAINED,
    Cost,
    ExactDecoder,
    FactQuerySet,
    Usage,
)


def _count(**options: Any) -> "models.DecimalField[Any, Any]":
    # Sums of a day need more digits than its facts.
    return models.DecimalField(max_digits=30, decimal_places=0, **options)


class UsageSums(Usage):
    requests = _count(null=True)
    uncached_input_tokens = _count()
    cache_read_tokens = _count()
    cache_write_5m_tokens = _count()
    cache_write_1h_tokens = _count()
    output_tokens = _count()
    web_searches = _count()

    class Meta:
        abstract = True


class ByMeter(models.Model):
    """Grain: connection, day, meter. Says nothing of people."""

    connection = models.ForeignKey(Connection, related_name="+", **CASCADE_OWNED)
    meter = models.ForeignKey(Meter, models.CASCADE, **UNCONSTRAINED)

    class Meta:
        abstract = True


class ByPerson(models.Model):
    """Grain: connection, day, person, project. Says nothing of products or models.

    `project_id` is the dimension of that name: the workspace of the meter or else the person's
    own id, "" if there is neither. Stored, because it takes both to know it.
    """

    connection = models.ForeignKey(Connection, related_name="+", **CASCADE_OWNED)
    person = models.ForeignKey(Person, models.CASCADE, null=True, **UNCONSTRAINED)
    project_id = models.TextField(blank=True)

    class Meta:
        abstract = True


def _grain(name: str, *fields: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(
            fields=["connection", "day", *fields], name=f"{name}_grain", nulls_distinct=False
        )
    ]


def _person_key(name: str) -> list[models.Index]:
    """For questions about a few people: they read the rows of those alone."""
    return [models.Index(fields=["connection", "person", "day"], name=f"{name}_who")]


class CostByMeter(ByMeter, Cost):
    class Meta:
        constraints = _grain("cost_by_meter", "meter")


class CostByPerson(ByPerson, Cost):
    class Meta:
        constraints = _grain("cost_by_person", "person", "project_id")
        indexes = _person_key("cost_by_person")


class UsageByMeter(ByMeter, UsageSums):
    class Meta:
        constraints = _grain("usage_by_meter", "meter")


class UsageByPerson(ByPerson, UsageSums):
    class Meta:
        constraints = _grain("usage_by_person", "person", "project_id")
        indexes = _person_key("usage_by_person")


class Activity(models.Model):
    """Activity of the people of a feed by day."""

    connection = models.ForeignKey(Connection, related_name="+", **CASCADE_OWNED)
    feed = models.CharField(max_length=50)
    day = models.DateField()

    objects = FactQuerySet.as_manager()

    class Meta:
        abstract = True


class ActivityByDay(Activity):
    """Grain: connection, feed, day: the documents of everybody, added up path by path.

    A path that one of them lacks is missing here too: the sum is not known. Those that the
    connector declares as optional are the sum of the documents that have them.
    """

    values = models.JSONField(decoder=ExactDecoder)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "feed", "day"], name="activity_by_day_grain"
            )
        ]


class ActivityByPerson(Activity):
    """Grain: connection, feed, day, person: the surfaces they were active in, which may be none."""

    person = models.ForeignKey(Person, models.CASCADE, **UNCONSTRAINED)
    surfaces = ArrayField(models.CharField(max_length=50))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "feed", "day", "person"], name="activity_by_person_grain"
            )
        ]
