"""`manage.py report`: the numbers of the report page, exact, for scripts and the curious."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization
from integrations.window import Window
from reports import engine, limits
from reports.catalog.metrics import DIMENSIONS, METRICS
from reports.engine.periods import COMPARISONS
from reports.engine.spec import (
    FILTERABLE,
    Filter,
    ReportSpec,
    SpecError,
    parse_day,
    parse_filter,
    parse_limit,
)
from reports.render.exports.registry import EXPORTS, Export, ExportContext
from reports.render.exports.text import as_table

REFUSED = 2


class Command(BaseCommand):
    help = "Print a report: exact values, one row per group, in the order of the groups."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument(
            "--metrics", required=True, metavar="M,…", help=f"Some of: {', '.join(METRICS)}."
        )
        parser.add_argument(
            "--group-by",
            default="",
            metavar="D,…",
            help=f"None for one total row, or some of: {', '.join(DIMENSIONS)}.",
        )
        parser.add_argument("--since", required=True, metavar="DAY", help="The first day.")
        parser.add_argument(
            "--until", required=True, metavar="DAY", help="The day after the last one."
        )
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="D=VALUE",
            help="Repeated for one dimension: one of. Empty value: those without one. D may end in"
            " .not, .contains or .starts.",
        )
        parser.add_argument(
            "--show",
            default="",
            metavar="top-N",
            help="The first groups of the first dimension but time, and Other; or bottom-N.",
        )
        parser.add_argument(
            "--compare",
            default="",
            metavar="DAYS",
            help=f"Beside the numbers of earlier days: {', '.join(COMPARISONS)}.",
        )
        parser.add_argument(
            "--cumulative",
            action="store_true",
            help="Every day, week, month or quarter with all before it; group by it first.",
        )
        parser.add_argument(
            "--final", action="store_true", help="End before the first day that can still change."
        )
        parser.add_argument("--format", choices=["table", *EXPORTS], default="table")
        parser.add_argument(
            "--output",
            default="",
            metavar="FILE",
            help="Write to this file; needed by formats that are no text.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["organization"]
        organization = Organization.objects.filter(slug=slug).first()
        if organization is None:
            known = Organization.objects.order_by("slug").values_list("slug", flat=True)
            raise _refused(f"There is no organization “{slug}”.", known)
        try:
            spec = _spec(options)
            limits.refuse_unanswerable(organization, spec)
            if options["output"] and options["format"] in EXPORTS:
                _write_file(organization, spec, EXPORTS[options["format"]], options["output"])
            else:
                for text in _written(organization, spec, options["format"]):
                    self.stdout.write(text, ending="")
                self.stdout.flush()
            for note in limits.notes_of(organization, spec):
                self.stderr.write(note)
        except SpecError as error:
            raise _refused(str(error), error.known) from error
        except BrokenPipeError:
            # The reader has seen enough, as `head` does: no reason to complain, now or at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _written(organization: Organization, spec: ReportSpec, kind: str) -> Iterator[str]:
    """Return the report as text. Exports are written row by row, so they may be very long."""
    if kind == "table":
        return as_table(engine.run(organization, spec))
    export = EXPORTS[kind]
    if export.lines is None:
        raise CommandError(f"{export.label} is no text. Add --output FILE.", returncode=REFUSED)
    return export.lines(export.read(organization, spec))


def _write_file(organization: Organization, spec: ReportSpec, export: Export, path: str) -> None:
    page = reverse("reports:explore", args=[organization.slug])
    address = f"{settings.BASE_URL}{page}?{spec.to_query()}"
    report = export.read(organization, spec)
    try:
        with Path(path).open("wb") as file:
            export.write(ExportContext(organization, report, address, timezone.now()), file)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error


def _spec(options: dict[str, Any]) -> ReportSpec:
    since = parse_day(options["since"], "--since")
    until = parse_day(options["until"], "--until")
    if since >= until:
        raise SpecError(
            f"--since {since} is not before --until {until}. The day of --until is not included.",
            field="range",
        )
    limit, smallest = parse_limit(options["show"])
    return ReportSpec(
        metrics=_listed(options["metrics"]),
        window=Window(since, until),
        group_by=_listed(options["group_by"]),
        filters=_filters(options["where"]),
        limit=limit,
        smallest=smallest,
        compare=options["compare"],
        cumulative=options["cumulative"],
        final=options["final"],
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _filters(conditions: Iterable[str]) -> tuple[Filter, ...]:
    values: dict[str, list[str]] = {}
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise SpecError(
                f"“{condition}” is not a filter. Write it as dimension=value.",
                field="filters",
                known=FILTERABLE,
            )
        values.setdefault(name.strip(), []).append(value)
    return tuple(parse_filter(name, texts) for name, texts in values.items())


def _refused(message: str, known: Iterable[str]) -> CommandError:
    names = ", ".join(known)
    return CommandError(f"{message} Known: {names}." if names else message, returncode=REFUSED)
