"""Formats of numbers and days on pages. Unknown is “–”, minus is “−”; files are exact."""

import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from django import template

from reports.currency import symbol

register = template.Library()

UNKNOWN = "–"
_WITHIN_A_DAY = re.compile(r"(?<=\d) (?=[A-Z])|(?<=[a-z]) (?=\d)")
Figure = Decimal | int | None


@register.filter
def usd(value: Figure) -> str:
    """Money with cents: $1,234.56. What is not nothing is never written as $0.00."""
    if value is None:
        return UNKNOWN
    return _signed(value, Decimal("0.01"), symbol())


@register.filter
def usd_whole(value: Figure) -> str:
    """Format whole units of money for tables whose header names the unit: 1,235; <1 below half."""
    if value is None:
        return UNKNOWN
    return _signed(value, Decimal(1), "")


def usd_rounded(value: Figure) -> str:
    """Money without cents: $1,235, −$5."""
    return UNKNOWN if value is None else _signed(value, Decimal(1), symbol())


def usd_plain(value: Figure) -> str:
    """Money with cents for tables whose head names the unit: 1,234.56."""
    return UNKNOWN if value is None else _signed(value, Decimal("0.01"), "")


@register.filter
def tokens(value: Figure) -> str:
    """Large counts in three figures: 950, 12.3 k, 4.0 M, 1.2 B."""
    if value is None:
        return UNKNOWN
    size = abs(Decimal(value))
    for unit, power in (("T", 12), ("B", 9), ("M", 6), ("k", 3)):
        # From 999.95 on, a thousandth of the next unit rounds up into it.
        if size >= Decimal(10) ** power * Decimal("0.99995"):
            scaled = (size / Decimal(10) ** power).quantize(Decimal("0.1"), ROUND_HALF_UP)
            return f"{_minus(value)}{scaled:,} {unit}"
    return count(value)


@register.filter
def count(value: Figure) -> str:
    """Format an integer with thousands separators: 12,345."""
    if value is None:
        return UNKNOWN
    return f"{_minus(value)}{abs(Decimal(value)).quantize(Decimal(1), ROUND_HALF_UP):,}"


@register.filter
def share(value: Figure) -> str:
    """Format a share as percent: 0.415 is 41.5%."""
    if value is None:
        return UNKNOWN
    percent = (abs(Decimal(value)) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return f"{_minus(value)}{percent:,}%"


@register.filter
def rate(value: Figure) -> str:
    """Money for one of something: with cents, or three figures where it is less: $0.00125."""
    return UNKNOWN if value is None else _signed(value, _rate_step(value), symbol())


def rate_plain(value: Figure) -> str:
    """Format a rate without its unit, for tables whose header names it."""
    return UNKNOWN if value is None else _signed(value, _rate_step(value), "")


def _rate_step(value: Decimal | int) -> Decimal:
    """One of the last digit that is written."""
    return Decimal(1).scaleb(min(-2, max(-12, Decimal(value).adjusted() - 2)))


@register.filter
def usd_short(value: Figure) -> str:
    """Money in three figures or so: $950, $12.3k, $4.0M."""
    if value is None:
        return UNKNOWN
    size = abs(Decimal(value))
    if size < 1000:
        return usd(value) if size < 10 else _signed(value, Decimal(1), symbol())
    return f"{_minus(value)}{symbol()}{tokens(size).replace(' ', '')}"


@register.filter
def figure(value: Figure, unit: str) -> str:
    """Format a total in its unit: usd, rate, tokens, share or count."""
    return {"usd": usd, "rate": rate, "tokens": tokens, "share": share}.get(unit, count)(value)


@register.filter
def cell(value: Figure, look: str) -> str:
    """Format a table cell. `look` is its unit and, after a colon, the number format.

    Without one dollars are whole and tokens short; “full” keeps cents and every digit, “compact” is
    as short as can be.
    """
    unit, _, numbers = look.partition(":")
    if numbers == "compact":
        return {"usd": usd_short, "rate": rate, "share": share}.get(unit, tokens)(value)
    if numbers == "full":
        return {"usd": usd_plain, "rate": rate_plain, "share": share}.get(unit, count)(value)
    return {"usd": usd_whole, "rate": rate_plain, "tokens": tokens, "share": share}.get(
        unit, count
    )(value)


@register.filter
def change(value: Decimal | float | None) -> str:
    """Format a ratio as signed percentage: 0.415 is +41.5%. None: nothing to compare with."""
    if value is None:
        return UNKNOWN
    percent = (Decimal(str(value)) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    sign = "−" if percent < 0 else "+" if percent else ""
    return f"{sign}{abs(percent):,}%"


@register.filter
def layout(kind: str) -> str:
    """Return a further class of a chart: named with labels at its side, flush without axes."""
    return {"bar": " named", "heatmap": " named", "treemap": " flush"}.get(kind, "")


@register.filter
def direction(ratio: Decimal) -> str:
    """Return "down" for a decrease and "up" otherwise."""
    return "down" if ratio < 0 else "up"


@register.filter
def size(value: Decimal | float | None) -> str:
    """Format a ratio without its sign, where an arrow shows it."""
    return change(value).lstrip("+−")


@register.filter
def difference(value: Figure, unit: str) -> str:
    """Format a difference in its unit with its sign: +$12.30, −4."""
    text = figure(value, unit)
    return f"+{text}" if value is not None and value > 0 else text


@register.filter
def day(value: date | None) -> str:
    """Format a day: 22 Nov."""
    return UNKNOWN if value is None else f"{value.day} {value:%b}"


@register.filter
def day_year(value: date | None) -> str:
    """Format a day with its year: 22 Nov 2026."""
    return UNKNOWN if value is None else f"{value.day} {value:%b} {value.year}"


@register.filter
def unbroken(text: str) -> str:
    """No line ends within a day of this text: 22 Nov 2026 stays together."""
    return _WITHIN_A_DAY.sub("\u00a0", text)


def _minus(value: Figure) -> str:
    return "−" if value is not None and value < 0 else ""


def _signed(value: Decimal | int, step: Decimal, currency: str) -> str:
    rounded = abs(Decimal(value)).quantize(step, ROUND_HALF_UP)
    if value and not rounded:
        return f"{_minus(value)}<{currency}{step}"
    return f"{_minus(value)}{currency}{rounded:,}"
