"""What the report page lets one choose, and what is chosen now."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from integrations.models import Connection, Meter, Person
from integrations.window import Window
from reports import labels
from reports.metrics import METRICS, Section
from reports.queries import provider_name
from reports.spec import CUSTOM, FILTERABLE, INTERVALS, RANGES, ReportSpec, SpecError
from reports.templatetags import figures

MOST_METRICS, MOST_GROUPS, MOST_COLUMNS = 4, 3, 100
INTERVAL_LABELS = {"": "Automatic", "day": "Day", "week": "Week (ISO)", "month": "Month"}
EVERY = {"day": "daily", "week": "weekly", "month": "monthly"}
SHORT = 40  # values that fit as checkboxes


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    is_chosen: bool
    hint: str = ""


@dataclass(frozen=True)
class Choices:
    """Options under a heading."""

    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Place:
    """Where one grouping is chosen: the first, the second or the third."""

    label: str
    sections: tuple[Choices, ...]


@dataclass(frozen=True)
class Chip:
    """One filter in force. `without` is the query string of the report without it."""

    dimension: str
    label: str
    verb: str
    text: str
    values: tuple[str, ...]
    without: str


@dataclass(frozen=True)
class Editor:
    """Choosing the values of one filter. `kept` is the rest of the report, as hidden fields."""

    dimension: str
    label: str
    options: tuple[Option, ...]
    kept: tuple[tuple[str, str], ...]
    is_long: bool


@dataclass(frozen=True)
class QueryBar:
    """The settings of one report, as the page shows them."""

    spec: ReportSpec

    @property
    def title(self) -> str:
        words = [self.metrics_label]
        if self.spec.group_by:
            words += ["by", _listed([_word(d.label) for d in self.spec.dimension_objects])]
        return f"{' '.join(words)}, {EVERY[self.spec.columns_by]}"

    @property
    def metrics(self) -> list[Option]:
        return [
            Option(m.name, m.label, m.name in self.spec.metrics, m.definition)
            for m in METRICS.values()
        ]

    @property
    def metrics_label(self) -> str:
        names = [metric.label for metric in self.spec.metric_objects]
        names = [names[0], *(_word(name) for name in names[1:])]
        return _listed(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"

    @property
    def ranges(self) -> list[Option]:
        found = [Option(n, r.label, n == self.spec.range) for n, r in RANGES.items()]
        return [*found, Option(CUSTOM, "Custom dates", self.spec.range == CUSTOM)]

    @property
    def range_label(self) -> str:
        return dates(self.spec.window)

    @property
    def intervals(self) -> list[Option]:
        return [
            Option(value, INTERVAL_LABELS[value], value == self.spec.interval)
            for value in ("", *INTERVALS)
        ]

    @property
    def interval_label(self) -> str:
        return INTERVAL_LABELS[self.spec.columns_by]

    @property
    def places(self) -> list[Place]:
        chosen = [*self.spec.group_by, "", "", ""][:MOST_GROUPS]
        return [
            Place(label, sections({value}))
            for label, value in zip(("First", "Second", "Third"), chosen, strict=True)
        ]

    @property
    def grouping_label(self) -> str:
        return ", ".join(d.label for d in self.spec.dimension_objects) or "Nothing"

    @property
    def chips(self) -> list[Chip]:
        found = []
        for name, values in ((f.dimension, f.values) for f in self.spec.filters):
            texts = [labels.label(name, value) for value in values]
            text = ", ".join(texts[:2])
            found.append(
                Chip(
                    dimension=name,
                    label=FILTERABLE[name].label,
                    verb="is" if len(values) == 1 else "is one of",
                    text=text if len(texts) < 3 else f"{text} and {len(texts) - 2} more",
                    values=values,
                    without=self.spec.without(name).to_query(),
                )
            )
        return found

    @property
    def filterable(self) -> tuple[Choices, ...]:
        """What may still be filtered. Picking one opens its editor."""
        return sections({f.dimension for f in self.spec.filters})

    @property
    def query(self) -> str:
        return self.spec.to_query()


def check(spec: ReportSpec) -> ReportSpec:
    """The report as the page can show it; raises `SpecError` for what only the command can."""
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
    days = {"day": 1, "week": 7, "month": 30}[spec.columns_by]
    count = -(-len(spec.window) // days)
    if count > MOST_COLUMNS:
        raise SpecError(
            f"These dates make {count:,} columns by {spec.columns_by}, and the page shows"
            f" {MOST_COLUMNS}. Choose a longer interval or fewer days.",
            field="interval",
        )
    return spec


def editor(spec: ReportSpec, dimension: str, connections: Sequence[Connection]) -> Editor:
    """The values that exist for one dimension, and those a filter already names."""
    chosen = spec.values_of(dimension)
    members = _members(dimension, connections)
    missing = {value: labels.label(dimension, value) for value in chosen if value not in members}
    options = tuple(
        Option(value, label, value in chosen, value if label != value else "")
        for value, label in {**members, **missing}.items()
    )
    return Editor(
        dimension=dimension,
        label=FILTERABLE[dimension].label,
        options=options,
        kept=tuple(spec.without(dimension).pairs()),
        is_long=len(options) > SHORT,
    )


def sections(chosen: Collection[str]) -> tuple[Choices, ...]:
    """The dimensions that facts can be cut by, under the headings of the page."""
    return tuple(
        Choices(
            section.value,
            tuple(
                Option(d.name, d.label, d.name in chosen)
                for d in FILTERABLE.values()
                if d.section is section
            ),
        )
        for section in (Section.STANDARD, Section.GENAI)
    )


def dates(window: Window) -> str:
    """24 Oct – 22 Nov; with years where they differ."""
    start, last = window.start, window.last_day
    if start == last:
        return figures.day_year(start)
    if start.year != last.year:
        return f"{figures.day_year(start)} – {figures.day_year(last)}"
    return f"{figures.day(start)} – {figures.day_year(last)}"


PEOPLE = {"project_id": "external_id", "user_email": "email", "user_name": "name"}
METERS = {"service": "product", "sku": "model"}


def _members(dimension: str, connections: Sequence[Connection]) -> dict[str, str]:
    """Value and what it is called, in the order people look for them; absent values last."""
    found: dict[str, str]
    if dimension == "provider":
        found = {name: name for name in map(provider_name, connections)}
    elif dimension == "billing_account":
        found = {connection.label: connection.label for connection in connections}
    elif dimension == "user_state":
        found = {state: labels.label(dimension, state) for state in Person.State.values}
    elif dimension in PEOPLE:
        found = _people(PEOPLE[dimension], connections)
    else:
        field = METERS.get(dimension, dimension)
        values = Meter.objects.filter(connection__in=connections).values_list(field, flat=True)
        found = {value: labels.label(dimension, value) for value in values.distinct()}
    if dimension == "project_id":
        workspaces = Meter.objects.filter(connection__in=connections).exclude(workspace_id="")
        found |= {w: w for w in workspaces.values_list("workspace_id", flat=True).distinct()}
    if FILTERABLE[dimension].is_person:
        found[""] = labels.label(dimension, "")
    return dict(sorted(found.items(), key=lambda item: (not item[0], item[1].casefold())))


def _people(field: str, connections: Sequence[Connection]) -> dict[str, str]:
    """Identifiers are called by name; names and addresses speak for themselves."""
    people = Person.objects.filter(connection__in=connections)
    if field != "external_id":
        return {value: value for value in people.values_list(field, flat=True).distinct()}
    return {
        value: name or email or value
        for value, name, email in people.values_list("external_id", "name", "email")
    }


def _word(label: str) -> str:
    """A label within a sentence: abbreviations and names keep their capitals."""
    return label if label[:2].isupper() or "/" in label else label[:1].lower() + label[1:]


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
