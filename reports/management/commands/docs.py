"""`manage.py docs`: write the tables of docs/metrics.md that are made from the code."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from reports.documentation import replaced


class Command(BaseCommand):
    help = "Write the tables of docs/metrics.md that are generated from the code."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; fail if the file differs."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "metrics.md"
        before = path.read_text()
        after = replaced(before)
        if options["check"] and after != before:
            raise CommandError("docs/metrics.md differs from the code. Run: manage.py docs")
        if not options["check"]:
            path.write_text(after)
