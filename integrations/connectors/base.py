"""The contract between syncing and a connector.

ConnectorError
├── ActionNeeded    trying again will not help: the customer has to act
├── TransientError  trying again later may help
├── SnapshotMoved   the provider published new data meanwhile: read the window from its start
│   └── AskDifferently  a question was refused, and the client knows a smaller one: likewise
├── NotAvailable    the provider has no data for these days (yet)
└── PayloadError    not what the documentation promises: we have to act
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

import httpx

from integrations import text
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import Page
from integrations.window import Window


class ConnectorError(Exception):
    """Something went wrong at the provider. `str(error)` is fit for the page.

    `repair` says what to do; `provider_message` is the provider's own text, `request_id` is what
    its support asks for. None of them ever holds the key. `checks` is how far a connection test
    came before it.
    """

    checks: "tuple[Check, ...]" = ()

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        repair: str = "",
        provider_message: str = "",
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(text.storable(message))
        self.code = code
        self.repair = repair
        self.provider_message = text.storable(provider_message)
        self.status = status
        self.request_id = text.label(request_id)


class ActionNeeded(ConnectorError):
    """The key or the organization needs a human hand. Codes: see `docs/operations.md`."""


class TransientError(ConnectorError):
    """Worth another try. `retry_after_seconds` is the provider's wish, None if it named none."""

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(message, **kwargs)
        self.retry_after_seconds = retry_after_seconds


class SnapshotMoved(ConnectorError):
    """A cursor died or two pages came from different exports: drop the pages, start again."""


class AskDifferently(SnapshotMoved):
    """The provider refused a question, and the client has learned a smaller one: start again."""


class NotAvailable(ConnectorError):
    """The provider refuses these days: too recent or too old. They stay unknown, not zero."""


class PayloadError(ConnectorError):
    """The answer has not the shape the documentation promises."""


@dataclass(frozen=True)
class Request:
    """One request as it may be logged: the query without the key.

    `organization_id` is whose answer it was, if the provider says so.
    """

    method: str
    path: str
    query: str
    status: int | None
    request_id: str
    duration_seconds: float
    organization_id: str = ""


@dataclass(frozen=True)
class Access:
    """Access of a client to its provider: key, pacing, retries and learned options.

    `acquire` is called before every request and returns when the shared request budget allows
    it. `observe` is called after every request. `attempts` is how often one request is tried
    before a `TransientError` is raised: 1 where a person waits. `options` is what the connection
    test found out, see `Probe`. `learn` keeps an option that a read found out: its name, its value,
    and the table whose stored rows have other dimensions than those to come ("": none).
    `retries_refused` asks again for what `options` say was refused.
    """

    key: str = field(repr=False)
    base_url: str
    acquire: Callable[[], None] = lambda: None
    observe: Callable[[Request], None] = lambda request: None
    attempts: int = 5
    transport: httpx.BaseTransport | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    learn: Callable[[str, str, str], None] = lambda name, value, table: None
    retries_refused: bool = False


class Table(StrEnum):
    """Table that a feed fills. NAMES are lists of what exists now, without a day."""

    COST = "cost"
    USAGE = "usage"
    ENGAGEMENT = "engagement"
    NAMES = "names"


@dataclass(frozen=True)
class Feed:
    """One stream of a provider, described as data.

    `grain`: "total" feeds bring organization-wide lines per meter, "person" feeds the part that is
    attributed to people; loading keeps the difference as its own unattributed line.
    `window_days` is how many days one request sequence may span.
    `refresh_days` gives the days that can still change and are read again on every refresh.
    `is_daily_batch` says that the provider computes them once a day: those that are known are
    read again once a day, and not on every refresh.
    `closes_on` gives the first day on which the numbers of a day can no longer change.
    `surfaces` are the products whose activity an engagement feed counts, each with the paths of
    which one above zero makes a person active in it; rows of cost and usage name theirs.
    `exported` says that pages name the export that served them: a day is known once an export
    covers it, with or without lines. Cost and usage always are.
    `has_history` False: only what `refresh_days` gives is ever asked for, once a day.
    `empty_days`: the provider does not say where its data starts. After so many days in a row
    without any use, older ones are taken to be from before it, and are not asked for. 0: it says.
    `oldest_day` is the oldest day this feed answers for, if the connector's is older.
    `filled_by` names the feed whose answers hold this one's records, too: it is never asked for by
    itself, see `Page.feed`.
    `compared_with` names the feed whose total counts where this one is a second report of the same
    numbers: every import compares the two, see `integrations.variants`.
    """

    name: str
    label: str
    table: Table
    grain: Literal["total", "person"]
    window_days: int
    refresh_days: Callable[[date], Window]
    closes_on: Callable[[date], date]
    read: Callable[[Any, Window], Iterator[Page]]
    surfaces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exported: bool = False
    has_history: bool = True
    is_daily_batch: bool = False
    empty_days: int = 0
    oldest_day: Callable[[date], date] | None = None
    filled_by: str = ""
    compared_with: str = ""

    @property
    def has_days(self) -> bool:
        return self.table is not Table.NAMES

    @property
    def is_metered(self) -> bool:
        """True for cost and usage: lines per meter that sum to totals."""
        return self.table in {Table.COST, Table.USAGE}

    @property
    def is_newest_only(self) -> bool:
        return not (self.has_days and self.has_history)

    def windows(self, window: Window) -> list[Window]:
        """Split `window` into the windows that are requested, newest first."""
        if not self.has_days:
            return [Window.last(1, today=window.last_day)]
        if not self.has_history:
            window = self.refresh_days(window.last_day)
        return window.split(self.window_days)


@dataclass(frozen=True)
class ActivityMetric:
    """Declare a metric that is read from the documents of engagement feeds.

    `paths` are added up, and the metric is not known as soon as one of them is missing.
    `optional_paths` are added where the provider sends them: a block that counts *instead of*
    another, or one that only some people have. A metric may have optional paths alone: it is known
    where any document has one of them.
    `feeds` are the feeds whose documents have these paths. Two connectors may declare the same
    metric over the same paths: their feeds are put together. Anything else under a name that is
    taken is refused.
    `kind` says what may be added:
    sum            over days, people and items
    sum_of_day     over people, and not over days, which may share what is counted
    distinct       nothing: shown where one document says it, otherwise not known
    level          a state of the whole organization: over several days the last one known
    level_of_day   the same, but one day alone has it
    `is_people` False: a level of seats and the like, which may be added over connections.
    `section` is the heading it stands under.
    """

    name: str
    label: str
    definition: str
    paths: tuple[str, ...]
    feeds: tuple[str, ...]
    section: str
    unit: Literal["count", "usd", "percent"] = "count"
    kind: Literal["sum", "sum_of_day", "distinct", "level", "level_of_day"] = "sum"
    optional_paths: tuple[str, ...] = ()
    is_people: bool = True


@dataclass(frozen=True)
class ActivityRatio:
    """Declare the share that one declared metric is of another."""

    name: str
    label: str
    definition: str
    of: str
    per: str


@dataclass(frozen=True)
class DocumentDimensions:
    """Declare a feed of documents that break other numbers down by more dimensions.

    `of` names these numbers: `cost`, `usage` (paths are the measures of their records), or a feed
    (paths are those of its documents). `dimensions` are the labels of its records, by the names of
    reports; those of a person come from the record's `person`. `subject` is the dimension that the
    subject holds, if it is not a label. `absent` is the subject or label that stands for no value.
    `is_overlapping`: one number may be in several documents or in none, so they are never added up.
    """

    feed: str
    of: str
    dimensions: tuple[str, ...] = ()
    subject: str = ""
    absent: str = ""
    is_overlapping: bool = False

    @property
    def names(self) -> frozenset[str]:
        """Every dimension it can answer, without time and connection."""
        return frozenset({*self.dimensions, *filter(None, [self.subject])})


@dataclass(frozen=True)
class Setting:
    """Declare an environment variable. `help` is its comment in `.env.example`."""

    name: str
    default: str | int
    help: str

    @property
    def stand_in(self) -> str:
        """The variable that counts where this one is not set."""
        raise NotImplementedError


class BaseUrl(Setting):
    """Declare where the provider's API answers."""

    @property
    def stand_in(self) -> str:
        return "PROVIDER_BASE_URL"


class RequestsPerMinute(Setting):
    """Declare the request budget of one organization of the provider; 0 is unpaced."""

    @property
    def stand_in(self) -> str:
        return "PROVIDER_REQUESTS_PER_MINUTE"


@dataclass(frozen=True)
class Attribute:
    """Declare a dimension that not every provider has.

    Cost and usage have it in the `attributes` of their meters (`tables`), documents as their
    `DocumentDimensions` say. Two connectors may share one by declaring it alike. `name` is its name
    in addresses and files, and `definition` says what its values are.

    `values` are the words that people read for the provider's own, `empty` is what no value reads.
    `is_identifier`: its values are ids, which are never translated; `resource` is the kind of
    `ResourceRef` that names them. `is_named_by_members`: the provider has no names for them, and
    members who manage connections give them. `is_price_driver`: the same model costs more with some
    values. `is_overlapping`: one number may be in several groups or in none, so groups are never
    added up; `note` says why, beside every report that has it.
    """

    name: str
    label: str
    definition: str
    values: Mapping[str, str] = field(default_factory=dict)
    empty: str = "Not set"
    tables: frozenset[Table] = frozenset({Table.COST, Table.USAGE})
    is_identifier: bool = False
    resource: str = ""
    is_named_by_members: bool = False
    is_price_driver: bool = False
    is_overlapping: bool = False
    note: str = ""


@dataclass(frozen=True)
class Product:
    """Declare what people read for a product of the provider, and its color in charts.

    `color` is a place in the series of colors, 1 to 6; 0 takes one that is free. Several of the
    provider's words may mean one product: they have the same label.
    """

    label: str
    color: int = 0


@dataclass(frozen=True)
class Preset:
    """Offer a report from the start. `query` is the report as it stands in an address.

    `is_of_some`: only some providers report it, so it is offered where one of them is connected.
    """

    name: str
    description: str
    query: str
    is_of_some: bool = False


@dataclass(frozen=True)
class Field:
    """Say where a field of an endpoint is stored and under which names it is shown.

    `name` is the dotted path in the answer; a part `*` stands for any name. `stored` "" and
    `shown` "" are explained by `why`.
    """

    name: str
    stored: str = ""
    shown: str = ""
    why: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Declare one endpoint of the provider: the feeds that read it, and all its fields.

    Numbers of activity need no `Field`: they are stored under their path, and the metrics that
    read it are found. `is_renamed`: they are stored under other names, so each has a `Field`.
    `note` is a sentence about the endpoint.
    """

    path: str
    feeds: tuple[str, ...]
    fields: tuple[Field, ...]
    note: str = ""
    is_renamed: bool = False

    def field(self, path: str) -> Field | None:
        """Return the field at a dotted path of a response; None if it is not declared."""
        parts = path.split(".")
        return next((f for f in self.fields if _matches(f.name.split("."), parts)), None)


def _matches(pattern: list[str], parts: list[str]) -> bool:
    """`*` stands for any name, and at the end for any number of them."""
    if pattern[-1] == "*" and len(parts) >= len(pattern) - 1:
        pattern, parts = pattern[:-1], parts[: len(pattern) - 1]
    return len(pattern) == len(parts) and all(
        one in ("*", other) for one, other in zip(pattern, parts, strict=True)
    )


@dataclass(frozen=True)
class Catalog:
    """Declare what reports can ask of a connector.

    `dimensions` are what cost and usage can be grouped by, by table (`cost`, `usage`): a connection
    whose connector does not name one cannot answer for it. A table that is not named can answer
    everything but the attributes of others. `inferred` are dimensions whose values we conclude, as
    the provider does not send them, each with the sentence that says so.
    `attributes` are dimensions of its own. `products` and `values` are the words that people read
    for values of `service` and of other dimensions: a value without a word is shown as it is.
    `settings` are the environment variables that its connector reads. `names` are proper names that
    labels begin with: they keep their capital within a sentence.
    """

    metrics: tuple[ActivityMetric, ...] = ()
    ratios: tuple[ActivityRatio, ...] = ()
    document_dimensions: tuple[DocumentDimensions, ...] = ()
    dimensions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attributes: tuple[Attribute, ...] = ()
    products: Mapping[str, Product] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    presets: tuple[Preset, ...] = ()
    settings: tuple[Setting, ...] = ()
    names: frozenset[str] = frozenset()
    inferred: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def metered_attributes(self) -> tuple[Attribute, ...]:
        """Those that cost or usage has."""
        return tuple(it for it in self.attributes if it.tables)

    @property
    def attribute_names(self) -> frozenset[str]:
        return frozenset(it.name for it in self.attributes)

    def has_dimension(self, table: str, dimension: str) -> bool:
        """Return whether cost or usage has this dimension. `table` is its name."""
        for attribute in self.attributes:
            if attribute.name == dimension:
                return table in attribute.tables
        known = self.dimensions.get(table)
        return known is None or dimension in known


class CatalogError(Exception):
    """Two connectors declare something different under one name."""


@dataclass(frozen=True)
class Check:
    """One line of the connection test.

    `state`: passed, limited (it works, but something will be lacking), failed, waiting (no answer
    yet), info (no proof either way), or skipped.
    """

    label: str
    state: Literal["passed", "limited", "failed", "waiting", "info", "skipped"]
    detail: str = ""


# The line at which a test stops whose key opens an organization it must not open.
ORGANIZATION = "Organization recognized"


NOTE = "note."  # begins the names of options that are for people
PAGE_SIZE = "limit."  # begins those that say how many rows one page of an endpoint may have


def asks_alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return True if connections with these options yield the same rows, however paged."""

    def questions(options: Mapping[str, str]) -> dict[str, str]:
        without_effect = (NOTE, PAGE_SIZE)
        return {name: text for name, text in options.items() if not name.startswith(without_effect)}

    return questions(one) == questions(other)


@dataclass(frozen=True)
class Probe:
    """Result of the connection test of an accepted key.

    `organization_id` is the provider's id as most answers spell it, `other_ids` are other spellings
    of the same organization: Anthropic has a UUID and a tagged id (`org_…`) for each.
    `options` are in the connector's own words. They are stored with the connection, and every
    later `Access` carries them. Those whose name begins with `NOTE` change no question.
    `currency` is the ISO 4217 code of what the organization is charged in. It is stored with the
    connection, and all amounts of its records are in it.
    """

    organization_id: str
    checks: tuple[Check, ...]
    cost_complete_to: datetime | None = None
    engagement_complete_to: date | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    other_ids: tuple[str, ...] = ()
    currency: str = "USD"

    @property
    def ids(self) -> frozenset[str]:
        """Every spelling of the organization's id, in canonical form; empty if it is not named."""
        return frozenset(
            canonical_id(one) for one in (self.organization_id, *self.other_ids) if one
        )

    @property
    def limits(self) -> tuple[Check, ...]:
        """Checks that passed with a limit."""
        return tuple(check for check in self.checks if check.state == "limited")

    def refused(self, reason: str) -> tuple[Check, ...]:
        """Return the checks of a test that passed, with the organization marked as not readable."""
        return tuple(
            Check(ORGANIZATION, "failed", reason) if check.label == ORGANIZATION else check
            for check in self.checks
        )


class Connector(ABC):
    """One provider. Stateless; one instance serves the whole process.

    `slug` is stored with every connection and stands in addresses and commands: never change it.
    `not_reported` says in sentences what no feed brings, because the provider does not tell.
    `key_owner` is who makes a key there, if the connector's page has a note for them.
    `catalog` declares the metrics and dimensions of its feeds.
    """

    is_installed = True  # False for what stands in for a connector the settings no longer name

    slug: str
    name: str
    publisher: str  # who is at work when data is late or a key is refused
    summary: str
    tab: str
    icon: str
    key_label: str
    key_prefix: str
    key_owner: str = ""
    feeds: Sequence[Feed]
    not_reported: tuple[str, ...] = ()
    catalog: Catalog = Catalog()

    @property
    @abstractmethod
    def base_url(self) -> str:
        """Base URL of the provider's API, from the settings."""

    @property
    @abstractmethod
    def requests_per_minute(self) -> int:
        """The request budget per provider organization; 0 is unpaced."""

    def not_read(self, options: Mapping[str, str]) -> tuple[str, ...]:
        """Return sentences about data that a connection with these options cannot read."""
        return ()

    def refused_dimensions(self, options: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
        """Return the meter fields that are not read now, or not entirely, by table."""
        return {}

    def answered_again(
        self, before: Mapping[str, str], after: Mapping[str, str]
    ) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """Return what was refused with the options `before`, and is not with those `after`.

        Values by field of meters or label of documents, by table or by the name of a feed of
        documents.
        """
        return {}

    def independent_way(self, options: Mapping[str, str]) -> Mapping[str, str] | None:
        """Options with which totals come from another source than with these; None if none do."""
        return None

    def feed(self, name: str) -> Feed | None:
        """Return the feed of this name; None if an older release stored a name that is gone."""
        return next((feed for feed in self.feeds if feed.name == name), None)

    def filled_by(self, feed: Feed) -> list[Feed]:
        """Return the feeds whose records arrive with those of `feed`."""
        return [other for other in self.feeds if other.filled_by == feed.name]

    @abstractmethod
    def check_key(self, key: str) -> None:
        """Raise `ActionNeeded` if the key is visibly not of this kind. Sends nothing."""

    @abstractmethod
    def open(self, access: Access) -> AbstractContextManager[Any]:
        """Open a client for this provider's feeds."""

    @abstractmethod
    def probe(self, access: Access, *, today: date) -> Probe:
        """Read as little as proves the key; raise `ConnectorError` with its repair text."""

    @abstractmethod
    def earliest_day(self, today: date) -> date:
        """Return the oldest day the provider still has data for."""
