"""CSV for spreadsheets: RFC 4180, line by line, without formulas.

Names of people, keys and projects are foreign text. A spreadsheet would compute one that begins
like a formula, so it gets an apostrophe in front; numbers stay numbers. Spreadsheets of many
countries separate by semicolons and split cells there, whatever quotes surround them. So text
after a semicolon, a tab, a bar or a line break counts as a beginning.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain

# Without it Excel reads the file in a local encoding and breaks accented names.
BYTE_ORDER_MARK = "\ufeff"

# Also full-width signs, which Excel treats as the plain ones, and signs after invisible characters.
_INVISIBLE = r"[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]"
_SIGN = r"[=+\-@\uff1d\uff0b\uff0d\uff20]"
_BEGINNING = r"\A|[;|\t\r\n\v\f\x85\u2028\u2029]"
_FORMULA = re.compile(rf"\A(?=[\t\r])|(?:{_BEGINNING})(?={_INVISIBLE}*{_SIGN})")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?")


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield one CSV line per row, with its line break. None is an empty field."""
    writer = csv.writer(_LineBuffer())
    for row in rows:
        yield writer.writerow([escape_formula(cell) for cell in row])


def download(texts: Iterable[str]) -> Iterator[str]:
    """Yield a byte order mark and then the lines of a file for spreadsheets."""
    return chain([BYTE_ORDER_MARK], texts)


def escape_formula(cell: object) -> object:
    """Put an apostrophe before text that a spreadsheet would compute; keep numbers."""
    if isinstance(cell, str) and not _NUMBER.fullmatch(cell):
        return _FORMULA.sub(r"\g<0>'", cell)
    return cell


class _LineBuffer:
    """File-like object whose `write` returns the line."""

    def write(self, text: str) -> str:
        return text
