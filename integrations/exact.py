"""Arithmetic with amounts of any number of digits: nothing is rounded.

Python's default context rounds sums to 28 digits. Here a result that would have to be rounded
raises `decimal.Inexact`.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import reduce

EXACT = Context(prec=2000, traps=[Inexact, InvalidOperation])
MOST_DIGITS = 1000  # digits of one number before and after the point; the rest is for sums


def is_storable(number: Decimal) -> bool:
    """Return True for a finite number whose digits all fit."""
    if not number.is_finite():
        return False
    exponent = int(number.as_tuple().exponent)
    return exponent >= -MOST_DIGITS and number.adjusted() <= MOST_DIGITS


def add(one: Decimal | int, other: Decimal | int) -> Decimal | int:
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return EXACT.add(one, other)


def total(numbers: Iterable[Decimal]) -> Decimal:
    """Add up amounts; zero if there are none."""
    return reduce(EXACT.add, numbers, Decimal(0))


def subtract(one: Decimal | int, other: Decimal | int) -> Decimal | int:
    if isinstance(one, int) and isinstance(other, int):
        return one - other
    return EXACT.subtract(one, other)
