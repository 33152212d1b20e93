"""Cost and usage of an organization, in either of the API's two dialects, as the same lines.

The four reports are what every organization has. Their successors are open to those enrolled in a
beta: they leave nothing out, but take one dimension less beside the actor. Which one is spoken
changes no fact.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from integrations.connectors.anthropic_api import successors
from integrations.connectors.anthropic_api.lines import Line, Numbers, Part, counts, dollars
from integrations.connectors.anthropic_api.rows import day_in
from integrations.connectors.claude_enterprise.client import (
    SUCCESSORS,
    AnalyticsClient,
    Filters,
    Report,
)
from integrations.window import Window


class Reports(Protocol):
    """What feeds ask. `group_cap` is how many groups of a day come back; None is all."""

    group_cap: int | None

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]: ...

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]: ...

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        """What users account for, each with its actor."""

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]: ...


def reports_of(client: AnalyticsClient) -> Reports:
    """The reports in the dialect that the client was opened with."""
    return Successors(client) if client.dialect == SUCCESSORS else FourReports(client)


class FourReports:
    """`/cost_report`, `/usage_report` and the two per user."""

    group_cap: int | None = 100

    def __init__(self, client: AnalyticsClient) -> None:
        self._client = client

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]:
        reports = self._client.cost_report(window, group_by=group_by, filters=filters)
        return self._buckets(reports, window, group_by, dollars)

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]:
        reports = self._client.usage_report(window, group_by=group_by, filters=filters)
        return self._buckets(reports, window, group_by, counts)

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        reports = self._client.user_cost_report(window, group_by=group_by)
        return self._rows(reports, window, group_by, dollars)

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        reports = self._client.user_usage_report(window, group_by=group_by)
        return self._rows(reports, window, group_by, counts)

    def _buckets(
        self,
        reports: Iterable[Report[Any]],
        window: Window,
        names: Sequence[str],
        numbers_of: Callable[[Any], Numbers],
    ) -> Iterator[Part]:
        for report in reports:
            lines = tuple(
                Line(day, None, _values(row, names), numbers_of(row))
                for bucket in report.data
                for day in [day_in(window, bucket.starting_at)]
                for row in bucket.results
            )
            yield self._part(report, lines)

    def _rows(
        self,
        reports: Iterable[Report[Any]],
        window: Window,
        names: Sequence[str],
        numbers_of: Callable[[Any], Numbers],
    ) -> Iterator[Part]:
        only = window.start if len(window) == 1 else None
        for report in reports:
            lines = tuple(
                Line(
                    only if only and row.starting_at is None else day_in(window, row.starting_at),
                    row.actor,
                    _values(row, names),
                    numbers_of(row),
                )
                for row in report.data
            )
            yield self._part(report, lines)

    def _part(self, report: Report[Any], lines: tuple[Line, ...]) -> Part:
        organization_id = report.organization_id or self._client.organization_id
        return Part(lines, report.data_refreshed_at, organization_id)


def _values(row: Any, names: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(getattr(row, name) for name in names)


class Successors:
    """`/cost` and `/usage`."""

    group_cap: int | None = None

    # What the reports per user count, so that both dialects attribute the same.
    _USERS = {"actor_types": ("user_actor",)}
    # The dimension that gives way to the actor: every value of it has a filter, null too.
    _SPLIT = "inference_geo"

    def __init__(self, client: AnalyticsClient) -> None:
        self._client = client

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]:
        return successors.read_cost(self._client, window, group_by=group_by, filters=filters)

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]:
        return successors.read_usage(self._client, window, group_by=group_by, filters=filters)

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        return self._per_user(self.cost, window, group_by)

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        return self._per_user(self.usage, window, group_by)

    def _per_user(
        self, read: Callable[..., Iterator[Part]], window: Window, names: Sequence[str]
    ) -> Iterator[Part]:
        """With the actor, five dimensions are one too many: ask for each region by itself."""
        return successors.read_split(
            read, window, group_by=("actor", *names), over=(self._SPLIT,), filters=self._USERS
        )
