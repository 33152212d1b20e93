"""Read cost and usage of an organization from legacy or beta reports as the same rows.

Every organization has the four legacy reports. The beta reports are open to enrolled ones: they
leave nothing out, but take one dimension less beside the actor. The choice changes no fact.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from integrations.connectors.anthropic import beta_reports, limits
from integrations.connectors.anthropic.children import CHILD
from integrations.connectors.anthropic.limits import BETA_REPORTS, Filters
from integrations.connectors.anthropic.parsing import requested_day
from integrations.connectors.anthropic.questions import Questions
from integrations.connectors.anthropic.reports import Line, Numbers, Part, counts, dollars
from integrations.connectors.claude_enterprise.client import (
    LARGEST_PAGE,
    LONGEST_RANGE,
    AnalyticsClient,
    Report,
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

    `has_children` says that lines can be cut by the child organizations of a parent.
    """

    group_cap: int | None
    has_children: bool

    def cost(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]: ...

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]: ...

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        """Return the cost of users, each with its actor."""

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]: ...


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
    ) -> Iterator[Part]:
        return self._ask(COST_REPORT, self._cost, window, group_by, filters)

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]:
        return self._ask(USAGE_REPORT, self._usage, window, group_by, filters)

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        return self._ask(USER_COST_REPORT, self._user_cost, window, group_by)

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        return self._ask(USER_USAGE_REPORT, self._user_usage, window, group_by)

    def _ask(
        self,
        report: limits.Report,
        read: Callable[..., Iterator[Part]],
        window: Window,
        group_by: Sequence[str],
        filters: Filters | None = None,
    ) -> Iterator[Part]:
        questions = Questions(report, self._client.learned, read)
        return questions.ask(window, group_by=group_by, filters=filters)

    def _cost(self, window: Window, *, group_by: Sequence[str], **asked: Any) -> Iterator[Part]:
        reports = self._client.cost_report(window, group_by=group_by, **asked)
        return self._buckets(reports, window, group_by, dollars)

    def _usage(self, window: Window, *, group_by: Sequence[str], **asked: Any) -> Iterator[Part]:
        reports = self._client.usage_report(window, group_by=group_by, **asked)
        return self._buckets(reports, window, group_by, counts)

    def _user_cost(
        self, window: Window, *, group_by: Sequence[str], **asked: Any
    ) -> Iterator[Part]:
        reports = self._client.user_cost_report(window, group_by=group_by, **asked)
        return self._rows(reports, window, group_by, dollars)

    def _user_usage(
        self, window: Window, *, group_by: Sequence[str], **asked: Any
    ) -> Iterator[Part]:
        reports = self._client.user_usage_report(window, group_by=group_by, **asked)
        return self._rows(reports, window, group_by, counts)

    def _buckets(
        self,
        reports: Iterable[Report[Any]],
        window: Window,
        names: Sequence[str],
        numbers_of: Callable[[Any], Numbers],
    ) -> Iterator[Part]:
        kept_out = self._client.kept_out
        for report in reports:
            lines = []
            for bucket in report.data:
                with kept_out.guard():
                    day = requested_day(window, bucket.starting_at)
                    for row in bucket.results:
                        with kept_out.guard(day):
                            lines.append(Line(day, None, _values(row, names), numbers_of(row)))
            yield self._part(report, lines)

    def _rows(
        self,
        reports: Iterable[Report[Any]],
        window: Window,
        names: Sequence[str],
        numbers_of: Callable[[Any], Numbers],
    ) -> Iterator[Part]:
        only = window.start if len(window) == 1 else None
        kept_out = self._client.kept_out
        for report in reports:
            lines = []
            for row in report.data:
                with kept_out.guard():
                    day = only if only and row.starting_at is None else None
                    day = day or requested_day(window, row.starting_at)
                    with kept_out.guard(day):
                        lines.append(Line(day, row.actor, _values(row, names), numbers_of(row)))
            yield self._part(report, lines)

    def _part(self, report: Report[Any], lines: list[Line]) -> Part:
        organization_id = report.organization_id or self._client.organization_id
        return Part(tuple(lines), report.data_refreshed_at, organization_id)


def _values(row: Any, names: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(getattr(row, name) for name in names)


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
    ) -> Iterator[Part]:
        return self._cost.ask(window, group_by=group_by, filters=filters)

    def usage(
        self, window: Window, *, group_by: Sequence[str] = (), filters: Filters | None = None
    ) -> Iterator[Part]:
        return self._usage.ask(window, group_by=group_by, filters=filters)

    def user_cost(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        return self._cost.ask(window, group_by=group_by, by=("actor",), filters=self._USERS)

    def user_usage(self, window: Window, *, group_by: Sequence[str]) -> Iterator[Part]:
        return self._usage.ask(window, group_by=group_by, by=("actor",), filters=self._USERS)
