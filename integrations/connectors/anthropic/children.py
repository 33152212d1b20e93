"""Child organizations of a parent: only the newer endpoints tell them apart."""

from collections.abc import Iterator
from datetime import date
from typing import Protocol

from integrations.connectors.anthropic import comparing
from integrations.connectors.anthropic.beta_reports import LONGEST_RANGE, is_closed
from integrations.connectors.anthropic.client import ApiClient
from integrations.connectors.anthropic.limits import BETA_REPORTS, PARENT
from integrations.connectors.anthropic.reports import ReportPage
from integrations.connectors.base import Check, ConnectorError, PayloadError, SnapshotMoved
from integrations.window import Window

CHILD = "organization_id"  # null unless a parent's key asks
_LABEL = "Child organizations"
_DETAIL = (
    "This is a parent organization: cost and tokens are reported by child organization. Children "
    "with HIPAA readiness would be left out by the newer endpoints, so both are compared daily."
)


class ReportQuery(Protocol):
    def __call__(self, window: Window, *, group_by: tuple[str, ...]) -> Iterator[ReportPage]: ...


def learn(client: ApiClient, ask: ReportQuery, today: date) -> None:
    """Learn from the newer endpoint of cost, if it is used, whether there are children."""
    client.is_parent = client.api_variant == BETA_REPORTS and _are_named(ask, today)
    client.learned.options.pop(PARENT, None)
    if client.is_parent:
        client.learned.options[PARENT] = "yes"


def checks(client: ApiClient) -> tuple[Check, ...]:
    return (Check(_LABEL, "info", _DETAIL),) if client.is_parent else ()


def _are_named(ask: ReportQuery, today: date) -> bool:
    window = Window.last(LONGEST_RANGE, today=today)
    try:
        parts = comparing.whole(lambda: ask(window, group_by=(CHILD,)))
    except ConnectorError as exc:
        if isinstance(exc, PayloadError | SnapshotMoved) or is_closed(exc):
            return False
        raise
    return any(line.values[0] for part in parts for line in part.rows)
