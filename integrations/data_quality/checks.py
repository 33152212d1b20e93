"""Checks of each day against the provider's total, and restatements."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import Any

from django.core.paginator import Page, Paginator

from accounts.models import Organization
from common import spreadsheets
from integrations.connectors.records import COST_MEASURES
from integrations.loading.spool import plain_or_none
from integrations.models import Connection, DayCheck, Restatement
from integrations.variants import compare_variants
from integrations.window import Window

PAGE_SIZE = 50
UNKNOWN = "–"
_MEASURES = {
    "effective_cost": "Cost",
    "list_cost": "List price",
    "total_tokens": "Tokens",
    "requests": "Requests",
    "web_searches": "Web searches",
    "activity": "Activity",
}


@dataclass(frozen=True)
class CheckFilter:
    """Filter of checks or restatements. `since` and `until` are days, both included."""

    connection: Connection | None = None
    feed: str = ""
    since: date | None = None
    until: date | None = None
    only_differences: bool = False

    def filters(self, organization: Organization) -> dict[str, Any]:
        wanted = {
            "connection": self.connection,
            "feed": self.feed,
            "day__gte": self.since,
            "day__lte": self.until,
        }
        return {
            "connection__organization": organization,
            **{name: value for name, value in wanted.items() if value},
        }


@dataclass(frozen=True)
class CheckSummary:
    """Number of totals that agree, differ, and cannot be compared."""

    agree: int
    differ: int
    unclear: int


@dataclass(frozen=True)
class CheckLine:
    """One check as the page writes it: every digit that is there."""

    check: DayCheck
    feed: str
    measure: str
    reported: str
    stored: str
    difference: str
    excess: str


@dataclass(frozen=True)
class RestatementLine:
    """One restatement as the page writes it. `meters` are (name, old, new), the dearest first."""

    restatement: Restatement
    feed: str
    measure: str
    old: str
    new: str
    change: str
    meters: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class VariantLine:
    """A second report beside the total that counts as the page writes it.

    `days` is how many days both know; `differences` are (day, figure), newest first.
    """

    label: str
    compared_with: str
    days: int
    total: str
    second: str
    difference: str
    differences: list[tuple[date, str]]


def variant_lines(connection: Connection, window: Window) -> list[VariantLine]:
    """Compare the second reports of a connection over the days of the page."""
    return [
        VariantLine(
            label=one.second_feed.label,
            compared_with=one.total_feed.label,
            days=one.days,
            total=figure(one.measure, one.total),
            second=figure(one.measure, one.second),
            difference=figure(one.measure, one.difference, signed=True),
            differences=[
                (day.day, figure(one.measure, day.difference, signed=True))
                for day in reversed(one.differences)
            ],
        )
        for one in compare_variants(connection, window)
    ]


def connections_of(organization: Organization) -> list[Connection]:
    """Every connection, by label; its secret is not read."""
    return list(organization.connections.defer("credential").order_by("label"))


def summarize(connection: Connection) -> CheckSummary:
    """All checks of one connection."""
    day_checks = DayCheck.objects.filter(connection=connection)
    differ = day_checks.failing().count()
    unclear = day_checks.filter(stored=None, excess=0).count()
    return CheckSummary(day_checks.count() - differ - unclear, differ, unclear)


def checks(organization: Organization, chosen: CheckFilter, page: str) -> "Page[DayCheck]":
    """Newest days first."""
    day_checks = DayCheck.objects.filter(**chosen.filters(organization))
    if chosen.only_differences:
        day_checks = day_checks.failing()
    day_checks = day_checks.select_related("connection").defer("connection__credential")
    ordered = day_checks.order_by("-day", "connection__label", "feed", "measure")
    return Paginator(ordered, PAGE_SIZE).get_page(page)


def check_lines(page: "Page[DayCheck]") -> list[CheckLine]:
    return [
        CheckLine(
            check=check,
            feed=feed_label(check.connection, check.feed),
            measure=measure_label(check.measure),
            reported=figure(check.measure, check.reported),
            stored=figure(check.measure, check.stored),
            difference=figure(check.measure, check.difference, signed=True),
            excess=figure(check.measure, check.excess) if check.excess else "",
        )
        for check in page
    ]


def restatements(organization: Organization, chosen: CheckFilter, page: str) -> "Page[Restatement]":
    """Return the restatements, the most recently detected first."""
    return Paginator(_restatements(organization, chosen), PAGE_SIZE).get_page(page)


def _restatements(organization: Organization, chosen: CheckFilter) -> Any:
    rows = Restatement.objects.filter(**chosen.filters(organization))
    rows = rows.select_related("connection").defer("connection__credential")
    return rows.order_by("-at", "-pk")


def restatement_lines(page: "Page[Restatement]") -> list[RestatementLine]:
    return [
        RestatementLine(
            restatement=one,
            feed=feed_label(one.connection, one.feed),
            measure=measure_label(one.measure),
            old=figure(one.measure, one.old),
            new=figure(one.measure, one.new),
            change=figure(one.measure, one.change, signed=True),
            meters=_meters(one),
        )
        for one in page
    ]


def _meters(one: Restatement) -> list[tuple[str, str, str]]:
    """Return the meters that moved, the largest change first."""

    def step(meter: Mapping[str, str | None]) -> Decimal:
        return abs(Decimal(meter["new"] or 0) - Decimal(meter["old"] or 0))

    return [
        (
            str(meter["meter"]),
            figure(one.measure, _decimal(meter["old"])),
            figure(one.measure, _decimal(meter["new"])),
        )
        for meter in sorted(one.meters, key=step, reverse=True)
    ]


CSV_HEADER = (
    "noticed_at",
    "connection",
    "feed",
    "day",
    "measure",
    "old",
    "new",
    "change",
    "old_export",
    "new_export",
    "people",
    "meters",
)


def restatements_csv(organization: Organization, chosen: CheckFilter) -> Iterator[str]:
    """Lines, exact and in the order of the page; an empty field is not known."""
    rows = _restatements(organization, chosen).iterator(chunk_size=500)
    return spreadsheets.download(spreadsheets.csv_lines(chain([CSV_HEADER], map(_csv_row, rows))))


def _csv_row(one: Restatement) -> tuple[object, ...]:
    return (
        one.at.isoformat(),
        one.connection.label,
        one.feed,
        one.day.isoformat(),
        one.measure,
        plain_or_none(one.old),
        plain_or_none(one.new),
        plain_or_none(one.change),
        one.old_watermark and one.old_watermark.isoformat(),
        one.new_watermark and one.new_watermark.isoformat(),
        one.people,
        json.dumps(one.meters, ensure_ascii=False),
    )


# --- Words and figures ---------------------------------------------------------------------


def feed_label(connection: Connection, name: str) -> str:
    feed = connection.connector.feed(name)
    return feed.label if feed else name


def measure_label(name: str) -> str:
    return _MEASURES.get(name, name.replace("_", " ").capitalize())


def figure(measure: str, value: Decimal | None, *, signed: bool = False) -> str:
    """Every digit that is there, with at least two after the point for dollars: $1,234.50."""
    if value is None:
        return UNKNOWN
    dollars = measure in COST_MEASURES
    text = f"{abs(value):,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if dollars:
        whole, _, cents = text.partition(".")
        text = f"${whole}.{cents:0<2}"
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return sign + text


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
