"""Django's error pages, in DEBUG and in mails, without secrets in any frame.

Django hides settings and variables that functions declare as sensitive. Frames of libraries also
hold the key of a request, in their own headers. So every value is redacted by its pattern.
"""

from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from common.redaction import redact

_MAX_VALUE_LENGTH = 4096  # Django cuts there too, but only after formatting the whole value


class _Verbatim:
    """Text whose repr is itself."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class SecretFilter(SafeExceptionReporterFilter):
    """Hide sensitive variables also while DEBUG is on, and redact all others by pattern."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return {name: _Verbatim(_represent(value)) for name, value in variables}.items()


class SecretReporter(ExceptionReporter):
    """Redact the whole page once more: messages, source lines, URLs and form fields."""

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
    if len(text) > _MAX_VALUE_LENGTH:
        text = f"{text[:_MAX_VALUE_LENGTH]}… <trimmed {len(text)} characters>"
    return text


def _clean(text: str) -> str:
    """Redact text that looks like a secret, and the secrets of this installation."""
    database = settings.DATABASES["default"]
    return redact(
        text,
        settings.SECRET_KEY,
        *settings.CREDENTIALS_KEYS,
        settings.EMAIL_HOST_PASSWORD,
        database.get("PASSWORD") or "",
    )
