"""Every metric and every dimension, defined once. `docs/metrics.md` says the same for readers.

Words: a metric is a number that adds up over facts, a dimension is what facts are cut by. Both
name the source they need: usage, for example, was never counted by token type.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from django.db.models import Case, CharField, DateField, Expression, F, Q, Value, When
from django.db.models.functions import Coalesce, TruncMonth, TruncWeek

Number = Decimal | int | None  # US dollars or a count; None is not known
Key = date | str  # the value of a dimension; weeks and months are their first day


class Source(StrEnum):
    """Which facts a number comes from. The values are those of a feed's `table`."""

    COST = "cost"
    USAGE = "usage"


class Unit(StrEnum):
    USD = "usd"
    TOKENS = "tokens"
    COUNT = "count"


class Section(StrEnum):
    TIME = "Time"
    STANDARD = "Standard"
    GENAI = "GenAI"


@dataclass(frozen=True)
class Metric:
    """A sum over the facts of one source. `nullable` names the field that may be unreported."""

    name: str
    label: str
    unit: Unit
    source: Source
    value: Expression | F
    definition: str
    nullable: str = ""

    def text(self, value: Number) -> str:
        """The exact value without an exponent; "" if it is not known."""
        if value is None:
            return ""
        return exact_usd(value) if self.unit is Unit.USD else str(int(value))


@dataclass(frozen=True)
class Dimension:
    """One way to cut facts. `value` is None where the connection decides, not the fact."""

    name: str
    label: str
    section: Section
    value: Expression | F | None
    is_person: bool = False
    sources: frozenset[Source] = frozenset(Source)

    @property
    def is_time(self) -> bool:
        return self.section is Section.TIME

    def text(self, value: Key) -> str:
        """As it stands in files: days and weeks as 2026-11-22, months as 2026-11."""
        if isinstance(value, date):
            return f"{value:%Y-%m}" if self.name == "month" else value.isoformat()
        return value


def exact_usd(value: Decimal | int) -> str:
    """Unrounded, with at least two decimals and otherwise no trailing zeros: 412.80, 0.00125."""
    whole, _, decimals = f"{Decimal(value):f}".partition(".")
    text = f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
    return "0.00" if text == "-0.00" else text


_TOKENS = (
    F("uncached_input_tokens")
    + F("cache_read_tokens")
    + F("cache_write_5m_tokens")
    + F("cache_write_1h_tokens")
    + F("output_tokens")
)


def _cost(name: str, label: str, value: Expression | F, definition: str, **more: str) -> Metric:
    return Metric(name, label, Unit.USD, Source.COST, value, definition, **more)


def _tokens(name: str, label: str, definition: str) -> Metric:
    return Metric(name, label, Unit.TOKENS, Source.USAGE, F(name), definition)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _cost("cost", "Cost", F("amount_usd"), "After discounts, before credits and tax."),
        _cost(
            "list_cost",
            "List cost",
            F("list_amount_usd"),
            "At list price, before discounts.",
            nullable="list_amount_usd",
        ),
        _cost(
            "savings",
            "Savings",
            F("list_amount_usd") - F("amount_usd"),
            "List cost less cost: what the discounts took off.",
            nullable="list_amount_usd",
        ),
        Metric(
            "requests",
            "Requests",
            Unit.COUNT,
            Source.USAGE,
            F("requests"),
            "API requests.",
            nullable="requests",
        ),
        Metric(
            "total_tokens",
            "Tokens",
            Unit.TOKENS,
            Source.USAGE,
            _TOKENS,
            "The five kinds of tokens below, added up.",
        ),
        _tokens("uncached_input_tokens", "Uncached input tokens", "Input not taken from a cache."),
        _tokens("cache_read_tokens", "Cache read tokens", "Input taken from a cache."),
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
        Metric(
            "web_searches",
            "Web searches",
            Unit.COUNT,
            Source.USAGE,
            F("web_searches"),
            "Searches the model made. They are not tokens.",
        ),
    )
}


def _of_person(field: str) -> Expression:
    return Coalesce(F(f"person__{field}"), Value(""), output_field=CharField())


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
        Dimension("day", "Day", Section.TIME, F("day")),
        Dimension("week", "Week", Section.TIME, TruncWeek("day", output_field=DateField())),
        Dimension("month", "Month", Section.TIME, TruncMonth("day", output_field=DateField())),
        Dimension("provider", "Provider", Section.STANDARD, None),
        Dimension("billing_account", "Billing Account", Section.STANDARD, None),
        Dimension("project_id", "Project/Account ID", Section.STANDARD, _PROJECT, is_person=True),
        Dimension("service", "Service", Section.STANDARD, F("meter__product")),
        Dimension("sku", "SKU", Section.STANDARD, F("meter__model")),
        Dimension("user_email", "User e-mail", Section.GENAI, _of_person("email"), is_person=True),
        Dimension("user_name", "User name", Section.GENAI, _of_person("name"), is_person=True),
        Dimension("user_state", "User state", Section.GENAI, _of_person("state"), is_person=True),
        Dimension("context_window", "Context window", Section.GENAI, F("meter__context_window")),
        Dimension("inference_geo", "Inference geography", Section.GENAI, F("meter__inference_geo")),
        Dimension("speed", "Speed", Section.GENAI, F("meter__speed")),
        Dimension(
            "cost_type", "Cost type", Section.GENAI, F("meter__cost_type"), sources=_COST_ONLY
        ),
        Dimension(
            "token_type", "Token type", Section.GENAI, F("meter__token_type"), sources=_COST_ONLY
        ),
        Dimension("organization_id", "Organization ID", Section.GENAI, F("meter__organization_id")),
    )
}
