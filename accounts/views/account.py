"""Pages of the user's own account: name, email, password and password reset."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import email_change, mail, password_reset, throttling
from accounts.forms import (
    ChangeEmailForm,
    ChangePasswordForm,
    ForgotPasswordForm,
    NameForm,
    NewPasswordForm,
)
from accounts.models import EmailChange, User
from accounts.throttling import EMAIL_CHANGE, RESET_ACCOUNT, RESET_ADDRESS, minutes


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Show and change the name, with links to change email and password."""
    user = cast(User, request.user)
    posted = request.POST if request.method == "POST" else None
    form = NameForm(user, posted, initial={"name": user.name})
    if form.is_valid():
        form.save()
        messages.success(request, "Name changed.")
        return redirect("profile")
    pending = EmailChange.objects.filter(user=user, expires_at__gt=timezone.now()).first()
    context = {"form": form, "pending": pending}
    return render(request, "accounts/profile.html", context, status=422 if form.is_bound else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("current")
def change_email(request: HttpRequest) -> HttpResponse:
    """Change the email through a link sent to it, or at once if email is not configured."""
    user = cast(User, request.user)
    form = ChangeEmailForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid() and _email_change_pending(request, user, form):
        return redirect("profile")
    context = {"form": form, "sends_mail": mail.is_configured()}
    return render(request, "accounts/email.html", context, status=422 if form.is_bound else 200)


def _email_change_pending(request: HttpRequest, user: User, form: ChangeEmailForm) -> bool:
    """Mail the link or change at once; return False if the form has an error."""
    email = form.cleaned_data["email"]
    if mail.is_configured():
        if wait := EMAIL_CHANGE.wait_seconds(f"{user.pk}"):
            form.add_error("email", f"Too many links. The next one is possible in {minutes(wait)}.")
            return False
        email_change.request_change(user, email)
        messages.success(request, f"A link is on its way to {email}.")
        return True
    try:
        email_change.apply(user, email)
    except email_change.EmailTaken:
        form.add_error("email", "Another account signs in with this email. Choose another one.")
        return False
    messages.success(request, f"You sign in with {email} from now on.")
    return True


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_email(request: HttpRequest, token: str) -> HttpResponse:
    """Confirm an email change from the mailed link.

    GET changes nothing, because mail programs follow links.
    """
    look_or_do = email_change.confirm if request.method == "POST" else email_change.find
    try:
        change = look_or_do(cast(User, request.user), token)
    except (email_change.EmailChangeInvalid, email_change.EmailTaken):
        return render(request, "accounts/email_gone.html", status=410)
    if request.method == "POST":
        messages.success(request, f"You sign in with {change.email} from now on.")
        return redirect("profile")
    return render(request, "accounts/confirm_email.html", {"change": change})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("current", "password")
def change_password(request: HttpRequest) -> HttpResponse:
    """Change the password, given the current one. Other sessions end."""
    form = ChangePasswordForm(cast(User, request.user), request.POST or None)
    if form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, "Password changed. Other sessions have been signed out.")
        return redirect("profile")
    return render(
        request, "accounts/password.html", {"form": form}, status=422 if form.is_bound else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
def forgot_password(request: HttpRequest) -> HttpResponse:
    """Mail a reset link. The response is the same whether or not the account exists."""
    form = ForgotPasswordForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"form": form, "sends_mail": mail.is_configured()}
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "accounts/forgot_password.html", context, status=status)
    wait = RESET_ADDRESS.wait_seconds(throttling.client_ip(request))
    if wait:
        form.add_error(None, f"Too many requests from your address. Try again in {minutes(wait)}.")
        response = render(request, "accounts/forgot_password.html", context, status=429)
        response["Retry-After"] = str(wait)
        return response
    email = form.cleaned_data["email"]
    if not RESET_ACCOUNT.wait_seconds(email):  # a fourth mail would not help
        password_reset.request_reset(email)
    return render(request, "accounts/forgot_password.html", {**context, "sent_to": email})


class SetNewPassword(PasswordResetConfirmView):
    """Page of the reset link. Django moves its token from the URL into the session."""

    template_name = "accounts/set_password.html"
    form_class = NewPasswordForm  # type: ignore[assignment]

    def get_success_url(self) -> str:
        messages.success(self.request, "Password changed. Sign in with it.")
        return reverse("login")
