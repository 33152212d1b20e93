"""Every metric and every dimension, defined once. `docs/metrics.md` says the same for readers.

Words: a metric is what is shown, a measure is a metric that is read from facts, a dimension is
what facts are cut by. Measures and dimensions name the source they belong to: usage, for example,
was never counted by token type.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import reduce
from operator import add as plus
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import (
    Aggregate,
    Case,
    CharField,
    Count,
    DateField,
    Expression,
    F,
    Q,
    Sum,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, TruncMonth, TruncQuarter, TruncWeek

from integrations.connectors.base import Feed
from integrations.models.fields import ExactField
from reports import identity

Number = Decimal | int | None  # US dollars, a share or a count; None is not known
Key = date | str  # the value of a dimension; weeks, months and quarters are their first day

OTHER = "\U0010ffff"  # the key of all values that were not among the first: sorts last everywhere
# The key of what belongs to people that are not known yet: neither a person nor nobody.
UNKNOWN_USER = "\U0010fffe"
SPECIAL = {OTHER: "Other", UNKNOWN_USER: "Unknown user"}
# In files, where a real value may be called the same.
FILE_TEXTS = {OTHER: "(other)", UNKNOWN_USER: "(unknown user)"}


class Source(StrEnum):
    """Which facts a number comes from: a fact table, or feeds of the engagement table.

    What Claude Code did is told by every feed that declares it as a surface; the other sources of
    activity are one feed each, and so is each kind of thing that people use.
    """

    COST = "cost"
    USAGE = "usage"
    ACTIVE_USERS = "summaries"
    ACTIVITY = "users"
    CODE = "code"
    CODE_ESTIMATE = "claude_code"
    SKILLS = "skills"
    CONNECTORS = "connectors"
    PLUGINS = "plugins"
    PROJECTS = "projects"

    @property
    def is_engagement(self) -> bool:
        return self not in {Source.COST, Source.USAGE}

    def is_told_by(self, feed: Feed) -> bool:
        if self is Source.CODE:
            return "claude_code" in feed.surfaces
        return self.value in {feed.table.value, feed.name}


class Unit(StrEnum):
    USD = "usd"
    RATE = "rate"  # US dollars for one of something
    TOKENS = "tokens"
    COUNT = "count"
    SHARE = "share"  # 0.25 is 25%


class Section(StrEnum):
    TIME = "Time"
    STANDARD = "Standard"
    GENAI = "GenAI"


class Kind(StrEnum):
    """The headings of the list of metrics."""

    COST = "Cost"
    USAGE = "Usage"
    RATIO = "Ratios"
    PEOPLE = "People"
    ACTIVITY = "Activity"


# --- Metrics ----------------------------------------------------------------------------------
_VALUES = "values__"  # what lookups into the document of an engagement fact begin with


@dataclass(frozen=True)
class Metric:
    name: str
    label: str
    unit: Unit
    kind: Kind
    definition: str

    @property
    def measures(self) -> tuple["Measure", ...]:
        """What has to be read to know it."""
        raise NotImplementedError

    def number(self, numbers: Mapping[str, Number]) -> Number:
        """Its value, from the values of its measures."""
        return numbers[self.name]

    @property
    def sources(self) -> frozenset[Source]:
        return frozenset(measure.source for measure in self.measures)

    @property
    def is_additive(self) -> bool:
        """May the numbers of groups be added up?"""
        return False

    def text(self, value: Number) -> str:
        """The exact value without an exponent; "" if it is not known."""
        if value is None:
            return ""
        if self.unit in {Unit.USD, Unit.RATE}:
            return exact_usd(value)
        return exact(value) if self.unit is Unit.SHARE else str(int(value))


@dataclass(frozen=True)
class Measure(Metric):
    """A metric read from one source. Amounts are what groups keep, numbers what they show.

    `nullable` names the lookups that may be unreported. `beside` is another source: then only
    days count that both know, as the two sides of a ratio need.
    """

    source: Source
    value: Expression | F
    nullable: tuple[str, ...] = ()
    beside: Source | None = None

    def counted_beside(self, other: "Measure") -> "Measure":
        """The same on the days alone that the source of another measure knows, too."""
        if self.source is other.source:
            return self
        return replace(self, name=f"{self.name}_beside_{other.source}", beside=other.source)

    @property
    def paths(self) -> tuple[str, ...]:
        """The dotted paths that it adds up of an engagement fact; none of cost and usage."""
        return tuple(
            name.removeprefix(_VALUES) for name in self.nullable if name.startswith(_VALUES)
        )

    @property
    def measures(self) -> tuple["Measure", ...]:
        return (self,)

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        """What SQL has to compute for a group, by name; of all its facts, or of some."""
        found: dict[str, Aggregate] = {f"sum_{self.name}": Sum(self.value, filter=only)}
        if only is not None:
            found[f"facts_{self.name}"] = Count("pk", filter=only)
        if self.nullable:
            holes = reduce(Q.__or__, (Q(**{f"{name}__isnull": True}) for name in self.nullable))
            found[f"holes_{self.name}"] = Count(
                "pk", filter=holes if only is None else holes & only
            )
        return found

    def has_facts(self, row: Mapping[str, Any]) -> bool:
        """Is any fact of this row of SQL among those that count?"""
        return bool(row.get(f"facts_{self.name}", True))

    def amount(self, row: Mapping[str, Any]) -> Any:
        """The amount of one row of SQL: not known as soon as one part was not reported."""
        if row.get(f"holes_{self.name}"):
            return None
        # PostgreSQL sums big integers to decimals: a count is made a count again.
        value = row[f"sum_{self.name}"]
        return Decimal(value) if self.unit is Unit.USD else int(value)

    def merged(self, amounts: Iterable[Any]) -> Any:
        """The amount of several groups together."""
        return add(amounts)

    def shown(self, amount: Any) -> Number:
        found: Number = amount
        return found

    @property
    def nothing(self) -> Number:
        """What a group without any fact shows, if all its days are known."""
        return Decimal(0) if self.unit is Unit.USD else 0

    @property
    def is_additive(self) -> bool:
        return True


@dataclass(frozen=True)
class Distinct(Measure):
    """How many different people. Groups keep who it was, so that nobody is counted twice."""

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


Levels = Mapping[tuple[int, date], Number]  # by connection and day


@dataclass(frozen=True)
class Level(Measure):
    """What the provider counted on each day, such as seats: never added over days.

    Several days show the last one that is known, or nothing where the count is of one day alone
    (`is_rolling` False). `is_people`: nor is it added over connections, as a person may be in both.
    """

    is_rolling: bool = True
    is_people: bool = True

    def aggregates(self, only: Q | None = None) -> dict[str, Aggregate]:
        return {}

    def merged(self, amounts: Iterable[Levels]) -> Levels:
        found: dict[tuple[int, date], Number] = {}
        for amount in amounts:
            found |= amount
        return found

    def shown(self, amount: Levels) -> Number:
        last: dict[int, tuple[date, Number]] = {}
        for (connection, day), value in amount.items():
            if value is not None:
                last[connection] = max(last.get(connection, (day, value)), (day, value))
        if len({day for _, day in amount}) > 1 and not self.is_rolling:
            return None
        if not last or (self.is_people and len(last) > 1):
            return None
        return add(value for _, value in last.values())

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
        """Rounded to twelve places; not known where there is nothing to divide by."""
        of, per = (numbers[measure.name] for measure in self.measures)
        if of is None or not per:
            return None
        return (Decimal(of) * self.times / Decimal(per)).quantize(_TWELVE, ROUND_HALF_UP)


_TWELVE = Decimal("1e-12")


def add(numbers: Iterable[Number]) -> Number:
    """A sum that is not known as soon as one part is not."""
    total: Decimal | int = 0
    for number in numbers:
        if number is None:
            return None
        total += number
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


def _cost(name: str, label: str, value: Any, definition: str, *nullable: str) -> Measure:
    return Measure(name, label, Unit.USD, Kind.COST, definition, Source.COST, value, nullable)


def _usage(
    name: str, label: str, unit: Unit, value: Any, definition: str, *nullable: str
) -> Measure:
    return Measure(name, label, unit, Kind.USAGE, definition, Source.USAGE, value, nullable)


def _tokens(name: str, label: str, definition: str) -> Measure:
    return _usage(name, label, Unit.TOKENS, F(name), definition)


def _path(path: str) -> Expression:
    """A number of an engagement fact, which holds them by dotted path. Most are counts."""
    return Cast(
        KeyTextTransform(path, "values"),
        ExactField(),
    )


def _activity(
    name: str, label: str, definition: str, *paths: str, source: Source = Source.ACTIVITY
) -> Measure:
    value = reduce(plus, map(_path, paths))
    nullable = tuple(f"{_VALUES}{path}" for path in paths)
    return Measure(name, label, Unit.COUNT, Kind.ACTIVITY, definition, source, value, nullable)


def _code(name: str, label: str, definition: str, *paths: str) -> Measure:
    paths = tuple(f"claude_code_metrics.{path}" for path in paths)
    return _activity(name, label, definition, *paths, source=Source.CODE)


def _level(name: str, label: str, path: str, definition: str, **more: Any) -> Level:
    source = Source.ACTIVE_USERS
    return Level(name, label, Unit.COUNT, Kind.PEOPLE, definition, source, _path(path), **more)


def _active_users(prefix: str, label: str) -> tuple[Level, ...]:
    """The provider's three counts of active users, of everything or of one product."""
    of = f" of {label}" if label else ""
    before = f"{prefix}_" if prefix else ""
    return tuple(
        _level(
            f"{before}{every}_active_users",
            f"{every.capitalize()} active users{of}",
            f"{before}{every}_active_user_count",
            f"Different users{of} on {days}, as the provider counts them.",
            is_rolling=every != "daily",
        )
        for every, days in (
            ("daily", "one day"),
            ("weekly", "the last 7 days"),
            ("monthly", "the last 30 days"),
        )
    )


_COST = _cost("cost", "Cost", F("amount_usd"), "After discounts, before credits and tax.")
_LIST = "list_amount_usd"
_ESTIMATE = "claude_code_metrics.estimated_cost_usd"
_CODE_ESTIMATE = Measure(
    "code_estimated_cost",
    "Estimated cost of Claude Code",
    Unit.USD,
    Kind.ACTIVITY,
    "The provider's estimate, in whole cents. It is in the cost already: never add the two.",
    Source.CODE_ESTIMATE,
    _path(_ESTIMATE),
    (f"{_VALUES}{_ESTIMATE}",),
)
_LIST_COST = _cost("list_cost", "List cost", F(_LIST), "At list price, before discounts.", _LIST)
_SAVINGS = _cost(
    "savings",
    "Savings",
    F(_LIST) - F("amount_usd"),
    "List cost less cost: what the discounts took off.",
    _LIST,
)
_REQUESTS = _usage("requests", "Requests", Unit.COUNT, F("requests"), "API requests.", "requests")
_INPUT = (
    F("uncached_input_tokens")
    + F("cache_read_tokens")
    + F("cache_write_5m_tokens")
    + F("cache_write_1h_tokens")
)
_TOTAL_TOKENS = _usage(
    "total_tokens",
    "Tokens",
    Unit.TOKENS,
    _INPUT + F("output_tokens"),
    "Input and output together.",
)
_INPUT_TOKENS = _usage(
    "input_tokens", "Input tokens", Unit.TOKENS, _INPUT, "The four kinds of input, added up."
)
_CACHE_READ = _tokens("cache_read_tokens", "Cache read tokens", "Input taken from a cache.")
_PEOPLE = Distinct(
    "people",
    "People with usage",
    Unit.COUNT,
    Kind.PEOPLE,
    "Different people who used tokens, counted once however often they did.",
    Source.USAGE,
    F("person"),
)
_SEATS = _level(
    "seats", "Seats", "assigned_seat_count", "Seats that are assigned.", is_people=False
)
_DAILY, _WEEKLY, _MONTHLY = _active_users("", "")
_EDITS = tuple(
    f"tool_actions.{tool}"
    for tool in ("edit_tool", "multi_edit_tool", "notebook_edit_tool", "write_tool")
)
_ACCEPTED = _code(
    "accepted_edits",
    "Accepted edits",
    "Edits of Claude Code that people accepted.",
    *(f"{tool}.accepted_count" for tool in _EDITS),
)
_PROPOSED = _code(
    "proposed_edits",
    "Proposed edits",
    "Edits of Claude Code that people accepted or rejected.",
    *(f"{tool}.{word}_count" for tool in _EDITS for word in ("accepted", "rejected")),
)
_OFFICE = tuple(f"office_metrics.{app}" for app in ("excel", "outlook", "powerpoint", "word"))


def _ratio(
    name: str, label: str, unit: Unit, of: Measure, per: Measure, definition: str, times: int = 1
) -> Ratio:
    return Ratio(name, label, unit, Kind.RATIO, definition, of=of, per=per, times=times)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _COST,
        _LIST_COST,
        _SAVINGS,
        _REQUESTS,
        _TOTAL_TOKENS,
        _INPUT_TOKENS,
        _tokens("uncached_input_tokens", "Uncached input tokens", "Input not taken from a cache."),
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
        _tokens("output_tokens", "Output tokens", "What the model wrote."),
        _usage(
            "web_searches",
            "Web searches",
            Unit.COUNT,
            F("web_searches"),
            "Searches the model made. They are not tokens.",
        ),
        _ratio(
            "cost_per_active_user",
            "Cost per active user",
            Unit.RATE,
            _COST,
            _PEOPLE,
            "All cost of the group by its people with usage.",
        ),
        _ratio(
            "cost_per_request", "Cost per request", Unit.RATE, _COST, _REQUESTS, "Cost by requests."
        ),
        _ratio(
            "cost_per_million_tokens",
            "Cost per million tokens",
            Unit.RATE,
            _COST,
            _TOTAL_TOKENS,
            "Cost by tokens of every kind, times a million.",
            1_000_000,
        ),
        _ratio(
            "savings_share",
            "Savings share",
            Unit.SHARE,
            _SAVINGS,
            _LIST_COST,
            "Savings by list cost: the discount that was reached.",
        ),
        _ratio(
            "cache_read_share",
            "Cache-read share",
            Unit.SHARE,
            _CACHE_READ,
            _INPUT_TOKENS,
            "Cache read tokens by all input tokens.",
        ),
        _ratio(
            "seat_use",
            "Seat use",
            Unit.SHARE,
            _WEEKLY,
            _SEATS,
            "Weekly active users by assigned seats.",
        ),
        _ratio(
            "accept_rate",
            "Accept rate",
            Unit.SHARE,
            _ACCEPTED,
            _PROPOSED,
            "Accepted edits by proposed edits of Claude Code.",
        ),
        _PEOPLE,
        _DAILY,
        _WEEKLY,
        _MONTHLY,
        _SEATS,
        _level(
            "pending_invites",
            "Pending invites",
            "pending_invite_count",
            "Invited to a seat and not there yet.",
            is_people=False,
        ),
        *_active_users("chat", "Chat"),
        *_active_users("claude_code", "Claude Code"),
        *_active_users("cowork", "Cowork"),
        *_active_users("office_agent", "Office agent"),
        *_active_users("claude_design", "Claude Design"),
        _activity(
            "chat_messages", "Chat messages", "Messages people sent.", "chat_metrics.message_count"
        ),
        _code(
            "code_sessions",
            "Claude Code sessions",
            "Sessions people held.",
            "core_metrics.distinct_session_count",
        ),
        _code(
            "code_lines_added",
            "Lines added",
            "Lines of code Claude Code added.",
            "core_metrics.lines_of_code.added_count",
        ),
        _code(
            "code_lines_removed",
            "Lines removed",
            "Lines of code Claude Code removed.",
            "core_metrics.lines_of_code.removed_count",
        ),
        _code(
            "code_commits",
            "Commits",
            "Commits Claude Code made.",
            "core_metrics.commit_count",
        ),
        _code(
            "code_pull_requests",
            "Pull requests",
            "Pull requests Claude Code opened.",
            "core_metrics.pull_request_count",
        ),
        _ACCEPTED,
        _PROPOSED,
        _CODE_ESTIMATE,
        _activity(
            "cowork_messages",
            "Cowork messages",
            "Messages people sent.",
            "cowork_metrics.message_count",
        ),
        _activity(
            "cowork_actions",
            "Cowork actions",
            "Actions Claude took.",
            "cowork_metrics.action_count",
        ),
        _activity(
            "office_messages",
            "Office messages",
            "Messages in Excel, Outlook, PowerPoint and Word.",
            *(f"{app}.message_count" for app in _OFFICE),
        ),
        _activity(
            "design_messages",
            "Design messages",
            "Messages people sent.",
            "design_metrics.message_count",
        ),
        _activity(
            "skill_uses",
            "Skill uses",
            "How often people explicitly used a skill.",
            "invocation_count",
            source=Source.SKILLS,
        ),
        _activity(
            "connector_calls",
            "Connector calls",
            "Calls of connectors that read, write, or say neither.",
            "read_call_count",
            "write_call_count",
            "unclassified_call_count",
            source=Source.CONNECTORS,
        ),
        _activity(
            "plugin_uses",
            "Plugin uses",
            "How often people explicitly used a plugin.",
            "invocation_count",
            source=Source.PLUGINS,
        ),
        _activity(
            "project_messages",
            "Messages in chat projects",
            "Messages people sent in projects of Chat.",
            "message_count",
            source=Source.PROJECTS,
        ),
    )
}


# --- Dimensions -------------------------------------------------------------------------------
_FACTS = frozenset({Source.COST, Source.USAGE})
_PEOPLE_DID = frozenset({Source.ACTIVITY, Source.CODE, Source.CODE_ESTIMATE})
_PER_PERSON = _FACTS | _PEOPLE_DID
THINGS = frozenset({Source.SKILLS, Source.CONNECTORS, Source.PLUGINS, Source.PROJECTS})


@dataclass(frozen=True)
class Dimension:
    """One way to cut facts. `value` is None where the connection decides, not the fact.

    `elsewhere` holds the expression of sources that keep it in another place.
    """

    name: str
    label: str
    section: Section
    value: Expression | F | None
    is_person: bool = False
    sources: frozenset[Source] = _FACTS
    elsewhere: Mapping[Source, Expression | F] = field(default_factory=dict)

    @property
    def is_time(self) -> bool:
        return self.section is Section.TIME

    def of(self, source: Source) -> Expression | F | None:
        """The expression this source is cut by."""
        return self.elsewhere.get(source, self.value)

    def text(self, value: Key) -> str:
        """As it stands in files: 2026-11-22 for days and weeks, 2026-11, 2026-Q4."""
        if isinstance(value, date):
            if self.name == "quarter":
                return f"{value.year}-Q{(value.month + 2) // 3}"
            return f"{value:%Y-%m}" if self.name == "month" else value.isoformat()
        return FILE_TEXTS.get(value, value)


def truncated(interval: str, day: Expression | F) -> Expression | F:
    """The first day of its day, ISO week, month or quarter."""
    found = {"week": TruncWeek, "month": TruncMonth, "quarter": TruncQuarter}.get(interval)
    # A date by PostgreSQL's word: reading a timestamp of each row would take longer than its sum.
    return Cast(found(day, output_field=DateField()), DateField()) if found else day


def _time(name: str, label: str) -> Dimension:
    value = truncated(name, F("day"))
    return Dimension(name, label, Section.TIME, value, sources=frozenset(Source))


def _connection(name: str, label: str) -> Dimension:
    return Dimension(name, label, Section.STANDARD, None, sources=frozenset(Source))


def _of_person(field: str) -> Expression:
    return Coalesce(F(f"person__{field}"), Value(""), output_field=CharField())


def _person(name: str, label: str, field: str) -> Dimension:
    return _who(name, label, _of_person(field))


def _who(name: str, label: str, value: Expression) -> Dimension:
    return Dimension(name, label, Section.GENAI, value, is_person=True, sources=_PER_PERSON)


def _meter(
    name: str,
    label: str,
    field: str = "",
    section: Section = Section.GENAI,
    sources: frozenset[Source] = _FACTS,
) -> Dimension:
    return Dimension(name, label, section, F(f"meter__{field or name}"), sources=sources)


# A meter with a workspace belongs to that project, whoever used it.
_PROJECT = Case(
    When(~Q(meter__workspace_id=""), then=F("meter__workspace_id")),
    default=_of_person("external_id"),
    output_field=CharField(),
)
_COST_ONLY = frozenset({Source.COST})

DIMENSIONS: dict[str, Dimension] = {
    dimension.name: dimension
    for dimension in (
        _time("day", "Day"),
        _time("week", "Week"),
        _time("month", "Month"),
        _time("quarter", "Quarter"),
        _connection("provider", "Provider"),
        _connection("billing_account", "Billing Account"),
        Dimension(
            "project_id",
            "Project/Account ID",
            Section.STANDARD,
            _PROJECT,
            is_person=True,
            sources=_PER_PERSON,
            elsewhere=dict.fromkeys(_PEOPLE_DID, _of_person("external_id")),
        ),
        _meter("service", "Service", "product", Section.STANDARD),
        _meter("sku", "SKU", "model", Section.STANDARD),
        _person("user_id", "User ID", "external_id"),
        _who("user_email", "User e-mail", identity.email_of("person__")),
        _who("user_name", "User name", identity.name_of("person__")),
        _person("user_state", "User state", "state"),
        _meter("context_window", "Context window"),
        _meter("inference_geo", "Inference geography"),
        _meter("speed", "Speed"),
        _meter("cost_type", "Cost type", sources=_COST_ONLY),
        _meter("token_type", "Token type", sources=_COST_ONLY),
        _meter("organization_id", "Organization ID"),
        _meter("workspace_id", "Workspace"),
        _meter("api_key_id", "API key"),
        _meter("service_tier", "Service tier"),
        Dimension(
            "item", "Skill, connector or project", Section.GENAI, F("subject"), sources=THINGS
        ),
    )
}
