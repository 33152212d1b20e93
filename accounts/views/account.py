"""One's own account: name and password, and the way back in without the password."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import mail, passwords, throttling
from accounts.forms import (
    ChangePasswordForm,
    ForgotPasswordForm,
    NameForm,
    NewPasswordForm,
    minutes,
)
from accounts.models import User
from accounts.throttling import RESET_ACCOUNT, RESET_ADDRESS


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """The name others see."""
    user = cast(User, request.user)
    form = NameForm(request.POST if request.method == "POST" else None, instance=user)
    if form.is_valid():
        form.save()
        messages.success(request, "Your name is changed.")
        return redirect("profile")
    return render(
        request, "accounts/profile.html", {"form": form}, status=422 if form.is_bound else 200
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("current", "password")
def change_password(request: HttpRequest) -> HttpResponse:
    """A new password for who knows the old one. Other sessions of theirs end."""
    form = ChangePasswordForm(cast(User, request.user), request.POST or None)
    if form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, "Your password is changed. You stay signed in here alone.")
        return redirect("profile")
    return render(
        request, "accounts/password.html", {"form": form}, status=422 if form.is_bound else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
def forgot_password(request: HttpRequest) -> HttpResponse:
    """Mail a link to whoever has this e-mail. The answer is the same whether somebody has."""
    form = ForgotPasswordForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"form": form, "sends_mail": mail.is_configured()}
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "accounts/forgot_password.html", context, status=status)
    wait = RESET_ADDRESS.wait_seconds(throttling.address(request))
    if wait:
        form.add_error(None, f"Too many requests from your address. Try again in {minutes(wait)}.")
        response = render(request, "accounts/forgot_password.html", context, status=429)
        response["Retry-After"] = str(wait)
        return response
    email = form.cleaned_data["email"]
    if not RESET_ACCOUNT.wait_seconds(email):  # a fourth mail in a quarter of an hour helps nobody
        passwords.ask_for_reset(email)
    return render(request, "accounts/forgot_password.html", {**context, "sent_to": email})


class SetNewPassword(PasswordResetConfirmView):
    """Where the link of the mail leads. Django moves its token from the address to the session."""

    template_name = "accounts/set_password.html"
    form_class = NewPasswordForm  # type: ignore[assignment]

    def get_success_url(self) -> str:
        messages.success(self.request, "Your password is changed. Sign in with it.")
        return reverse("login")
