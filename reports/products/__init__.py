"""The page that compares products."""

from reports.products.report import (
    read,
)

__all__ = [
    "read",
]
