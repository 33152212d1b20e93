"""Compare stored totals with the provider's from a terminal.

    manage.py verify [my-org] --organization demo

Compares stored totals with fresh ungrouped totals of the provider, for one connection or for all,
and prints every difference. Exit status 1 if there is one, if something was never read and so could
not be compared, or if a provider cannot be asked; 2 if a stored credential cannot be read.

A second report, such as a beta, is compared with the total that counts and its differences are
printed. They do not change the exit status: the two may differ by right.
"""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.connectors.base import ConnectorError
from integrations.data_quality.verification import VerificationResult, verify
from integrations.encryption import UnreadableSecret
from integrations.loading.spool import plain
from integrations.models import Connection
from integrations.variants import VariantComparison


class Command(BaseCommand):
    help = "Compare what is stored with the provider's own totals of today."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("label", nargs="?", help="one connection; without it, all")
        parser.add_argument("--organization", required=True, metavar="SLUG")

    def handle(self, *args: Any, label: str | None, organization: str, **options: Any) -> None:
        chosen = Connection.objects.filter(organization__slug=organization).order_by("label")
        if label is not None:
            chosen = chosen.filter(label=label)
        connected = [connection for connection in chosen if not connection.is_disconnected]
        if not connected:
            what = f"no connection {label}" if label else "nothing connected"
            raise CommandError(f"{organization} has {what}.", returncode=2)
        _check_keys(connected)
        trouble = sum(self._verify(connection) for connection in connected)
        if trouble:
            raise CommandError(f"{trouble} of {len(connected)} connections do not agree.")

    def _verify(self, connection: Connection) -> bool:
        """Print what was found; True if it is not in order."""
        try:
            verified = verify(connection)
        except ConnectorError as exc:
            self.stderr.write(f"{connection.label}: {exc} {exc.repair}".rstrip())
            return True
        for one in verified.differences:
            stored = "not stored" if one.stored is None else f"stored {one.stored:f}"
            reported = "the other version reports" if one.is_independent else "reported"
            self.stdout.write(
                f"{connection.label}: {one.day} {one.measure}: {reported} {one.reported:f}, "
                f"{stored}"
            )
        for gap in verified.not_compared:
            days = f" {gap.window}" if gap.window else ""
            self.stdout.write(
                f"{connection.label}: {gap.feed.label}{days}: not compared. {gap.reason}"
            )
        for variant in verified.variants:
            for line in _variant(variant):
                self.stdout.write(f"{connection.label}: {variant.second_feed.label}: {line}")
        self.stdout.write(f"{connection.label}: {_summary(verified)}")
        return bool(verified.differences or verified.not_compared or not verified.compared)


def _check_keys(connections: list[Connection]) -> None:
    """Say in one sentence whose keys cannot be read: nothing can be compared without them."""
    unreadable = []
    for connection in connections:
        try:
            if connection.credential is not None:
                connection.credential.reveal()
        except (UnreadableSecret, ImproperlyConfigured):
            unreadable.append(connection.label)
    if unreadable:
        raise CommandError(
            f"CREDENTIALS_KEYS lacks the key that the credentials of {', '.join(unreadable)} were"
            " encrypted with.",
            returncode=2,
        )


def _variant(variant: VariantComparison) -> Iterator[str]:
    """Print the days on which a second report differs from the counted total, with a summary."""
    if not variant.days:
        yield f"not compared with {variant.total_feed.label}. No complete day is known to both."
        return
    for one in variant.differences:
        yield (
            f"{one.day} {variant.measure}: {plain(one.second)}, "
            f"the total that counts is {plain(one.total)}"
        )
    days = f"{variant.days} day{'' if variant.days == 1 else 's'}"
    compared = f"compared with {variant.total_feed.label} on {days}"
    yield f"{compared}, difference {plain(variant.difference)}."


def _summary(verified: VerificationResult) -> str:
    """Summarize the outcome; nothing compared is different from no difference."""
    if not verified.compared:
        return "nothing was compared."
    count = len(verified.differences)
    differences = f"{count or 'no'} difference{'' if count == 1 else 's'}"
    compared = f"{verified.compared} totals compared, {differences}"
    return f"{compared}; not everything was compared." if verified.not_compared else f"{compared}."
