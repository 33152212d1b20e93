"""Filters of a dashboard, and the specs its widgets derive from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Self

from django.http import QueryDict

from accounts.models import Organization
from integrations.models import Connection
from integrations.window import Window
from reports import engine, limits
from reports.catalog.metrics import DIMENSIONS, METRICS
from reports.currency import write_in
from reports.engine import Report
from reports.engine.periods import CUSTOM, Interval
from reports.engine.spec import Filter, ReportSpec, SpecError
from reports.explore.controls import check_columns

FILTERS = ("billing_account", "service", "project_id")
PARAMETERS = ("range", "from", "to", "interval", *FILTERS)
MOST_COLUMNS = 100  # that a chart can draw


@dataclass(frozen=True)
class Scope:
    """An organization, some days and filters. They are those of a report, and so is the address.

    Widgets add up amounts, so only the connections of one currency are in it.
    """

    organization: Organization
    filters: ReportSpec
    today: date

    @classmethod
    def from_query(cls, organization: Organization, query: QueryDict, *, today: date) -> Self:
        """Read an address; raises `SpecError` for what it cannot mean."""
        unknown = [name for name in query if name not in PARAMETERS]
        if unknown:
            raise SpecError(
                f"There is no filter “{unknown[0]}” on a dashboard.",
                field="filters",
                known=PARAMETERS,
            )
        spec = replace(ReportSpec.from_query(query, today=today), single_currency=True)
        scope = cls(organization, spec, today)
        check_columns(replace(scope.filters, interval=scope.columns_by))
        return scope

    @property
    def window(self) -> Window:
        return self.filters.window

    @property
    def query(self) -> str:
        """The address without what is taken for granted."""
        return self.filters.to_query().removeprefix("metrics=cost").removeprefix("&")

    @property
    def columns_by(self) -> Interval:
        """Days as long as they can be drawn, unless the address says otherwise."""
        if self.filters.interval or len(self.window) > MOST_COLUMNS:
            return self.filters.columns_by
        return "day"

    def values_of(self, dimension: str) -> tuple[str, ...]:
        return next((f.values for f in self.filters.filters if f.dimension == dimension), ())

    def without(self, *dimensions: str) -> Self:
        """Return the same days without these filters."""
        return replace(self, filters=self.filters.without(*dimensions))

    def without_connections(self, label: str, asked: Iterable[Connection]) -> str:
        """Return the URL without one of these connections; "" if none is left."""
        kept = tuple(each.label for each in asked if each.label != label)
        if not kept:
            return ""
        rest = self.without("billing_account").filters
        chosen = (*rest.filters, Filter("billing_account", kept))
        return replace(self, filters=replace(rest, filters=chosen)).query

    def spec(
        self,
        *metrics: str,
        group_by: tuple[str, ...] = (),
        window: Window | None = None,
        also: tuple[Filter, ...] = (),
        **more: object,
    ) -> ReportSpec:
        """Return a spec of these days and filters, without filters that do not apply.

        `also` takes the place of the dashboard's own filters of the same dimensions. A user is
        filtered by `project_id` here.
        """
        said = {f.dimension for f in also}
        if "user_id" in said:
            said.add("project_id")  # the dashboard's way to name a user
        kept = (f for f in self.filters.filters if f.dimension not in said)
        spec = replace(
            self.filters,
            metrics=metrics,
            group_by=group_by,
            filters=(*(f for f in kept if cuts(f.dimension, metrics)), *also),
            interval="",
            **more,  # type: ignore[arg-type]  # fields of the spec by name
        )
        return replace(spec, window=window, range=CUSTOM) if window else spec

    def cut_by(
        self, dimension: str, label: str, connections: Sequence[Connection]
    ) -> tuple[tuple[str, ReportSpec], ...]:
        """Return a report of the spend by one dimension; none if no connection reports it so."""
        try:
            spec = self.spec("cost", group_by=(dimension,))
        except SpecError:
            return ()
        return ((label, spec),) if limits.is_reported(connections, spec) else ()

    def ask(self, *metrics: str, **question: object) -> Report:
        report = engine.run(self.organization, self.spec(*metrics, **question))  # type: ignore[arg-type]
        write_in(report.currency)
        return report

    def compared(self, report: Report, *metrics: str) -> Report | None:
        """Return the report limited to days that compare with the previous period, by metric.

        The same as on the report page: as many days on each side, all of them over and known.
        None if there is no such day.
        """
        asked = replace(report.spec, metrics=metrics or report.spec.metrics)
        return self.run_previous(asked)

    def run_previous(self, asked: ReportSpec) -> Report | None:
        """Run the same report for the previous period."""
        return engine.run_if_comparable(self.organization, replace(asked, compare="previous"))


def cuts(dimension: str, metrics: Iterable[str]) -> bool:
    """Return True if these metrics can be filtered by the dimension."""
    return all(METRICS[name].sources <= DIMENSIONS[dimension].sources for name in metrics)
