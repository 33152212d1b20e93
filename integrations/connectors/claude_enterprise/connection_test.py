"""The connection test: what an accepted key opens, and how it wants to be asked."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from integrations.connectors.anthropic import children, comparing
from integrations.connectors.anthropic.connection_test import KEY, TestChecklist
from integrations.connectors.anthropic.limits import BETA_REPORTS, LEGACY_REPORTS
from integrations.connectors.anthropic.parsing import day_of
from integrations.connectors.anthropic.reports import ReportPage
from integrations.connectors.base import (
    ORGANIZATION,
    ActionNeeded,
    Check,
    ConnectorError,
    NotAvailable,
    PayloadError,
    Probe,
)
from integrations.connectors.claude_enterprise.client import (
    LONGEST_RANGE,
    AnalyticsClient,
)
from integrations.connectors.claude_enterprise.feeds import FEEDS, activity
from integrations.connectors.claude_enterprise.report_api import BetaReports, LegacyReports
from integrations.window import Window

_SCOPE = "Scope read:analytics"
_PLAN = "Plan"
_COST = "Cost data"
_ENGAGEMENT = "Engagement data"
_ENDPOINTS = "Cost and usage endpoints"
_GROUPS = "Optional scope read:rbac_groups"


def probe(client: AnalyticsClient, today: date) -> Probe:
    """Find out what the key opens. Raises `ConnectorError` if it does not open enough."""
    checklist = TestChecklist(_SCOPE, ORGANIZATION, _PLAN, _COST, _ENGAGEMENT)
    with checklist.asking(_SCOPE):
        try:
            summaries = client.summaries(today - timedelta(days=7))
        except NotAvailable:  # the key is good, but then cost has to answer
            summaries = []
    engagement = max((day_of(entry.get("starting_at")) for entry in summaries), default=None)
    checklist.add(
        Check(KEY, "passed"),
        Check(_SCOPE, "passed"),
        Check(_ENGAGEMENT, "passed", f"Complete to {comparing.date_in_words(engagement)}.")
        if engagement
        else Check(_ENGAGEMENT, "info", "Nothing in the last 7 days yet."),
    )
    if client.organization_id:
        checklist.add(Check(ORGANIZATION, "passed", client.organization_id))
    with checklist.asking(_COST):
        cost = _probe_cost(client, today, may_be_closed=bool(summaries))
    organization_id = client.organization_id or cost.organization_id
    client.api_variant = cost.api_variant
    children.learn(client, BetaReports(client).cost, today)
    activity.recheck_left_out(client, today)
    return checklist.conclude(
        client,
        Check(ORGANIZATION, "passed", organization_id)
        if organization_id
        else Check(ORGANIZATION, "info", "Anthropic did not name it."),
        _plan(cost, was_active=any(entry.get("daily_active_user_count") for entry in summaries)),
        *cost.checks,
        _probe_groups(client),
        feeds=FEEDS,
        today=today,
        organization_id=organization_id,
        cost_complete_to=cost.complete_to,
        engagement_complete_to=engagement,
        other_ids=(cost.organization_id,),
    )


def _plan(cost: "_Cost", *, was_active: bool) -> Check:
    """Return the plan, which no response names: use that is not charged implies seats."""
    if cost.is_charged is None:
        return Check(_PLAN, "info", "Not shown by the API.")
    if cost.is_charged:
        return Check(
            _PLAN,
            "info",
            "Not shown by the API. There is cost in the last days: all of it on a usage-based "
            "plan, additional usage charges only on a seat-based one.",
        )
    if was_active:
        return Check(
            _PLAN,
            "limited",
            "Probably seat-based: people were active, but no cost was charged in the last days. "
            "Cost then shows additional usage charges only; seat fees are not included.",
        )
    return Check(_PLAN, "info", "Not shown by the API. Nothing was used in the last days.")


@dataclass(frozen=True)
class _Cost:
    """Outcome of the test of cost. `is_charged` is None where no cost is visible."""

    api_variant: str
    checks: tuple[Check, ...]
    is_charged: bool | None = None
    complete_to: datetime | None = None
    organization_id: str = ""


def _probe_cost(client: AnalyticsClient, today: date, *, may_be_closed: bool) -> _Cost:
    """Cost may be closed to a plan: that is worth a line, not a failed test."""
    window = Window.last(LONGEST_RANGE, today=today)
    client.learned.note_versions("")
    newer = comparing.whole_if_open(lambda: BetaReports(client).cost(window))
    try:
        older = comparing.whole(lambda: LegacyReports(client).cost(window))
    except ConnectorError as exc:
        closed = isinstance(exc, ActionNeeded | PayloadError) and exc.status in _CLOSED
        if closed and newer is not None:
            return _with(newer, BETA_REPORTS, Check(_ENDPOINTS, "info", _UNCOMPARED))
        if closed and may_be_closed:
            detail = "Anthropic does not give out cost for this organization."
            return _Cost(LEGACY_REPORTS, (Check(_COST, "limited", detail),))
        raise
    if newer is None:
        return _with(older, LEGACY_REPORTS, Check(_ENDPOINTS, "passed", _ANYBODY))
    apart = _difference(client, window, older, newer)
    if apart == "":
        return _with(newer, BETA_REPORTS, Check(_ENDPOINTS, "passed", _SAME))
    if apart is None:
        return _with(
            older,
            LEGACY_REPORTS,
            Check(_ENDPOINTS, "info", f"{_ANYBODY} {comparing.NOTHING_TO_COMPARE}"),
        )
    client.learned.note_versions(apart)
    return _with(older, LEGACY_REPORTS, Check(_ENDPOINTS, "info", f"{_ANYBODY} {apart}"))


_CLOSED = {400, 403, 404}
_ANYBODY = "The four reports every organization has."
_SAME = (
    "The beta reports: every combination, however many a day has. For each day, their cost and "
    "tokens equal those of the four reports."
)
_CHILDREN = "They leave out child organizations with HIPAA readiness."
_UNCOMPARED = (
    "The beta reports. The four reports are closed, so it is unknown whether the beta reports are "
    "complete: child organizations with HIPAA readiness are not included."
)


def _difference(
    client: AnalyticsClient, window: Window, older: list[ReportPage], newer: list[ReportPage]
) -> str | None:
    """Describe how the beta reports differ; "" if not at all; None if nothing shows it.

    Over days that had ended in both exports, in dollars and then in tokens: an organization with
    seats may have no cost.
    """
    days = comparing.settled(window, comparing.refreshed(older), comparing.refreshed(newer))
    tokens = _tokens_of(client, window)
    pairs = [comparing.pair_of_cost(older, newer)]
    pairs += [comparing.pair_of_tokens(*tokens, slice(1, 6))] if tokens else []
    apart = comparing.disagreement(days, pairs)
    return f"{apart} {_CHILDREN}" if apart else apart


def _tokens_of(
    client: AnalyticsClient, window: Window
) -> tuple[list[ReportPage], list[ReportPage]] | None:
    """Return the tokens in both versions; None if one of them is closed."""
    newer = comparing.whole_if_open(lambda: BetaReports(client).usage(window))
    older = (
        comparing.whole_if_open(lambda: LegacyReports(client).usage(window))
        if newer is not None
        else None
    )
    return None if newer is None or older is None else (older, newer)


def _with(parts: list[ReportPage], api_variant: str, check: Check) -> _Cost:
    """Return what is known of cost if one version is used."""
    cost = _complete_to(parts)
    return replace(cost, api_variant=api_variant, checks=(*cost.checks, check))


def _complete_to(parts: list[ReportPage]) -> _Cost:
    """Return the instant to which cost is complete, and whether the last days have any."""
    watermark = comparing.refreshed(parts)
    organization_id = next((part.organization_id for part in parts), "")
    if watermark is None:
        check = Check(
            _COST, "limited", "Anthropic has not published any cost of the last days yet."
        )
        return _Cost(LEGACY_REPORTS, (check,), organization_id=organization_id)
    lines = [line for part in parts for line in part.rows]
    charged = sum((line.numbers[0] or Decimal() for line in lines), Decimal())
    check = Check(_COST, "passed", f"Complete to {comparing.instant_in_words(watermark)}.")
    return _Cost(LEGACY_REPORTS, (check,), bool(charged), watermark, organization_id)


def _probe_groups(client: AnalyticsClient) -> Check:
    """Names of groups are a welcome extra: nothing that happens here fails the test."""
    try:
        next(client.groups())
    except ConnectorError as exc:
        if isinstance(exc, ActionNeeded):
            detail = "Missing. Only groups with active members get their names."
            return Check(_GROUPS, "limited", detail)
        return Check(_GROUPS, "skipped", "Anthropic did not say.")
    return Check(_GROUPS, "passed", "Groups are shown by their names.")
