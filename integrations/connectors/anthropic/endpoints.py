"""Declarations of the fields that reports of both products share."""

from integrations.connectors.base import Field
from integrations.connectors.records import METER_FIELDS

DOCUMENT = "EngagementFact"
NAMES = "Resource.name"


def meter(name: str, shown: str = "") -> Field:
    """Declare a dimension of cost and tokens."""
    column = name if name in METER_FIELDS else "attributes"
    return Field(name, f"Meter.{column}", shown or name)


def unread(name: str, why: str, shown: str = "") -> Field:
    """Declare a field that is not stored, with the reason."""
    return Field(name, shown=shown, why=why)


COST = (
    Field("amount", "CostFact.effective_cost", "cost"),
    Field("list_amount", "CostFact.list_cost", "list_cost"),
    unread("currency", "Not stored: another currency than US dollars is refused."),
    Field("requests", why="Not stored: the requests of usage are."),
)
TOKENS = (
    Field("uncached_input_tokens", "UsageFact.uncached_input_tokens", "uncached_input_tokens"),
    Field("cache_read_input_tokens", "UsageFact.cache_read_tokens", "cache_read_tokens"),
    Field(
        "cache_creation.ephemeral_5m_input_tokens",
        "UsageFact.cache_write_5m_tokens",
        "cache_write_5m_tokens",
    ),
    Field(
        "cache_creation.ephemeral_1h_input_tokens",
        "UsageFact.cache_write_1h_tokens",
        "cache_write_1h_tokens",
    ),
    Field("output_tokens", "UsageFact.output_tokens", "output_tokens"),
    Field("requests", "UsageFact.requests", "requests"),
    Field("server_tool_use.web_search_requests", "UsageFact.web_searches", "web_searches"),
)
PERSON = (
    Field("actor.type", "Person.kind", why="Shown as a tag beside the person."),
    Field("actor.user_id", "Person.external_id", "user_id"),
    Field("actor.email", "Person.email", "user_email"),
    Field("actor.email_address", "Person.email", "user_email"),
    Field("actor.name", "Person.name", "user_name"),
    Field("actor.deleted", "Person.state", "user_state"),
    *(
        Field(f"actor.{name}", "Person.external_id", "user_id")
        for name in ("service_account_id", "api_key_id", "scoped_api_key_id")
    ),
    *(
        Field(f"actor.{name}", "Person.external_id", "user_id")
        for name in ("subject", "provider.*")
    ),
)
ENVELOPE = (
    Field("starting_at", "the day of the row", "day"),
    unread("ending_at", "Not stored: rows are of one day."),
    Field("data_refreshed_at", "FeedDay.watermark", why="Shown as “complete to”."),
    Field("organization_id", "Meter.organization_id", "organization_id"),
)
