"""Users, organizations, memberships, invitations, mails and the audit log."""

from typing import Any, ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from accounts import addresses, names
from accounts.permissions import Permission, Role
from common.keyless import validate_keyless

__all__ = [
    "AttemptCount",
    "AuditEvent",
    "Delivery",
    "EmailChange",
    "Invitation",
    "MailAttachment",
    "MailContent",
    "Membership",
    "Organization",
    "Role",
    "User",
]

slug_validator = RegexValidator(
    r"\A[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\Z",
    "Use small letters, digits and hyphens, such as my-org.",
)


class CanonicalEmailField(models.EmailField):  # type: ignore[type-arg]
    """Canonical form of `email`, set on every save. Look-ups use only this field."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs |= {"max_length": 300, "editable": False}  # folding may make an address longer
        super().__init__(*args, **kwargs)

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        value = addresses.canonical(model_instance.email)  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, value)
        return value


class _Addressed(models.Model):
    """Row with an email. Saving the email saves its canonical form too."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        if fields is not None and "email" in fields:
            kwargs["update_fields"] = [*fields, "canonical_email"]
        super().save(*args, **kwargs)


class UserManager(BaseUserManager["User"]):
    def with_email(self, email: str) -> "models.QuerySet[User]":
        """Return the account with this email in any spelling, if it exists."""
        return self.filter(canonical_email=addresses.canonical(email))

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=addresses.with_dns_domain(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.with_email(username or "").get()


class User(_Addressed, AbstractBaseUser, PermissionsMixin):
    """Person who signs in with an email address."""

    email = models.EmailField(unique=True, validators=[addresses.validate_plain])
    canonical_email = CanonicalEmailField(unique=True)
    name = models.CharField(max_length=150, blank=True, validators=[names.validate_name])
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(
        default=False, help_text="May use the Django admin of this installation."
    )
    date_joined = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        """Refuse an API key, and an email that another account has in another spelling."""
        super().clean()
        validate_keyless(self.email)
        if User.objects.with_email(self.email).exclude(pk=self.pk).exists():
            raise ValidationError({"email": "Another account signs in with this email."})

    @property
    def name_in_mail(self) -> str:
        """Label in mails to people who may not know the user: always the email, and the name."""
        return f"{self.name} ({self.email})" if names.is_fit_for_mail(self.name) else self.email

    @property
    def initials(self) -> str:
        words = (self.name or self.email.partition("@")[0].replace(".", " ")).split()
        return "".join(word[0] for word in words[:2]).upper()


class Organization(models.Model):
    """Tenant. Every other row belongs to exactly one. Its slug is part of every URL."""

    slug = models.CharField(max_length=50, unique=True, validators=[slug_validator])
    name = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a pasted key: the name stands on every page, and the slug in every address."""
        super().clean()
        validate_keyless(self.name)
        validate_keyless(self.slug)

    @property
    def name_in_mail(self) -> str:
        return names.for_mail(self.name) or self.slug


class MembershipQuerySet(models.QuerySet["Membership"]):
    def active(self) -> Self:
        """Keep memberships that give access: membership and account are both active."""
        return self.filter(is_active=True, user__is_active=True)

    def with_permission(self, permission: Permission) -> Self:
        return self.active().filter(role__in=permission.roles)


class Membership(models.Model):
    """One user's role in one organization."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    is_active = models.BooleanField(
        default=True, help_text="Not set: deactivated in this organization, and in no other."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "user"], name="membership_once_per_organization"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="membership_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}: {self.get_role_display()}"

    def may(self, permission: Permission) -> bool:
        """Return whether the role has the permission."""
        return permission in Role(self.role).permissions

    @property
    def can(self) -> dict[str, bool]:
        """Permissions by name, for templates: `membership.can.manage_members`."""
        return {permission.name.lower(): self.may(permission) for permission in Permission}


class Invitation(_Addressed):
    """Open invitation to an organization.

    Accepting or revoking deletes the row; the audit log keeps the event. The link is not stored:
    `accounts.invitations` signs it from the row's id and `issue`.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField()
    canonical_email = CanonicalEmailField()
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    issue = models.PositiveIntegerField(
        default=1, help_text="Counts the links that were made; only the newest one opens."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "canonical_email"], name="invitation_once_per_organization"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="invitation_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization}: {self.get_role_display()}"

    @property
    def has_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class EmailChange(models.Model):
    """Pending change of a user's email, until its link is opened.

    A new request makes a new row: `accounts.email_change` signs its id, so older links stop
    working.
    """

    user = models.OneToOneField(User, models.CASCADE, related_name="email_change")
    email = models.EmailField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} to {self.email}"


class MailContent(models.Model):
    """Rendered mail, stored once for all recipients until the last one has it."""

    subject = models.TextField()
    text = models.TextField()
    html = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.subject


class MailAttachment(models.Model):
    """Attached file of a mail."""

    content = models.ForeignKey(MailContent, models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=254)
    mimetype = models.CharField(max_length=100)
    data = models.BinaryField()

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """Mail to one address that is not sent yet. Deleted once it is.

    Its text is stored (`content`) or written when it is sent (`writer` of `accounts.mail.WRITERS`,
    called with `arguments`), because a link in it opens an account.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        HANDING_OVER = "handing_over", "Being handed over"
        FAILED = "failed", "Failed"

    to = models.EmailField(max_length=254, blank=True)
    content = models.ForeignKey(
        MailContent, models.CASCADE, null=True, blank=True, related_name="deliveries"
    )
    writer = models.CharField(max_length=100, blank=True)
    arguments = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(content__isnull=False, writer="")
                | models.Q(content__isnull=True) & ~models.Q(writer=""),
                name="delivery_has_one_text",
            )
        ]
        indexes = [models.Index(fields=["state", "not_before"])]

    def __str__(self) -> str:
        return f"{self.writer or self.content} to {self.to or self.arguments}"


class AttemptCount(models.Model):
    """One row per rate limit, subject and quarter of an hour, used while Redis does not count.

    `key` is the Redis key of the count. It contains the subject as a digest.
    """

    key = models.CharField(max_length=120, primary_key=True)
    attempts = models.PositiveIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class AuditEvent(models.Model):
    """One row per action: actor, action, target and time. Append-only; holds no secret."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="audit_events")
    actor = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    actor_name = models.CharField(max_length=254, help_text="As it was when it happened.")
    verb = models.CharField(max_length=50)
    target = models.CharField(max_length=254)
    details = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["organization", "-at"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor_name} {self.verb} {self.target}"

    @property
    def action(self) -> str:
        """Label of the action: `connection.key_replaced` becomes "Connection: key replaced"."""
        target, _, action = self.verb.replace("_", " ").partition(".")
        return f"{target.capitalize()}: {action}" if action else target.capitalize()
