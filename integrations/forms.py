"""What people type on the pages of the connections."""

from typing import Any

from django import forms
from django.core.validators import RegexValidator

from accounts.models import slug_validator
from integrations.connectors.base import Connector
from integrations.models import Connection


def _key_field(connector: Connector) -> forms.CharField:
    """A secret: typed or pasted, never sent back to the page (`render_value` stays False)."""
    return forms.CharField(
        label=connector.key_label,
        max_length=500,
        error_messages={"required": f"Paste the key. It starts with {connector.key_prefix}."},
        widget=forms.PasswordInput(
            attrs={"class": "in mono", "autocomplete": "off", "spellcheck": "false"}
        ),
    )


class ConnectForm(forms.Form):
    label = forms.CharField(
        label="Organization Label",
        max_length=50,
        validators=[slug_validator],
        error_messages={"required": "Give it a label, such as my-org."},
        widget=forms.TextInput(attrs={"class": "in", "autocomplete": "off", "spellcheck": "false"}),
    )
    # Proves that these very values passed the test; `connections.connect` checks it.
    proof = forms.CharField(required=False)

    def __init__(self, connector: Connector, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"] = _key_field(connector)


class ReplaceKeyForm(forms.Form):
    def __init__(self, connector: Connector, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"] = _key_field(connector)


class DeleteForm(forms.Form):
    """Deleting asks for the label, so that nobody deletes the row above by mistake."""

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
        field.validators.append(
            RegexValidator(rf"\A{connection.label}\Z", f"This is not {connection.label}.")
        )
