"""Claude Enterprise through its Analytics API: the card Anthropic (Analytics API)."""

from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta

from django.conf import settings

from integrations.connectors.anthropic_api.keys import KeyKind
from integrations.connectors.anthropic_api.rows import day_of
from integrations.connectors.base import (
    Access,
    ActionNeeded,
    Check,
    Connector,
    ConnectorError,
    NotAvailable,
    PayloadError,
    Probe,
)
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds import FEEDS, first_day, sum_of_costs
from integrations.connectors.claude_enterprise.sandbox import Sandbox
from integrations.window import Window

_KEY = KeyKind(
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
    feeds = FEEDS
    not_reported = (
        "Seat fees. On seat-based plans Anthropic reports additional usage charges only.",
        "Claude Code through Amazon Bedrock.",
    )

    @property
    def base_url(self) -> str:
        return str(settings.ANTHROPIC_BASE_URL)

    @property
    def requests_per_minute(self) -> int:
        return int(settings.ANTHROPIC_REQUESTS_PER_MINUTE)

    def check_key(self, key: str) -> None:
        """Tell keys apart by their prefix. `sk-ant-api01-` proves the product, not the scope."""
        _KEY.check(key)

    def open(self, access: Access) -> AbstractContextManager[AnalyticsClient]:
        return AnalyticsClient(access)

    def probe(self, access: Access, *, today: date) -> Probe:
        """Ask for a week of summaries and a few days of cost: two requests."""
        with self.open(access) as client:
            try:
                summaries = client.summaries(today - timedelta(days=7))
            except NotAvailable:  # the key is good, but then cost has to answer
                summaries = []
            engagement = max(
                (day_of(entry.get("starting_at")) for entry in summaries), default=None
            )
            cost_check, cost_complete_to, cost_organization = _probe_cost(
                client, today, may_be_closed=bool(summaries)
            )
            organization_id = client.organization_id or cost_organization
        recognized = (
            Check("Organization recognized", "passed", organization_id)
            if organization_id
            else Check("Organization recognized", "info", "Anthropic did not name it.")
        )
        activity = (
            Check("Engagement data", "passed", f"Complete to {_day(engagement)}.")
            if engagement
            else Check("Engagement data", "info", "Nothing in the last 7 days yet.")
        )
        return Probe(
            organization_id=organization_id,
            checks=(
                Check("Key accepted", "passed"),
                Check("Scope read:analytics", "passed"),
                recognized,
                cost_check,
                activity,
            ),
            cost_complete_to=cost_complete_to,
            engagement_complete_to=engagement,
        )

    def earliest_day(self, today: date) -> date:
        return first_day(today)

    def sandbox(self) -> Sandbox:
        return Sandbox()


def _probe_cost(
    client: AnalyticsClient, today: date, *, may_be_closed: bool
) -> tuple[Check, datetime | None, str]:
    """Cost may be closed to a plan: that is worth a line, not a failed test."""
    label = "Cost data"
    try:
        report = next(client.cost_report(Window.last(4, today=today)))
    except ConnectorError as exc:
        closed = isinstance(exc, ActionNeeded | PayloadError) and exc.status in {400, 403, 404}
        if closed and may_be_closed:
            detail = "Anthropic does not give out cost for this organization."
            return Check(label, "info", detail), None, ""
        raise
    watermark, organization_id = report.data_refreshed_at, report.organization_id or ""
    if watermark is None:
        detail = "Anthropic has not published any cost of the last days yet."
        return Check(label, "info", detail), None, organization_id
    complete = f"Complete to {_day(watermark)}, {watermark:%H:%M} UTC."
    if not sum_of_costs(report):
        detail = (
            f"{complete} No cost in the last days: seat-based plans show additional usage "
            "charges only."
        )
        return Check(label, "info", detail), watermark, organization_id
    return Check(label, "passed", complete), watermark, organization_id


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
