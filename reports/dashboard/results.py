"""Results of widgets: a drawing, the same as rows, and the report behind them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from itertools import chain
from typing import ClassVar

from common import spreadsheets
from integrations.status.days import DayState
from integrations.window import Window
from reports.catalog.metrics import Number, exact, exact_usd
from reports.dashboard.scope import Scope
from reports.engine import LABELS_APART, PARTIAL, Reason, Report
from reports.engine.spec import ReportSpec
from reports.templatetags import figures


@dataclass(frozen=True)
class Quantity:
    """A number that brings its own unit, for columns that hold several."""

    number: Number
    kind: "Kind"


Value = Number | date | str | Quantity
_TWELVE = Decimal("1e-12")


class Kind(StrEnum):
    """Format of the values of a column."""

    TEXT = "text"
    WORD = "word"  # an identifier: set in the monospaced face
    DAY = "day"
    USD = "usd"
    TOKENS = "tokens"
    COUNT = "count"
    SHARE = "share"
    CHANGE = "change"

    @property
    def is_number(self) -> bool:
        return self not in {Kind.TEXT, Kind.WORD, Kind.DAY}


@dataclass(frozen=True)
class Column:
    """`name` heads it in files, `label` on pages."""

    name: str
    label: str
    kind: Kind

    def exact(self, value: Value) -> str:
        """As it stands in files; "" for what is not known."""
        if value is None:
            return ""
        if isinstance(value, Quantity):
            return replace(self, kind=value.kind).exact(value.number)
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, str):
            return value
        return exact_usd(value) if self.kind is Kind.USD else exact(value)

    def shown(self, value: Value) -> str:
        """As people read it; “–” for what is not known."""
        if isinstance(value, Quantity):
            return replace(self, kind=value.kind).shown(value.number)
        if isinstance(value, date):
            return figures.day(value)
        if isinstance(value, str):
            return value
        if self.kind is Kind.CHANGE:
            return figures.change(value)
        return figures.figure(value, self.kind.value)


@dataclass(frozen=True)
class Cell:
    column: Column
    text: str


@dataclass(frozen=True)
class Table:
    """Everything a widget shows, as rows: on the page for those who do not see it, and as CSV."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]

    @property
    def cells(self) -> Iterator[list[Cell]]:
        for row in self.rows:
            yield [
                Cell(column, column.shown(value))
                for column, value in zip(self.columns, row, strict=True)
            ]

    def saying_what_is_missing(self, labels: Iterable[str]) -> "Table":
        """With two more columns: whether a connection is missing in these numbers, and which."""
        names = LABELS_APART.join(dict.fromkeys(labels))
        columns = (Column(name, name, Kind.TEXT) for name in PARTIAL)
        said = ("yes" if names else "no", names)
        return Table((*self.columns, *columns), tuple((*row, *said) for row in self.rows))

    def csv(self) -> str:
        """Return a CSV response with a header, exact numbers, and nothing for unknown ones."""
        head = [column.name for column in self.columns]
        rows = (
            [column.exact(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        )
        return "".join(spreadsheets.download(spreadsheets.csv_lines(chain([head], rows))))


@dataclass(frozen=True)
class Lack:
    """A connection without a part in the numbers of a widget, in a sentence.

    `without` is the address of the dashboard without it; "" if nothing would be left of it.
    """

    label: str
    sentence: str
    without: str


@dataclass(frozen=True)
class WidgetResult:
    """`shown` is what the widget's template draws; `empty` says why there is nothing to draw.

    `missing` are the connections its numbers lack, `notes` whatever else is to be known of them.
    `spec` is the report that answers the same: the first of its totals is `figure`. `others` are
    reports of the same days that cut it otherwise, each with its label.
    """

    table: Table
    shown: object = None
    empty: str = ""
    spec: ReportSpec | None = None
    figure: Number = None
    title: str = ""
    notes: tuple[str, ...] = ()
    others: tuple[tuple[str, ReportSpec], ...] = ()
    missing: tuple[Lack, ...] = ()


@dataclass(frozen=True)
class Change:
    """Against the days before. `ratio` None: nothing to compare with, `label` says why."""

    ratio: Decimal | None
    label: str

    @property
    def direction(self) -> str:
        """up, down, or "" for no change that one could see."""
        if self.ratio is None or abs(self.ratio) < Decimal("0.0005"):
            return ""
        return "up" if self.ratio > 0 else "down"


# On the first of a month, or where the days before were never read.
NOTHING_TO_COMPARE = "no complete days to compare yet"


def lacking(scope: Scope, report: Report) -> tuple[Lack, ...]:
    """Return the connections missing from a report's totals, with links to exclude them."""
    late = report.coverage.late
    labels: dict[tuple[str, str], list[str]] = {}
    for one in report.missing:
        label, pk = one.connection.label, one.connection.pk
        if one.reason is Reason.DAYS and pk in late:
            first = late[pk]
            which = f"before {figures.day(first)}" if first else "in these days"
            labels.setdefault(
                (label, f"{label} has no data {which}, so these numbers are incomplete."), []
            )
        else:
            labels.setdefault((label, f"{label} {one.reason}."), []).append(one.metric.label)
    return tuple(
        Lack(
            label,
            f"{', '.join(metrics)}{': ' if metrics else ''}{sentence}",
            scope.without_connections(label, report.connections),
        )
        for (label, sentence), metrics in labels.items()
    )


def shares(values: Iterable[Number]) -> list[Decimal | None]:
    """Return each part's share of the total cost. A credit has no share."""
    numbers = list(values)
    gross = sum((Decimal(n) for n in numbers if n is not None and n > 0), Decimal())
    return [None if n is None or n < 0 else share_of(n, gross) for n in numbers]


def change(compared: Report | None, at: int = 0) -> Change:
    """Return the change of a total; `compared` is the result of `Scope.compared`."""
    if compared is None or compared.before is None:
        return Change(None, NOTHING_TO_COMPARE)
    ratio = ratio_of(compared.totals[at], compared.before.totals[at])
    return Change(ratio, f"vs {span(compared.before.spec.window)}")


def ratio_of(now: Number, before: Number) -> Decimal | None:
    """0.25 is a quarter more. None where either is not known, or nothing was there before."""
    if now is None or not before:
        return None
    return (Decimal(now) - Decimal(before)) / abs(Decimal(before))


def subtract(whole: Number, part: Number) -> Number:
    """Subtract two numbers; None if either is unknown."""
    return None if whole is None or part is None else whole - part


def share_of(part: Number, whole: Number) -> Decimal | None:
    """Return the share to twelve places; None if a number is unknown or the total is zero."""
    if part is None or not whole:
        return None
    return (Decimal(part) / Decimal(whole)).quantize(_TWELVE, ROUND_HALF_UP)


@dataclass(frozen=True)
class Figure:
    """One number in large type, with what belongs under it. `rule`: closed, open, or ""."""

    template: ClassVar[str] = "figure"

    text: str
    rule: str = ""
    change: Change | None = None
    under: tuple[str, ...] = ()


def finality_rule(report: Report) -> str:
    """Return the style of the rule under a total: closed if final, open if it may change."""
    days = report.coverage
    if days.count(DayState.UNKNOWN) == len(days.window):
        return ""
    is_final = days.count(DayState.FINAL) == len(days.window) and not days.late
    return "closed" if is_final else "open"


def span(window: Window) -> str:
    """1–24 Oct, 25 Jul – 23 Aug: without years, for what lies close by."""
    start, last = window.start, window.last_day
    if start == last:
        return figures.day(start)
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day}–{figures.day(last)}"
    return f"{figures.day(start)} – {figures.day(last)}"


def when_empty(report: Report, what: str) -> str:
    """Why a report shows nothing; "" if it has something to show."""
    if any(side.groups for side in report.sides):
        return ""
    if not report.connections:
        return "Nothing is connected yet."
    days = report.coverage
    unknown = days.count(DayState.UNKNOWN)
    if unknown == len(days.window):
        return "Nothing is known about these days yet, so this is not a zero."
    if unknown:
        return f"No {what} in the days that are known; {unknown} of {len(days.window)} are not."
    if not days.known_to:
        return f"No {what} is reported so far. None of these days is complete yet."
    known_to = figures.day(days.known_to)
    return f"No {what} in these days. Data is complete to {known_to}, so this is a real zero."
