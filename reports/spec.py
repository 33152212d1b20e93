"""What a report is asked: one value that is also a query string, a link and a command line."""

from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal, Self, get_args
from urllib.parse import urlencode

from django.http import QueryDict

from integrations.window import Window
from reports.metrics import DIMENSIONS, METRICS, Dimension, Metric, Section, Source

Interval = Literal["day", "week", "month"]
INTERVALS: tuple[Interval, ...] = get_args(Interval)
CUSTOM = "custom"
# The parameters of an address that are not dimensions.
PARAMETERS = ("metrics", "range", "from", "to", "interval", "group_by")


class SpecError(ValueError):
    """A report that cannot be asked. `str(error)` is fit for the page and the terminal."""

    def __init__(self, message: str, *, field: str, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.known = tuple(known)


@dataclass(frozen=True)
class Filter:
    """Keep the facts whose dimension has one of these values. "" keeps those without a value."""

    dimension: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ReportSpec:
    """Metrics over a window of UTC days, cut by dimensions. Raises `SpecError` if it makes none.

    `interval` is how the page's columns cut time; "" lets the length of the window decide.
    `range` names the preset the window came from, so that a link keeps moving with the calendar.
    """

    metrics: tuple[str, ...]
    window: Window
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    interval: Interval | Literal[""] = ""
    range: str = field(default=CUSTOM)

    def __post_init__(self) -> None:
        if not self.metrics:
            raise SpecError("Name at least one metric.", field="metrics", known=METRICS)
        _names(self.metrics, METRICS, "metric", "metrics")
        _names(self.group_by, DIMENSIONS, "dimension", "group_by")
        _names([f.dimension for f in self.filters], FILTERABLE, "filter", "filters")
        if self.interval and self.interval not in INTERVALS:
            raise SpecError(
                f"There is no interval “{self.interval}”.", field="interval", known=INTERVALS
            )
        for filter_ in self.filters:
            if not filter_.values or any(_is_unstorable(value) for value in filter_.values):
                raise SpecError(
                    f"The filter {filter_.dimension} has a value no fact can have.",
                    field="filters",
                )
        self._check_sources()

    def _check_sources(self) -> None:
        used = [*self.group_by, *(f.dimension for f in self.filters)]
        for name in used:
            lacking = [m for m in self.metrics if METRICS[m].source not in DIMENSIONS[name].sources]
            if lacking:
                raise SpecError(
                    f"{METRICS[lacking[0]].label} cannot be cut by {DIMENSIONS[name].label.lower()}"
                    f" ({lacking[0]}, {name}): the provider counts usage without it. Leave out one"
                    " of the two.",
                    field="group_by" if name in self.group_by else "filters",
                )

    # --- What follows from it ---------------------------------------------------------------
    @property
    def metric_objects(self) -> tuple[Metric, ...]:
        return tuple(METRICS[name] for name in self.metrics)

    @property
    def dimension_objects(self) -> tuple[Dimension, ...]:
        return tuple(DIMENSIONS[name] for name in self.group_by)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The fact tables the metrics need, in a fixed order."""
        needed = {metric.source for metric in self.metric_objects}
        return tuple(source for source in Source if source in needed)

    @property
    def is_by_person(self) -> bool:
        """Does the answer depend on who it was, and not only on what was metered?"""
        used = [*self.group_by, *(f.dimension for f in self.filters)]
        return any(DIMENSIONS[name].is_person for name in used)

    @property
    def columns_by(self) -> Interval:
        """The interval of the columns: as asked, or one that gives a readable number of them."""
        if self.interval:
            return self.interval
        return "day" if len(self.window) <= 31 else "week" if len(self.window) <= 183 else "month"

    def by_interval(self) -> "ReportSpec":
        """The same question with the interval as its first grouping: the rows of page and CSV."""
        return replace(self, group_by=(self.columns_by, *self.group_by))

    def values_of(self, dimension: str) -> tuple[str, ...]:
        """What that dimension is filtered to; empty if it is not filtered."""
        return next((f.values for f in self.filters if f.dimension == dimension), ())

    def without(self, dimension: str) -> "ReportSpec":
        return replace(self, filters=tuple(f for f in self.filters if f.dimension != dimension))

    # --- The address ------------------------------------------------------------------------
    def pairs(self) -> list[tuple[str, str]]:
        """Parameter names and values, in a fixed order. Repeated names mean “one of”."""
        found = [("metrics", ",".join(self.metrics))]
        if self.range == CUSTOM:
            found += [("from", f"{self.window.start}"), ("to", f"{self.window.last_day}")]
        else:
            found += [("range", self.range)]
        if self.interval:
            found += [("interval", self.interval)]
        if self.group_by:
            found += [("group_by", ",".join(self.group_by))]
        return found + [(f.dimension, value) for f in self.filters for value in f.values]

    def to_query(self) -> str:
        return urlencode(self.pairs(), safe=",")

    @classmethod
    def from_query(cls, query: QueryDict | str, *, today: date) -> Self:
        """Read an address back; raises `SpecError` for what it cannot mean."""
        parameters = QueryDict(query) if isinstance(query, str) else query
        unknown = [n for n in parameters if n not in PARAMETERS and n not in FILTERABLE]
        if unknown:
            raise SpecError(
                f"There is no parameter or filter “{unknown[0]}”.",
                field="filters",
                known=(*PARAMETERS, *FILTERABLE),
            )
        window, chosen = _window(parameters, today)
        return cls(
            metrics=_listed(parameters, "metrics") or ("cost",),
            window=window,
            range=chosen,
            group_by=_listed(parameters, "group_by"),
            interval=parameters.get("interval", ""),  # type: ignore[arg-type]  # checked inside
            filters=tuple(
                Filter(name, tuple(dict.fromkeys(values)))
                for name, values in parameters.lists()
                if name in FILTERABLE
            ),
        )


# Time is filtered by the window.
FILTERABLE = {name: d for name, d in DIMENSIONS.items() if d.section is not Section.TIME}


def _month_to_date(today: date) -> Window:
    return Window(today.replace(day=1), today + timedelta(days=1))


def _last_month(today: date) -> Window:
    last = today.replace(day=1) - timedelta(days=1)
    return Window(last.replace(day=1), today.replace(day=1))


@dataclass(frozen=True)
class Range:
    label: str
    window: Callable[[date], Window]


RANGES: dict[str, Range] = {
    "7d": Range("Last 7 days", lambda today: Window.last(7, today=today)),
    "30d": Range("Last 30 days", lambda today: Window.last(30, today=today)),
    "90d": Range("Last 90 days", lambda today: Window.last(90, today=today)),
    "mtd": Range("Month to date", _month_to_date),
    "last_month": Range("Last month", _last_month),
}


def first_day(interval: str, day: date) -> date:
    """The day its day, ISO week or month begins with."""
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def last_day(interval: str, start: date) -> date:
    if interval == "week":
        return start + timedelta(days=6)
    if interval == "month":
        return start.replace(day=monthrange(start.year, start.month)[1])
    return start


def window_between(start: date, last: date) -> Window:
    """The days from `start` to `last`, both included; raises `SpecError` if there are none."""
    if start > last:
        raise SpecError(f"The first day {start} is after the last day {last}.", field="range")
    if last == date.max:
        raise SpecError("The last day is further away than the calendar goes.", field="range")
    return Window(start, last + timedelta(days=1))


def parse_day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise SpecError(
            f"“{text}” is not a day ({name}). Write it as 2026-11-22.", field="range"
        ) from exc


def _window(parameters: QueryDict, today: date) -> tuple[Window, str]:
    start, last = parameters.get("from", ""), parameters.get("to", "")
    chosen = parameters.get("range", CUSTOM if start or last else "30d")
    if chosen == CUSTOM:
        if not (start and last):
            raise SpecError("Custom dates need both a first and a last day.", field="range")
        return window_between(parse_day(start, "from"), parse_day(last, "to")), CUSTOM
    if chosen not in RANGES:
        raise SpecError(
            f"There is no time range “{chosen}”.", field="range", known=(*RANGES, CUSTOM)
        )
    return RANGES[chosen].window(today), chosen


def _listed(parameters: QueryDict, name: str) -> tuple[str, ...]:
    """Values given repeatedly or with commas, each once, in order."""
    values = ",".join(parameters.getlist(name)).split(",")
    return tuple(dict.fromkeys(value for value in values if value))


def _names(names: Iterable[str], known: Iterable[str], noun: str, field: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name not in known:
            raise SpecError(f"There is no {noun} “{name}”.", field=field, known=known)
        if name in seen:
            raise SpecError(f"The {noun} {name} is named twice.", field=field)
        seen.add(name)


def _is_unstorable(value: str) -> bool:
    """PostgreSQL refuses NUL, UTF-8 refuses half characters: neither can be in a fact."""
    return "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
