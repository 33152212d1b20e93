"""The form at the door."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": (
            "No account has this e-mail and password. Check both; capital letters count in the "
            "password."
        ),
        "inactive": "This account is switched off. An Admin of your organization can help.",
    }

    username = forms.EmailField(
        label="E-mail",
        error_messages={
            "required": "Enter your e-mail.",
            "invalid": "Enter a whole e-mail address, such as ines@example.com.",
        },
        widget=forms.EmailInput(
            attrs={"class": "in", "autocomplete": "username", "autofocus": True}
        ),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        error_messages={"required": "Enter your password."},
        widget=forms.PasswordInput(attrs={"class": "in", "autocomplete": "current-password"}),
    )
