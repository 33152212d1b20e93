"""The streams of the Analytics API: which endpoint fills which table, and how a row translates.

Here nulls become "". Every feed is a generator that asks for nothing its reader does not want:
who stops after the first page has sent one request.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

from integrations.connectors.anthropic.tolerance import reporting_skipped_rows
from integrations.connectors.base import Feed, Table
from integrations.connectors.claude_enterprise.feeds import activity, groups, organization, people
from integrations.connectors.claude_enterprise.feeds.activity import (
    ARTIFACTS,
    CONNECTORS,
    PLUGINS,
    PROJECTS,
    SKILLS,
    UNIFIED,
    UsageListing,
)
from integrations.connectors.claude_enterprise.feeds.days import (
    LONGEST_RANGE,
    closes_on,
    open_period,
    revised_days,
)
from integrations.connectors.records import Page
from integrations.window import Window

Reader = Callable[[Any, Window], Iterator[Page]]


def _exported(
    name: str, label: str, table: Table, read: Reader, grain: Literal["total", "person"] = "total"
) -> Feed:
    """From the exports of cost and usage: a watermark, and days that move for a month."""
    return Feed(
        name=name,
        label=label,
        table=table,
        grain=grain,
        window_days=LONGEST_RANGE,
        refresh_days=open_period,
        closes_on=closes_on,
        read=read,
        exported=True,
    )


# Whose acts `/users` counts, block by block. Where Chat and Cowork are unified for a member, the
# provider counts in the unified block instead.
_COUNTED = {
    "chat": ("chat_metrics.message_count", f"{UNIFIED}.chat.message_count"),
    "claude_code": ("claude_code_metrics.core_metrics.distinct_session_count",),
    "cowork": tuple(
        f"{block}.{count}"
        for block in ("cowork_metrics", f"{UNIFIED}.sessions")
        for count in ("message_count", "action_count")
    ),
    "office_agent": tuple(
        f"office_metrics.{app}.message_count" for app in ("excel", "outlook", "powerpoint", "word")
    ),
    "claude_design": ("design_metrics.message_count",),
    "science": ("science_metrics.message_count", "science_metrics.delegation_count"),
    "claude_tag": (
        "claude_tag_metrics.active_message_count",
        "claude_tag_metrics.active_day_count",
    ),
}


def _daily(
    name: str,
    label: str,
    read: Reader,
    grain: Literal["total", "person"] = "total",
    surfaces: Mapping[str, tuple[str, ...]] | None = None,
    filled_by: str = "",
) -> Feed:
    """Build a feed that the provider computes once a day and that is read day by day."""
    return Feed(
        name=name,
        label=label,
        table=Table.ENGAGEMENT,
        grain=grain,
        window_days=1,
        refresh_days=revised_days,
        closes_on=closes_on,
        read=read,
        surfaces=surfaces or {},
        is_daily_batch=True,
        filled_by=filled_by,
    )


def _with_people(name: str, label: str, listings: UsageListing) -> tuple[Feed, Feed]:
    """Build a feed read by person, with the sums of its items from the same response."""
    return (
        _daily(name, label, listings.read_with_people),
        _daily(
            f"{name}_by_person",
            f"{label} by person",
            listings.read_by_person,
            "person",
            filled_by=name,
        ),
    )


def _spans(name: str, label: str, read: Reader) -> Feed:
    """Build the feed of spans that end with the newest day."""
    return Feed(
        name=name,
        label=f"{label} over 7, 30 and 90 days",
        table=Table.ENGAGEMENT,
        grain="total",
        window_days=1,
        refresh_days=lambda today: Window(today - timedelta(days=1), today),
        closes_on=closes_on,
        read=read,
        has_history=False,
    )


# In the order in which an import reads them: the screen fills early.
_FEEDS = (
    Feed(
        name="summaries",
        label="Active users and seats",
        table=Table.ENGAGEMENT,
        grain="total",
        window_days=366,
        refresh_days=lambda today: Window(today - timedelta(days=35), today),
        closes_on=closes_on,
        read=activity.read_summaries,
        is_daily_batch=True,
    ),
    _exported(
        "organization_cost", "Organization cost", Table.COST, organization.read_organization_cost
    ),
    _exported("user_cost", "Cost per user", Table.COST, people.read_user_cost, "person"),
    _exported(
        "organization_usage",
        "Organization tokens",
        Table.USAGE,
        organization.read_organization_usage,
    ),
    _exported("user_usage", "Tokens per user", Table.USAGE, people.read_user_usage, "person"),
    Feed(
        name="groups",
        label="Names of groups",
        table=Table.NAMES,
        grain="total",
        window_days=1,
        refresh_days=lambda today: Window.last(1, today=today),
        closes_on=closes_on,
        read=groups.read_groups,
    ),
    _exported("group_cost", "Cost per group", Table.ENGAGEMENT, groups.read_group_cost),
    _exported("group_usage", "Tokens per group", Table.ENGAGEMENT, groups.read_group_usage),
    _exported(
        "slack_channel_cost",
        "Cost per Slack channel",
        Table.ENGAGEMENT,
        groups.read_slack_channel_cost,
    ),
    _exported(
        "slack_channel_usage",
        "Tokens per Slack channel",
        Table.ENGAGEMENT,
        groups.read_slack_channel_usage,
    ),
    _spans("users_spans", "Active people", activity.read_user_spans),
    _spans("skills_spans", "Skills", SKILLS.read_spans),
    _spans("connectors_spans", "Connectors", CONNECTORS.read_spans),
    _spans("plugins_spans", "Plugins", PLUGINS.read_spans),
    _spans("projects_spans", "Chat projects", PROJECTS.read_spans),
    _daily("users", "Activity per user", activity.read_users, "person", _COUNTED),
    _daily("skills", "Skills", SKILLS.read),
    *_with_people("connectors", "Connectors", CONNECTORS),
    *_with_people("plugins", "Plugins", PLUGINS),
    *_with_people("artifacts", "Artifacts", ARTIFACTS),
    *_with_people("projects", "Chat projects", PROJECTS),
    _daily("group_activity", "Activity per group", groups.read_group_activity),
    # Enabled counts and estimates are reported for the whole only and do not add up from parts.
    _daily("skills_by_person", "Skills by person", SKILLS.read_by_person, "person"),
    *(
        _daily(f"{listings.feed}_by_group", f"{label} by group", listings.read_by_group)
        for label, listings in (
            ("Skills", SKILLS),
            ("Connectors", CONNECTORS),
            ("Plugins", PLUGINS),
            ("Artifacts", ARTIFACTS),
            ("Chat projects", PROJECTS),
        )
    ),
)

# Invalid rows are skipped in every feed, and reported.
FEEDS = tuple(map(reporting_skipped_rows, _FEEDS))
