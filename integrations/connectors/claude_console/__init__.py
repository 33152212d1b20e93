"""The Claude Console through its Admin API: the card Anthropic (Claude Console)."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import date

from integrations.connectors import environment
from integrations.connectors.anthropic import limits
from integrations.connectors.anthropic.catalog import BASE_URL
from integrations.connectors.anthropic.keys import KeyFormat
from integrations.connectors.base import Access, Connector, Probe
from integrations.connectors.claude_console import connection_test
from integrations.connectors.claude_console.catalog import CATALOG, PACE
from integrations.connectors.claude_console.client import AdminClient
from integrations.connectors.claude_console.feeds import FEEDS
from integrations.connectors.claude_console.feeds.beta import CUT, LABELED
from integrations.connectors.claude_console.feeds.meters import SURFACE_FROM

# How far back is not stated. Nothing was sold before 2023, and feeds stop where nothing was used.
_OLDEST_DAY = date(2023, 1, 1)

_KEY = KeyFormat(
    name="an Admin key",
    prefix="sk-ant-admin01-",
    new_key="Ask an admin of the Claude Console for an Admin key: platform.claude.com, Settings, "
    "Admin keys.",
)


class ClaudeConsole(Connector):
    slug = "claude-console"
    name = "Anthropic (Claude Console)"
    publisher = "Anthropic"
    summary = "Claude API cost, tokens and Claude Code activity"
    tab = "Data & AI"
    icon = "con"
    key_label = "Admin API Key"
    key_prefix = _KEY.prefix
    key_owner = "admin"
    feeds = FEEDS
    catalog = CATALOG
    not_reported = (
        "The cost of Priority Tier, which is committed ahead. Its tokens are reported.",
        "Claude through Amazon Bedrock, Google Cloud, Microsoft Foundry or Claude Platform on AWS.",
        "List prices, requests and cost by key or person, unless Anthropic has opened its beta "
        "reports to the organization. Then they stand beside the total.",
        "Claude Code of people who sign in with a claude.ai subscription: Anthropic's report is "
        "known to list API users only (anthropics/claude-code#27780). Members of Claude Enterprise "
        "are counted by that connection.",
        "Names of service accounts. Admin keys may not read them, so their ids are shown until "
        "you name them under “Service accounts” on this page.",
    )

    @property
    def base_url(self) -> str:
        return environment.base_url(BASE_URL)

    @property
    def requests_per_minute(self) -> int:
        return environment.requests_per_minute(PACE)

    def check_key(self, key: str) -> None:
        """Tell keys apart by their prefix."""
        _KEY.check(key)

    def open(self, access: Access) -> AbstractContextManager[AdminClient]:
        return AdminClient(access)

    def probe(self, access: Access, *, today: date) -> Probe:
        """Read the organization and two weeks of cost in both API variants."""
        with self.open(access) as client:
            return connection_test.probe(client, today)

    def not_read(self, options: Mapping[str, str]) -> tuple[str, ...]:
        return limits.missing(options)

    def refused_dimensions(self, options: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
        return {
            table: names | {"product"} if names & SURFACE_FROM else names
            for table, names in limits.refused_dimensions(options).items()
        }

    def answered_again(
        self, before: Mapping[str, str], after: Mapping[str, str]
    ) -> Mapping[str, Mapping[str, frozenset[str]]]:
        return {
            # The names of tables of documents are those of their feeds.
            table: {
                CUT.get(name, name) if table in LABELED else name: values
                for name, values in dimensions.items()
            }
            for table, dimensions in limits.answered_again(before, after).items()
        }

    def independent_way(self, options: Mapping[str, str]) -> Mapping[str, str] | None:
        return limits.older_way(options)

    def earliest_day(self, today: date) -> date:
        return _OLDEST_DAY
