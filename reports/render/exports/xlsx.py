"""A report as an Excel workbook, row by row: as large as Excel allows, in little memory."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from math import ceil
from typing import IO, Any

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from reports import limits
from reports.catalog.metrics import Key, Metric, Number, Unit
from reports.engine import (
    LABELS_APART,
    PARTIAL,
    Report,
    StreamedReport,
    key_columns,
    named_keys,
)
from reports.explore.controls import ReportControls

ROWS = 1_048_575  # of a sheet, below its head
WIDTH = 18  # letters
FORMATS = {
    Unit.USD: "#,##0.00",
    Unit.RATE: "#,##0.00######",
    Unit.TOKENS: "#,##0",
    Unit.COUNT: "#,##0",
    Unit.SHARE: "0.0%",
}


def write(report: Report | StreamedReport, file: IO[bytes], *, address: str, now: datetime) -> None:
    """Fill `file`. Text is never a formula or a link; what is not known is an empty cell.

    Excel keeps 15 digits of a number. Further rows go to further sheets; the last sheet says what
    was asked, and when.
    """
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "default_date_format": "yyyy-mm-dd",
        "use_zip64": True,  # for sheets of more than 4 GB; smaller ones are written as ever
    }
    with Workbook(file, options) as book:
        rows = _Sheets(book, report).fill()
        about = book.add_worksheet("About")
        about.set_column(0, 0, WIDTH)
        for at, (name, text) in enumerate(_about(report, rows, address, now)):
            about.write_string(at, 0, name)
            about.write_string(at, 1, text)


class _Sheets:
    def __init__(self, book: Workbook, report: Report | StreamedReport) -> None:
        self._book = book
        self._report = report
        self._head = book.add_format({"bold": True, "bottom": 1})
        self._formats = {u: book.add_format({"num_format": f}) for u, f in FORMATS.items()}

    def fill(self) -> int:
        """Write all rows; return how many there are."""
        spec = self._report.spec
        keys_of, metrics = named_keys(spec, self._report.connections), spec.metric_objects
        sheet, at, rows = self._sheet(1), 1, 0
        for row in self._report.rows:
            if at > ROWS:
                sheet, at = self._sheet(rows // ROWS + 1), 1
            for place, (key, text) in enumerate(keys_of(row)):
                self._key(sheet, at, place, key, text)
            start = len(key_columns(spec))
            self._numbers(sheet, at, start, metrics, row.values)
            for values in (row.alike, row.before):
                start += len(metrics)
                self._numbers(sheet, at, start, metrics, values)
            if self._report.columns[-len(PARTIAL) :] == PARTIAL:
                place = len(self._report.columns) - len(PARTIAL)
                sheet.write_string(at, place, "yes" if row.missing else "no")
                sheet.write_string(at, place + 1, LABELS_APART.join(row.missing))
            at, rows = at + 1, rows + 1
        return rows

    def _sheet(self, number: int) -> Worksheet:
        sheet = self._book.add_worksheet("Report" if number == 1 else f"Report {number}")
        sheet.set_column(0, len(self._report.columns) - 1, WIDTH)
        for place, name in enumerate(self._report.columns):
            sheet.write_string(0, place, name, self._head)
        sheet.freeze_panes(1, 0)
        return sheet

    def _key(self, sheet: Worksheet, at: int, place: int, key: Key, text: str) -> None:
        """Days are dates; months and quarters stay words, as no single day is meant."""
        if isinstance(key, date) and text == key.isoformat():
            sheet.write_datetime(at, place, datetime(key.year, key.month, key.day))  # noqa: DTZ001
        else:
            sheet.write_string(at, place, text)

    def _numbers(
        self,
        sheet: Worksheet,
        at: int,
        start: int,
        metrics: Sequence[Metric],
        values: Sequence[Number],
    ) -> None:
        for place, (metric, value) in enumerate(zip(metrics, values, strict=False), start=start):
            if value is not None:
                cell: Any = Decimal(value)
                sheet.write_number(at, place, cell, self._formats[metric.unit])


def _about(
    report: Report | StreamedReport, rows: int, address: str, now: datetime
) -> list[tuple[str, str]]:
    bar = ReportControls(report.spec)
    lines = [("Report", bar.title), ("Days, UTC", bar.range_label)]
    lines += [("Filter", f"{chip.label} {chip.operator_label} {chip.text}") for chip in bar.chips]
    lines += [(m.name, f"{m.label}: {m.definition}") for m in report.spec.metric_objects]
    lines += [("Note", note) for note in limits.notes(report)]
    lines += [("Rows", _counted(rows)), ("As of", f"{now:%Y-%m-%d %H:%M} UTC")]
    return [*lines, ("Address", address)]


def _counted(rows: int) -> str:
    if rows <= ROWS:
        return f"{rows:,}"
    sheets = ceil(rows / ROWS)
    return f"{rows:,}, on {sheets} sheets: Excel has room for {ROWS + 1:,} lines on one."
