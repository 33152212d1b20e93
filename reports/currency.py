"""The currency in which pages write amounts, as Django keeps the current time zone.

Amounts carry no currency of their own: all of a connection are in one, and two are never added.
A view or delivery that writes amounts first says what they are in.
"""

from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponseBase

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}
_current: ContextVar[str] = ContextVar("currency", default="USD")


def write_in(currency: str) -> None:
    """Write amounts in this currency from now on; in "", without one: it differs by row."""
    _current.set(currency)


def symbol() -> str:
    """Return what stands before an amount: $, € or CHF with a space."""
    code = _current.get()
    return _SYMBOLS.get(code, f"{code}\u00a0" if code else "")


def reset_currency(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Begin each request with US dollars, whatever the thread wrote before."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        write_in("USD")
        return get_response(request)

    return middleware
