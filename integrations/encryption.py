"""Secrets at rest: a text field that is ciphertext in the database.

Fernet (AES-128-CBC with HMAC-SHA256) with the keys of `settings.CREDENTIALS_KEYS`: the first
encrypts, every one decrypts, so keys rotate without downtime (`manage.py rotate_credentials`).
Independent of SECRET_KEY. https://cryptography.io/en/latest/fernet/
"""

from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class Secret:
    """A secret in memory. Shows nothing of itself; `reveal()` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    @property
    def hint(self) -> str:
        """The last four characters: what a page may show."""
        return self._text[-4:]

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        raise TypeError("A secret is not for pickling.")


class UnreadableSecret(Exception):
    """The stored credential was encrypted with a key that CREDENTIALS_KEYS no longer has."""


class StoredSecret(Secret):
    """A secret as it lies in the database, decrypted when it is needed and no sooner.

    One that cannot be read must not keep anyone from reading the rest of its row.
    """

    __slots__ = ()  # the text is the ciphertext

    def reveal(self) -> str:
        try:
            return _fernet().decrypt(self._text.encode()).decode()
        except InvalidToken:
            raise UnreadableSecret(
                "A stored credential cannot be read with CREDENTIALS_KEYS."
            ) from None

    @property
    def token(self) -> bytes:
        return self._text.encode()

    @property
    def hint(self) -> str:
        return self.reveal()[-4:]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StoredSecret) and other._text == self._text:
            return True
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    __hash__ = None  # type: ignore[assignment]


def _fernet() -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in settings.CREDENTIALS_KEYS])
    except ValueError:  # no key, or not one; the text of the error would quote it
        raise ImproperlyConfigured(
            "CREDENTIALS_KEYS needs a Fernet key; `manage.py check` says how to make one."
        ) from None


class EncryptedField(models.BinaryField):  # type: ignore[type-arg]
    """Stores a `Secret` encrypted, None as NULL. Left out of forms, admin and `dumpdata`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Secret):
            try:
                return _fernet().encrypt(value.reveal().encode())
            except UnreadableSecret:
                assert isinstance(value, StoredSecret)  # noqa: S101 - others are always readable
                return value.token  # kept for the day on which its key is found again
        if value is None:
            return None
        raise TypeError("An EncryptedField takes a Secret or None.")

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Secret | None:
        return None if value is None else StoredSecret(bytes(value).decode())

    def value_to_string(self, obj: models.Model) -> str:
        """`dumpdata` calls this: a backup of rows never carries the secret."""
        return ""

    def to_python(self, value: Any) -> Any:
        return None if value == "" else value
