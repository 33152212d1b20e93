"""CSV that people open in a spreadsheet: RFC 4180, line by line, and no cell is a formula.

Names of people, keys and projects are other people's words. One that begins like a formula would
be worked out by whoever opens the file, so it gets an apostrophe in front; numbers stay numbers.
Spreadsheets of many countries separate by semicolons and split our cells there, whatever quotes
stand around them. So what follows a semicolon, a tab, a bar or a line break counts as a beginning.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain

# Excel reads a file without it in the alphabet of its country, and breaks every accented name.
BYTE_ORDER_MARK = "\ufeff"

# Also the full-width signs, which Excel takes for the plain ones, and after anything invisible.
_INVISIBLE = r"[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]"
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_BEGINNING = r"\A|[;|\t\r\n\v\f\x85\u2028\u2029]"
_FORMULA = re.compile(rf"\A(?=[\t\r])|(?:{_BEGINNING})(?={_INVISIBLE}*{_SIGN})")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?")


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """One text per row, with its line break; None is an empty field."""
    writer = csv.writer(_LineBuffer())
    for row in rows:
        yield writer.writerow([escape_formula(cell) for cell in row])


def download(texts: Iterable[str]) -> Iterator[str]:
    """Put the byte order mark before the lines of a file that a person opens by a double click."""
    return chain([BYTE_ORDER_MARK], texts)


def escape_formula(cell: object) -> object:
    if isinstance(cell, str) and not _NUMBER.fullmatch(cell):
        return _FORMULA.sub(r"\g<0>'", cell)
    return cell


class _LineBuffer:
    """Lets a csv writer return its line instead of keeping it."""

    def write(self, text: str) -> str:
        return text
