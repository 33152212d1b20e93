"""Stands in for a connector that the settings no longer name.

What it stored can still be shown, renamed, disconnected and deleted; nothing can be read.
"""

from contextlib import AbstractContextManager
from datetime import date
from typing import Any, Never

from integrations.connectors.base import Access, ActionNeeded, Connector, Probe

REPAIR = (
    "Ask the operator of Spendglass to put it back into CONNECTORS. Until then the history stays "
    "and "
    "nothing newer arrives."
)


def problem_of(slug: str) -> str:
    return f"This installation no longer has the connector {slug}."


class UnknownConnector(Connector):
    """Knows no more than its slug, and is therefore called by it."""

    is_installed = False
    publisher = "the provider"
    summary = "Its connector is not part of this installation"
    tab = "Others"
    icon = "dash"
    key_label = "Key"
    key_prefix = ""
    base_url = ""
    requests_per_minute = 0
    feeds = ()

    def __init__(self, slug: str) -> None:
        self.slug = self.name = slug

    def check_key(self, key: str) -> None:
        self._refuse()

    def open(self, access: Access) -> AbstractContextManager[Any]:
        self._refuse()

    def probe(self, access: Access, *, today: date) -> Probe:
        self._refuse()

    def earliest_day(self, today: date) -> date:
        return today

    def _refuse(self) -> Never:
        raise ActionNeeded(problem_of(self.slug), code="not_installed", repair=REPAIR)
