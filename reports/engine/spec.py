"""Specification of a report: one value that is also a query string, link and command line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Literal, Self
from urllib.parse import urlencode

from django.http import QueryDict

from common.redaction import holds_secret
from integrations.window import Window
from reports.catalog.metrics import (
    DIMENSIONS,
    METRICS,
    Declared,
    Dimension,
    DistinctCount,
    Measure,
    Metric,
    Source,
    in_order,
    in_sentence,
    place,
)
from reports.engine.periods import COMPARISONS, CUSTOM, INTERVALS, RANGES, Interval, Shift, shift_of

# Reports of other days are a slip of the keyboard, and the calendar ends somewhere.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2999, 12, 31)
MAX_GROUPS = 100  # groups that `limit` can keep
# Bounds of every report, however it is asked: page, widget, file, API, mail or command.
MOST_DAYS = 3_660  # ten years
MOST_METRICS, MOST_GROUPINGS, MOST_FILTER_VALUES = 20, 8, 500


# Columns of a comparison beside the total, in their order.
COMPARED = ("before", "difference", "change")
NO_COLUMNS = "none"
NAME_COLUMN = "name"


class SpecError(ValueError):
    """A report that cannot be asked. `str(error)` is fit for the page and the terminal.

    `uncut` is the metric that cannot be cut by all of `cuts`, the names of dimensions; "" if that
    is not what is wrong.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str,
        known: Iterable[str] = (),
        uncut: str = "",
        cuts: Iterable[str] = (),
    ) -> None:
        super().__init__(message)
        self.field = field
        self.known = tuple(known)
        self.uncut = uncut
        self.cuts = tuple(cuts)


class Operator(StrEnum):
    """Comparison of a filter. The value is the part behind the dot of a parameter."""

    IS = ""
    IS_NOT = "not"
    CONTAINS = "contains"
    STARTS_WITH = "starts"

    @property
    def label(self) -> str:
        return {"": "is", "not": "is not", "contains": "contains", "starts": "starts with"}[self]

    @property
    def is_exact(self) -> bool:
        """Return True if it compares whole values."""
        return self in {Operator.IS, Operator.IS_NOT}

    @property
    def lookup(self) -> str:
        return {"contains": "icontains", "starts": "istartswith"}.get(self, "in")


@dataclass(frozen=True)
class Filter:
    """Keep the facts whose dimension is, or is not, one of these values. "" is no value.

    With `CONTAINS` and `STARTS_WITH` the values are pieces of text, in small letters or capitals.
    """

    dimension: str
    values: tuple[str, ...]
    operator: Operator = Operator.IS

    @property
    def parameter(self) -> str:
        """Its name in an address: service, service.not, service.contains, service.starts."""
        return f"{self.dimension}.{self.operator}" if self.operator else self.dimension

    def matches(self, value: str) -> bool:
        """Return True if a fact with this value is kept."""
        if self.operator is Operator.IS:
            return value in self.values
        if self.operator is Operator.IS_NOT:
            return value not in self.values
        text = value.casefold()
        pieces = (piece.casefold() for piece in self.values)
        if self.operator is Operator.CONTAINS:
            return any(piece in text for piece in pieces)
        return any(text.startswith(piece) for piece in pieces)


@dataclass(frozen=True)
class ReportSpec:
    """Metrics over a window of UTC days, cut by dimensions. Raises `SpecError` if it makes none.

    `range` names the preset the window came from, so that a link keeps moving with the calendar.
    `interval` is how the page's columns cut time; "" lets the length of the window decide.
    `limit` keeps so many values of the first grouping, the largest (or smallest) by the first
    metric, and puts the rest into one row; 0 keeps all. `cumulative` adds up from the first day,
    `compare` names days to compare with, `final` ends before the first day that can still change.
    `forecast` shows how the first metric is expected to go on. The last five say how it looks:
    `compared` names the columns of a comparison, and `sort` the column that orders the rows of the
    table, a "-" before it for the largest first; "" is the order of `limit`.
    `merged` are dimensions it was read by and is not grouped by any more: no part of a link.
    """

    metrics: tuple[str, ...]
    window: Window
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    interval: Interval | Literal[""] = ""
    range: str = field(default=CUSTOM)
    limit: int = 0
    smallest: bool = False
    cumulative: bool = False
    compare: str = ""
    final: bool = False
    forecast: bool = False
    chart: str = ""
    numbers: str = ""
    heat: bool = False
    compared: tuple[str, ...] = COMPARED
    sort: str = ""
    # Reads the connections of the main currency alone; an address names that by a filter.
    single_currency: bool = field(default=False, compare=False)
    merged: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.metrics:
            raise SpecError("Name at least one metric.", field="metrics", known=METRICS)
        _names(self.metrics, METRICS, "metric", "metrics")
        _names(self.group_by, DIMENSIONS, "dimension", "group_by")
        _names([f.dimension for f in self.filters], FILTERABLE, "filter", "filters", often=True)
        for name, known in CHOICES.items():
            if (chosen := getattr(self, name)) and chosen not in known:
                raise SpecError(f"There is no {name} “{chosen}”.", field=name, known=known)
        _names(self.compared, COMPARED, "column", "compared")
        self._check_sort()
        if not 0 <= self.limit <= MAX_GROUPS:
            raise SpecError(f"Show between 1 and {MAX_GROUPS} groups.", field="show")
        if self.smallest and not self.limit:
            raise SpecError("Say how many of the smallest groups to show.", field="show")
        self._check_days()
        self._check_size()
        self._check_filters()
        self._check_sources()
        self._check_overlaps()

    def _check_sort(self) -> None:
        known = (NAME_COLUMN, *self.metrics, *COMPARED)
        column = self.sort.removeprefix("-")
        if column and column not in known and not _is_day(column):
            raise SpecError(
                f"Rows cannot be sorted by “{self.sort}”. Name a column: {', '.join(known)}, or the"
                " first day of a column.",
                field="sort",
                known=known,
            )

    def _check_days(self) -> None:
        window = self.window
        if window.start < FIRST_DAY or window.last_day > LAST_DAY:
            raise SpecError(
                f"{window} is out of range. Choose days between {FIRST_DAY} and {LAST_DAY}.",
                field="range",
            )

    def _check_size(self) -> None:
        """Refuse what costs too much whatever the data is; rows are bounded while they are read."""
        if len(self.window) > MOST_DAYS:
            raise SpecError(
                f"{self.window} is {len(self.window):,} days, and a report has at most"
                f" {MOST_DAYS:,}. Choose fewer days.",
                field="range",
            )
        values = sum(len(filter_.values) for filter_ in self.filters)
        for count, most, noun, field_ in (
            (len(self.metrics), MOST_METRICS, "metrics", "metrics"),
            (len(self.group_by), MOST_GROUPINGS, "groupings", "group_by"),
            (values, MOST_FILTER_VALUES, "filter values", "filters"),
        ):
            if count > most:
                raise SpecError(
                    f"A report has at most {most:,} {noun}, and this one has {count:,}."
                    f" Leave out {count - most:,}.",
                    field=field_,
                )

    def _check_filters(self) -> None:
        seen: set[str] = set()
        for filter_ in self.filters:
            if filter_.parameter in seen:
                raise SpecError(f"The filter {filter_.parameter} is named twice.", field="filters")
            seen.add(filter_.parameter)
            if not filter_.values or any(_is_unstorable(value) for value in filter_.values):
                raise SpecError(
                    f"The filter {filter_.dimension} has an invalid value.",
                    field="filters",
                )
            if any(map(holds_secret, filter_.values)):  # reports are saved, and files name them
                raise SpecError(
                    f"A value of the filter {filter_.dimension} looks like an API key. Remove it:"
                    " a report and its audit entry would keep it.",
                    field="filters",
                )
            if not filter_.operator.is_exact and "" in filter_.values:
                raise SpecError(
                    f"The filter {filter_.parameter} is empty. Enter a text.",
                    field="filters",
                )

    def _check_sources(self) -> None:
        """Refuse what no source can answer, by metric and dimension."""
        for name in self.used:
            for metric in self.metric_objects:
                if not _is_placed(metric, frozenset({name})):
                    raise SpecError(
                        f"{metric.label} is not available by {in_sentence(DIMENSIONS[name].label)}"
                        f" ({metric.name}, {name}): the provider does not report it by that "
                        "dimension. Remove one of the two.",
                        field="group_by" if name in self.group_by else "filters",
                        uncut=metric.name,
                        cuts=(name,),
                    )
        for metric in self.metric_objects:
            if not _is_placed(metric, self.cut_by):
                words = " and ".join(in_sentence(DIMENSIONS[n].label) for n in sorted(self.cut_by))
                raise SpecError(
                    f"{metric.label} is not available by {words} together ({metric.name}): the "
                    "provider reports it by each of them alone. Remove one of them.",
                    field="group_by" if self.cut_by & {*self.group_by} else "filters",
                    uncut=metric.name,
                    cuts=[name for name in self.used if name in self.cut_by],
                )

    def _check_overlaps(self) -> None:
        """Refuse sums over groups that overlap: they would count the same twice."""
        for dimension in self.overlapping:
            filters = self.filters_of(dimension.name)
            one = [f for f in filters if f.operator is Operator.IS and len(f.values) == 1]
            if dimension.name not in self.group_by and not one:
                word = in_sentence(dimension.label)
                raise SpecError(
                    f"{dimension.label}s overlap, so several of them have no sum. Filter by one"
                    f" {word}, or group by {word} ({dimension.name}) as well.",
                    field="filters",
                )

    # --- What follows from it ---------------------------------------------------------------
    @property
    def used(self) -> tuple[str, ...]:
        """The dimensions it is cut or filtered by."""
        return (*self.group_by, *(f.dimension for f in self.filters))

    @property
    def metric_objects(self) -> tuple[Metric, ...]:
        return tuple(METRICS[name] for name in self.metrics)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures to read, each once, from the source that knows all dimensions."""
        by_name = {m.name: m for metric in self.metric_objects for m in metric.measures}
        placed = (place(measure, self.cut_by) for measure in by_name.values())
        return tuple(measure for measure in placed if measure is not None)

    @property
    def cut_by(self) -> frozenset[str]:
        """The dimensions it is read by that not every source knows."""
        names = {*self.used, *self.merged}
        return frozenset(name for name in names if not DIMENSIONS[name].is_everywhere)

    @property
    def overlapping(self) -> tuple[Dimension, ...]:
        """The dimensions it is cut by whose groups are never added up."""
        return tuple(DIMENSIONS[name] for name in self.used if DIMENSIONS[name].is_overlapping)

    @property
    def is_overlapping(self) -> bool:
        """Return True if its groups must not be added up."""
        return any(dimension.is_overlapping for dimension in self.dimension_objects)

    @property
    def adds_up(self) -> bool:
        """Return True if groups of the first metric may be added up."""
        return self.metric_objects[0].is_additive and not self.is_overlapping

    @property
    def dimension_objects(self) -> tuple[Dimension, ...]:
        return tuple(DIMENSIONS[name] for name in self.group_by)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources the metrics need, in a fixed order."""
        return in_order(measure.source for measure in self.measures)

    @property
    def is_by_person(self) -> bool:
        """Return True if the result depends on people and not only on meters."""
        return any(DIMENSIONS[name].is_person for name in self.used) or any(
            isinstance(measure, DistinctCount) for measure in self.measures
        )

    @property
    def columns_by(self) -> Interval:
        """The interval of the columns: as asked, or one that gives a readable number of them."""
        if self.interval:
            return self.interval
        days = len(self.window)
        if days <= 183:
            return "day" if days <= 31 else "week"
        return "month" if days <= 3_000 else "quarter"

    @property
    def ranked_by(self) -> str:
        """The dimension that `limit` cuts short: the first that is not time. "" if none is."""
        groups = (name for name in self.group_by if not DIMENSIONS[name].is_time)
        return next(groups, "") if self.limit else ""

    @property
    def is_running(self) -> bool:
        """Whether every column includes those before it. Only time has columns."""
        return self.cumulative and self.group_by[:1] != () and self.dimension_objects[0].is_time

    @property
    def shift(self) -> Shift | None:
        """Distance to the comparison period."""
        return shift_of(self.compare, self.window, self.range) if self.compare else None

    def by_interval(self) -> "ReportSpec":
        """Return the spec with the interval as its first grouping, as page and CSV show it."""
        return replace(self, group_by=(self.columns_by, *self.group_by))

    def filters_of(self, dimension: str) -> tuple[Filter, ...]:
        return tuple(f for f in self.filters if f.dimension == dimension)

    def without(self, *parameters: str) -> "ReportSpec":
        """Without the filters of these names: `service`, `service.not`."""
        kept = tuple(f for f in self.filters if f.parameter not in parameters)
        return replace(self, filters=kept)

    # --- The address ------------------------------------------------------------------------
    def pairs(self) -> list[tuple[str, str]]:
        """Parameter names and values, in a fixed order. Repeated names mean “one of”."""
        parameters = [("metrics", ",".join(self.metrics))]
        if self.range == CUSTOM:
            parameters += [("from", f"{self.window.start}"), ("to", f"{self.window.last_day}")]
        else:
            parameters += [("range", self.range)]
        if self.interval:
            parameters += [("interval", self.interval)]
        if self.group_by:
            parameters += [("group_by", ",".join(self.group_by))]
        if self.limit:
            parameters += [("show", f"{DATE_PARAMETERS[self.smallest]}-{self.limit}")]
        for name in FLAGS:
            parameters += [(name, "yes")] if getattr(self, name) else []
        for name in DISPLAY_PARAMETERS:
            parameters += [(name, getattr(self, name))] if getattr(self, name) else []
        if self.compared != COMPARED:
            parameters += [("compared", ",".join(self.compared) or NO_COLUMNS)]
        return parameters + [(f.parameter, value) for f in self.filters for value in f.values]

    def to_query(self) -> str:
        return to_query(self.pairs())

    @classmethod
    def from_query(cls, query: QueryDict | str, *, today: date) -> Self:
        """Read an address back; raises `SpecError` for what it cannot mean."""
        parameters = QueryDict(query) if isinstance(query, str) else query
        unknown = [n for n in parameters if n not in PARAMETERS and not _is_filter(n)]
        if unknown:
            raise SpecError(
                f"There is no parameter or filter “{unknown[0]}”.",
                field="filters",
                known=(*PARAMETERS, *FILTERABLE),
            )
        window, chosen = _window(parameters, today)
        limit, smallest = parse_limit(parameters.get("show", ""))
        return cls(
            metrics=_listed(parameters, "metrics") or ("cost",),
            window=window,
            range=chosen,
            group_by=_listed(parameters, "group_by"),
            limit=limit,
            smallest=smallest,
            compared=_compared(parameters),
            filters=tuple(
                parse_filter(name, values)
                for name, values in parameters.lists()
                if _is_filter(name)
            ),
            **_words(parameters),
        )


def to_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the query string of parameter names and values, as reports write it."""
    return urlencode([*pairs], safe=",")


# Time is filtered by the window.
FILTERABLE: Mapping[str, Dimension] = Declared(lambda known: known.filters)
DATE_PARAMETERS = ("top", "bottom")
CHARTS = ("stacked", "column", "line", "area", "bar", "treemap", "heatmap", "table")
NUMBERS = ("full", "compact")
CHOICES: dict[str, tuple[str, ...]] = {
    "interval": INTERVALS,
    "compare": tuple(COMPARISONS),
    "chart": CHARTS,
    "numbers": NUMBERS,
}
FLAGS = ("cumulative", "final", "forecast", "heat")
DISPLAY_PARAMETERS = ("compare", "chart", "numbers", "sort")
# The parameters of an address that are not filters.
PARAMETERS = (
    *("metrics", "range", "from", "to", "interval", "group_by", "show"),
    *FLAGS,
    *DISPLAY_PARAMETERS,
    "compared",
)


def parse_filter(parameter: str, values: Iterable[str]) -> Filter:
    """Parse a parameter such as `service` or `service.not`; raise `SpecError`."""
    name, _, operator = parameter.partition(".")
    if operator not in list(Operator):
        raise SpecError(
            f"A filter cannot compare by “{operator}” ({parameter}).",
            field="filters",
            known=[f"{name}.{word}" if word else name for word in Operator],
        )
    return Filter(name, tuple(dict.fromkeys(values)), Operator(operator))


def parse_limit(text: str) -> tuple[int, bool]:
    """Parse the number of groups and their end: top-10, bottom-5. Empty: all."""
    end, _, count = text.partition("-")
    if not text:
        return 0, False
    if end not in DATE_PARAMETERS or not (
        count.isascii() and count.isdecimal() and 0 < len(count) <= 3
    ):
        raise SpecError(
            f"“{text}” does not say which groups to show. Write it as top-10 or bottom-10.",
            field="show",
        )
    return int(count), end == "bottom"


def window_between(start: date, last: date) -> Window:
    """Return the days from `start` to `last` inclusive; raise `SpecError` if there are none."""
    if start > last:
        raise SpecError(f"The first day {start} is after the last day {last}.", field="range")
    if last == date.max:
        raise SpecError("The last day is out of range.", field="range")
    return Window(start, last + timedelta(days=1))


def parse_day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise SpecError(
            f"“{text}” is not a day ({name}). Write it as 2026-11-22.", field="range"
        ) from exc


def _is_filter(parameter: str) -> bool:
    return parameter.partition(".")[0] in FILTERABLE


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


def _flag(parameters: QueryDict, name: str) -> bool:
    text = parameters.get(name, "")
    if text not in {"", "no", "yes"}:
        raise SpecError(f"“{text}” is neither yes nor no ({name}).", field=name)
    return text == "yes"


def _words(parameters: QueryDict) -> dict[str, Any]:
    """Return the parameters of one word, whose values the spec validates."""
    flags = {name: _flag(parameters, name) for name in FLAGS}
    return {**flags, **{name: parameters.get(name, "") for name in (*CHOICES, "sort")}}


def _compared(parameters: QueryDict) -> tuple[str, ...]:
    """Return the columns of a comparison: all if none is named, none for the word none."""
    if "compared" not in parameters:
        return COMPARED
    named = _listed(parameters, "compared")
    unknown = [name for name in named if name not in {*COMPARED, NO_COLUMNS}]
    return (*unknown, *(name for name in COMPARED if name in named))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _listed(parameters: QueryDict, name: str) -> tuple[str, ...]:
    """Values given repeatedly or with commas, each once, in order."""
    values = ",".join(parameters.getlist(name)).split(",")
    return tuple(dict.fromkeys(value for value in values if value))


def _names(
    names: Iterable[str], known: Iterable[str], noun: str, field: str, *, often: bool = False
) -> None:
    seen: set[str] = set()
    for name in names:
        if name not in known:
            raise SpecError(f"There is no {noun} “{name}”.", field=field, known=known)
        if name in seen and not often:
            raise SpecError(f"The {noun} {name} is named twice.", field=field)
        seen.add(name)


def _is_placed(metric: Metric, wanted: frozenset[str]) -> bool:
    return all(place(measure, wanted) is not None for measure in metric.measures)


def _is_unstorable(value: str) -> bool:
    """PostgreSQL refuses NUL, UTF-8 refuses half characters: neither can be in a fact."""
    return "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
