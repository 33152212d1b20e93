"""Forms of sign-in, accounts, members and the audit log."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from accounts import audit, throttling
from accounts.addresses import canonical, validate_plain, with_dns_domain
from accounts.models import AuditEvent, EmailChange, Invitation, User
from accounts.names import validate_name
from accounts.permissions import Role
from accounts.throttling import SIGN_IN_ACCOUNT, SIGN_IN_ADDRESS, minutes
from common.keyless import KeylessForm

_Validator = Callable[[str], None]
_DAY: dict[str, Any] = {
    "widget": forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "class": "in"}),
    "error_messages": {"invalid": "Write the day as 2026-11-22."},
}


def _email_field(missing: str, *validators: _Validator, **attributes: Any) -> forms.EmailField:
    return forms.EmailField(
        label="Email",
        max_length=254,
        validators=validators,
        error_messages={
            "required": missing,
            "invalid": "Enter a whole email address, such as ines@example.com.",
        },
        widget=forms.EmailInput(attrs={"class": "in", **attributes}),
    )


class _NameField(forms.CharField):
    """Name of a person on one line, because mails contain it."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"class": "in", "autocomplete": "name"})
        super().__init__(max_length=150, widget=widget, validators=[validate_name], **kwargs)

    def to_python(self, value: Any) -> str:
        return " ".join(str(super().to_python(value)).split())


def _password_input(autocomplete: str) -> forms.PasswordInput:
    return forms.PasswordInput(attrs={"class": "in", "autocomplete": autocomplete})


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": (
            "No account has this email and password. Check both; the password is case-sensitive."
        ),
        "inactive": "This account is disabled. An Admin of your organization can help.",
        "throttled": (
            "Too many attempts to sign in. To protect the account, the next one is possible in "
            "%(minutes)s."
        ),
    }

    username = _email_field("Enter your email.", autocomplete="username", autofocus=True)
    password = forms.CharField(
        label="Password",
        strip=False,
        error_messages={"required": "Enter your password."},
        widget=_password_input("current-password"),
    )

    # How long the next attempt has to wait; 0 if it need not.
    wait_seconds = 0

    def clean(self) -> dict[str, Any]:
        email, request = self.cleaned_data.get("username", ""), cast(HttpRequest, self.request)
        if not email or not self.cleaned_data.get("password"):
            return self.cleaned_data
        address = throttling.client_ip(request)
        self.wait_seconds = max(
            SIGN_IN_ACCOUNT.wait_seconds(email), SIGN_IN_ADDRESS.wait_seconds(address)
        )
        if self.wait_seconds:
            raise ValidationError(
                self.error_messages["throttled"],
                code="throttled",
                params={"minutes": minutes(self.wait_seconds)},
            )
        cleaned: dict[str, Any] = super().clean()
        SIGN_IN_ACCOUNT.reset(email)
        SIGN_IN_ADDRESS.refund(address)
        return cleaned


class ForgotPasswordForm(forms.Form):
    email = _email_field("Enter your email.", autocomplete="email", autofocus=True)


class _AccountForm(forms.Form):
    """Form that changes an existing account."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user


class NewPasswordForm(_AccountForm):
    """One password field with a button that reveals it, instead of typing it twice."""

    password = forms.CharField(
        label="New password",
        strip=False,
        help_text="At least 8 characters, not only digits, and nothing easy to guess.",
        error_messages={"required": "Enter a new password."},
        widget=_password_input("new-password"),
    )

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        password_validation.validate_password(password, self.user)
        return password

    def save(self) -> User:
        """Set the password, which ends other sessions and cancels a pending email change."""
        self.user.set_password(self.cleaned_data["password"])
        with transaction.atomic():
            self.user.save(update_fields=["password"])
            EmailChange.objects.filter(user=self.user).delete()  # who asked for it may be another
            audit.record_account_event(
                self.user, self.user, "member.password_changed", self.user.email
            )
        return self.user


class CurrentPasswordForm(_AccountForm):
    """Ask for the current password, because a session may have been left open."""

    current = forms.CharField(
        label="Current password",
        strip=False,
        error_messages={"required": "Enter your current password."},
        widget=_password_input("current-password"),
    )

    def clean_current(self) -> str:
        current: str = self.cleaned_data["current"]
        if wait := SIGN_IN_ACCOUNT.wait_seconds(self.user.email):
            raise ValidationError(
                f"Too many attempts. The next one is possible in {minutes(wait)}."
            )
        if not self.user.check_password(current):
            raise ValidationError("This is not your password. It is case-sensitive.")
        SIGN_IN_ACCOUNT.reset(self.user.email)
        return current


class ChangePasswordForm(CurrentPasswordForm, NewPasswordForm):
    field_order = ("current", "password")


class ChangeEmailForm(KeylessForm, CurrentPasswordForm):
    email = _email_field("Enter the new email.", validate_plain, autocomplete="email")
    field_order = ("email", "current")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "New email"

    def clean_email(self) -> str:
        email = with_dns_domain(self.cleaned_data["email"])
        if canonical(email) == self.user.canonical_email:
            raise ValidationError("You already sign in with this email.")
        return email


class NameForm(KeylessForm, _AccountForm):
    name = _NameField(
        label="Name",
        required=False,
        help_text="As other members see it. Without one they see your email.",
    )

    def save(self) -> None:
        old, new = self.user.name, self.cleaned_data["name"]
        if old == new:
            return
        self.user.name = new
        with transaction.atomic():
            self.user.save(update_fields=["name"])
            change = f"{old or '–'} → {new or '–'}"
            audit.record_account_event(
                self.user, self.user, "member.name_changed", self.user.email, name=change
            )


class JoinForm(KeylessForm, NewPasswordForm):
    """Name and password of an invited person without an account."""

    name = _NameField(
        label="Your name",
        help_text="As other members see it.",
        error_messages={"required": "Enter your name."},
    )
    field_order = ("name", "password")

    def __init__(self, invitation: Invitation, *args: Any, **kwargs: Any) -> None:
        # Only so that a password that resembles the email is refused; never saved.
        super().__init__(User(email=invitation.email), *args, **kwargs)
        self.fields["password"].label = "Password"
        self.fields["password"].error_messages["required"] = "Enter a password."


class RoleForm(forms.Form):
    role = forms.ChoiceField(
        choices=Role.choices,
        error_messages={
            "required": "Choose a role.",
            "invalid_choice": "Choose one of the four roles.",
        },
    )

    @property
    def cleaned_role(self) -> Role:
        return Role(self.cleaned_data["role"])


class InviteForm(KeylessForm, RoleForm):
    email = _email_field("Enter an email address.", validate_plain, autocomplete="off")
    field_order = ("email", "role")


class AuditFilterForm(forms.Form):
    """Filter of the audit log. Every field is optional. Days are UTC, both included."""

    act = forms.CharField(required=False, widget=forms.Select(attrs={"class": "in"}))
    who = forms.CharField(required=False, widget=forms.Select(attrs={"class": "in"}))
    since = forms.DateField(label="From", required=False, **_DAY)
    until = forms.DateField(label="To", required=False, **_DAY)

    def __init__(self, actions: Iterable[str], actors: Iterable[str], *args: Any) -> None:
        super().__init__(*args)
        self.fields["act"].widget.choices = [
            ("", "All actions"),
            *((action, AuditEvent(verb=action).action) for action in actions),
        ]
        self.fields["who"].widget.choices = [
            ("", "All members"),
            *((name, name) for name in actors),
        ]

    def clean(self) -> dict[str, Any]:
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            self.add_error("until", "The last day is before the first day.")
        return self.cleaned_data

    @property
    def cleaned_filter(self) -> audit.AuditFilter:
        values = dict(self.cleaned_data)
        action, actor = values.pop("act"), values.pop("who")
        return audit.AuditFilter(action=action, actor=actor, **values)
