"""CSV that people open in a spreadsheet: RFC 4180, line by line, and no cell is a formula.

Names of people, keys and projects are other people's words. One that begins like a formula would
be worked out by whoever opens the file, so it gets an apostrophe in front; numbers stay numbers.
"""

import csv
import re
from collections.abc import Iterable, Iterator

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(E[+-]?\d+)?")


def lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """One text per row, with its line break; None is an empty field."""
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow([_inert(cell) for cell in row])


def _inert(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


class _Echo:
    """Lets a csv writer return its line instead of keeping it."""

    def write(self, text: str) -> str:
        return text
