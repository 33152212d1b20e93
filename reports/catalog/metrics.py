"""Every metric and every dimension, defined once. `docs/metrics.md` says the same for readers.

Words: a metric is what is shown, a measure is a metric that is read from facts, a dimension is
what facts are cut by. Measures and dimensions name the source they belong to: usage, for example,
was never counted by token type.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cached_property, reduce
from operator import add as plus
from typing import Any, ClassVar, Self, TypeVar

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import (
    Aggregate,
    Case,
    CharField,
    Count,
    DateField,
    Expression,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import (
    Cast,
    Coalesce,
    NullIf,
    TruncMonth,
    TruncQuarter,
    TruncWeek,
)
from django.db.models.lookups import GreaterThan

from integrations.connectors import connectors
from integrations.connectors.base import (
    ActivityMetric,
    ActivityRatio,
    Attribute,
    CatalogError,
    Connector,
    DocumentDimensions,
    Feed,
    Table,
)
from integrations.connectors.catalogs import (
    merged_attributes,
    merged_document_dimensions,
    merged_metrics,
    merged_presets,
    merged_products,
    merged_ratios,
    merged_values,
)
from integrations.exact import add
from integrations.models import ResourceVersion
from integrations.models.fields import ExactField
from reports import identity

Number = Decimal | int | None  # US dollars, a share or a count; None is not known
Key = date | str  # the value of a dimension; weeks, months and quarters are their first day

OTHER_KEY = (
    "\U0010ffff"  # the key of all values that were not among the first: sorts last everywhere
)
# The key of use whose people are not known yet: neither a person nor unattributed.
UNKNOWN_USER = "\U0010fffe"
SPECIAL = {OTHER_KEY: "Other", UNKNOWN_USER: "Unknown user"}
# In files, where a real value may be called the same.
FILE_TEXTS = {OTHER_KEY: "(other)", UNKNOWN_USER: "(unknown user)"}


class Source(str):
    """Name where a number is read: the facts of cost or usage, or the documents of some feeds.

    The text is the name of the table, or those of the feeds with a plus between them. There is
    one object for each text.
    """

    __slots__ = ()
    _objects: ClassVar[dict[str, "Source"]] = {}
    COST: ClassVar["Source"]
    USAGE: ClassVar["Source"]

    def __new__(cls, text: str) -> Self:
        if text not in cls._objects:
            cls._objects[text] = super().__new__(cls, text)
        return cls._objects[text]  # type: ignore[return-value]

    @classmethod
    def of(cls, feeds: Iterable[str]) -> "Source":
        """Return the source that these feeds form together."""
        return cls("+".join(sorted({*feeds})))

    @property
    def value(self) -> str:
        return str(self)

    @property
    def feeds(self) -> tuple[str, ...]:
        return tuple(self.split("+"))

    @property
    def is_engagement(self) -> bool:
        return self not in {Source.COST, Source.USAGE}

    def is_provided_by(self, feed: Feed) -> bool:
        """Return True if this feed brings its numbers."""
        if self.is_engagement:
            return feed.name in self.feeds and feed.table.value not in {"cost", "usage"}
        return self == feed.table.value


Source.COST = Source("cost")
Source.USAGE = Source("usage")
# The order in which a report reads its sources; others come behind, by name.
_ORDER = {source: at for at, source in enumerate(Source._objects.values())}


def in_order(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Each source once, in a fixed order."""
    return tuple(sorted({*sources}, key=lambda it: (_ORDER.get(it, len(_ORDER)), it)))


class Unit(StrEnum):
    USD = "usd"  # money, in the currency of the connection
    RATE = "rate"  # money for one of something
    TOKENS = "tokens"
    COUNT = "count"
    SHARE = "share"  # 0.25 is 25%


class Section(StrEnum):
    TIME = "Time"
    STANDARD = "Standard"
    GENAI = "GenAI"


class Kind(StrEnum):
    """The headings of the list of metrics, before those that connectors declare."""

    COST = "Cost"
    USAGE = "Usage"
    RATIO = "Ratios"
    PEOPLE = "People"


# --- Metrics ----------------------------------------------------------------------------------
_VALUES = "values__"  # what lookups into the document of an engagement fact begin with


@dataclass(frozen=True)
class Metric:
    name: str
    label: str
    unit: Unit
    kind: str  # the heading it stands under
    definition: str

    @property
    def measures(self) -> tuple["Measure", ...]:
        """Measures needed to compute it."""
        raise NotImplementedError

    def number(self, numbers: Mapping[str, Number]) -> Number:
        """Its value, from the values of its measures."""
        return numbers[self.name]

    @property
    def sources(self) -> frozenset[Source]:
        return frozenset(measure.source for measure in self.measures)

    @property
    def is_additive(self) -> bool:
        """Return True if the numbers of groups may be added up."""
        return False

    @property
    def is_money(self) -> bool:
        """Return True if its numbers are in a currency."""
        return self.unit in {Unit.USD, Unit.RATE}

    def text(self, value: Number) -> str:
        """Return the exact value without an exponent; "" if unknown."""
        if value is None:
            return ""
        if self.unit in {Unit.USD, Unit.RATE}:
            return exact_usd(value)
        return exact(value) if self.unit is Unit.SHARE else str(int(value))


@dataclass(frozen=True)
class Measure(Metric):
    """A metric read from one source. Amounts are what groups keep, numbers what they show.

    `nullable` names the lookups that may be unreported. `optional` are the paths that are added
    where they are reported. `build` makes the value of the columns of facts: documents that cut
    the same numbers have them under paths of the same names. `compared_with` is another source:
    then only days count that both know, as the two sides of a ratio need.
    """

    source: Source
    value: Expression | F
    nullable: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    build: "Build | None" = None
    compared_with: Source | None = None

    def counted_beside(self, other: "Measure") -> "Measure":
        """Return this measure limited to days that the source of another measure knows too."""
        if self.source is other.source:
            return self
        return replace(self, name=f"{self.name}_beside_{other.source}", compared_with=other.source)

    @property
    def paths(self) -> tuple[str, ...]:
        """The dotted paths that it adds up of an engagement fact; none of cost and usage."""
        needed = (name.removeprefix(_VALUES) for name in self.nullable if name.startswith(_VALUES))
        return (*needed, *self.optional)

    @property
    def needs_documents(self) -> bool:
        """Return True if it is lost where the documents of a day are added up."""
        return False

    def on(self, source: Source) -> "Measure":
        """Return the same measure, read from another source that holds its numbers."""
        if source == self.source:
            return self
        if self.source.is_engagement:
            return replace(self, source=source)
        if self.build is None:
            raise ValueError(f"{self.name} is not in documents.")
        paths: list[str] = []

        def column(name: str) -> Any:
            paths.append(f"{_VALUES}{name}")
            return path(name)

        value = self.build(column)
        return replace(self, source=source, value=value, nullable=tuple(paths))

    @property
    def measures(self) -> tuple["Measure", ...]:
        return (self,)

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        """Return the SQL aggregates of a group by name, over all its facts or some."""
        by_name: dict[str, Aggregate] = {f"sum_{self.name}": Sum(self.value, filter=only)}
        if only is not None:
            by_name[f"facts_{self.name}"] = Count("pk", filter=only)
        if self.nullable:
            holes = reduce(Q.__or__, (Q(**{f"{name}__isnull": True}) for name in self.nullable))
            by_name[f"holes_{self.name}"] = Count(
                "pk", filter=holes if only is None else holes & only
            )
        return by_name

    def has_facts(self, row: Mapping[str, Any]) -> bool:
        """Return True if any fact of this SQL row counts."""
        return bool(row.get(f"facts_{self.name}", True))

    def amount(self, row: Mapping[str, Any]) -> Any:
        """Return the amount of one SQL row; unknown as soon as one part was not reported."""
        if row.get(f"holes_{self.name}"):
            return None
        return self.exact(row[f"sum_{self.name}"])

    def exact(self, value: Any) -> Any:
        """Convert a number of SQL to its stored form; None stays None."""
        if value is None:
            return None
        # PostgreSQL sums big integers to decimals: a count is made a count again.
        return int(value) if self.unit in {Unit.COUNT, Unit.TOKENS} else Decimal(value)

    def merged(self, amounts: Iterable[Any]) -> Any:
        """Merge the amounts of several groups."""
        return add_known(amounts)

    def shown(self, amount: Any) -> Number:
        number: Number = amount
        return number

    @property
    def nothing(self) -> Number:
        """Value of a group without facts, if all its days are known."""
        return Decimal(0) if self.unit is Unit.USD else 0

    @property
    def is_additive(self) -> bool:
        return True


@dataclass(frozen=True)
class DistinctCount(Measure):
    """Count of distinct people. Groups keep the people, so that each counts once."""

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        named = Q(person__isnull=False) if only is None else Q(person__isnull=False) & only
        return {f"set_{self.name}": ArrayAgg(self.value, distinct=True, filter=named, default=[])}

    def amount(self, row: Mapping[str, Any]) -> frozenset[int]:
        return frozenset(row[f"set_{self.name}"])

    def merged(self, amounts: Iterable[frozenset[int]]) -> frozenset[int]:
        return frozenset().union(*amounts)

    def shown(self, amount: frozenset[int]) -> Number:
        return len(amount)

    @property
    def is_additive(self) -> bool:
        return False


@dataclass(frozen=True)
class Active(DistinctCount):
    """Number of people with activity: `value` is NULL for people who only have a document."""

    @property
    def needs_documents(self) -> bool:
        return True

    def amount(self, row: Mapping[str, Any]) -> frozenset[int]:
        return super().amount(row).difference([None])


Build = Callable[[Callable[[str], Any]], Any]  # makes a value of the columns it asks for


@dataclass(frozen=True)
class OfOneDay(Measure):
    """Count of distinct objects that belong to one person: conversations, sessions.

    People have different ones, days may share them. So days are never added up: the count of
    several days is unknown. A group keeps its first and last day with the sum.
    """

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        first, last = Min("day", filter=only), Max("day", filter=only)
        days = {f"first_{self.name}": first, f"last_{self.name}": last}
        return {**super().aggregates(only), **days}

    def amount(self, row: Mapping[str, Any]) -> Any:
        return super().amount(row), row[f"first_{self.name}"], row[f"last_{self.name}"]

    def merged(self, amounts: Iterable[Any]) -> Any:
        numbers, first, last = zip(*amounts, strict=True)
        return add_known(numbers), min(first), max(last)

    def shown(self, amount: Any) -> Number:
        number, first, last = amount
        return number if first == last else None

    @property
    def is_additive(self) -> bool:
        return False


@dataclass(frozen=True)
class OfOneDocument(Measure):
    """Count of distinct objects or people that others may share, known per document only.

    A group keeps how many documents it has, and the number if it has only one.
    """

    @property
    def needs_documents(self) -> bool:
        return True

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        documents = {f"documents_{self.name}": Count("pk", filter=only)}
        return {**super().aggregates(only), **documents}

    def amount(self, row: Mapping[str, Any]) -> Any:
        return super().amount(row), row[f"documents_{self.name}"]

    def merged(self, amounts: Iterable[Any]) -> Any:
        numbers, documents = zip(*amounts, strict=True)
        return add_known(numbers), sum(documents)

    def shown(self, amount: Any) -> Number:
        number, documents = amount
        return number if documents == 1 else None

    @property
    def is_additive(self) -> bool:
        return False


Levels = Mapping[tuple[int, date], Number]  # by connection and day


@dataclass(frozen=True)
class Gauge(Measure):
    """Level that the provider counted on each day, such as seats: never added over days.

    Several days show the last one that is known, or nothing where the count is of one day alone
    (`is_rolling` False). `is_people`: nor is it added over connections, as a person may be in both.
    """

    is_rolling: bool = True
    is_people: bool = True

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        return {}

    def merged(self, amounts: Iterable[Levels]) -> Levels:
        newest: dict[tuple[int, date], Number] = {}
        for amount in amounts:
            newest |= amount
        return newest

    def shown(self, amount: Levels) -> Number:
        last: dict[int, tuple[date, Number]] = {}
        for (connection, day), value in amount.items():
            if value is not None:
                last[connection] = max(last.get(connection, (day, value)), (day, value))
        if len({day for _, day in amount}) > 1 and not self.is_rolling:
            return None
        if not last or (self.is_people and len(last) > 1):
            return None
        return add_known(value for _, value in last.values())

    @property
    def nothing(self) -> Number:
        return None

    @property
    def is_additive(self) -> bool:
        return False


@dataclass(frozen=True)
class Ratio(Metric):
    """One measure for each `times` of another: computed for every group and total anew."""

    of: Measure = field(kw_only=True)
    per: Measure = field(kw_only=True)
    times: int = 1

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Both sides, on the same days where they are of two sources."""
        return (self.of.counted_beside(self.per), self.per.counted_beside(self.of))

    def number(self, numbers: Mapping[str, Number]) -> Number:
        """Return the quotient rounded to twelve places; unknown for an empty denominator."""
        of, per = (numbers[measure.name] for measure in self.measures)
        if of is None or not per:
            return None
        return (Decimal(of) * self.times / Decimal(per)).quantize(_TWELVE, ROUND_HALF_UP)


_TWELVE = Decimal("1e-12")


@dataclass(frozen=True)
class Difference(Metric):
    """Difference of two measures of the same numbers, on days that both know."""

    of: Measure = field(kw_only=True)
    less: Measure = field(kw_only=True)

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (self.of.counted_beside(self.less), self.less.counted_beside(self.of))

    def number(self, numbers: Mapping[str, Number]) -> Number:
        of, less = (numbers[measure.name] for measure in self.measures)
        return None if of is None or less is None else of - less


def add_known(numbers: Iterable[Number]) -> Number:
    """Add values; one unknown value makes the sum unknown."""
    total: Decimal | int = 0
    for number in numbers:
        if number is None:
            return None
        total = add(total, number)
    return total


def exact(value: Decimal | int) -> str:
    """Unrounded, without trailing zeros: 0.25, 3."""
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact_usd(value: Decimal | int) -> str:
    """Unrounded, with at least two decimals and otherwise no trailing zeros: 412.80, 0.00125."""
    whole, _, decimals = f"{Decimal(value):f}".partition(".")
    text = f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
    return "0.00" if text == "-0.00" else text


def _metered(
    kind: Kind, source: Source, name: str, label: str, unit: Unit, definition: str, build: Build
) -> Measure:
    return Measure(name, label, unit, kind, definition, source, build(F), build=build)


def _cost(name: str, label: str, definition: str, build: Build, *nullable: str) -> Measure:
    metric = _metered(Kind.COST, Source.COST, name, label, Unit.USD, definition, build)
    return replace(metric, nullable=nullable)


def _usage(
    name: str, label: str, unit: Unit, definition: str, build: Build, *nullable: str
) -> Measure:
    metric = _metered(Kind.USAGE, Source.USAGE, name, label, unit, definition, build)
    return replace(metric, nullable=nullable)


def _tokens(name: str, label: str, definition: str) -> Measure:
    return _usage(name, label, Unit.TOKENS, definition, lambda column: column(name))


def path(name: str) -> Expression:
    """Declare a number at a dotted path of an activity document. Most are counts."""
    return Cast(
        KeyTextTransform(name, "values"),
        ExactField(),
    )


_MEASURES: dict[str, type[Measure]] = {
    "sum": Measure,
    "sum_of_day": OfOneDay,
    "distinct": OfOneDocument,
}


def _declared(metric: ActivityMetric) -> Measure:
    """Return the measure that a connector declares."""
    unit = {"usd": Unit.USD, "percent": Unit.SHARE}.get(metric.unit, Unit.COUNT)
    made = (metric.name, metric.label, unit, metric.section, metric.definition)
    value, source = _value(metric), Source.of(metric.feeds)
    if metric.kind in {"level", "level_of_day"}:
        is_rolling = metric.kind == "level"
        return Gauge(*made, source, value, is_rolling=is_rolling, is_people=metric.is_people)
    nullable = tuple(f"{_VALUES}{name}" for name in metric.paths)
    return _MEASURES[metric.kind](*made, source, value, nullable, metric.optional_paths)


def _value(metric: ActivityMetric) -> Any:
    zero = Value(Decimal(0), ExactField())
    parts: list[Any] = [path(name) for name in metric.paths]
    parts += [Coalesce(path(name), zero) for name in metric.optional_paths]
    value = reduce(plus, parts)
    if not metric.paths:  # known where any of them is
        is_known = Q(values__has_any_keys=list(metric.optional_paths))
        value = Case(When(is_known, then=value))
    return value / Value(Decimal(100), ExactField()) if metric.unit == "percent" else value


_LIST = "list_cost"
_COST = _cost(
    "cost",
    "Cost",
    "After discounts, before credits and tax.",
    lambda column: column("effective_cost"),
)
_LIST_COST = _cost(
    "list_cost",
    "List cost",
    "At list price, before discounts.",
    lambda column: column(_LIST),
    _LIST,
)
_SAVINGS = _cost(
    "savings",
    "Savings",
    "List cost minus cost: the amount of the discounts.",
    lambda column: column(_LIST) - column("effective_cost"),
    _LIST,
)
_REQUESTS = _usage(
    "requests",
    "Requests",
    Unit.COUNT,
    "API requests.",
    lambda column: column("requests"),
    "requests",
)


def _input(column: Callable[[str], Any]) -> Any:
    return (
        column("uncached_input_tokens")
        + column("cache_read_tokens")
        + column("cache_write_5m_tokens")
        + column("cache_write_1h_tokens")
    )


_TOTAL_TOKENS = _usage(
    "total_tokens",
    "Tokens",
    Unit.TOKENS,
    "Input and output together.",
    lambda column: _input(column) + column("output_tokens"),
)
_INPUT_TOKENS = _usage(
    "input_tokens", "Input tokens", Unit.TOKENS, "The four kinds of input, added up.", _input
)
_CACHE_READ = _tokens("cache_read_tokens", "Cache read tokens", "Input read from a cache.")
_PEOPLE = DistinctCount(
    "people",
    "People with usage",
    Unit.COUNT,
    Kind.PEOPLE,
    "Different people who used tokens, each counted once. People who were active without tokens "
    "of their own are in People with activity.",
    Source.USAGE,
    F("person"),
)
_BUILT_IN: tuple[Metric, ...] = (
    _COST,
    _LIST_COST,
    _SAVINGS,
    _REQUESTS,
    _TOTAL_TOKENS,
    _INPUT_TOKENS,
    _tokens("uncached_input_tokens", "Uncached input tokens", "Input not read from a cache."),
    _CACHE_READ,
    _tokens(
        "cache_write_5m_tokens",
        "Cache write tokens, 5 minutes",
        "Input written to a cache that lives five minutes.",
    ),
    _tokens(
        "cache_write_1h_tokens",
        "Cache write tokens, 1 hour",
        "Input written to a cache that lives an hour.",
    ),
    _tokens("output_tokens", "Output tokens", "Output of the model."),
    _usage(
        "web_searches",
        "Web searches",
        Unit.COUNT,
        "Web searches by the model. They are not tokens.",
        lambda column: column("web_searches"),
    ),
)


def _ratio(
    name: str, label: str, unit: Unit, of: Measure, per: Measure, definition: str, times: int = 1
) -> Ratio:
    return Ratio(name, label, unit, Kind.RATIO, definition, of=of, per=per, times=times)


def _ratios(declared: Mapping[str, Measure], shares: Iterable[ActivityRatio]) -> Iterator[Ratio]:
    """Return the quotients of measures; those of activity only where declared."""
    yield _ratio(
        "cost_per_active_user",
        "Cost per active user",
        Unit.RATE,
        _COST,
        _PEOPLE,
        "All cost of the group by its people with usage.",
    )
    yield _ratio(
        "cost_per_request", "Cost per request", Unit.RATE, _COST, _REQUESTS, "Cost by requests."
    )
    yield _ratio(
        "cost_per_million_tokens",
        "Cost per million tokens",
        Unit.RATE,
        _COST,
        _TOTAL_TOKENS,
        "Cost by tokens of every kind, times a million.",
        1_000_000,
    )
    yield _ratio(
        "savings_share",
        "Savings share",
        Unit.SHARE,
        _SAVINGS,
        _LIST_COST,
        "Savings by list cost: the discount that was reached.",
    )
    yield _ratio(
        "cache_read_share",
        "Cache-read share",
        Unit.SHARE,
        _CACHE_READ,
        _INPUT_TOKENS,
        "Cache read tokens by all input tokens.",
    )
    for it in shares:
        if it.of in declared and it.per in declared:
            of, per = declared[it.of], declared[it.per]
            yield _ratio(it.name, it.label, Unit.SHARE, of, per, it.definition)


def _active_people(feeds: Sequence[Feed]) -> Iterator[Measure]:
    """Declare the people active in any product that one of these feeds counts."""
    counting = [feed for feed in feeds if feed.grain == "person" and feed.surfaces]
    paths = sorted({each for f in counting for some in f.surfaces.values() for each in some})
    if not paths:
        return
    zero = Value(Decimal(0), ExactField())
    acts = reduce(plus, (Coalesce(path(name), zero) for name in paths))
    yield Active(
        "active_people",
        "People with activity",
        Unit.COUNT,
        Kind.PEOPLE,
        "Different people with activity in any product, each counted once.",
        Source.of(feed.name for feed in counting),
        Case(When(GreaterThan(acts, zero), then=F("person"))),
    )


# What a second report of the provider says, and the authoritative number.
BESIDE: Mapping[str, Measure] = {"beta_cost": _COST, "beta_total_tokens": _TOTAL_TOKENS}


def _differences(declared: Mapping[str, Measure]) -> Iterator[Difference]:
    """Declare the differences of second reports to the authoritative numbers."""
    for name, total in BESIDE.items():
        if name in declared:
            of = declared[name]
            label = f"Difference of {of.label.lower()}"
            definition = (
                f"{of.label} less {total.label.lower()}, on the days that both reports know."
                " Zero where they agree."
            )
            yield Difference(
                f"{name}_difference", label, of.unit, of.kind, definition, of=of, less=total
            )


# Parameters of an address, which no dimension can be called: filters are parameters, too.
RESERVED_NAMES = frozenset(
    {
        *("metrics", "range", "from", "to", "interval", "group_by", "show"),
        *("cumulative", "final", "forecast", "heat", "compare", "chart", "numbers"),
        *("sort", "compared"),
    }
)


# --- Catalogs ---------------------------------------------------------------------------------
class Catalogs:
    """Catalogs of the installed connectors together, as reports use them."""

    def __init__(self, installed: Iterable[Connector]) -> None:
        installed = tuple(installed)
        catalogs = [connector.catalog for connector in installed]
        self._feeds = [feed for connector in installed for feed in connector.feeds]
        self.document_dimensions: dict[str, DocumentDimensions] = merged_document_dimensions(
            catalogs
        )
        declared = {m.name: _declared(m) for m in merged_metrics(catalogs).values()}
        every: list[Metric] = [
            *_BUILT_IN,
            *_ratios(declared, merged_ratios(catalogs)),
            _PEOPLE,
            *_active_people(self._feeds),
            *declared.values(),
            *_differences(declared),
        ]
        self._placed: dict[tuple[str, frozenset[str]], Measure | None] = {}
        self.metrics: dict[str, Metric] = {}
        for metric in every:
            if self.metrics.setdefault(metric.name, metric) is not metric:
                raise CatalogError(
                    f"A connector declares the metric {metric.name}, which every provider has."
                    " Give it another name."
                )
        self.attributes = merged_attributes(catalogs)
        self.dimensions = {**_BUILT_IN_DIMENSIONS}
        for attribute in self.attributes.values():
            if attribute.name in self.dimensions or attribute.name in RESERVED_NAMES:
                raise CatalogError(
                    f"A connector declares the dimension {attribute.name}, a name that every report"
                    " uses. Give it another name."
                )
            self.dimensions[attribute.name] = _of_attribute(attribute)
        self.products = merged_products(catalogs)
        self.values = merged_values(catalogs)
        self.presets = merged_presets(catalogs)
        self.proper_names = frozenset(name for catalog in catalogs for name in catalog.names)

    @cached_property
    def filters(self) -> Mapping[str, "Dimension"]:
        """The dimensions that can be filtered by: time is filtered by the window."""
        return {n: d for n, d in self.dimensions.items() if d.section is not Section.TIME}

    @cached_property
    def activity_by_day(self) -> frozenset[str]:
        """The feeds of people whose documents are added up by day, see `ActivityByDay`."""
        return frozenset(
            feed.name
            for feed in self._feeds
            if feed.table is Table.ENGAGEMENT and feed.grain == "person"
        )

    @cached_property
    def price_drivers(self) -> tuple[str, ...]:
        """The dimensions of cost by which the price of one model differs."""
        return tuple(
            name
            for name, it in self.attributes.items()
            if it.is_price_driver and Table.COST in it.tables
        )

    @cached_property
    def sources(self) -> frozenset[Source]:
        """Sources where the metrics are read without further dimensions."""
        return frozenset(source for metric in self.metrics.values() for source in metric.sources)

    def names(self, feed: str) -> frozenset[str]:
        """Return the dimensions of the documents of a feed."""
        return (
            self.document_dimensions[feed].names
            if feed in self.document_dimensions
            else frozenset()
        )

    def place(self, measure: Measure, wanted: frozenset[str]) -> Measure | None:
        """Return the measure on a source that knows all `wanted` dimensions, or None.

        Time and connection are known everywhere and not among them.
        """
        if (measure.name, wanted) not in self._placed:
            self._placed[measure.name, wanted] = self._place(measure, wanted)
        return self._placed[measure.name, wanted]

    def _place(self, measure: Measure, wanted: frozenset[str]) -> Measure | None:
        own = measure.source
        if not wanted or all(DIMENSIONS[name].is_on(own) for name in wanted):
            return measure
        if isinstance(measure, DistinctCount | Gauge) or not (own.is_engagement or measure.build):
            return None
        chosen = [self._smallest(feed, wanted) for feed in own.feeds]
        feeds = [feed for feed in chosen if feed]
        return measure.on(Source.of(feeds)) if feeds else None

    def _smallest(self, whole: str, wanted: frozenset[str]) -> str:
        """Return the feed with the fewest dimensions that are enough for `whole`, or ""."""
        brought = {feed.name for feed in self._feeds}
        sufficient = [
            it
            for it in self.document_dimensions.values()
            if it.of == whole
            and it.feed in brought
            and wanted <= it.names
            and (not it.is_overlapping or any(DIMENSIONS[name].is_overlapping for name in wanted))
        ]
        if not sufficient:
            return ""
        return min(sufficient, key=lambda it: (it.feed != whole, len(it.names), it.feed)).feed


def place(measure: Measure, wanted: frozenset[str]) -> Measure | None:
    """Return the measure on a source with all wanted dimensions, see `Catalogs.place`."""
    return catalogs().place(measure, wanted)


def catalogs() -> Catalogs:
    """Return the catalogs of the connectors that the settings name."""
    installed = [(connector, connector.feeds) for connector in connectors().values()]
    known = _Known.parts
    if len(known) != len(installed) or any(
        one is not other or feeds is not others
        for (one, feeds), (other, others) in zip(known, installed, strict=True)
    ):
        _Known.parts = installed
        _Known.catalogs = Catalogs(connector for connector, _ in installed)
    return _Known.catalogs


class _Known:
    """The catalogs that were merged last, and what of: asking for them has to cost nothing."""

    parts: ClassVar[list[tuple[Connector, Sequence[Feed]]]] = []
    catalogs: ClassVar[Catalogs]


T = TypeVar("T")


class Declared(Mapping[str, T]):
    """A table of the connectors that are installed now, by name. It changes with them."""

    def __init__(self, table: Callable[[Catalogs], Mapping[str, T]]) -> None:
        self._table = table

    def __getitem__(self, name: str) -> T:
        return self._table(catalogs())[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table(catalogs()))

    def __len__(self) -> int:
        return len(self._table(catalogs()))


METRICS: Mapping[str, Metric] = Declared(lambda known: known.metrics)


# --- Dimensions -------------------------------------------------------------------------------
METERED_FEEDS = frozenset({Source.COST, Source.USAGE})


def in_sentence(label: str) -> str:
    """Return a label as it stands within a sentence: abbreviations and names keep capitals."""
    first = label.partition(" ")[0]
    is_name = first != label and first in catalogs().proper_names
    keeps = is_name or label[:2].isupper() or "/" in label
    return label if keeps else label[:1].lower() + label[1:]


@dataclass(frozen=True)
class Dimension:
    """One way to cut facts. `value` is None where the connection decides, not the fact.

    `tables` are the facts that have it; `on_documents` is where documents with a person
    have it from. Other documents have it as their subject or as a label, as their
    connector declares (`DocumentDimensions`). `is_overlapping`: one number may be in several groups
    or in none, so groups are never added up. `resource`: the kind of resource and its attribute it
    comes from.
    """

    name: str
    label: str
    section: Section
    definition: str
    value: Expression | F | None = None
    is_person: bool = False
    tables: frozenset[Source] = METERED_FEEDS
    on_documents: Expression | None = None
    is_overlapping: bool = False
    resource: tuple[str, str] | None = None

    @property
    def is_time(self) -> bool:
        return self.section is Section.TIME

    @property
    def is_everywhere(self) -> bool:
        """Return True if every source knows it."""
        return self.is_time or (self.value is None and self.tables == METERED_FEEDS)

    @property
    def sources(self) -> frozenset[Source]:
        """The sources that know it without being cut further."""
        return frozenset(source for source in catalogs().sources if self.is_on(source))

    def is_on(self, source: Source) -> bool:
        if self.is_everywhere:
            return True
        if not source.is_engagement:
            return source in self.tables
        known = catalogs()
        return all(self.name in known.names(feed) for feed in source.feeds)

    def of(self, source: Source) -> Expression | F | None:
        """Return the expression of this dimension for a source."""
        if self.is_everywhere or not source.is_engagement:
            return self.value
        if self.on_documents is not None:
            return self.on_documents
        declared = [catalogs().document_dimensions[feed] for feed in source.feeds]
        if len({(it.subject == self.name, it.absent) for it in declared}) == 1:
            return self._on(declared[0])
        return Case(
            *(When(feed=it.feed, then=self._on(it)) for it in declared), output_field=CharField()
        )

    def _on(self, it: DocumentDimensions) -> Expression | F:
        """Return the item or label of a document; "" for values that stand for none."""
        expression: Any = F("subject") if it.subject == self.name else _label(self.name)
        if it.absent:
            some = NullIf(expression, Value(it.absent))
            expression = Coalesce(some, Value(""), output_field=CharField())
        return expression  # type: ignore[no-any-return]

    def text(self, value: Key) -> str:
        """As it stands in files: 2026-11-22 for days and weeks, 2026-11, 2026-Q4."""
        if isinstance(value, date):
            if self.name == "quarter":
                return f"{value.year}-Q{(value.month + 2) // 3}"
            return f"{value:%Y-%m}" if self.name == "month" else value.isoformat()
        return FILE_TEXTS.get(value, value)


def _label(name: str) -> Expression:
    return Coalesce(KeyTextTransform(name, "labels"), Value(""), output_field=CharField())


def truncated(interval: str, day: Expression | F) -> Expression | F:
    """Return the first day of its day, ISO week, month or quarter."""
    function = {"week": TruncWeek, "month": TruncMonth, "quarter": TruncQuarter}.get(interval)
    # A date by PostgreSQL's word: reading a timestamp of each row would take longer than its sum.
    return Cast(function(day, output_field=DateField()), DateField()) if function else day


def _time(name: str, label: str, definition: str) -> Dimension:
    return Dimension(name, label, Section.TIME, definition, truncated(name, F("day")))


def _connection(name: str, label: str, definition: str) -> Dimension:
    return Dimension(name, label, Section.STANDARD, definition)


def _of_person(field: str) -> Expression:
    return Coalesce(F(f"person__{field}"), Value(""), output_field=CharField())


def _person(name: str, label: str, definition: str, value: Expression) -> Dimension:
    return Dimension(
        name, label, Section.GENAI, definition, value, is_person=True, on_documents=value
    )


def _meter(
    name: str,
    label: str,
    definition: str,
    field: str = "",
    section: Section = Section.GENAI,
    tables: frozenset[Source] = METERED_FEEDS,
) -> Dimension:
    return Dimension(name, label, section, definition, F(f"meter__{field or name}"), tables=tables)


def _of_attribute(attribute: Attribute) -> Dimension:
    """Return the dimension that a connector declares."""
    text = KeyTextTransform(attribute.name, "meter__attributes")
    value = Coalesce(text, Value(""), output_field=CharField())
    tables = {Table.COST: Source.COST, Table.USAGE: Source.USAGE}
    return Dimension(
        attribute.name,
        attribute.label,
        Section.GENAI,
        attribute.definition,
        value if attribute.tables else None,
        tables=frozenset(tables[table] for table in attribute.tables),
        is_overlapping=attribute.is_overlapping,
    )


def _of_resource(name: str, label: str, definition: str, kind: str, attribute: str) -> Dimension:
    """Return an attribute of the key or workspace of a meter, as it was on that day.

    Providers keep no history, so the oldest version we have stands for the days before it.
    """

    def value(id_: Any) -> Expression:
        known = ResourceVersion.objects.filter(
            resource__connection=OuterRef("connection"),
            resource__kind=kind,
            resource__external_id=id_,
        )
        of_day = Case(When(since__lte=OuterRef("day"), then=F("since")))
        newest_first = F("of_day").desc(nulls_last=True)
        versions = known.annotate(of_day=of_day).order_by(newest_first, "since")
        text = versions.values(text=KeyTextTransform(attribute, "attributes"))[:1]
        return Coalesce(Subquery(text), Value(""), output_field=CharField())

    return Dimension(
        name,
        label,
        Section.GENAI,
        definition,
        value(OuterRef(f"meter__{kind}")),
        on_documents=value(KeyTextTransform(kind, OuterRef("labels"))),
        resource=(kind, attribute),
    )


# A meter with a workspace belongs to that project, for all its users.
_PROJECT = Case(
    When(~Q(meter__workspace_id=""), then=F("meter__workspace_id")),
    default=_of_person("external_id"),
    output_field=CharField(),
)
_COST_ONLY = frozenset({Source.COST})

_BUILT_IN_DIMENSIONS: dict[str, Dimension] = {
    dimension.name: dimension
    for dimension in (
        _time("day", "Day", "The UTC day: 2026-11-22."),
        _time("week", "Week", "The Monday of the ISO week: 2026-11-16."),
        _time("month", "Month", "The month: 2026-11."),
        _time("quarter", "Quarter", "The quarter: 2026-Q4."),
        _connection("provider", "Provider", "The connector, by the name on its card."),
        _connection(
            "billing_account", "Billing Account", "The Organization Label of the connection."
        ),
        _connection(
            "currency",
            "Currency",
            "What the connection is charged in: USD. Amounts of two currencies are never added.",
        ),
        Dimension(
            "project_id",
            "Project/Account ID",
            Section.STANDARD,
            "The workspace's id for usage in a workspace, otherwise the user's id. Empty: not "
            "attributed to a user.",
            _PROJECT,
            is_person=True,
            on_documents=_of_person("external_id"),
        ),
        _meter(
            "service",
            "Service",
            "The product, in the provider's own word.",
            "product",
            Section.STANDARD,
        ),
        _meter("sku", "SKU", "The model, in the provider's own word.", "model", Section.STANDARD),
        _person(
            "user_id",
            "User ID",
            "The user's id, whatever workspace it was in. Empty: not attributed to a user.",
            _of_person("external_id"),
        ),
        _person(
            "user_email",
            "User email",
            "In small letters, whatever the spelling. Without one: deleted account, service "
            "identity or user without email.",
            identity.email_of("person__"),
        ),
        _person(
            "user_name",
            "User name",
            "As last reported, with the email or id behind it where several people have the name. "
            "Without a name as the email.",
            identity.name_of("person__"),
        ),
        _person(
            "user_state",
            "User state",
            "active or deleted. Empty: not attributed to a user.",
            _of_person("state"),
        ),
        _person(
            "user_role",
            "User role",
            "The member's role at the provider as last listed, such as developer.",
            _of_person("role"),
        ),
        _meter("cost_type", "Cost type", "What was charged. Cost only.", tables=_COST_ONLY),
        _meter(
            "token_type", "Token type", "Which tokens were charged. Cost only.", tables=_COST_ONLY
        ),
        _meter(
            "organization_id",
            "Organization ID",
            "The provider's organization, where one key reads several.",
        ),
        _meter("workspace_id", "Workspace", "The workspace. Its default has an id of its own."),
        _of_resource(
            "workspace_tags",
            "Workspace tags",
            "All tags of the workspace on that day, by name: cost_center=42, team=search. Days "
            "before the first import have the oldest tags that are known.",
            "workspace_id",
            "tags",
        ),
        _meter("api_key_id", "API key", "The API key. Empty: not reported, or none was used."),
        _of_resource(
            "api_key_owner",
            "API key owner",
            "The account that the API key acts as, or else the one that created it.",
            "api_key_id",
            "owner",
        ),
        _of_resource(
            "api_key_expiry",
            "API key expiry",
            "The day on which the API key expires.",
            "api_key_id",
            "expires_on",
        ),
        Dimension(
            "item",
            "Skill, connector or project",
            Section.GENAI,
            "The skill, connector, plugin, artifact or project that people use.",
            tables=frozenset(),
        ),
    )
}
DIMENSIONS: Mapping[str, Dimension] = Declared(lambda known: known.dimensions)
