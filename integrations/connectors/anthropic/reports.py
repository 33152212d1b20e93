"""Rows of cost and usage reports in one shape for all endpoints.

The endpoints differ in nesting and spelling, not in meaning, so feeds are written once. Money is in
dollars, exactly; a number that was not reported is None.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, reduce
from typing import NamedTuple, Protocol

import msgspec

from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.parsing import in_dollars, payload_error, usd
from integrations.connectors.records import MeterKey, meter_key
from integrations.exact import add, subtract

Numbers = tuple[Decimal | int | None, ...]  # in the order of COST_MEASURES or USAGE_MEASURES

# One product, three spellings over time. `claude_in_slack` is not among them: that is another,
# retiring bot.
CLAUDE_TAG = "claude_tag"
_SPELLINGS = {"claude-in-slack": CLAUDE_TAG, "claude-tag": CLAUDE_TAG}

_TOO_MANY = 2**63

Values = tuple[str | None, ...]  # of the dimensions grouped by, in their order, as sent


class ReportRow(NamedTuple):
    """One row. `actor` is None if the report was not grouped by it, or if the row has none."""

    day: date
    actor: Actor | None
    values: Values
    numbers: Numbers


class ReportPage(NamedTuple):
    """One page of rows. `data_refreshed_at` is the instant of the export that served it."""

    rows: tuple[ReportRow, ...]
    data_refreshed_at: datetime | None
    organization_id: str


def meter_of(names: Sequence[str], values: Values) -> MeterKey:
    """Return the meter of a row that was grouped by `names`; null becomes ""."""
    return _meter(tuple(names), values)


@lru_cache(maxsize=8192)
def _meter(names: tuple[str, ...], values: Values) -> MeterKey:
    known = {n: value for n, value in zip(names, values, strict=True) if value}
    if "product" in known:
        known["product"] = product_of(known["product"])
    return meter_key(known)


def product_of(word: str | None) -> str:
    """Return the product by its newest name, or "" if none is named."""
    return _SPELLINGS.get(word or "", word or "")


# --- What rows hold ------------------------------------------------------------------------


class Dimensions(msgspec.Struct):
    """Dimensions of a row. Null: not grouped by it, or not known."""

    product: str | None = None
    model: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    cost_type: str | None = None
    token_type: str | None = None
    service_tier: str | None = None
    organization_id: str | None = None
    workspace_id: str | None = None
    api_key_id: str | None = None
    rbac_group_id: str | None = None
    slack_channel_id: str | None = None


class CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None
    ephemeral_5m_input_tokens: int | None = None


class ServerToolUse(msgspec.Struct):
    web_search_requests: int | None = None


class Priced(Protocol):
    """Cents as decimal strings, after and before discounts: "41280.000000" is $412.80."""

    amount: Decimal
    list_amount: Decimal | None
    currency: str | None


class Counted(Protocol):
    """Tokens by kind, requests and searches."""

    uncached_input_tokens: int | None
    cache_read_input_tokens: int | None
    cache_creation: CacheCreation | None
    output_tokens: int | None
    server_tool_use: ServerToolUse | None
    requests: int | None


def dollars(row: Priced) -> Numbers:
    """Return the values of `COST_MEASURES`; raise `PayloadError` for another currency than USD."""
    in_dollars(row.currency)
    return usd(row.amount), None if row.list_amount is None else usd(row.list_amount)


def counts(row: Counted) -> Numbers:
    """Return the values of `USAGE_MEASURES`. Tokens that are not named were not used.

    Raises `PayloadError` for a count beyond 64 bits, which no column of counts holds.
    """
    written, tools = row.cache_creation, row.server_tool_use
    measures = (
        row.requests,
        row.uncached_input_tokens or 0,
        row.cache_read_input_tokens or 0,
        (written and written.ephemeral_5m_input_tokens) or 0,
        (written and written.ephemeral_1h_input_tokens) or 0,
        row.output_tokens or 0,
        (tools and tools.web_search_requests) or 0,
    )
    if any(number is not None and abs(number) >= _TOO_MANY for number in measures):
        raise payload_error("a count beyond 64 bits")
    return measures


# --- Sums ----------------------------------------------------------------------------------


def add_measures(one: Numbers, other: Numbers) -> Numbers:
    """Add two lists of measures; an unknown value on either side makes the sum unknown."""
    return tuple(
        None if left is None or right is None else add(left, right)
        for left, right in zip(one, other, strict=True)
    )


def subtract_measures(one: Numbers, other: Numbers) -> Numbers:
    """Subtract two lists of measures; an unknown value makes the difference unknown."""
    return tuple(
        None if left is None or right is None else subtract(left, right)
        for left, right in zip(one, other, strict=True)
    )


def total(numbers: Iterable[Numbers], measures: Sequence[str]) -> Numbers:
    """Zero of every measure if there is nothing to add."""
    return reduce(add_measures, numbers, zero_measures(measures))


def zero_measures(measures: Sequence[str]) -> Numbers:
    return (0,) * len(measures)
