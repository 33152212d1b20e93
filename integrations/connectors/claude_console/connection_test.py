"""The connection test: what an accepted key opens, and how it wants to be asked."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from integrations.connectors.anthropic import children, comparing
from integrations.connectors.anthropic.connection_test import KEY, TestChecklist
from integrations.connectors.anthropic.limits import BETA_REPORTS, LEGACY_REPORTS
from integrations.connectors.anthropic.reports import Line, Part
from integrations.connectors.anthropic.trial import try_out
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
    complete_to = _refreshed(newer or reported)
    client.api_variant = BETA_REPORTS if newer else LEGACY_REPORTS
    children.learn(client, BetaReports(client).cost, today)
    checklist.add(
        Check(_COST, "passed", f"Complete to {_instant(complete_to)}.")
        if any(line.numbers[0] for part in reported for line in part.lines)
        else Check(_COST, "info", f"No cost in the last {_DAYS} days."),
        endpoints,
        try_out(client, FEEDS, today),
        *children.checks(client),
    )
    return Probe(
        organization_id=organization_id,
        checks=checklist.checks,
        cost_complete_to=complete_to,
        other_ids=(organization.id,),
        options={**client.learned.options, "dialect": client.api_variant},
    )


def _usage_if_open(api_variant: ReportApi, window: Window) -> list[Part] | None:
    return comparing.whole_if_open(lambda: api_variant.usage(window, group_by=_BY))


def _newer(
    client: AdminClient, window: Window, reported: Sequence[Part]
) -> tuple[list[Part], Check]:
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
    complete_to = _refreshed(parts)
    days = [day for day in window if complete_to and midnight(day) <= complete_to - _UNSETTLED]
    was_empty = True
    for older, newer, number, unit in (
        (reported, parts, _dollars_of, "${:f}"),
        (_usage_if_open(LegacyReports(client), window), tokens, _tokens_of, "{:,} tokens"),
    ):
        if older is None:
            continue
        old, new = (
            comparing.nonzero(them, days, number, lambda line: line.values[0] or "")
            for them in (older, newer)
        )
        apart = comparing.difference(old, new)
        if apart is not None:
            sentence = (
                f"The beta reports are not used: for {_date(apart.day)} they report "
                f"{unit.format(apart.newer)} instead of {unit.format(apart.older)}."
            )
            client.learned.note_versions(sentence)
            return [], Check(_ENDPOINTS, "info", f"{_ANYBODY} {sentence}")
        was_empty = was_empty and not old
    if was_empty:
        sentence = "The beta reports are not used: there was nothing yet to compare."
        return [], Check(_ENDPOINTS, "info", f"{_ANYBODY} {sentence}")
    same = "The beta reports. They report the same cost and tokens as the legacy reports."
    return parts, Check(_ENDPOINTS, "passed", same)


def _dollars_of(line: Line) -> Decimal | int | None:
    return line.numbers[0]


def _tokens_of(line: Line) -> int:
    return sum(int(number) for number in line.numbers if number)


def _refreshed(parts: Sequence[Part]) -> datetime | None:
    return parts[0].data_refreshed_at if parts else None


def _date(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _instant(at: datetime | None) -> str:
    return f"{_date(at.date())}, {at:%H:%M} UTC" if at else "no day yet"
