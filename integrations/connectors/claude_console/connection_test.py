"""The connection test: what an accepted key opens, and how it wants to be asked."""

from collections.abc import Sequence
from datetime import date, timedelta

from integrations.connectors.anthropic import children, comparing
from integrations.connectors.anthropic.connection_test import KEY, TestChecklist
from integrations.connectors.anthropic.limits import BETA_REPORTS, LEGACY_REPORTS
from integrations.connectors.anthropic.reports import ReportPage
from integrations.connectors.base import (
    ORGANIZATION,
    Check,
    Probe,
)
from integrations.connectors.claude_console.client import AdminClient
from integrations.connectors.claude_console.feeds import FEEDS
from integrations.connectors.claude_console.report_api import BetaReports, LegacyReports, ReportApi
from integrations.window import Window, midnight

_COST = "Cost data"
_ENDPOINTS = "Cost and usage endpoints"
_ANYBODY = "The reports every organization has."
_DAYS = 14
_BY = ("workspace_id",)
_UNSETTLED = timedelta(days=3)  # how long late use may be in only one API variant


def probe(client: AdminClient, today: date) -> Probe:
    """Read the organization and two weeks of cost in both API variants, as imports do."""
    window = Window.last(_DAYS, today=today)
    checklist = TestChecklist(ORGANIZATION, _COST)
    with checklist.asking(ORGANIZATION):
        organization = client.organization()
    # As the header spells it, like the other card: so that one organization is one.
    organization_id = client.organization_id or organization.id
    named = ", ".join(filter(None, [organization.name, organization_id]))
    checklist.add(Check(KEY, "passed"), Check(ORGANIZATION, "passed", named))
    with checklist.asking(_COST):
        reported = comparing.whole(lambda: LegacyReports(client).cost(window, group_by=_BY))
        newer, endpoints = _newer(client, window, reported)
    complete_to = comparing.refreshed(newer or reported)
    client.api_variant = BETA_REPORTS if newer else LEGACY_REPORTS
    children.learn(client, BetaReports(client).cost, today)
    had_cost = any(line.numbers[0] for part in reported for line in part.rows)
    return checklist.conclude(
        client,
        Check(_COST, "passed", f"Complete to {comparing.instant_in_words(complete_to)}.")
        if had_cost
        else Check(_COST, "info", f"No cost in the last {_DAYS} days."),
        endpoints,
        feeds=FEEDS,
        today=today,
        organization_id=organization_id,
        cost_complete_to=complete_to,
        other_ids=(organization.id,),
    )


def _usage_if_open(api_variant: ReportApi, window: Window) -> list[ReportPage] | None:
    return comparing.whole_if_open(lambda: api_variant.usage(window, group_by=_BY))


def _newer(
    client: AdminClient, window: Window, reported: Sequence[ReportPage]
) -> tuple[list[ReportPage], Check]:
    """Return the cost of the beta reports, or nothing if they shall not be used; and why.

    Nothing documents what they hold for an Admin key: they have to report the same dollars and
    the same tokens, workspace by workspace, on days that have settled. Tokens are not compared
    where the legacy report of them is closed.
    """
    client.learned.note_versions("")
    parts = comparing.whole_if_open(lambda: BetaReports(client).cost(window, group_by=_BY))
    tokens = None if parts is None else _usage_if_open(BetaReports(client), window)
    if parts is None or tokens is None:
        return [], Check(_ENDPOINTS, "passed", _ANYBODY)
    complete_to = comparing.refreshed(parts)
    days = [day for day in window if complete_to and midnight(day) <= complete_to - _UNSETTLED]
    pairs = [comparing.pair_of_cost(reported, parts)]
    legacy_tokens = _usage_if_open(LegacyReports(client), window)
    if legacy_tokens is not None:
        pairs.append(comparing.pair_of_tokens(legacy_tokens, tokens, slice(None)))
    apart = comparing.disagreement(days, pairs, group=lambda line: line.values[0] or "")
    if apart is None:
        return [], Check(_ENDPOINTS, "info", f"{_ANYBODY} {comparing.NOTHING_TO_COMPARE}")
    if apart:
        client.learned.note_versions(apart)
        return [], Check(_ENDPOINTS, "info", f"{_ANYBODY} {apart}")
    same = "The beta reports. They report the same cost and tokens as the legacy reports."
    return parts, Check(_ENDPOINTS, "passed", same)
