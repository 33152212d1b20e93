"""Cost and tokens by API key, person, workspace, product and model, from the beta reports.

They stand beside the legacy reports, whose total is the one that counts, and are never merged
with them: the beta may leave out organizations or hold Priority Tier cost that the others lack.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

from integrations.connectors.anthropic import beta_reports
from integrations.connectors.anthropic.actors import Actor, to_person
from integrations.connectors.anthropic.parsing import SnapshotGuard
from integrations.connectors.anthropic.questions import Questions
from integrations.connectors.anthropic.reports import Numbers, ReportPage, ReportRow, add_measures
from integrations.connectors.base import AskDifferently, ConnectorError, NotAvailable
from integrations.connectors.claude_console.client import AdminClient
from integrations.connectors.claude_console.feeds.meters import DEFAULT_WORKSPACE
from integrations.connectors.claude_console.report_api import BetaReports
from integrations.connectors.records import (
    COST_MEASURES,
    USAGE_MEASURES,
    EngagementRecord,
    Page,
    PersonRef,
)
from integrations.window import Window

NOT_ENROLLED = "not_enrolled"
# With the actor, as many as one question may name. What a report calls them, and what we do.
CUT = {
    "product": "service",
    "model": "sku",
    "api_key_id": "api_key_id",
    "workspace_id": "workspace_id",
}

# What is left out where a question may name fewer, the dearest first. Learned under a name of its
# own: the totals that count come from other reports, which keep their dimensions.
LABELED = ("beta_cost", "beta_usage")
_OPTIONAL = ("api_key_id", "workspace_id", "product", "model")

_Key = tuple[date, PersonRef | None, tuple[str, ...]]


def read_cost(client: AdminClient, window: Window) -> Iterator[Page]:
    """Dollars after and before discounts, and requests."""
    measures = (*COST_MEASURES, "requests")
    return _pages(client, window, "cost", beta_reports.read_priced_requests, measures)


def read_usage(client: AdminClient, window: Window) -> Iterator[Page]:
    """Tokens and requests."""
    return _pages(client, window, "usage", beta_reports.read_usage, USAGE_MEASURES)


def _pages(
    client: AdminClient,
    window: Window,
    table: str,
    read: Callable[..., Iterator[ReportPage]],
    measures: Sequence[str],
) -> Iterator[Page]:
    """Yield one document per day and combination, holding one day in memory at a time.

    Several identities that the API cannot show come as rows without an actor: they are added up.
    """
    if window.start < beta_reports.oldest_day(datetime.now(UTC).date()):
        raise NotAvailable(
            f"The beta reports do not reach back to {window.start}.", code="not_available"
        )
    workspaces, export = BetaReports(client), SnapshotGuard()
    sums: dict[_Key, Numbers] = {}  # of the day that is coming in
    day, first = window.start, True
    report = replace(beta_reports.report(table, optional=_OPTIONAL), table=f"beta_{table}")
    questions = Questions(report, client.learned, partial(read, client))
    for part in _opened(questions, window):
        export.check(part)
        if first:  # an export known already ends the read here, before workspaces are asked for
            yield Page((), export.watermark, client.organization_id)
            first = False
        records: list[EngagementRecord] = []
        for line in part.rows:
            key = (line.day, _person(line.actor), _values(line, workspaces))
            if line.day != day:
                records += _documents(sums, measures)
                day, sums = line.day, {}
            sums[key] = add_measures(sums[key], line.numbers) if key in sums else line.numbers
        yield Page(tuple(records), export.watermark, client.organization_id)
    yield Page(tuple(_documents(sums, measures)), export.watermark, client.organization_id)


def _documents(sums: Mapping[_Key, Numbers], measures: Sequence[str]) -> Iterator[EngagementRecord]:
    for (day, person, values), numbers in sums.items():
        yield EngagementRecord(
            day,
            "|".join((person.external_id if person else "", *values)),
            person,
            {name: n for name, n in zip(measures, numbers, strict=True) if n is not None},
            labels=dict(zip(CUT.values(), values, strict=True)),
        )


def _opened(questions: Questions, window: Window) -> Iterator[ReportPage]:
    """Raise `NotAvailable` where the beta is closed to the organization: it is an extra.

    What is refused for its size is asked for in smaller pages.
    """
    try:
        yield from questions.ask(window, group_by=tuple(CUT), by=("actor",))
    except ConnectorError as exc:
        if isinstance(exc, AskDifferently) or not beta_reports.is_closed(exc):
            raise
        raise NotAvailable(
            "The beta reports are not open to this organization, so cost by API key, person and "
            "product, list prices and requests are missing. The total is not affected.",
            code=NOT_ENROLLED,
            repair="Ask Anthropic to enroll the organization in the beta of its cost and usage "
            "reports.",
            provider_message=exc.provider_message,
            status=exc.status,
            request_id=exc.request_id,
        ) from None


def _values(line: ReportRow, workspaces: BetaReports) -> tuple[str, ...]:
    product, model, key, workspace = line.values
    workspace = workspaces.workspace(workspace) or DEFAULT_WORKSPACE
    return product or "", model or "", key or "", workspace


def _person(actor: Actor | None) -> PersonRef | None:
    """Return the person, or None for an API key, which has a label of its own."""
    return None if actor is None or actor.api_key_id else to_person(actor)
