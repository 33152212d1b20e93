"""Controls of the report page: available options and the current choice."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

from django.db.models import F
from django.db.models.fields.json import KeyTextTransform
from django.http import QueryDict
from django.utils.safestring import SafeString

from integrations.connectors.records import METER_FIELDS
from integrations.models import Connection, EngagementFact, Meter, Person, ResourceVersion
from integrations.window import Window
from reports import identity
from reports.catalog import labels, resource_names
from reports.catalog.metrics import DIMENSIONS, METRICS, Unit, in_order, in_sentence, place
from reports.catalog.resource_names import Names
from reports.engine import provider_name
from reports.engine.periods import COMPARISONS, CUSTOM, INTERVALS, RANGES, split_into_intervals
from reports.engine.spec import (
    CHARTS,
    COMPARED,
    DATE_PARAMETERS,
    FILTERABLE,
    NAME_COLUMN,
    Filter,
    Operator,
    ReportSpec,
    SpecError,
    to_query,
)
from reports.explore import menus
from reports.explore.menus import MOST_GROUPS, Option
from reports.forecast.columns import HORIZON
from reports.render.pivot import Column
from reports.templatetags import figures

MOST_METRICS, MOST_COLUMNS = 4, 100
INTERVAL_LABELS = {
    "": "Automatic",
    "day": "Day",
    "week": "Week (ISO)",
    "month": "Month",
    "quarter": "Quarter",
}
AHEAD_LABELS = {
    interval: f"{count} {interval}s" if count > 1 else interval
    for interval, count in HORIZON.items()
}
PERIOD_ADVERBS = {"day": "daily", "week": "weekly", "month": "monthly", "quarter": "quarterly"}
DISPLAY_LABELS = ((False, 5), (False, 6), (False, 10), (False, 20), (True, 5), (True, 10))
COMPARED_LABELS = {"before": "Before", "difference": "Difference", "change": "Change"}
CHART_LABELS = {
    "stacked": ("Stacked columns", "c_stack"),
    "column": ("Columns", "c_col"),
    "line": ("Lines", "c_line"),
    "area": ("Areas", "c_area"),
    "bar": ("Bars", "c_bar"),
    "treemap": ("Treemap", "c_tree"),
    "heatmap": ("Heatmap", "c_heat"),
    "table": ("Table only", "c_table"),
}
NUMBER_LABELS = {"": "Rounded", "full": "Full precision", "compact": "Compact"}
SHORT = 40  # values that fit as checkboxes


@dataclass(frozen=True)
class FilterChip:
    """One filter in force. `without` is the query string of the report without it."""

    parameter: str
    label: str
    operator_label: str
    text: str
    values: tuple[str, ...]
    without: str


@dataclass(frozen=True)
class OptionLink:
    """A choice that is a link: `query` is the report with it."""

    label: str
    icon: str
    query: str
    is_chosen: bool


@dataclass(frozen=True)
class Head:
    """Head of a column that sorts the table: `query` is the report sorted by it, or reversed."""

    key: str
    label: str
    query: str
    direction: str  # for aria-sort; "" if the table is sorted by another column
    column: Column | None = None


@dataclass(frozen=True)
class Heads:
    """Heads of the table: the name, the total, its comparison, further metrics and the times."""

    name: Head
    total: Head
    compared: tuple[Head, ...]
    metrics: tuple[Head, ...]
    columns: tuple[Head, ...]


@dataclass(frozen=True)
class Editor:
    """Filter editor of one dimension. `kept` is the rest of the report, as hidden fields."""

    dimension: str
    label: str
    operators: tuple[Option, ...]
    options: tuple[Option, ...]
    text: str
    kept: tuple[tuple[str, str], ...]
    is_long: bool


@dataclass(frozen=True)
class ReportControls:
    """The settings of one report, as the page shows them. `names` are those of identifiers.

    `report` is the saved report they were opened from; its number stays in every address.
    """

    spec: ReportSpec
    names: Names = field(default_factory=dict)
    report: int | None = None

    @property
    def title(self) -> str:
        words = [self.metrics_label]
        if self.spec.group_by:
            words += ["by", _listed([in_sentence(d.label) for d in self.spec.dimension_objects])]
        added_up = ", cumulative" if self.spec.cumulative else ""
        return f"{' '.join(words)}, {PERIOD_ADVERBS[self.spec.columns_by]}{added_up}"

    @property
    def metrics_menu(self) -> SafeString:
        return menus.metrics(self.spec.metrics)

    @property
    def metrics_label(self) -> str:
        names = [metric.label for metric in self.spec.metric_objects]
        names = [names[0], *(in_sentence(name) for name in names[1:])]
        return _listed(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"

    @property
    def ranges(self) -> list[Option]:
        options = [Option(n, r.label, n == self.spec.range) for n, r in RANGES.items()]
        return [*options, Option(CUSTOM, "Custom dates", self.spec.range == CUSTOM)]

    @property
    def range_label(self) -> str:
        return dates(self.spec.window) + (", final days" if self.spec.final else "")

    @property
    def intervals(self) -> list[Option]:
        return [
            Option(value, INTERVAL_LABELS[value], value == self.spec.interval)
            for value in ("", *INTERVALS)
        ]

    @property
    def interval_label(self) -> str:
        added_up = ", cumulative" if self.spec.cumulative else ""
        return INTERVAL_LABELS[self.spec.columns_by] + added_up

    @property
    def groupings_menu(self) -> SafeString:
        return menus.groupings(self.spec.group_by)

    @property
    def grouping_label(self) -> str:
        return ", ".join(d.label for d in self.spec.dimension_objects) or "Nothing"

    @property
    def shows(self) -> list[Option]:
        """Options for the number of groups: all, or the first of them and *Other*."""
        now = (self.spec.smallest, self.spec.limit)
        counts = sorted({(False, 0), *DISPLAY_LABELS, now}, key=lambda end: (end[0], end[1]))
        return [
            Option(f"{DATE_PARAMETERS[end]}-{n}" if n else "", _shown(end, n), (end, n) == now)
            for end, n in counts
        ]

    @property
    def show_label(self) -> str:
        return _shown(self.spec.smallest, self.spec.limit)

    @property
    def comparisons(self) -> list[Option]:
        options = [Option(n, c.label, n == self.spec.compare) for n, c in COMPARISONS.items()]
        return [Option("", "Nothing", not self.spec.compare), *options]

    @property
    def compare_label(self) -> str:
        shift = self.spec.shift
        return dates(shift.before(self.spec.window)) if shift else "Nothing"

    @property
    def compared(self) -> list[Option]:
        """Return the columns of a comparison."""
        return [
            Option(name, COMPARED_LABELS[name], name in self.spec.compared) for name in COMPARED
        ]

    def heads(self, columns: Sequence[Column], currency: str, *, is_compared: bool) -> Heads:
        """Return the heads of the table, each with a link that sorts by it."""
        first, *others = self.spec.metric_objects
        total = f"Total, {currency}" if first.unit is Unit.USD and currency else "Total"
        compared = [
            self._head(name, COMPARED_LABELS[name]) for name in self.spec.compared if is_compared
        ]
        return Heads(
            name=self._head(NAME_COLUMN, self.grouping_label),
            total=self._head(first.name, total),
            compared=tuple(compared),
            metrics=tuple(self._head(metric.name, metric.label) for metric in others),
            columns=tuple(self._head(f"{c.start}", c.label, c) for c in columns),
        )

    def _head(self, key: str, label: str, column: Column | None = None) -> Head:
        usual = self.spec.metrics[0] if self.spec.smallest else f"-{self.spec.metrics[0]}"
        now = self.spec.sort or usual
        is_sorted = now.removeprefix("-") == key
        is_falling = now.startswith("-")
        falls = not is_falling if is_sorted else key != NAME_COLUMN
        sort = f"-{key}" if falls else key
        direction = ("descending" if is_falling else "ascending") if is_sorted else ""
        query = self._sorted_query("" if sort == usual else sort)
        return Head(key, label, query, direction, column)

    def _sorted_query(self, sort: str) -> str:
        """Return the query of the report sorted by a column; "" is the usual order."""
        pairs = self._sortable_pairs
        return self._with_report(
            to_query((n, sort if n == "sort" else v) for n, v in pairs if sort or n != "sort")
        )

    @cached_property
    def _sortable_pairs(self) -> list[tuple[str, str]]:
        """Parameters of the report with a place for `sort`.

        A table may have a hundred heads, and the report is not validated again for each.
        """
        return replace(self.spec, sort=NAME_COLUMN).pairs()

    @property
    def forecasts(self) -> list[Option]:
        ahead = f"The next {AHEAD_LABELS[self.spec.columns_by]}"
        return [
            Option("", "None", not self.spec.forecast),
            Option("yes", ahead, self.spec.forecast, "The first metric, all groups together."),
        ]

    @property
    def forecast_label(self) -> str:
        return next(option.label for option in self.forecasts if option.is_chosen)

    @property
    def charts(self) -> list[OptionLink]:
        return [
            self._look(label, icon, value == (self.spec.chart or CHARTS[0]), chart=value)
            for value, (label, icon) in CHART_LABELS.items()
        ]

    @property
    def chart_label(self) -> str:
        return CHART_LABELS[self.spec.chart or CHARTS[0]][0]

    @property
    def formats(self) -> list[OptionLink]:
        return [
            self._look(label, "check", value == self.spec.numbers, numbers=value)
            for value, label in NUMBER_LABELS.items()
        ]

    @property
    def heat(self) -> OptionLink:
        return self._look("Shade high cells", "check", self.spec.heat, heat=not self.spec.heat)

    def _look(self, label: str, icon: str, is_chosen: bool, **changes: Any) -> OptionLink:
        return OptionLink(label, icon, self._query(replace(self.spec, **changes)), is_chosen)

    @property
    def looks(self) -> list[tuple[str, str]]:
        """Parameters that links set and the form has no field for."""
        return [
            pair for pair in self.spec.pairs() if pair[0] in {"chart", "numbers", "heat", "sort"}
        ]

    @property
    def chips(self) -> list[FilterChip]:
        return [self._chip(filter_) for filter_ in self.spec.filters]

    def _chip(self, filter_: Filter) -> FilterChip:
        texts = list(filter_.values)
        if filter_.operator.is_exact:
            texts = [labels.label(filter_.dimension, value, self.names) for value in texts]
        text = ", ".join(texts[:2])
        return FilterChip(
            parameter=filter_.parameter,
            label=FILTERABLE[filter_.dimension].label,
            operator_label=_operator_label(filter_),
            text=text if len(texts) < 3 else f"{text} and {len(texts) - 2} more",
            values=filter_.values,
            without=self._query(self.spec.without(filter_.parameter)),
        )

    @property
    def filters_menu(self) -> SafeString:
        return menus.filters()

    @property
    def query(self) -> str:
        return self._query(self.spec)

    def _query(self, spec: ReportSpec) -> str:
        return self._with_report(spec.to_query())

    def _with_report(self, query: str) -> str:
        return query + (f"&report={self.report}" if self.report else "")


def check(spec: ReportSpec) -> ReportSpec:
    """Return the report as the page shows it; raise `SpecError` for options of the command."""
    if len(spec.metrics) > MOST_METRICS:
        raise SpecError(
            f"This page shows up to {MOST_METRICS} metrics. Leave out"
            f" {len(spec.metrics) - MOST_METRICS}.",
            field="metrics",
        )
    if len(spec.group_by) > MOST_GROUPS:
        raise SpecError(f"This page groups by up to {MOST_GROUPS} dimensions.", field="group_by")
    for dimension in spec.dimension_objects:
        if dimension.is_time:
            raise SpecError(
                f"{dimension.label} is not a grouping of this page: choose it as the interval.",
                field="group_by",
            )
    return check_columns(spec)


@dataclass(frozen=True)
class Repair:
    """A report that can be asked instead. `query` is its address."""

    label: str
    query: str


@dataclass(frozen=True)
class Dropped:
    """What was left out of a report because the chosen metrics cannot be cut by it.

    `undo` is the address of the report before.
    """

    text: str
    undo: str


def without_uncut_groupings(
    query: QueryDict, before: QueryDict | None, today: date
) -> tuple[QueryDict, Dropped | None]:
    """Return the query without the groupings that newly chosen metrics cannot be cut by.

    `before` is the report the page shows. Unless its metrics are others, and its groupings the
    same, nothing is left out: a choice that was just made is not undone.
    """
    if before is None or not _differs(query, before, "metrics"):
        return query, None
    if _differs(query, before, "group_by"):
        return query, None
    smaller, left_out, metric = query, [], ""
    while error := _refusal(smaller, today):
        groups = _names_of(smaller, "group_by")
        cut = next((name for name in error.cuts if name in groups), None)
        if cut is None:
            return query, None
        left_out.append(in_sentence(DIMENSIONS[cut].label))
        metric = metric or METRICS[error.uncut].label
        smaller = _with(smaller, {"group_by": ",".join(g for g in groups if g != cut)})
    if not left_out:
        return query, None
    text = f"{metric} is not available by {_listed(left_out)}, so that grouping was removed."
    return smaller, Dropped(text, before.urlencode())


def without_lost_sort(query: QueryDict) -> QueryDict:
    """Return the query without a sort by a metric that was just left out of the report."""
    column = query.get("sort", "").removeprefix("-")
    metrics = _names_of(query, "metrics") or ["cost"]
    is_lost = column in METRICS and column not in metrics
    return _with(query, {"sort": ""}) if is_lost else query


def _refusal(query: QueryDict, today: date) -> SpecError | None:
    try:
        ReportSpec.from_query(query, today=today)
    except SpecError as error:
        return error
    return None


def _differs(query: QueryDict, before: QueryDict, name: str) -> bool:
    return _names_of(query, name) != _names_of(before, name)


def _names_of(query: QueryDict, name: str) -> list[str]:
    return [word for word in ",".join(query.getlist(name)).split(",") if word]


def _with(query: QueryDict, values: Mapping[str, str]) -> QueryDict:
    """Return the query with other values; "" leaves a parameter out."""
    changed = query.copy()
    for name, value in values.items():
        changed.setlist(name, [value] if value else [])
    for name in [name for name in changed if not changed.getlist(name)]:
        del changed[name]
    return changed


def _repairs_of_cuts(query: QueryDict, error: SpecError) -> Iterator[tuple[str, QueryDict]]:
    """Yield reports without a metric, a grouping or a filter that do not combine."""
    groups = _names_of(query, "group_by")
    for name in error.cuts:
        label = in_sentence(DIMENSIONS[name].label)
        if name in groups:
            rest = ",".join(group for group in groups if group != name)
            yield f"Without the grouping by {label}", _with(query, {"group_by": rest})
        filters = {each: "" for each in query if each.partition(".")[0] == name}
        if filters:
            yield f"Without the filter by {label}", _with(query, filters)
    metrics = [name for name in _names_of(query, "metrics") if name != error.uncut]
    if error.uncut and metrics:
        label = in_sentence(METRICS[error.uncut].label)
        yield f"Without {label}", _with(query, {"metrics": ",".join(metrics)})


def repairs(query: QueryDict, error: SpecError, today: date) -> list[Repair]:
    """Smaller reports to offer beside an error; those that cannot be asked either are left out."""
    first_group = query.get("group_by", "").partition(",")[0]
    changes: dict[str, tuple[set[str], dict[str, str]]] = {
        "The last 365 days": (
            {"range"},
            {"from": "", "to": "", "interval": "", "range": "365d"},
        ),
        "An automatic interval": ({"interval", "range", "group_by"}, {"interval": ""}),
        "The 20 largest groups": ({"group_by"}, {"show": "top-20"}),
        "The first grouping only": ({"group_by"}, {"group_by": first_group}),
        "The first four metrics": (
            {"metrics"},
            {"metrics": ",".join(query.get("metrics", "").split(",")[:MOST_METRICS])},
        ),
    }
    offers = [
        *_repairs_of_cuts(query, error),
        *(
            (label, _with(query, values))
            for label, (fields, values) in changes.items()
            if error.field in fields and not error.cuts
        ),
    ]
    links = []
    for label, smaller in offers:
        if smaller == query:
            continue
        with suppress(SpecError):
            spec = check(ReportSpec.from_query(smaller, today=today))
            links.append(Repair(label, spec.to_query()))
    return links


def check_columns(spec: ReportSpec) -> ReportSpec:
    """Return the report if a chart can draw its columns; raise `SpecError` otherwise."""
    count = sum(1 for _ in split_into_intervals(spec.window, spec.columns_by))
    if count > MOST_COLUMNS:
        raise SpecError(
            f"These dates make {count:,} columns by {spec.columns_by}, and the page shows"
            f" {MOST_COLUMNS}. Choose a longer interval or fewer days.",
            field="interval",
        )
    return spec


def editor(
    spec: ReportSpec,
    parameter: str,
    connections: Sequence[Connection],
    kept: Iterable[tuple[str, str]] = (),
) -> Editor:
    """Return the existing values of one dimension and those its filter names.

    `parameter` is the filter that is changed, or the dimension of a new one; `kept` is what else
    of the address has to stay.
    """
    dimension = parameter.partition(".")[0]
    now = next((f for f in spec.filters if f.parameter == parameter), Filter(dimension, ()))
    chosen = now.values if now.operator.is_exact else ()
    existing = dimension_values(dimension, connections)
    known = resource_names.of(connections, [dimension])
    missing = {
        value: labels.label(dimension, value, known) for value in chosen if value not in existing
    }
    options = tuple(
        Option(value, label, value in chosen, value if label != value else "")
        for value, label in {**existing, **missing}.items()
    )
    return Editor(
        dimension=dimension,
        label=FILTERABLE[dimension].label,
        operators=tuple(Option(o.value, o.label, o is now.operator) for o in Operator),
        options=options,
        text="" if now.operator.is_exact else ", ".join(now.values),
        kept=(*spec.without(parameter).pairs(), *kept),
        is_long=len(options) > SHORT,
    )


def apply_filter_edit(query: QueryDict) -> QueryDict:
    """Return the edited URL: `set` names the dimension, `by` the comparison.

    `value` are the chosen values, `text` pieces of text with commas. Nothing chosen: no filter.
    """
    query = query.copy()
    dimension, operator = query.pop("set", [""])[-1], query.pop("by", [""])[-1]
    values, text = query.pop("value", []), query.pop("text", [""])[-1]
    if operator in {Operator.CONTAINS, Operator.STARTS_WITH}:
        values = [piece.strip() for piece in text.split(",") if piece.strip()]
    if values:
        query.setlist(f"{dimension}.{operator}" if operator else dimension, values)
    return query


def dates(window: Window) -> str:
    """24 Oct – 22 Nov; with years where they differ."""
    start, last = window.start, window.last_day
    if start == last:
        return figures.day_year(start)
    if start.year != last.year:
        return f"{figures.day_year(start)} – {figures.day_year(last)}"
    return f"{figures.day(start)} – {figures.day_year(last)}"


PEOPLE = {
    "project_id": "external_id",
    "user_id": "external_id",
    "user_email": "email",
    "user_name": "name",
}
METERS = {"service": "product", "sku": "model"}


def dimension_values(dimension: str, connections: Sequence[Connection]) -> dict[str, str]:
    """Value and what it is called, in the order people look for them; absent values last."""
    by_value: dict[str, str]
    if dimension == "provider":
        by_value = {name: name for name in map(provider_name, connections)}
    elif dimension == "billing_account":
        by_value = {connection.label: connection.label for connection in connections}
    elif dimension == "currency":
        by_value = {connection.currency: connection.currency for connection in connections}
    elif dimension == "user_state":
        by_value = {state: labels.label(dimension, state) for state in Person.State.values}
    elif dimension == "user_role":
        roles = Person.objects.filter(connection__in=connections).values_list("role", flat=True)
        by_value = {role: labels.label(dimension, role) for role in roles.distinct()}
    elif FILTERABLE[dimension].resource is not None:
        by_value = _of_resources(dimension, connections)
    elif dimension == "item":
        by_value = {item: name or item for item, name in resource_names.items(connections).items()}
    elif not FILTERABLE[dimension].tables:
        by_value = _of_documents(dimension, connections)
    elif dimension in PEOPLE:
        by_value = _people(PEOPLE[dimension], connections)
    else:
        field = METERS.get(dimension, dimension)
        column = F(field) if field in METER_FIELDS else KeyTextTransform(field, "attributes")
        values = Meter.objects.filter(connection__in=connections).values_list(column, flat=True)
        known = resource_names.of(connections, [dimension])
        texts = {value or "" for value in values.distinct()}
        by_value = {value: labels.label(dimension, value, known) for value in texts}
    if dimension == "project_id":
        known = resource_names.of(connections, [dimension])
        workspaces = Meter.objects.filter(connection__in=connections).exclude(workspace_id="")
        for value in workspaces.values_list("workspace_id", flat=True).distinct():
            by_value[value] = labels.label(dimension, value, known)
    if FILTERABLE[dimension].is_person:
        by_value[""] = labels.label(dimension, "")
    return dict(sorted(by_value.items(), key=lambda item: (not item[0], item[1].casefold())))


def _of_resources(dimension: str, connections: Sequence[Connection]) -> dict[str, str]:
    """Return the values that an attribute of a key or workspace has had on any day."""
    kind, attribute = FILTERABLE[dimension].resource or ("", "")
    versions = ResourceVersion.objects.filter(
        resource__connection__in=connections, resource__kind=kind
    )
    values = versions.values_list(KeyTextTransform(attribute, "attributes"), flat=True)
    known = resource_names.of(connections, [dimension])
    return {value: labels.label(dimension, value, known) for value in values.distinct() if value}


def _of_documents(dimension: str, connections: Sequence[Connection]) -> dict[str, str]:
    """Return the values on documents of a dimension, by the names of their resources."""
    wanted = frozenset({dimension})
    existing: set[str] = set()
    placed = (place(m, wanted) for metric in METRICS.values() for m in metric.measures)
    for source in in_order(m.source for m in placed if m is not None):
        facts = EngagementFact.objects.filter(
            connection__in=connections, feed__in=source.feeds, days=1
        )
        value: Any = FILTERABLE[dimension].of(source)
        values = facts.values_list(value, flat=True)
        existing |= {*values.order_by().distinct()}
    known = resource_names.of(connections, [dimension])
    return {value: labels.label(dimension, value, known) for value in existing}


def _people(field: str, connections: Sequence[Connection]) -> dict[str, str]:
    """Return people by name where they have ids; names and addresses stay."""
    people = Person.objects.filter(connection__in=connections).order_by("pk")
    known = identity.identities(connections)
    if field != "external_id":
        is_email = field == "email"
        own = identity.email_of() if is_email else identity.name_of("", known.names_of_several)
        shown = known.listed("user_email" if is_email else "user_name", own, "pk")
        values = people.order_by().values_list(shown, flat=True).distinct()
        return {value: identity.MISSING.get(value, value) for value in values}
    called: dict[str, str] = {}
    for id_, name, email in people.values_list("external_id", "name", "email"):
        person = known.value("user_id", id_)
        called[person] = called.get(person) or name or email
    return {person: name or person for person, name in called.items()}


def _shown(smallest: bool, limit: int) -> str:
    return f"{'Bottom' if smallest else 'Top'} {limit}, then Other" if limit else "All groups"


def _operator_label(filter_: Filter) -> str:
    many = len(filter_.values) > 1
    if filter_.operator is Operator.IS:
        return "is one of" if many else "is"
    if filter_.operator is Operator.IS_NOT:
        return "is none of" if many else "is not"
    return f"{filter_.operator.label} one of" if many else filter_.operator.label


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
