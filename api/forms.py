"""Form of a new API token."""

from datetime import datetime, timedelta

from django import forms

from api.models import Scope
from common.keyless import KeylessForm

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "A year", "": "Until it is revoked"}


class TokenForm(KeylessForm, forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="The program that uses it, such as month-end sheet.",
        error_messages={"required": "Enter a name for the token."},
        widget=forms.TextInput(attrs={"class": "in", "autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label="May read",
        choices=Scope.choices,
        error_messages={"required": "Choose at least one scope."},
        widget=forms.CheckboxSelectMultiple,
    )
    lifetime = forms.ChoiceField(
        label="Expires",
        choices=list(LIFETIMES.items()),
        required=False,
        initial="90",
        widget=forms.Select(attrs={"class": "in short"}),
    )

    def expires_at(self, now: datetime) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return now + timedelta(days=int(days)) if days else None
