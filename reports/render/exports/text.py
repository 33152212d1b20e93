"""A report as text: exact values, one row per group. The command and the download share it."""

import json
from collections.abc import Iterator
from itertools import chain

from django.utils.text import Truncator

from common import spreadsheets
from reports.catalog.metrics import Unit
from reports.engine import COMPARED, LABELS_APART, PARTIAL, Report, StreamedReport, key_columns

_LONGEST = 60  # letters of a key in a table for people


def as_csv(report: Report | StreamedReport) -> Iterator[str]:
    """Line by line, a header first. What is not known is an empty field."""
    return spreadsheets.csv_lines(chain([report.columns], report.text_rows()))


def as_json(report: Report | StreamedReport) -> Iterator[str]:
    """Write a list with one object per line; dollars are strings and unknown is null."""
    counts = {m.name for m in report.spec.metric_objects if m.unit in {Unit.TOKENS, Unit.COUNT}}
    counts |= {f"{name}_{end}" for name in counts for end in COMPARED}
    metrics = set(report.columns[len(key_columns(report.spec)) :])
    before = "[\n"
    for row in report.text_rows():
        values: dict[str, object] = {
            name: (int(text) if name in counts else text) if text or name not in metrics else None
            for name, text in zip(report.columns, row, strict=True)
        }
        if PARTIAL[0] in metrics:
            partial, missing = PARTIAL
            values[partial] = values[partial] == "yes"
            labels = values[missing]
            values[missing] = str(labels).split(LABELS_APART) if labels else []
        yield before + json.dumps(values, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def as_table(report: Report) -> Iterator[str]:
    """Aligned columns for people; numbers end at the same place. "–" is not known.

    Long names are cut: files have them whole.
    """
    keys = len(key_columns(report.spec))
    rows = [
        [
            (text or "–") if at >= keys else Truncator(text).chars(_LONGEST)
            for at, text in enumerate(row)
        ]
        for row in report.text_rows()
    ]
    widths = [max(map(len, column)) for column in zip(report.columns, *rows, strict=True)]
    for row in [report.columns, *rows]:
        cells = (
            text.ljust(width) if at < keys else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip() + "\n"
