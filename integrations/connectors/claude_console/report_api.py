"""Read cost and tokens of an organization from legacy or beta reports as the same rows.

Every organization has the legacy reports. The beta reports are open to enrolled ones. The choice
changes no fact: numbers that only one variant has are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol

from integrations.connectors.anthropic import beta_reports, limits
from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.children import CHILD
from integrations.connectors.anthropic.limits import BETA_REPORTS, Filters
from integrations.connectors.anthropic.questions import Questions
from integrations.connectors.anthropic.report_pages import pages_of_buckets
from integrations.connectors.anthropic.reports import (
    Numbers,
    ReportPage,
    ReportRow,
    Values,
    counts,
    dollars,
)
from integrations.connectors.base import SnapshotMoved
from integrations.connectors.claude_console.client import (
    LONGEST_RANGE,
    AdminClient,
    CostRow,
    Report,
    UsageRow,
)
from integrations.connectors.records import NOT_READ
from integrations.window import Window

# Data appears within about five minutes of use; a later one would look like a restatement.
_LAG = timedelta(minutes=15)


# The dearest first: what comes last is given up first. Only the beta knows child organizations.
_OPTIONAL = (
    *("workspace_id", "model", "api_key_id", "cost_type", "token_type"),
    *("service_tier", "context_window", "inference_geo"),
)
_OPTIONAL_IN_BETA = (CHILD, *_OPTIONAL)
_PEOPLE = ("account_id", "service_account_id")
_COST_REPORT = limits.Report(
    name="cost_report", table="cost", limit=LONGEST_RANGE, optional=("workspace_id", "description")
)
_MESSAGES_REPORT = limits.Report(
    name="usage_report/messages",
    table="usage",
    limit=LONGEST_RANGE,
    # Those with the fewest values first: each takes a question for every value.
    filters={
        "inference_geo": "inference_geos",
        "context_window": "context_window",  # this parameter is singular
        "service_tier": "service_tiers",
    },
    optional=_OPTIONAL,
    discover_by=_PEOPLE,
)


class ReportApi(Protocol):
    """Reports as feeds read them. `is_snapshot`: all of its answers come from one snapshot.

    `has_children` says that rows can be grouped by the child organizations of a parent.
    """

    is_snapshot: bool
    has_children: bool

    def cost(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]: ...

    def usage(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]: ...

    def usage_of_people(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        """Return usage of signed-in accounts and of service accounts, with the actor."""


def report_api_for(client: AdminClient) -> ReportApi:
    """Return the API variant that the client was opened with."""
    return BetaReports(client) if client.api_variant == BETA_REPORTS else LegacyReports(client)


class LegacyReports:
    """`/cost_report` and `/usage_report/messages`, which name no export: they tell what is now."""

    is_snapshot = False
    has_children = False

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        # Up to when everything used has arrived, if it is read from now on.
        self._complete_to = datetime.now(UTC).replace(microsecond=0) - _LAG

    def cost(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]:
        """Cost is grouped by workspace and description; the API takes the description apart."""
        by_workspace = [name for name in group_by if name == "workspace_id"]
        described = ["description"] if len(group_by) > len(by_workspace) else []
        asked = (*by_workspace, *described)
        questions = Questions(_COST_REPORT, self._client.learned, self._cost)
        for part in questions.ask(window, group_by=asked):
            yield part._replace(
                rows=tuple(
                    line._replace(values=_described(asked, line.values, group_by))
                    for line in part.rows
                )
            )

    def usage(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]:
        return self._questions.ask(window, group_by=group_by)

    def usage_of_people(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        # None is remembered: there are as many rows as people and days.
        for part in self._questions.ask(window, group_by=group_by, by=_PEOPLE):
            yield part._replace(rows=tuple(line for line in part.rows if line.actor))

    @property
    def _questions(self) -> Questions:
        return Questions(_MESSAGES_REPORT, self._client.learned, self._usage)

    def _cost(
        self, window: Window, *, group_by: Sequence[str], filters: Filters, limit: int
    ) -> Iterator[ReportPage]:
        reports = self._client.cost_report(window, group_by=group_by, limit=limit)
        return self._parts(reports, window, group_by, dollars)

    def _usage(
        self, window: Window, *, group_by: Sequence[str], filters: Filters, limit: int
    ) -> Iterator[ReportPage]:
        reports = self._client.messages_report(
            window, group_by=group_by, filters=filters, limit=limit
        )
        names = [name for name in group_by if name not in _PEOPLE]
        return self._parts(reports, window, names, counts)

    def _parts(
        self,
        pages: Iterable[Report[Any]],
        window: Window,
        names: Sequence[str],
        numbers_of: Callable[[Any], Numbers],
    ) -> Iterator[ReportPage]:
        def to_row(day: date, row: CostRow | UsageRow) -> ReportRow:
            values = tuple(_value(row, name) for name in names)
            return ReportRow(day, _actor(row), values, numbers_of(row))

        return pages_of_buckets(self._client, pages, window, to_row, self._complete_to)


# What the API takes out of a description.
_DESCRIBED = (
    *("cost_type", "token_type", "model", "service_tier", "context_window", "inference_geo"),
)


def _value(row: CostRow | UsageRow, name: str) -> Any:
    """Return a dimension of the row; the API replaces all of it where it is described."""
    if name == "description":
        return tuple(getattr(row, part) for part in _DESCRIBED)
    return getattr(row, name)


def _described(asked: Sequence[str], values: Sequence[Any], names: Sequence[str]) -> Values:
    """Return the values of `names` from the requested ones."""
    known = dict(zip(asked, values, strict=True))
    described = known.pop("description", NOT_READ)
    parts = (NOT_READ,) * len(_DESCRIBED) if described == NOT_READ else described
    known |= dict(zip(_DESCRIBED, parts, strict=True))
    return tuple(known[name] for name in names)


def _actor(row: CostRow | UsageRow) -> Actor | None:
    if isinstance(row, CostRow) or not (row.account_id or row.service_account_id):
        return None
    return Actor(user_id=row.account_id, service_account_id=row.service_account_id)


class BetaReports:
    """`/analytics/cost` and `/analytics/usage`, as far as the reports tell the same."""

    is_snapshot = True

    # The reports name accounts that signed in themselves: what an API key used stays with the key.
    _USERS: Filters = {"actor_types": ("user_actor",), "api_key_ids": ("",)}
    _SERVICES: Filters = {"actor_types": ("service_account_actor",)}

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        self.has_children = client.is_parent
        self._unlisted: set[str] = set()

    def cost(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]:
        questions = beta_reports.cost_questions(self._client, optional=_OPTIONAL_IN_BETA)
        return self._reported(questions.ask(window, group_by=group_by), group_by, _amount)

    def usage(self, window: Window, *, group_by: Sequence[str] = ()) -> Iterator[ReportPage]:
        parts = self._usage.ask(window, group_by=group_by)
        return self._reported(parts, group_by, _tokens)

    def usage_of_people(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        for filters in (self._USERS, self._SERVICES):
            parts = self._usage.ask(window, group_by=group_by, by=("actor",), filters=filters)
            yield from self._reported(parts, group_by, _tokens)

    @property
    def _usage(self) -> Questions:
        return beta_reports.usage_questions(self._client, optional=_OPTIONAL_IN_BETA)

    def _reported(
        self, parts: Iterable[ReportPage], names: Sequence[str], known: Callable[[Numbers], Numbers]
    ) -> Iterator[ReportPage]:
        """Return the rows as the reports have them, without combinations that have no numbers."""
        place = names.index("workspace_id") if "workspace_id" in names else None
        for part in parts:
            lines = []
            for line in part.rows:
                numbers, values = known(line.numbers), line.values
                if place is not None:
                    workspace = self.workspace(values[place])
                    values = (*values[:place], workspace, *values[place + 1 :])
                if any(numbers):
                    lines.append(line._replace(values=values, numbers=numbers))
            yield part._replace(rows=tuple(lines))

    def workspace(self, id: str | None) -> str | None:
        """Return the workspace; the default one has an id here, but is null in reports."""
        if id is None or id == NOT_READ or id in self._listed:
            return id
        self._unlisted.add(id)
        if len(self._unlisted) > 1:
            raise SnapshotMoved(
                "A workspace was created during the read.",
                code="snapshot_moved",
                repair="These days are read again automatically.",
            )
        return None

    @cached_property
    def _listed(self) -> frozenset[str]:
        return frozenset(one.id for page in self._client.workspaces() for one in page.data)


def _amount(numbers: Numbers) -> Numbers:
    """Without the list price, which the reports do not tell."""
    return numbers[0], None


def _tokens(numbers: Numbers) -> Numbers:
    """Without the requests, likewise."""
    return None, *numbers[1:]
