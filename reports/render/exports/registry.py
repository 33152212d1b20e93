"""Formats a report can be exported in. A format is one entry of `EXPORTS`.

URLs, the menu of the report page, the schedule form, files made by workers, `manage.py report` and
the audit log read this registry.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from accounts.models import Organization
from common import spreadsheets
from reports import engine
from reports.catalog.metrics import DIMENSIONS
from reports.engine import Report, StreamedReport
from reports.engine.query import MOST_FILE_ROWS
from reports.engine.spec import ReportSpec, SpecError
from reports.explore import controls
from reports.explore.controls import ReportControls
from reports.forecast.columns import ForecastResult, outlook
from reports.render import charts, pivot
from reports.render.exports import png, xlsx
from reports.render.exports.text import as_csv, as_json

_LONGEST_TITLE = 80  # letters; with organization and days it fits every file system


@dataclass(frozen=True)
class ExportContext:
    """What every writer receives. `address` is the page of the report; "" if it has none."""

    organization: Organization
    report: Report | StreamedReport
    address: str
    now: datetime

    @property
    def spec(self) -> ReportSpec:
        return self.report.spec


@dataclass(frozen=True)
class Export:
    """One format. `name` is the file extension and the value of every option.

    `write` writes the whole file. `lines` yields it as text for a terminal; None if it is binary.
    A format that needs a chart holds what the page draws, and not rows of any number.
    """

    name: str
    label: str
    description: str
    content_type: str
    icon: str
    write: Callable[[ExportContext, IO[bytes]], None]
    lines: Callable[[Report | StreamedReport], Iterator[str]] | None = None
    needs_chart: bool = False

    @property
    def url_name(self) -> str:
        return f"explore_{self.name}"

    def file_name(self, organization: Organization, spec: ReportSpec) -> str:
        """Say whose report it is, which, and of which days: `acme-cost-by-service-…-to-….csv`."""
        groups = [name for name in spec.group_by if not DIMENSIONS[name].is_time]
        title = "-and-".join(spec.metrics) + (f"-by-{'-and-'.join(groups)}" if groups else "")
        short = title.replace("_", "-")[:_LONGEST_TITLE].rstrip("-")
        days = f"{spec.window.start}-to-{spec.window.last_day}"
        return f"{organization.slug}-{short}-{days}.{self.name}"

    def read(
        self, organization: Organization, spec: ReportSpec, *, most: int = MOST_FILE_ROWS
    ) -> Report | StreamedReport:
        """Return the report to write; raise `engine.TooManyRows` if it has more than `most`."""
        if self.needs_chart:
            return engine.run(organization, controls.check(spec).by_interval())
        return engine.stream(organization, spec, most=most)


def _write_csv(context: ExportContext, file: IO[bytes]) -> None:
    for line in spreadsheets.download(as_csv(context.report)):
        file.write(line.encode())


def _write_json(context: ExportContext, file: IO[bytes]) -> None:
    for line in as_json(context.report):
        file.write(line.encode())


def _write_xlsx(context: ExportContext, file: IO[bytes]) -> None:
    xlsx.write(context.report, file, address=context.address, now=context.now)


def _write_png(context: ExportContext, file: IO[bytes]) -> None:
    report, spec = context.report, context.spec
    if not isinstance(report, Report):
        raise TypeError("A chart is drawn from a whole report.")
    ahead = ForecastResult()
    if spec.forecast:
        ahead = outlook(context.organization, report, today=context.now.date())
    pivot_table = pivot.build(report, ahead.columns)
    chart = charts.draw(pivot_table)
    if chart is None:
        raise SpecError(
            "A report without a chart has no image. Choose a chart first.", field="chart"
        )
    file.write(png.png(chart, pivot_table, ReportControls(spec)))


EXPORTS: Mapping[str, Export] = {
    export.name: export
    for export in (
        Export(
            name="csv",
            label="CSV",
            description="CSV, exact",
            content_type="text/csv; charset=utf-8",
            icon="c_table",
            write=_write_csv,
            lines=as_csv,
        ),
        Export(
            name="xlsx",
            label="Excel workbook",
            description="Excel workbook",
            content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            icon="file",
            write=_write_xlsx,
        ),
        Export(
            name="json",
            label="JSON",
            description="JSON, exact",
            content_type="application/json",
            icon="list",
            write=_write_json,
            lines=as_json,
        ),
        Export(
            name="png",
            label="PNG",
            description="Image of the chart, PNG",
            content_type="image/png",
            icon="c_stack",
            write=_write_png,
            needs_chart=True,
        ),
    )
}
# Formats that hold every row, however many: also as files by workers and attachments of mails.
ROW_EXPORTS = tuple(export for export in EXPORTS.values() if not export.needs_chart)
