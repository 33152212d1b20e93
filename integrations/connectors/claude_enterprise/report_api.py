"""Read cost and usage of an organization from legacy or beta reports as the same rows.

Every organization has the four legacy reports. The beta reports are open to enrolled ones: they
leave nothing out, but take one dimension less beside the actor. The choice changes no fact.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Protocol

from integrations.connectors.anthropic import beta_reports, limits
from integrations.connectors.anthropic.children import CHILD
from integrations.connectors.anthropic.limits import BETA_REPORTS, Filters
from integrations.connectors.anthropic.questions import Questions
from integrations.connectors.anthropic.report_pages import ToRow, pages_of_buckets, pages_of_rows
from integrations.connectors.anthropic.reports import (
    Numbers,
    ReportPage,
    ReportRow,
    counts,
    dollars,
)
from integrations.connectors.claude_enterprise.client import (
    LARGEST_PAGE,
    LONGEST_RANGE,
    AnalyticsClient,
)
from integrations.window import Window

# The dearest first: what comes last is given up first. Only the beta knows child organizations.
_OPTIONAL = (
    *("product", "model", "cost_type", "token_type"),
    *("context_window", "speed", "inference_geo"),
)
_OPTIONAL_IN_BETA = (CHILD, *_OPTIONAL)


def _report(name: str, limit: int, group_cap: int | None = None) -> limits.Report:
    """No cap of dimensions is known of these reports, which does not say that there is none."""
    return limits.Report(
        name=name,
        table="cost" if name.endswith("cost_report") else "usage",
        limit=limit,
        most=None,
        # Those with the fewest values first: each takes a question for every value.
        filters={
            "inference_geo": "inference_geos",
            "speed": "speeds",
            "context_window": "context_windows",
            "product": "products",
            "model": "models",
        },
        nulls={"inference_geo": "not_available"},
        optional=_OPTIONAL,
        group_cap=group_cap,
    )


_GROUP_CAP = 100
COST_REPORT = _report("cost_report", LONGEST_RANGE, _GROUP_CAP)
USAGE_REPORT = _report("usage_report", LONGEST_RANGE, _GROUP_CAP)
USER_COST_REPORT = _report("user_cost_report", LARGEST_PAGE)
USER_USAGE_REPORT = _report("user_usage_report", LARGEST_PAGE)


class ReportApi(Protocol):
    """Reports as feeds read them. `group_cap` is the number of groups of a day; None is all.

    `has_children` says that rows can be grouped by the child organizations of a parent.
    """

    group_cap: int | None
    has_children: bool

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]: ...

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]: ...

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        """Return the cost of users, each with its actor."""

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]: ...


def report_api_for(client: AnalyticsClient) -> ReportApi:
    """Return the reports in the API variant that the client was opened with."""
    return BetaReports(client) if client.api_variant == BETA_REPORTS else LegacyReports(client)


class LegacyReports:
    """`/cost_report`, `/usage_report` and the two per user."""

    group_cap: int | None = _GROUP_CAP
    has_children = False  # a parent's are counted, but nothing names them

    def __init__(self, client: AnalyticsClient) -> None:
        self._client = client

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]:
        return self._ask(COST_REPORT, self._cost, window, group_by, filters)

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]:
        return self._ask(USAGE_REPORT, self._usage, window, group_by, filters)

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        return self._ask(USER_COST_REPORT, self._user_cost, window, group_by)

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        return self._ask(USER_USAGE_REPORT, self._user_usage, window, group_by)

    def _ask(
        self,
        report: limits.Report,
        read: Callable[..., Iterator[ReportPage]],
        window: Window,
        group_by: Sequence[str],
        filters: Filters | None = None,
    ) -> Iterator[ReportPage]:
        questions = Questions(report, self._client.learned, read)
        return questions.ask(window, group_by=group_by, filters=filters)

    def _cost(
        self, window: Window, *, group_by: Sequence[str], **asked: Any
    ) -> Iterator[ReportPage]:
        pages = self._client.cost_report(window, group_by=group_by, **asked)
        return pages_of_buckets(self._client, pages, window, _to_row(group_by, dollars))

    def _usage(
        self, window: Window, *, group_by: Sequence[str], **asked: Any
    ) -> Iterator[ReportPage]:
        pages = self._client.usage_report(window, group_by=group_by, **asked)
        return pages_of_buckets(self._client, pages, window, _to_row(group_by, counts))

    def _user_cost(
        self, window: Window, *, group_by: Sequence[str], **asked: Any
    ) -> Iterator[ReportPage]:
        pages = self._client.user_cost_report(window, group_by=group_by, **asked)
        return pages_of_rows(self._client, pages, window, _to_row(group_by, dollars))

    def _user_usage(
        self, window: Window, *, group_by: Sequence[str], **asked: Any
    ) -> Iterator[ReportPage]:
        pages = self._client.user_usage_report(window, group_by=group_by, **asked)
        return pages_of_rows(self._client, pages, window, _to_row(group_by, counts))


def _to_row(names: Sequence[str], numbers_of: Callable[[Any], Numbers]) -> ToRow:
    """Return how a row becomes a line; only reports per user name an actor."""

    def to_row(day: date, row: Any) -> ReportRow:
        values = tuple(getattr(row, name) for name in names)
        return ReportRow(day, getattr(row, "actor", None), values, numbers_of(row))

    return to_row


class BetaReports:
    """`/cost` and `/usage`."""

    group_cap: int | None = None

    # What the reports per user count, so that both API variants attribute the same.
    _USERS = {"actor_types": ("user_actor",)}

    def __init__(self, client: AnalyticsClient) -> None:
        self._cost = beta_reports.cost_questions(client, optional=_OPTIONAL_IN_BETA)
        self._usage = beta_reports.usage_questions(client, optional=_OPTIONAL_IN_BETA)
        self.has_children = client.is_parent

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]:
        return self._cost.ask(window, group_by=group_by, filters=filters)

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[ReportPage]:
        return self._usage.ask(window, group_by=group_by, filters=filters)

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        return self._cost.ask(window, group_by=group_by, by=("actor",), filters=self._USERS)

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[ReportPage]:
        return self._usage.ask(window, group_by=group_by, by=("actor",), filters=self._USERS)
