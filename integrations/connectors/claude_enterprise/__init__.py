"""Claude Enterprise through its Analytics API: the card Anthropic (Analytics API)."""

from contextlib import AbstractContextManager
from datetime import date
from typing import Any

from django.conf import settings

from integrations.connectors.base import Access, Connector, Feed, Probe


class ClaudeEnterprise(Connector):
    slug = "claude-enterprise"
    name = "Anthropic (Analytics API)"
    summary = "Claude Enterprise cost, usage and engagement"
    tab = "Others"
    icon = "an"
    key_label = "Analytics API Key"
    key_prefix = "sk-ant-api01-"
    feeds: tuple[Feed, ...] = ()

    @property
    def base_url(self) -> str:
        return str(settings.ANTHROPIC_BASE_URL)

    @property
    def requests_per_minute(self) -> int:
        return int(settings.ANTHROPIC_REQUESTS_PER_MINUTE)

    def check_key(self, key: str) -> None:
        raise NotImplementedError

    def open(self, access: Access) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def probe(self, access: Access, *, today: date) -> Probe:
        raise NotImplementedError

    def earliest_day(self, today: date) -> date:
        raise NotImplementedError

    def closes_on(self, day: date) -> date:
        raise NotImplementedError

    def sandbox(self) -> Any:
        raise NotImplementedError
