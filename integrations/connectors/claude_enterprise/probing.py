"""The connection test: what an accepted key opens, in four requests at most."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from integrations.connectors.anthropic_api import successors
from integrations.connectors.anthropic_api.checklist import KEY, Checklist
from integrations.connectors.anthropic_api.lines import Part
from integrations.connectors.anthropic_api.rows import day_of
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
    REPORTS,
    SUCCESSORS,
    AnalyticsClient,
)
from integrations.connectors.claude_enterprise.dialects import FourReports, Successors
from integrations.window import Window

_SCOPE = "Scope read:analytics"
_PLAN = "Plan"
_COST = "Cost data"
_ENGAGEMENT = "Engagement data"
_ENDPOINTS = "Cost and usage endpoints"
_GROUPS = "Optional scope read:rbac_groups"


def probe(client: AnalyticsClient, today: date) -> Probe:
    """Find out what the key opens. Raises `ConnectorError` if it does not open enough."""
    found = Checklist(_SCOPE, ORGANIZATION, _PLAN, _COST, _ENGAGEMENT)
    with found.asking(_SCOPE):
        try:
            summaries = client.summaries(today - timedelta(days=7))
        except NotAvailable:  # the key is good, but then cost has to answer
            summaries = []
    engagement = max((day_of(entry.get("starting_at")) for entry in summaries), default=None)
    found.add(
        Check(KEY, "passed"),
        Check(_SCOPE, "passed"),
        Check(_ENGAGEMENT, "passed", f"Complete to {_day(engagement)}.")
        if engagement
        else Check(_ENGAGEMENT, "info", "Nothing in the last 7 days yet."),
    )
    if client.organization_id:
        found.add(Check(ORGANIZATION, "passed", client.organization_id))
    with found.asking(_COST):
        cost = _probe_cost(client, today, may_be_closed=bool(summaries))
    organization_id = client.organization_id or cost.organization_id
    found.add(
        Check(ORGANIZATION, "passed", organization_id)
        if organization_id
        else Check(ORGANIZATION, "info", "Anthropic did not name it."),
        _plan(cost, was_active=any(entry.get("daily_active_user_count") for entry in summaries)),
        *cost.checks,
        _probe_groups(client),
    )
    return Probe(
        organization_id=organization_id,
        checks=found.checks,
        cost_complete_to=cost.complete_to,
        engagement_complete_to=engagement,
        other_ids=(cost.organization_id,),
        options={"dialect": cost.dialect},
    )


def _plan(cost: "_Cost", *, was_active: bool) -> Check:
    """No answer names the plan; work that nobody is charged for gives seats away."""
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
    """What asking for cost found out. `is_charged` is None where no cost can be seen."""

    dialect: str
    checks: tuple[Check, ...]
    is_charged: bool | None = None
    complete_to: datetime | None = None
    organization_id: str = ""


def _probe_cost(client: AnalyticsClient, today: date, *, may_be_closed: bool) -> _Cost:
    """Cost may be closed to a plan: that is worth a line, not a failed test."""
    window = Window.last(4, today=today)
    try:
        part = next(Successors(client).cost(window))
    except ConnectorError as exc:
        # A beta whose answers we cannot read is as good as closed.
        if not (isinstance(exc, PayloadError) or successors.is_closed(exc)):
            raise
    else:
        detail = "The newer ones, in beta: every combination, however many a day has."
        found = _complete_to(part)
        return replace(
            found, dialect=SUCCESSORS, checks=(*found.checks, Check(_ENDPOINTS, "passed", detail))
        )
    try:
        part = next(FourReports(client).cost(window))
    except ConnectorError as exc:
        closed = isinstance(exc, ActionNeeded | PayloadError) and exc.status in {400, 403, 404}
        if closed and may_be_closed:
            detail = "Anthropic does not give out cost for this organization."
            return _Cost(REPORTS, (Check(_COST, "limited", detail),))
        raise
    found = _complete_to(part)
    detail = "The four reports every organization has."
    return replace(found, checks=(*found.checks, Check(_ENDPOINTS, "passed", detail)))


def _complete_to(part: Part) -> _Cost:
    """How far cost reaches, and whether there is any."""
    watermark = part.data_refreshed_at
    if watermark is None:
        check = Check(
            _COST, "limited", "Anthropic has not published any cost of the last days yet."
        )
        return _Cost(REPORTS, (check,), organization_id=part.organization_id)
    charged = sum((line.numbers[0] or Decimal() for line in part.lines), Decimal())
    check = Check(_COST, "passed", f"Complete to {_day(watermark)}, {watermark:%H:%M} UTC.")
    return _Cost(REPORTS, (check,), bool(charged), watermark, part.organization_id)


def _probe_groups(client: AnalyticsClient) -> Check:
    """Names of groups are a welcome extra: nothing that happens here fails the test."""
    try:
        next(client.groups())
    except ConnectorError as exc:
        if isinstance(exc, ActionNeeded):
            detail = "Missing. Only groups in which somebody was active get their names."
            return Check(_GROUPS, "limited", detail)
        return Check(_GROUPS, "skipped", "Anthropic did not say.")
    return Check(_GROUPS, "passed", "Groups are shown by their names.")


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
