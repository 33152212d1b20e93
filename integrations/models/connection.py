"""One provider organization that a Spendglass organization has connected."""

from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Organization, slug_validator
from integrations import connectors
from integrations.connectors.base import Connector
from integrations.connectors.ids import canonical_id
from integrations.encryption import EncryptedField


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def due(self, now: object) -> Self:
        """Those whose next refresh is due."""
        return self.filter(state=Connection.State.ACTIVE, next_sync_at__lte=now)


class Connection(models.Model):
    """A labelled key to one provider organization. Its label is the Billing Account of reports."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        ACTION_NEEDED = "action_needed", "Action needed"
        DISCONNECTED = "disconnected", "Disconnected"
        ARCHIVED = "archived", "Archived"  # deleted, its history kept
        DELETING = "deleting", "Deleting"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="connections")
    connector_slug = models.CharField(max_length=50, choices=connectors.choices)
    label = models.CharField("Organization Label", max_length=50, validators=[slug_validator])
    options = models.JSONField(
        default=dict, blank=True, help_text="How to ask, as the connection test found out."
    )
    provider_organization_id = models.CharField(
        max_length=100, blank=True, help_text="As the provider spells it in most answers."
    )
    other_organization_ids = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Other spellings of the same organization, as tests of its keys found them.",
    )
    currency = models.CharField(
        max_length=3,
        default="USD",
        db_default="USD",
        help_text="ISO 4217 code of what the provider charges in: all amounts are in it.",
    )
    credential = EncryptedField(null=True)
    key_hint = models.CharField(max_length=4, blank=True, help_text="The key's last characters.")
    key_expires_on = models.DateField(
        null=True, blank=True, help_text="The day the key stops working, if its owner told us."
    )

    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    problem = models.TextField(blank=True, help_text="What is wrong, fit for the page.")
    problem_code = models.CharField(max_length=50, blank=True)
    problem_repair = models.TextField(blank=True)
    problem_since = models.DateTimeField(null=True, blank=True)

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    next_sync_at = models.DateTimeField(null=True, blank=True)
    rows_to_erase = models.PositiveBigIntegerField(null=True, editable=False)
    rows_erased = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "label"], name="connection_label_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(credential__isnull=True)
                | models.Q(state__in=["active", "action_needed"]),
                name="connection_keeps_no_secret_when_off",
            ),
            # One provider organization twice would count every dollar twice.
            models.UniqueConstraint(
                fields=["organization", "connector_slug", "provider_organization_id"],
                condition=~models.Q(provider_organization_id=""),
                name="connection_once_per_provider_organization",
            ),
        ]
        indexes = [models.Index(fields=["state", "next_sync_at"])]

    def __str__(self) -> str:
        return self.label

    @property
    def connector(self) -> Connector:
        """Connector by the settings; one they lack has no feeds and refuses to read."""
        return connectors.connector_of(self.connector_slug)

    @property
    def organization_ids(self) -> frozenset[str]:
        """Every known spelling of the provider's organization, in canonical form."""
        ids = (self.provider_organization_id, *self.other_organization_ids)
        return frozenset(canonical_id(one) for one in ids if one)

    @property
    def organization_key(self) -> str:
        """One id that both products of a provider share where it is known: the UUID. "" if none."""
        return min(self.organization_ids, key=lambda one: ("_" in one, one), default="")

    @property
    def not_read(self) -> tuple[str, ...]:
        """Sentences about data that is missing because the provider refuses it."""
        return () if self.is_disconnected else self.connector.not_read(self.options)

    @property
    def is_disconnected(self) -> bool:
        """Whether nothing new is imported any more; imported data may still exist."""
        return self.state in {self.State.DISCONNECTED, self.State.ARCHIVED, self.State.DELETING}
