"""Environment variables of connectors. Their catalogs declare them, so `config` names no provider.

A variable of a connector counts first. `PROVIDER_BASE_URL` and `PROVIDER_REQUESTS_PER_MINUTE` stand
in for those that are not set: an emulator, a proxy or a test run needs to name no provider.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from integrations.connectors.base import BaseUrl, CatalogError, RequestsPerMinute, Setting

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class SettingError(ValueError):
    """A variable that cannot be used. `hint` says what to write; the value is never repeated."""

    def __init__(self, message: str, *, hint: str, code: str) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


def base_url(setting: BaseUrl) -> str:
    """Return the address of the provider's API; raise `SettingError` if it cannot be used."""
    name, value = _value(setting)
    address = str(value)
    url = urlsplit(address)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise SettingError(
            f"{name} is not an http or https address.",
            hint=f"Leave it unset for {setting.default}.",
            code="E007",
        )
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise SettingError(
            f"{name} would send API keys over a network unencrypted.",
            hint="Use https, or an address of this machine.",
            code="E008",
        )
    return address


def requests_per_minute(setting: RequestsPerMinute) -> int:
    """Return the request budget of an organization; raise `SettingError` if it cannot be used."""
    name, value = _value(setting)
    try:
        number = int(value)
    except ValueError:
        raise SettingError(
            f"{name} cannot be read.", hint="Write a whole number.", code="E001"
        ) from None
    if number < 0:
        raise SettingError(
            f"{name} is negative.",
            hint=f"{setting.default} is usual; 0 means unpaced.",
            code="E009",
        )
    return number


def _value(setting: Setting) -> tuple[str, str | int]:
    """Return a value and the name of the variable that it has it from."""
    for name in (setting.name, setting.stand_in):
        value = getattr(settings, name, None)  # a test's own
        if value in {None, ""}:
            value = os.environ.get(name, "").strip()
        if value != "":
            return name, value
    return setting.name, setting.default


def merged_settings(declared: Iterator[Setting]) -> dict[str, Setting]:
    """Return every setting by its name; raise `CatalogError` for a clash."""
    merged: dict[str, Setting] = {}
    for setting in declared:
        if merged.setdefault(setting.name, setting) != setting:
            raise CatalogError(f"Two connectors declare the setting {setting.name} differently.")
    return merged


def problem_of(setting: Setting) -> SettingError | None:
    """Return what is wrong with the value of a setting."""
    try:
        if isinstance(setting, BaseUrl):
            base_url(setting)
        elif isinstance(setting, RequestsPerMinute):
            requests_per_minute(setting)
    except SettingError as error:
        return error
    return None
