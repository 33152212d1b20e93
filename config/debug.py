"""Django's error pages, of DEBUG and in mails, without secrets in any frame.

Django hides settings and what functions declare as sensitive; frames of libraries hold the key of
a request as well, in headers of their own. So every value is redacted by what it looks like.
"""

from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from integrations.redaction import redact

_LONGEST_VALUE = 4096  # Django cuts there, too, but only after it has laid out all of a value


class _Shown:
    """A value as text that is not quoted again."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class SecretFilter(SafeExceptionReporterFilter):
    """Hides what functions declare as sensitive also while DEBUG is on, and what looks like it."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        found = super().get_traceback_frame_variables(request, tb_frame)
        return {name: _Shown(_represent(value)) for name, value in found}.items()


class SecretReporter(ExceptionReporter):
    """Redacts the whole page once more: messages, source lines, addresses and form fields."""

    def get_traceback_html(self) -> SafeString:
        return SafeString(_clean(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(_clean(super().get_traceback_text()))


def _represent(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as exc:
        text = f"Error in formatting: {type(exc).__name__}"
    text = _clean(text)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}… <trimmed {len(text)} characters>"
    return text


def _clean(text: str) -> str:
    """Without what looks like a secret, and without the secrets of this installation."""
    database = settings.DATABASES["default"]
    return redact(
        text,
        settings.SECRET_KEY,
        *settings.CREDENTIALS_KEYS,
        settings.EMAIL_HOST_PASSWORD,
        database.get("PASSWORD") or "",
    )
