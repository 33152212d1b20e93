"""Forms whose text is stored and read by others refuse what is shaped like a key."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from common.redaction import redact

_CODE = "secret"
# Shorter than a whole key, too: people cut off a part of it and paste the rest.
_KEY = re.compile(r"\bsk-(?:ant|proj|svcacct)-[A-Za-z0-9_-]{6,}", re.IGNORECASE)


class KeylessForm(forms.BaseForm):
    """Mixin: a text that looks like a key is neither accepted nor sent back to the page.

    Password fields, which are where keys belong, are left alone.
    """

    def clean(self) -> Any:
        """Replace what else is wrong with such a text by the one sentence that matters."""
        cleaned = super().clean()
        for name, field in self.fields.items():
            typed = self.data.get(self.add_prefix(name))
            if isinstance(field.widget, forms.PasswordInput) or not isinstance(typed, str):
                continue
            if without_keys(typed) != typed:
                self.errors.pop(name, None)
                self.add_error(name, _refusal())
                posted: Any = self.data
                data = posted.copy()  # a QueryDict keeps its lists
                data[self.add_prefix(name)] = without_keys(typed)
                self.data = data
        return cleaned


def without_keys(text: str) -> str:
    """Return the text without what looks like a key, or like the beginning of one."""
    return _KEY.sub("[removed]", redact(text))


def validate_keyless(text: str) -> None:
    """Refuse a text that looks like a key where no form of ours asks for it."""
    if without_keys(text) != text:
        raise _refusal()


def _refusal() -> ValidationError:
    return ValidationError(
        "This looks like an API key. Remove it: others can read this text. Enter keys in the key "
        "field of a connection only. Replace a key that others have seen.",
        code=_CODE,
    )
