"""Forms of the connection pages."""

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone

from accounts.models import slug_validator
from common.keyless import KeylessForm
from integrations.connectors.base import Connector
from integrations.models import Connection
from integrations.service_accounts import LONGEST_NAME
from integrations.text import LONGEST_KEY


def _key_field(connector: Connector) -> forms.CharField:
    """Return a field for a secret, which is never sent back (`render_value` is False)."""
    return forms.CharField(
        label=connector.key_label,
        max_length=500,
        error_messages={"required": f"Paste the key. It starts with {connector.key_prefix}."},
        widget=forms.PasswordInput(
            attrs={"class": "in mono", "autocomplete": "off", "spellcheck": "false"}
        ),
    )


def _label_field(**attributes: str) -> forms.CharField:
    return forms.CharField(
        label="Organization Label",
        max_length=50,
        validators=[slug_validator],
        error_messages={"required": "Enter a label, such as my-org."},
        widget=forms.TextInput(
            attrs={"class": "in", "autocomplete": "off", "spellcheck": "false", **attributes}
        ),
    )


class _ExpiryField(forms.DateField):
    """The day a key stops working, if its owner gave it one. A past day is a slip of the pen."""

    def __init__(self) -> None:
        super().__init__(
            label="Key expires on",
            required=False,
            error_messages={"invalid": "Write the day as 2026-12-31, or leave it empty."},
        )

    def validate(self, value: date | None) -> None:
        super().validate(value)
        if value is not None and value < timezone.now().date():
            raise ValidationError("This day is past. Leave it empty if you do not know the day.")


class ConnectForm(KeylessForm, forms.Form):
    label = _label_field()
    key_expires_on = _ExpiryField()
    history = forms.ChoiceField(
        choices=[("recent", "The newest days"), ("everything", "Everything")],
        required=False,
        error_messages={"invalid_choice": "Choose one of the two."},
    )
    # Proves that these very values passed the test; `connections.connect` checks it.
    proof = forms.CharField(required=False)

    def __init__(self, connector: Connector, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"] = _key_field(connector)

    @property
    def wants_everything(self) -> bool:
        return bool(self["history"].value() == "everything")

    @property
    def wants_recent(self) -> bool:
        return not self.wants_everything


class ReplaceKeyForm(forms.Form):
    key_expires_on = _ExpiryField()

    def __init__(self, connector: Connector, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"] = _key_field(connector)


class RenameForm(KeylessForm, forms.Form):
    label = _label_field()


class ServiceAccountForm(KeylessForm, forms.Form):
    """A name for one service account; an empty one takes the name away."""

    external_id = forms.CharField(max_length=LONGEST_KEY)
    name = forms.CharField(
        required=False,
        max_length=LONGEST_NAME,
        error_messages={"max_length": f"Write at most {LONGEST_NAME} characters."},
    )


class IdentifierForm(ServiceAccountForm):
    """A name for one value of a dimension; an empty one removes the name."""

    dimension = forms.CharField(max_length=50)


class DeleteForm(forms.Form):
    """Form that asks for the label, so that the wrong row is not deleted by mistake."""

    history = forms.ChoiceField(
        choices=[("keep", "Keep history"), ("erase", "Erase history")],
        error_messages={"required": "Choose what happens to the history."},
    )
    confirm = forms.CharField(
        error_messages={"required": "Type the label to confirm."},
        widget=forms.TextInput(
            attrs={"class": "in mono", "autocomplete": "off", "spellcheck": "false"}
        ),
    )

    def __init__(self, connection: Connection, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["confirm"]
        field.label = f"Type {connection.label} to confirm"
        field.widget.attrs["data-match"] = connection.label
        field.widget.attrs["aria-describedby"] = "confirm-e"
        field.validators.append(
            RegexValidator(rf"\A{connection.label}\Z", f"This is not {connection.label}.")
        )


class InquiryForm(KeylessForm, forms.Form):
    question = forms.CharField(
        label="What do you need help with?",
        max_length=5000,
        error_messages={"required": "Describe what you tried and what you expected."},
    )
    reply_to = forms.EmailField(
        label="Reply to",
        max_length=254,
        error_messages={
            "required": "Enter the email for the reply.",
            "invalid": "Enter a whole email address, such as ines@example.com.",
        },
    )
