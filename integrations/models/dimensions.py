"""Dimensions of facts: people and meters, in small tables that narrow facts refer to."""

from django.db import models
from django.db.models import F, Value
from django.db.models.functions import MD5, Cast

from integrations.connectors.records import METER_FIELDS
from integrations.models.connection import Connection


class Person(models.Model):
    """Someone or something at the provider that usage is attributed to.

    `external_id` is the key; the rest are attributes that change. Usage without a person is a
    fact with no person, never a made-up one.
    """

    class Kind(models.TextChoices):
        USER = "user", "User"
        SERVICE = "service", "Service identity"
        API_KEY = "api_key", "API key"
        FEDERATED = "federated", "Federated identity"

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        DELETED = "deleted", "Deleted"

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="people")
    external_id = models.TextField()
    email = models.TextField(blank=True)
    name = models.TextField(blank=True)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.USER)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    role = models.TextField(blank=True, db_default="", help_text="In the provider's own word.")
    is_named_here = models.BooleanField(
        default=False, db_default=False, help_text="A member gave the name: imports keep it."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "external_id"], name="person_once_per_connection"
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email or self.external_id


class Resource(models.Model):
    """Name of an id of a dimension at the provider: a workspace, an API key, a group.

    Kept when it is gone upstream, so that history does not lose its names. `attributes` are the
    newest we know, in text: owner, expiry, tags (`tag:<name>`). `ResourceVersion` keeps the older.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        ARCHIVED = "archived", "Archived"

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="resources")
    kind = models.CharField(max_length=50, help_text="The dimension it names.")
    external_id = models.TextField()
    name = models.TextField(blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    attributes = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "kind", "external_id"], name="resource_once_per_connection"
            )
        ]

    def __str__(self) -> str:
        return self.name or self.external_id


class ResourceVersion(models.Model):
    """Attributes of a resource from a day on: our own history, since providers keep none.

    Grain: resource, first day. The oldest row also stands for the days before it, because older
    values of a tag cannot be read any more.
    """

    resource = models.ForeignKey(Resource, models.CASCADE, related_name="versions", db_index=False)
    since = models.DateField()
    attributes = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["resource", "since"], name="resource_version_grain")
        ]

    def __str__(self) -> str:
        return f"{self.resource} since {self.since}"


class Meter(models.Model):
    """One combination of dimension values a connection has ever reported. "" is absent.

    Values are the provider's own words. A few hundred rows a connection, so that facts stay
    narrow and a group-by joins a tiny table. Its columns are the fields of `MeterKey`: `attributes`
    are the dimensions of one provider alone, which need no column.
    """

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="meters")
    product = models.TextField(blank=True)
    model = models.TextField(blank=True)
    cost_type = models.TextField(blank=True)
    token_type = models.TextField(blank=True)
    organization_id = models.TextField(blank=True)
    workspace_id = models.TextField(blank=True)
    api_key_id = models.TextField(blank=True)
    attributes = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))

    class Meta:
        constraints = [
            # By their hashes: texts of any length do not fit into an entry of an index. PostgreSQL
            # writes equal JSONB as equal text, whatever the order of its names was.
            models.UniqueConstraint(
                F("connection"),
                *(MD5(name) for name in METER_FIELDS),
                MD5(Cast("attributes", models.TextField())),
                name="meter_once_per_connection",
            )
        ]

    def __str__(self) -> str:
        values = (*(getattr(self, name) for name in METER_FIELDS), *self.attributes.values())
        return " · ".join(value for value in values if value) or "everything"
