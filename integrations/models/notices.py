"""Notices about connections, and inquiries to experts."""

from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Organization, User
from integrations import connectors
from integrations.models.connection import Connection


class NoticeQuerySet(models.QuerySet["Notice"]):
    def open_for(self, organization: Organization, user: User) -> Self:
        """Those this person has not dismissed and that are not settled, newest first."""
        return (
            self.filter(organization=organization, settled_at__isnull=True)
            .exclude(dismissed_by=user)
            .order_by("-created_at", "-pk")
        )


class Notice(models.Model):
    """Notice of something that happened to a connection, created once.

    `event` names the occurrence within its organization, so a second detection creates nothing.
    `settled_at` is the instant from which no action was needed.
    """

    class Kind(models.TextChoices):
        IMPORT_FINISHED = "import_finished", "Import finished"
        ACTION_NEEDED = "action_needed", "Action needed"
        KEY_EXPIRES = "key_expires", "Key expires"
        HISTORY_ERASED = "history_erased", "History erased"
        FEED_FAILING = "feed_failing", "Feed failing"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="notices")
    connection = models.ForeignKey(
        Connection, models.SET_NULL, null=True, blank=True, related_name="notices"
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    event = models.CharField(max_length=100, editable=False)
    text = models.TextField(help_text="What happened.")
    repair = models.TextField(blank=True, help_text="What to do about it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    settled_at = models.DateTimeField(null=True, blank=True)
    dismissed_by = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "event"], name="notice_told_once")
        ]
        indexes = [
            models.Index(
                fields=["organization", "-created_at"],
                condition=models.Q(settled_at__isnull=True),
                name="notice_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text}"

    @property
    def tone(self) -> str:
        """Bad for a connection that stopped, warn for other problems, else good."""
        if self.kind == self.Kind.ACTION_NEEDED:
            return "bad"
        return "warn" if self.kind == self.Kind.KEY_EXPIRES or self.repair else "good"

    @property
    def icon(self) -> str:
        """Name of the icon in `static/icons.svg`."""
        icons = {
            self.Kind.ACTION_NEEDED: "warn",
            self.Kind.KEY_EXPIRES: "key",
            self.Kind.HISTORY_ERASED: "trash",
        }
        return icons.get(self.Kind(self.kind), "warn" if self.repair else "ok")


class ExpertInquiry(models.Model):
    """A question about a connection, with what a test found out. Holds no key."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="inquiries")
    connector_slug = models.CharField(max_length=50, choices=connectors.choices)
    label = models.CharField("Organization Label", max_length=50, blank=True)
    question = models.TextField()
    reply_to = models.EmailField("Reply to")
    diagnosis = models.JSONField(default=dict, help_text="What was tried and what came back.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    asked_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "expert inquiries"
        indexes = [models.Index(fields=["organization", "-asked_at"], name="inquiry_newest")]

    def __str__(self) -> str:
        return f"Expert inquiry {self.pk} of {self.organization}"
