"""The numbers of the two metered fact tables, by column name."""

COST_MEASURES = ("amount_usd", "list_amount_usd")
USAGE_MEASURES = (
    "requests",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "web_searches",
)
TOKEN_MEASURES = USAGE_MEASURES[1:6]
