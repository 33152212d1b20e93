"""Columns that Django has no name for."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.db import models

if TYPE_CHECKING:
    _DecimalField = models.DecimalField[Any, Any]
else:
    _DecimalField = models.DecimalField


class ExactField(_DecimalField):
    """A decimal of any number of digits, stored as it is: `numeric` without precision or scale.

    Providers state no scale: one amount in cents had fourteen places. A fixed scale would round it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = kwargs["decimal_places"] = None
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("max_digits", None)
        kwargs.pop("decimal_places", None)
        return name, path, args, kwargs

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        return models.Field.check(self, **kwargs)  # the rest demands digits and places

    def db_type(self, connection: Any) -> str:
        return "numeric"

    def cast_db_type(self, connection: Any) -> str:
        return "numeric"

    def to_python(self, value: Any) -> Decimal | None:
        return Decimal(repr(value)) if isinstance(value, float) else super().to_python(value)
