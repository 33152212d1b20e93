"""The numbers, as the provider reported them. Written by `loading` alone.

For every (connection, day, meter) the facts sum to the organization-wide total: what people do
not account for is the fact without a person. Totals are what feeds of the whole organization
bring, and double as the rollup by meter.
"""

import json
from decimal import Decimal
from typing import Any, Self

from django.db import models
from django.db.models import Value

from accounts.models import Organization
from integrations.models.connection import Connection
from integrations.models.dimensions import Meter, Person
from integrations.models.fields import ExactField
from integrations.window import Window

# Facts point to small tables without an index or a constraint of their own: with a constraint,
# PostgreSQL would read every fact once for each person and meter that is erased. `loading`
# writes both sides in one transaction, `deletion` erases facts first.
UNCONSTRAINED: dict[str, Any] = {"related_name": "+", "db_index": False, "db_constraint": False}


class FactQuerySet(models.QuerySet[models.Model]):
    def for_organization(self, organization: Organization) -> Self:
        return self.filter(connection__organization=organization)

    def within(self, window: Window) -> Self:
        """Keep the days of a half-open window: the end day is not included."""
        return self.filter(day__gte=window.start, day__lt=window.end)


class Cost(models.Model):
    """US dollars of one UTC day: after discounts, and at list price (None: not reported)."""

    day = models.DateField()
    effective_cost = ExactField()
    list_cost = ExactField(null=True)

    objects = FactQuerySet.as_manager()

    class Meta:
        abstract = True


class Usage(models.Model):
    """Requests and tokens of one UTC day. `requests` is None where the provider says so."""

    day = models.DateField()
    requests = models.BigIntegerField(null=True)
    uncached_input_tokens = models.BigIntegerField()
    cache_read_tokens = models.BigIntegerField()
    cache_write_5m_tokens = models.BigIntegerField()
    cache_write_1h_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    web_searches = models.BigIntegerField()

    objects = FactQuerySet.as_manager()

    class Meta:
        abstract = True


# The index of the grain begins with the connection, so that needs none of its own. Nor is there a
# constraint: PostgreSQL would look up the connection of every fact that is written, more than a
# million times in one import. Who writes holds a claim of the connection, which is deleted before
# the connection is, and `deletion` erases what the models say belongs to it.
CASCADE_OWNED: dict[str, Any] = {
    "on_delete": models.CASCADE,
    "db_index": False,
    "db_constraint": False,
}


class CostFact(Cost):
    """Grain: connection, day, meter, person. No person: not attributed to a user."""

    connection = models.ForeignKey(Connection, related_name="costs", **CASCADE_OWNED)
    meter = models.ForeignKey(Meter, models.CASCADE, **UNCONSTRAINED)
    person = models.ForeignKey(Person, models.CASCADE, null=True, **UNCONSTRAINED)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "day", "meter", "person"],
                name="cost_fact_grain",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["connection", "person", "day"], name="cost_fact_who")]


class CostTotal(Cost):
    """Grain: connection, day, meter: the provider's own line for the whole organization."""

    connection = models.ForeignKey(Connection, related_name="cost_totals", **CASCADE_OWNED)
    meter = models.ForeignKey(Meter, models.CASCADE, **UNCONSTRAINED)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "day", "meter"], name="cost_total_grain")
        ]


class UsageFact(Usage):
    """Grain: connection, day, meter, person. No person: not attributed to a user."""

    connection = models.ForeignKey(Connection, related_name="usages", **CASCADE_OWNED)
    meter = models.ForeignKey(Meter, models.CASCADE, **UNCONSTRAINED)
    person = models.ForeignKey(Person, models.CASCADE, null=True, **UNCONSTRAINED)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "day", "meter", "person"],
                name="usage_fact_grain",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["connection", "person", "day"], name="usage_fact_who")]


class UsageTotal(Usage):
    """Grain: connection, day, meter: the provider's own line for the whole organization."""

    connection = models.ForeignKey(Connection, related_name="usage_totals", **CASCADE_OWNED)
    meter = models.ForeignKey(Meter, models.CASCADE, **UNCONSTRAINED)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "day", "meter"], name="usage_total_grain")
        ]


class ExactDecoder(json.JSONDecoder):
    """JSON numbers with a fraction as `Decimal`: PostgreSQL keeps them exact, so do we."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(parse_float=Decimal, **kwargs)


class EngagementFact(models.Model):
    """Grain: connection, feed, day, subject, days. `values` maps dotted field paths to numbers.

    They cover the `days` days that end with `day`. A path that is missing is not known; zero is
    measured. A field the provider adds next month is a new path, not a migration. `labels` are the
    dimensions a document is grouped by besides, by their names in reports.
    """

    connection = models.ForeignKey(
        Connection, models.CASCADE, related_name="engagements", db_constraint=False
    )
    feed = models.CharField(max_length=50)
    day = models.DateField()
    subject = models.TextField(blank=True)
    name = models.TextField(blank=True)
    person = models.ForeignKey(Person, models.CASCADE, null=True, **UNCONSTRAINED)
    days = models.PositiveSmallIntegerField(default=1, db_default=1)
    values = models.JSONField(decoder=ExactDecoder)
    labels = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))

    objects = FactQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "feed", "day", "subject", "days"],
                name="engagement_fact_grain",
            )
        ]
