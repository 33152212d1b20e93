"""Claude Enterprise through its Analytics API: the card Anthropic (Analytics API)."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import date

from integrations.connectors import environment
from integrations.connectors.anthropic import limits
from integrations.connectors.anthropic.catalog import BASE_URL
from integrations.connectors.anthropic.keys import KeyFormat
from integrations.connectors.base import Access, Connector, Probe
from integrations.connectors.claude_enterprise import connection_test
from integrations.connectors.claude_enterprise.catalog import CATALOG, PACE
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds import FEEDS
from integrations.connectors.claude_enterprise.feeds.activity import ITEM_KINDS
from integrations.connectors.claude_enterprise.feeds.days import earliest_day

_KEY = KeyFormat(
    name="an Analytics API key",
    prefix="sk-ant-api01-",
    new_key="Ask the Primary Owner for an Analytics API key: claude.ai, Organization settings, "
    "API, with the scope read:analytics.",
)


class ClaudeEnterprise(Connector):
    slug = "claude-enterprise"
    name = "Anthropic (Analytics API)"
    publisher = "Anthropic"
    summary = "Claude Enterprise cost, usage and engagement"
    tab = "Others"
    icon = "an"
    key_label = "Analytics API Key"
    key_prefix = _KEY.prefix
    key_owner = "Primary Owner"
    feeds = FEEDS
    catalog = CATALOG
    not_reported = (
        "Seat fees. On seat-based plans Anthropic reports additional usage charges only.",
        "Claude Code through Amazon Bedrock.",
    )

    @property
    def base_url(self) -> str:
        return environment.base_url(BASE_URL)

    @property
    def requests_per_minute(self) -> int:
        return environment.requests_per_minute(PACE)

    def check_key(self, key: str) -> None:
        """Tell keys apart by their prefix. `sk-ant-api01-` proves the product, not the scope."""
        _KEY.check(key)

    def open(self, access: Access) -> AbstractContextManager[AnalyticsClient]:
        return AnalyticsClient(access)

    def probe(self, access: Access, *, today: date) -> Probe:
        """Ask for a week of summaries, a few days of cost, and one group."""
        with self.open(access) as client:
            return connection_test.probe(client, today)

    def not_read(self, options: Mapping[str, str]) -> tuple[str, ...]:
        return limits.missing(options)

    def refused_dimensions(self, options: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
        return limits.refused_dimensions(options)

    def answered_again(
        self, before: Mapping[str, str], after: Mapping[str, str]
    ) -> Mapping[str, Mapping[str, frozenset[str]]]:
        answered = limits.answered_again(before, after)
        feeds = {
            f"{kind.feed}_by_person": {"service": values}
            for kind in ITEM_KINDS
            for values in answered.pop(kind.endpoint, {}).values()
        }
        return answered | feeds

    def independent_way(self, options: Mapping[str, str]) -> Mapping[str, str] | None:
        return limits.older_way(options)

    def earliest_day(self, today: date) -> date:
        return earliest_day(today)
