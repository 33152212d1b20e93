"""API tokens, each of one member of one organization."""

from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Membership


class Scope(models.TextChoices):
    """Data that a token can read. Never more than its member sees on the pages."""

    CONNECTIONS = "read:connections", "Connections"
    REPORTS = "read:reports", "Reports"
    HEALTH = "read:health", "Data health"

    @property
    def summary(self) -> str:
        return {
            Scope.CONNECTIONS: "What is connected, and how far it has been read.",
            Scope.REPORTS: "Costs, usage and engagement, with the names of people.",
            Scope.HEALTH: "Every day of every feed, and the check against the provider’s totals.",
        }[self]


class TokenQuerySet(models.QuerySet["Token"]):
    def usable(self, now: datetime) -> Self:
        """Keep tokens that are not expired and whose member is active."""
        alive = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        return self.filter(alive, membership__in=Membership.objects.active())


class Token(models.Model):
    """Secret that reads as one member. Deleted with the membership.

    Only a digest is stored, so a database reader cannot use it. Revoking deletes the row; the
    audit log keeps the event.
    """

    membership = models.ForeignKey(Membership, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    hint = models.CharField(max_length=4, help_text="The secret's last characters.")
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["membership", "name"], name="token_name_once"),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values) & models.Q(scopes__len__gt=0),
                name="token_scopes_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def scope_labels(self) -> list[str]:
        """Labels of the scopes in the order of `Scope`."""
        return [scope.label for scope in Scope if scope in self.scopes]
