"""State of syncing: runs, windows, days, checks and restatements.

The database is the truth about work to do; the broker only wakes workers up.
"""

from decimal import Decimal
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from integrations.models.connection import Connection
from integrations.models.fields import ExactField
from integrations.window import Window


class SyncRun(models.Model):
    """One import, refresh or manual sync of one connection: a set of windows to read."""

    class Kind(models.TextChoices):
        IMPORT = "import", "Import"
        REFRESH = "refresh", "Refresh"
        MANUAL = "manual", "Manual sync"

    class State(models.TextChoices):
        ACTIVE = "active", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        STOPPED = "stopped", "Stopped"

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    state = models.CharField(max_length=20, choices=State.choices, default=State.ACTIVE)
    start = models.DateField()
    end = models.DateField(help_text="The first day that is not read any more.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(
        null=True, blank=True, help_text="The provider asked everyone to wait until then."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection"],
                condition=models.Q(state="active"),
                name="one_active_run_per_connection",
            )
        ]
        indexes = [models.Index(fields=["connection", "-created_at"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.connection}, {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def window(self) -> Window:
        return Window(self.start, self.end)


class SyncWindow(models.Model):
    """One feed over a few days, read and stored as a whole or not at all.

    Claimed under a lease: a worker that dies stops renewing it, and the next one starts over.
    """

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        UNCHANGED = "unchanged", "Unchanged"
        UNAVAILABLE = "unavailable", "Not available"
        FAILED = "failed", "Failed"

    FINISHED = (State.DONE, State.UNCHANGED, State.UNAVAILABLE, State.FAILED)

    run = models.ForeignKey(SyncRun, models.CASCADE, related_name="windows")
    feed = models.CharField(max_length=50)
    start = models.DateField()
    end = models.DateField()
    position = models.PositiveIntegerField(help_text="Order within the run.")
    is_recheck = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Read again because a sum did not agree, whatever export it is from.",
    )
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    workers_lost = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How often its worker vanished while it was read."
    )
    lease = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    requests = models.PositiveIntegerField(default=0)
    rows = models.PositiveIntegerField(default=0, help_text="Rows the provider sent.")
    rows_written = models.PositiveIntegerField(default=0)
    watermark = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_repair = models.TextField(blank=True)
    request_id = models.CharField(max_length=100, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="window_order_in_run")
        ]
        indexes = [models.Index(fields=["state", "leased_until"])]

    def __str__(self) -> str:
        return f"{self.feed}, {self.window}"

    @property
    def window(self) -> Window:
        return Window(self.start, self.end)


class FeedDay(models.Model):
    """State of one day of one feed. No row: unknown, which is never drawn as zero."""

    class State(models.TextChoices):
        INCOMPLETE = "incomplete", "Incomplete"  # the day had not ended for the provider
        PROVISIONAL = "provisional", "Can still change"
        FINAL = "final", "Final"

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="feed_days")
    feed = models.CharField(max_length=50)
    day = models.DateField()
    state = models.CharField(max_length=20, choices=State.choices)
    watermark = models.DateTimeField(null=True, blank=True)
    content_hash = models.BinaryField(max_length=32)
    rows = models.PositiveIntegerField()
    read_at = models.DateTimeField(help_text="When the provider last confirmed this content.")
    kept_out = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Rows that made no sense and are not stored."
    )
    kept_out_reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "feed", "day"], name="feed_day_once")
        ]

    def __str__(self) -> str:
        return f"{self.feed} {self.day}: {self.state}"


class DayCheckQuerySet(models.QuerySet["DayCheck"]):
    def failing(self) -> Self:
        """Those that do not agree. What cannot be compared is not among them."""
        unequal = models.Q(stored__isnull=False) & ~models.Q(stored=models.F("reported"))
        return self.filter(unequal | models.Q(excess__gt=0))


class DayCheck(models.Model):
    """Comparison of a stored day with the provider's own ungrouped total.

    `stored` None: a part of it was not reported, so nothing can be compared. `excess` is by how
    much lines of people exceed those of the whole organization, summed over meters: the two
    sides contradict each other, even where their sum is right.
    """

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="checks")
    feed = models.CharField(max_length=50)
    day = models.DateField()
    measure = models.CharField(max_length=50)
    reported = ExactField()
    stored = ExactField(null=True)
    excess = ExactField(default=0, db_default=0)
    watermark = models.DateTimeField(null=True, blank=True)
    reread_at = models.DateTimeField(
        null=True, blank=True, help_text="When both sides were read again, because they differ."
    )

    objects = DayCheckQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "feed", "day", "measure"], name="day_check_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.feed} {self.day} {self.measure}: {self.stored} of {self.reported}"

    @property
    def difference(self) -> Decimal | None:
        """Stored minus reported; None if either is unknown."""
        return None if self.stored is None else self.stored - self.reported

    @property
    def agrees(self) -> bool | None:
        """True if equal to the last digit; None if unknown."""
        return None if self.stored is None else self.stored == self.reported and not self.excess


class Restatement(models.Model):
    """Change of one measure of a complete day by the provider.

    `old` and `new` are sums of the day; None: not known, or of a kind that has no sum. They are
    equal if numbers only moved between people or meters.
    """

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="restatements")
    feed = models.CharField(max_length=50)
    day = models.DateField()
    measure = models.CharField(max_length=50)
    old = ExactField(null=True)
    new = ExactField(null=True)
    old_watermark = models.DateTimeField(null=True, blank=True)
    new_watermark = models.DateTimeField(null=True, blank=True)
    meters = models.JSONField(default=list, help_text="Which meters moved, and from what to what.")
    people = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many people's numbers moved."
    )
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["connection", "-at"])]

    def __str__(self) -> str:
        return f"{self.feed} {self.day} {self.measure}: {self.old} → {self.new}"

    @property
    def change(self) -> Decimal | None:
        return None if self.old is None or self.new is None else self.new - self.old
