"""Who may read by machine: tokens, each of one member of one organization."""

from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from accounts.models import Membership


class Scope(models.TextChoices):
    """What a token opens. Never more than its member may see on the pages."""

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
        """Those that open something: not expired, of a member who is still let in."""
        alive = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        return self.filter(alive, membership__in=Membership.objects.active())


class Token(models.Model):
    """A secret that reads on behalf of one member. It goes with the membership.

    Only a digest is kept: whoever reads the database cannot use it. Revoking deletes the row; the
    audit trail remembers.
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
        """In the order of `Scope`, whatever order they were given in."""
        return [scope.label for scope in Scope if scope in self.scopes]
