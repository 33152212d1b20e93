"""Store saved reports and their email schedules."""

from datetime import UTC, datetime, timedelta
from typing import Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from accounts import names
from accounts.models import Membership, Organization, User
from accounts.permissions import Permission


class SavedReportQuerySet(models.QuerySet["SavedReport"]):
    def seen_by(self, membership: Membership) -> Self:
        """Return the member's own reports and those shared in the organization."""
        mine = Q(owner=membership.user) | Q(sharing=SavedReport.Sharing.ORGANIZATION)
        return self.filter(mine, organization=membership.organization)

    def left_behind(self, membership: Membership) -> Self:
        """Private ones whose owner is no member any more. They are there for Admins alone."""
        if not membership.may(Permission.MANAGE_MEMBERS):
            return self.none()
        owners = Membership.objects.filter(
            organization=OuterRef("organization"), user=OuterRef("owner")
        )
        return self.filter(
            ~Exists(owners),
            organization=membership.organization,
            sharing=SavedReport.Sharing.PRIVATE,
        )


class SavedReport(models.Model):
    """A report under a name. `query` is the report itself, as it stands in an address."""

    class Sharing(models.TextChoices):
        PRIVATE = "private", "Private"
        ORGANIZATION = "organization", "Everybody in the organization"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="saved_reports")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="saved_reports"
    )
    name = models.CharField(max_length=100)
    query = models.TextField()
    sharing = models.CharField(max_length=20, choices=Sharing.choices, default=Sharing.PRIVATE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SavedReportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "owner", "name"], name="report_name_once_per_owner"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name_in_mail(self) -> str:
        return names.for_mail(self.name) or f"report {self.pk}"

    @property
    def is_shared(self) -> bool:
        return self.sharing == self.Sharing.ORGANIZATION

    @property
    def address(self) -> str:
        """The report page with its settings."""
        explore = reverse("reports:explore", args=[self.organization.slug])
        return f"{explore}?{self.query}&report={self.pk}"

    def may_be_changed_by(self, membership: Membership) -> bool:
        """By its owner; once shared also by Admins, as owners leave."""
        is_owner = self.owner_id == membership.user_id and membership.may(Permission.SAVE_REPORTS)
        return is_owner or (self.is_shared and membership.may(Permission.MANAGE_MEMBERS))


class ReportScheduleQuerySet(models.QuerySet["ReportSchedule"]):
    def with_author(self) -> Self:
        """Annotate `has_author`: whether who made it is an active member of its organization."""
        authors = Membership.objects.active().filter(
            organization=OuterRef("report__organization"), user=OuterRef("created_by")
        )
        return self.annotate(has_author=Exists(authors))


class ReportSchedule(models.Model):
    """Schedule of a saved report with its recipients. `next_at` decides what is due.

    It goes out on behalf of `created_by`: when they are deactivated or removed it stops, until
    they are back or an Admin takes it over.
    """

    class Frequency(models.TextChoices):
        DAILY = "daily", "Every day"
        WEEKLY = "weekly", "Every week"
        MONTHLY = "monthly", "Every month"

    class Weekday(models.IntegerChoices):
        MONDAY = 0, "Monday"
        TUESDAY = 1, "Tuesday"
        WEDNESDAY = 2, "Wednesday"
        THURSDAY = 3, "Thursday"
        FRIDAY = 4, "Friday"
        SATURDAY = 5, "Saturday"
        SUNDAY = 6, "Sunday"

    report = models.ForeignKey(SavedReport, models.CASCADE, related_name="schedules")
    frequency = models.CharField(max_length=20, choices=Frequency.choices, default=Frequency.WEEKLY)
    weekday = models.PositiveSmallIntegerField(choices=Weekday.choices, default=Weekday.MONDAY)
    day_of_month = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(28)]
    )
    hour = models.PositiveSmallIntegerField(
        default=8, validators=[MaxValueValidator(23)], help_text="UTC."
    )
    attachment = models.CharField(
        max_length=10, default="csv", db_default="csv", help_text="Name of an export."
    )
    recipients = models.ManyToManyField(User, related_name="+")
    is_paused = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    next_at = models.DateTimeField()
    last_at = models.DateTimeField(null=True, blank=True)
    last_result = models.CharField(max_length=300, blank=True, help_text="Fit for the page.")

    objects = ReportScheduleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(hour__lte=23, weekday__lte=6, day_of_month__range=(1, 28)),
                name="schedule_is_on_the_calendar",
            )
        ]
        indexes = [models.Index(fields=["is_paused", "next_at"])]

    def __str__(self) -> str:
        return f"{self.report}, {self.when}"

    @property
    def when(self) -> str:
        """Return the schedule in words: every Monday at 08:00 UTC."""
        days = {
            self.Frequency.DAILY: "every day",
            self.Frequency.WEEKLY: f"every {self.Weekday(self.weekday).label}",
            self.Frequency.MONTHLY: f"on day {self.day_of_month} of every month",
        }
        return f"{days[self.Frequency(self.frequency)]} at {self.hour:02}:00 UTC"

    def time_after(self, now: datetime) -> datetime:
        """Return the first time it is due after `now`; missed times are skipped."""
        due = now.astimezone(UTC).replace(hour=self.hour, minute=0, second=0, microsecond=0)
        while due <= now or not self._is_on(due):
            due += timedelta(days=1)
        return due

    def _is_on(self, moment: datetime) -> bool:
        if self.frequency == self.Frequency.WEEKLY:
            return moment.weekday() == self.weekday
        return self.frequency == self.Frequency.DAILY or moment.day == self.day_of_month


class ReportFileQuerySet(models.QuerySet["ReportFile"]):
    def unfinished(self) -> Self:
        return self.filter(state__in=[ReportFile.State.WAITING, ReportFile.State.WORKING])

    def of(self, membership: Membership) -> Self:
        """Return the member's own files, which other members cannot see."""
        return self.filter(organization=membership.organization, owner=membership.user)


class ReportFile(models.Model):
    """One file that a member ordered and a worker makes. Gone after a day.

    `rows_written` and `touched_at` are the signs of life of the worker that makes it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        WORKING = "working", "Being made"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="report_files")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="report_files")
    kind = models.CharField(max_length=10, help_text="Name of an export.")
    query = models.TextField()
    address = models.TextField(help_text="The page of the report, for the sheet About.")
    title = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    error = models.CharField(max_length=300, blank=True, help_text="Fit for the page.")
    attempts = models.PositiveSmallIntegerField(default=0)
    rows_written = models.PositiveBigIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    touched_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ReportFileQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["organization", "owner", "-requested_at"])]

    def __str__(self) -> str:
        return self.name

    @property
    def is_unfinished(self) -> bool:
        return self.state in {self.State.WAITING, self.State.WORKING}

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY


class FilePiece(models.Model):
    """A piece of the content of a file, by its number from 0 on."""

    file = models.ForeignKey(ReportFile, models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="piece_once")]

    def __str__(self) -> str:
        return f"{self.file}, piece {self.number}"
