"""Metrics and dimensions of Claude Enterprise: all numbers of its endpoints.

Where a member has Chat and Cowork unified turned on, the provider counts in the unified block
*instead of* the two others. So each metric of Chat and Cowork adds the unified number to its own.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from integrations.connectors.anthropic.catalog import (
    ACCEPT_RATE,
    BASE_URL,
    CODE,
    CODE_OUTPUT,
    CONTEXT_WINDOW,
    INFERENCE_GEO,
    NAMES,
    PERSON,
    PRICE_DRIVERS,
    PRODUCTS,
    SPEED,
    VALUES,
    code_metrics,
)
from integrations.connectors.base import (
    ActivityMetric,
    ActivityRatio,
    Attribute,
    Catalog,
    DocumentDimensions,
    Preset,
    RequestsPerMinute,
)
from integrations.connectors.claude_enterprise.endpoints import ENDPOINTS

CHAT, COWORK, OFFICE = "Chat", "Cowork", "Office"
DESIGN, SCIENCE, TAG = "Claude Design", "Claude Science", "Claude Tag"
SKILLS, CONNECTORS, PLUGINS = "Skills", "Connectors", "Plugins"
ARTIFACTS, PROJECTS, PEOPLE = "Artifacts", "Chat projects", "People"
_UNIFIED = "chat_cowork_unified_metrics"
_APPS = {"excel": "Excel", "outlook": "Outlook", "powerpoint": "PowerPoint", "word": "Word"}

# --- Each user: /users ----------------------------------------------------------------------
# Field: name of the metric, label, definition. A field that begins with "distinct" is a count of
# different objects on one day, except for those that are counted as they are created.
_Fields = Mapping[str, tuple[str, str, str]]

_CHAT: _Fields = {
    "message_count": ("chat_messages", "Chat messages", "Messages people sent."),
    "thinking_message_count": (
        "chat_thinking_messages",
        "Chat messages with thinking",
        "Messages people sent with extended thinking.",
    ),
    "connectors_used_count": (
        "chat_connector_uses",
        "Connector uses in Chat",
        "How often connectors were called in Chat.",
    ),
    "shared_conversations_viewed_count": (
        "chat_shared_conversation_views",
        "Views of shared conversations",
        "How often people opened a shared conversation.",
    ),
    "distinct_conversation_count": (
        "chat_conversations",
        "Conversations",
        "Different conversations of one person and day.",
    ),
    "distinct_projects_used_count": (
        "chat_projects_used",
        "Projects used in Chat",
        "Different projects one person used on a day.",
    ),
    "distinct_projects_created_count": (
        "chat_projects_created",
        "Projects created in Chat",
        "Projects people created.",
    ),
    "distinct_artifacts_created_count": (
        "chat_artifacts_created",
        "Artifacts created in Chat",
        "Artifacts people created.",
    ),
    "distinct_files_uploaded_count": (
        "chat_files_uploaded",
        "Files uploaded in Chat",
        "Different files one person uploaded on a day.",
    ),
    "distinct_skills_used_count": (
        "chat_skills_used",
        "Skills used in Chat",
        "Different skills one person used on a day.",
    ),
    "distinct_connectors_used_count": (
        "chat_connectors_used",
        "Connectors used in Chat",
        "Different connectors one person used on a day.",
    ),
    "distinct_shared_artifacts_viewed_count": (
        "chat_shared_artifacts_viewed",
        "Shared artifacts viewed",
        "Different shared artifacts one person opened on a day.",
    ),
}
_COWORK: _Fields = {
    "message_count": ("cowork_messages", "Cowork messages", "Messages people sent."),
    "action_count": ("cowork_actions", "Cowork actions", "Actions Claude took."),
    "dispatch_turn_count": (
        "cowork_dispatch_turns",
        "Dispatch turns",
        "Turns of Cowork that were started from elsewhere.",
    ),
    "connectors_used_count": (
        "cowork_connector_uses",
        "Connector uses in Cowork",
        "How often connectors were called in Cowork.",
    ),
    "skills_used_count": (
        "cowork_skill_uses",
        "Skill uses in Cowork",
        "How often skills were used in Cowork.",
    ),
    "distinct_session_count": (
        "cowork_sessions",
        "Cowork sessions",
        "Different sessions of one person and day.",
    ),
    "distinct_connectors_used_count": (
        "cowork_connectors_used",
        "Connectors used in Cowork",
        "Different connectors one person used on a day.",
    ),
    "distinct_skills_used_count": (
        "cowork_skills_used",
        "Skills used in Cowork",
        "Different skills one person used on a day.",
    ),
    "plugins_used_count": (
        "cowork_plugin_uses",
        "Plugin uses in Cowork",
        "How often plugins were used in Cowork.",
    ),
    "distinct_plugins_used_count": (
        "cowork_plugins_used",
        "Plugins used in Cowork",
        "Different plugins one person used on a day.",
    ),
    "file_edit_count": ("cowork_file_edits", "File edits in Cowork", "Edits of files by Claude."),
    "edit_tool_count": ("cowork_edits", "Edit tool in Cowork", "Uses of the edit tool."),
    "multi_edit_tool_count": (
        "cowork_multi_edits",
        "Multi-edit tool in Cowork",
        "Uses of the multi-edit tool.",
    ),
    "write_tool_count": ("cowork_writes", "Write tool in Cowork", "Uses of the write tool."),
    "notebook_edit_tool_count": (
        "cowork_notebook_edits",
        "Notebook tool in Cowork",
        "Uses of the notebook edit tool.",
    ),
    "sessions_with_file_edits_count": (
        "cowork_sessions_with_edits",
        "Cowork sessions with file edits",
        "Different sessions of one person and day in which a file was edited.",
    ),
    "artifacts_created_count": (
        "cowork_artifacts_created",
        "Artifacts created in Cowork",
        "Artifacts people created.",
    ),
}
_OFFICE: _Fields = {
    "message_count": ("messages", "messages", "Messages people sent."),
    "skills_used_count": ("skill_uses", "skill uses", "How often skills were used."),
    "connectors_used_count": (
        "connector_uses",
        "connector uses",
        "How often connectors were called.",
    ),
    "distinct_session_count": (
        "sessions",
        "sessions",
        "Different sessions of one person and day.",
    ),
    "distinct_skills_used_count": (
        "skills_used",
        "skills used",
        "Different skills one person used on a day.",
    ),
    "distinct_connectors_used_count": (
        "connectors_used",
        "connectors used",
        "Different connectors one person used on a day.",
    ),
}
_DESIGN: _Fields = {
    "message_count": ("design_messages", "Design messages", "Messages people sent."),
    "distinct_session_count": (
        "design_sessions",
        "Design sessions",
        "Different sessions of one person and day.",
    ),
    "distinct_projects_used_count": (
        "design_projects_used",
        "Design projects used",
        "Different projects one person used on a day.",
    ),
    "distinct_projects_created_count": (
        "design_projects_created",
        "Design projects created",
        "Projects people created.",
    ),
}
_SCIENCE: _Fields = {
    "message_count": ("science_messages", "Science messages", "Messages people sent."),
    "delegation_count": ("science_delegations", "Delegations", "Tasks handed to other agents."),
    "remote_compute_job_count": (
        "science_compute_jobs",
        "Remote compute jobs",
        "Jobs that ran on remote machines.",
    ),
    "skills_used_count": (
        "science_skill_uses",
        "Skill uses in Science",
        "How often skills were used in Claude Science.",
    ),
    "distinct_session_count": (
        "science_sessions",
        "Science sessions",
        "Different sessions of one person and day.",
    ),
}
_TAG: _Fields = {
    "active_message_count": (
        "tag_messages",
        "Claude Tag messages",
        "Messages to Claude in Slack, of people who linked their account.",
    ),
    "active_day_count": (
        "tag_active_days",
        "Days active in Claude Tag",
        "Days on which people who linked their account used Claude in Slack, added up.",
    ),
}
# What is created is created once: these may be added. Conversations and sessions belong to one
# person and may span days; skills, files and projects are shared.
_KINDS: dict[str, Any] = {
    "distinct_projects_created_count": "sum",
    "distinct_artifacts_created_count": "sum",
    "distinct_conversation_count": "sum_of_day",
    "distinct_session_count": "sum_of_day",
    "sessions_with_file_edits_count": "sum_of_day",
}


def _of_users(
    section: str, block: str, fields: _Fields, *, unified: str = "", optional: bool = False
) -> Iterator[ActivityMetric]:
    """Declare a metric for each field of a block; `unified` is counted instead of it."""
    for name, (metric, label, definition) in fields.items():
        own, other = f"{block}.{name}", f"{unified}.{name}"
        yield ActivityMetric(
            metric,
            label,
            definition,
            paths=() if optional else (own,),
            optional_paths=(own,) if optional else (other,) if unified else (),
            feeds=("users",),
            section=section,
            kind=_KINDS.get(name, "distinct" if name.startswith("distinct_") else "sum"),
        )


def _office() -> Iterator[ActivityMetric]:
    yield ActivityMetric(
        "office_messages",
        "Office messages",
        "Messages in Excel, Outlook, PowerPoint and Word.",
        paths=tuple(f"office_metrics.{app}.message_count" for app in _APPS),
        feeds=("users",),
        section=OFFICE,
    )
    for app, label in _APPS.items():
        fields = {
            field: (f"{app}_{name}", f"{label} {words}", definition)
            for field, (name, words, definition) in _OFFICE.items()
        }
        yield from _of_users(OFFICE, f"office_metrics.{app}", fields)


_USERS = (
    *_of_users(CHAT, "chat_metrics", _CHAT, unified=f"{_UNIFIED}.chat"),
    ActivityMetric(
        "people_web_searches",
        "Web searches of people",
        "Searches Claude made for people, as activity counts them.",
        paths=("web_search_count",),
        feeds=("users",),
        section=CHAT,
    ),
    *code_metrics("users"),
    ActivityMetric(
        "code_artifacts_created",
        "Artifacts created in Claude Code",
        "Artifacts people created.",
        paths=(),
        optional_paths=("claude_code_metrics.core_metrics.artifacts_created_count",),
        feeds=("users",),
        section=CODE,
    ),
    *_of_users(COWORK, "cowork_metrics", _COWORK, unified=f"{_UNIFIED}.sessions"),
    *_office(),
    *_of_users(DESIGN, "design_metrics", _DESIGN),
    *_of_users(SCIENCE, "science_metrics", _SCIENCE),
    *_of_users(TAG, "claude_tag_metrics", _TAG, optional=True),
)

# --- Items that people use ------------------------------------------------------------------


def _used(
    feed: str, section: str, name: str, label: str, definition: str, *paths: str, **more: Any
) -> ActivityMetric:
    return ActivityMetric(name, label, definition, paths, (feed,), section, **more)


def _people_of(feed: str, section: str, noun: str, path: str = "", words: str = "") -> Any:
    return _used(
        feed,
        section,
        f"{noun}_{path or 'people'}",
        f"{words or 'People'} per {noun}",
        f"Different people, of one {noun} and day. They are counted once each by the provider.",
        {"": "distinct_user_count"}.get(path, path),
        kind="distinct",
    )


def _conversations(feed: str, section: str, noun: str) -> Iterator[ActivityMetric]:
    """Different conversations and sessions with one item, by product."""
    used = f"{noun}_used_count"
    unified = f"{_UNIFIED}.{{}}.distinct_{{}}_{used}"
    spots = {
        "chat": (CHAT, f"chat_metrics.distinct_conversation_{used}", ("chat", "conversation")),
        "cowork": (COWORK, f"cowork_metrics.distinct_session_{used}", ("sessions", "session")),
        "code": (CODE, f"claude_code_metrics.distinct_session_{used}", ()),
        **{
            app: (label, f"office_metrics.{app}.distinct_session_{used}", ())
            for app, label in _APPS.items()
        },
    }
    for key, (label, path, instead) in spots.items():
        what = "Conversations" if key == "chat" else "Sessions"
        yield ActivityMetric(
            f"{noun}_{key}_{what.lower()}",
            f"{what} with a {noun} in {label}",
            f"Different {what.lower()} of one {noun} and day.",
            (path,),
            (feed,),
            section,
            kind="distinct",
            optional_paths=(unified.format(*instead),) if instead else (),
        )


_ITEM_FEEDS = (
    _used(
        "skills",
        SKILLS,
        "skill_uses",
        "Skill uses",
        "How often people explicitly used a skill.",
        "invocation_count",
    ),
    _people_of("skills", SKILLS, "skill"),
    *_conversations("skills", SKILLS, "skill"),
    _used(
        "skills",
        SKILLS,
        "skill_enabled",
        "Skill enabled by",
        "Accounts that have turned one skill on.",
        "enable_count",
        kind="distinct",
    ),
    _used(
        "skills",
        SKILLS,
        "skill_estimated_spend",
        "Estimated extra spend with skills",
        "The provider's estimate of metered spend. It is in the cost already: never add the two.",
        "estimated_overage_spend_usd",
        unit="usd",
    ),
    _used(
        "skills",
        SKILLS,
        "skill_list_price",
        "List price of requests with skills",
        "However they were paid for, without Chat. It is no cost: never add the two.",
        "attributed_list_price_usd",
        unit="usd",
    ),
    _used(
        "connectors",
        CONNECTORS,
        "connector_calls",
        "Connector calls",
        "Calls of connectors that read, write, or say neither.",
        "read_call_count",
        "write_call_count",
        "unclassified_call_count",
    ),
    *(
        _used(
            "connectors",
            CONNECTORS,
            f"connector_{word}_calls",
            f"{label} calls of connectors",
            definition,
            f"{word}_call_count",
        )
        for word, label, definition in (
            ("read", "Reading", "Calls that only read."),
            ("write", "Writing", "Calls that change something."),
            ("unclassified", "Unclassified", "Calls that say neither."),
        )
    ),
    _people_of("connectors", CONNECTORS, "connector"),
    *_conversations("connectors", CONNECTORS, "connector"),
    *(
        _used(
            "connectors",
            CONNECTORS,
            f"connector_{word}_people",
            f"People with {label} per connector",
            f"Different people of one connector and day who used {label}.",
            f"{path}_auth_distinct_user_count",
            kind="distinct",
        )
        for word, path, label in (
            ("managed", "managed", "managed credentials"),
            ("own", "individual", "their own credentials"),
        )
    ),
    _used(
        "plugins",
        PLUGINS,
        "plugin_uses",
        "Plugin uses",
        "How often people explicitly used a plugin.",
        "invocation_count",
    ),
    _people_of("plugins", PLUGINS, "plugin"),
    _used(
        "plugins",
        PLUGINS,
        "plugin_installs",
        "Plugin installed by",
        "Different people who installed one plugin on a day.",
        "install_count",
        kind="distinct",
    ),
    *(
        ActivityMetric(
            f"plugin_{key}_sessions",
            f"Sessions with a plugin in {label}",
            "Different sessions of one plugin and day.",
            (f"{block}.distinct_session_plugin_used_count",),
            ("plugins",),
            PLUGINS,
            kind="distinct",
            optional_paths=unified,
        )
        for key, label, block, unified in (
            ("code", CODE, "claude_code_metrics", ()),
            (
                "cowork",
                COWORK,
                "cowork_metrics",
                (f"{_UNIFIED}.distinct_session_plugin_used_count",),
            ),
        )
    ),
    _used(
        "artifacts",
        ARTIFACTS,
        "artifacts_created",
        "Artifacts created",
        "Documents, pages and pictures people had Claude make.",
        "artifacts_created_count",
    ),
    _used(
        "artifacts",
        ARTIFACTS,
        "artifacts_published",
        "Artifacts published",
        "Artifacts that were made and published.",
        "published_artifacts_created_count",
    ),
    _people_of("artifacts", ARTIFACTS, "artifact"),
    _used(
        "projects",
        PROJECTS,
        "project_messages",
        "Messages in chat projects",
        "Messages people sent in projects of Chat.",
        "message_count",
    ),
    _people_of("projects", PROJECTS, "project"),
    _used(
        "projects",
        PROJECTS,
        "project_conversations",
        "Conversations in a project",
        "Different conversations of one project and day.",
        "distinct_conversation_count",
        kind="distinct",
    ),
)

# --- The whole organization: /summaries -----------------------------------------------------
_SPANS = {"daily": "one day", "weekly": "the last 7 days", "monthly": "the last 30 days"}
_PRODUCTS = {
    "": "",
    "chat": CHAT,
    "claude_code": CODE,
    "cowork": COWORK,
    "office_agent": "Office agent",
    "claude_design": DESIGN,
    "science": SCIENCE,
    "claude_tag": TAG,
    "chat_cowork_unified": "Chat and Cowork unified",
}
_28_DAYS = {"claude_tag", "chat_cowork_unified"}


def _level(name: str, label: str, path: str, definition: str, **more: Any) -> ActivityMetric:
    more.setdefault("kind", "level")
    return ActivityMetric(name, label, definition, (path,), ("summaries",), PEOPLE, **more)


def _active_users() -> Iterator[ActivityMetric]:
    """Declare the provider's three counts of active users, in total and by product."""
    for product, label in _PRODUCTS.items():
        of = f" of {label}" if label else ""
        before = f"{product}_" if product else ""
        for span, days in _SPANS.items():
            over = "the last 28 days" if span == "monthly" and product in _28_DAYS else days
            yield _level(
                f"{before}{span}_active_users",
                f"{span.capitalize()} active users{of}",
                f"{before}{span}_active_user_count",
                f"Different users{of} on {over}, as the provider counts them.",
                kind="level_of_day" if span == "daily" else "level",
            )


_SUMMARIES = (
    *_active_users(),
    _level(
        "seats",
        "Seats",
        "assigned_seat_count",
        "Seats that are assigned.",
        is_people=False,
    ),
    _level(
        "pending_invites",
        "Pending invites",
        "pending_invite_count",
        "Invited to a seat and not there yet.",
        is_people=False,
    ),
    *(
        _level(
            f"{span}_adoption",
            f"{span.capitalize()} adoption",
            f"{span}_adoption_rate",
            f"Active users of {days} by assigned seats, as the provider counts them.",
            unit="percent",
            kind="level_of_day" if span == "daily" else "level",
        )
        for span, days in _SPANS.items()
    ),
    _level(
        "science_entitled_users",
        "People who may use Claude Science",
        "science_entitled_user_count",
        "Users who are entitled to Claude Science.",
    ),
)

# --- Cuts -----------------------------------------------------------------------------------
_GROUP, _CHANNEL = "rbac_group_id", "slack_channel_id"
_METERED = frozenset({"sku", "organization_id"})


def _item_breakdowns() -> Iterator[DocumentDimensions]:
    """Skills, connectors, plugins, artifacts and projects by person, group and product."""
    for feed in ("skills", "connectors", "plugins", "artifacts", "projects"):
        yield DocumentDimensions(feed, of=feed, subject="item")
        # Projects belong to Chat: the provider refuses to group them by product.
        product = () if feed == "projects" else ("service",)
        yield DocumentDimensions(
            f"{feed}_by_person", of=feed, dimensions=("item", *product, *PERSON)
        )
        yield DocumentDimensions(
            f"{feed}_by_group", of=feed, dimensions=("item", _GROUP), is_overlapping=True
        )


_DOCUMENT_DIMENSIONS = (
    DocumentDimensions("users", of="users", dimensions=PERSON),
    DocumentDimensions(
        "group_cost", "cost", subject=_GROUP, absent="no_group", is_overlapping=True
    ),
    DocumentDimensions(
        "group_usage", "usage", subject=_GROUP, absent="no_group", is_overlapping=True
    ),
    DocumentDimensions(
        "group_activity", "users", subject=_GROUP, absent="no_group", is_overlapping=True
    ),
    DocumentDimensions("slack_channel_cost", "cost", subject=_CHANNEL, is_overlapping=True),
    DocumentDimensions("slack_channel_usage", "usage", subject=_CHANNEL, is_overlapping=True),
    *_item_breakdowns(),
)

_GROUPS = ActivityMetric(
    "group_people",
    "People in a group",
    "Different people of one group who did anything on a day.",
    ("distinct_user_count",),
    ("group_activity",),
    PEOPLE,
    kind="distinct",
)

_ATTRIBUTES = (
    Attribute(
        _GROUP,
        "Group",
        "The group of people, by membership on the day of use.",
        empty="In no group",
        tables=frozenset(),
        is_identifier=True,
        resource=_GROUP,
        is_overlapping=True,
        note="Groups overlap: a person counts in every group held on that day. So groups are never"
        " added up, and there is no total.",
    ),
    Attribute(
        _CHANNEL,
        "Slack channel",
        "The Slack channel. Use outside Slack is left out.",
        values={"not_itemized": "Channels that are not itemized"},
        empty="Outside Slack",
        tables=frozenset(),
        is_identifier=True,
        resource=_CHANNEL,
        is_named_by_members=True,
        is_overlapping=True,
        note="Slack channels are a part of the whole, and one use may be in several. So channels"
        " are never added up, and there is no total.",
    ),
)
_PRESETS = (
    Preset(
        "Spend by group",
        "Cost of 30 days by group. People may be in several, so groups have no total.",
        f"group_by={_GROUP}&range=30d&chart=bar",
        is_of_some=True,
    ),
    Preset(
        "Spend by Slack channel",
        "Cost of 30 days of Claude in Slack, by channel.",
        f"group_by={_CHANNEL}&range=30d&chart=bar",
        is_of_some=True,
    ),
    PRICE_DRIVERS,
    Preset(
        "Active users",
        "Of 1, 7 and 30 days, with the seats.",
        "metrics=weekly_active_users,daily_active_users,monthly_active_users,seats"
        "&range=30d&interval=day&chart=line",
        is_of_some=True,
    ),
    CODE_OUTPUT,
)

PACE = RequestsPerMinute(
    "ANTHROPIC_REQUESTS_PER_MINUTE",
    60,
    help="Requests a minute for each Claude organization, over all workers; 0 is unpaced.",
)

_SEAT_USE = ActivityRatio(
    "seat_use",
    "Seat use",
    "Weekly active users by assigned seats.",
    of="weekly_active_users",
    per="seats",
)

CATALOG = Catalog(
    settings=(BASE_URL, PACE),
    names=NAMES,
    ratios=(_SEAT_USE, ACCEPT_RATE),
    metrics=(*_USERS, *_ITEM_FEEDS, *_SUMMARIES, _GROUPS),
    document_dimensions=_DOCUMENT_DIMENSIONS,
    endpoints=ENDPOINTS,
    dimensions={
        "cost": _METERED | {"service", "cost_type", "token_type", *PERSON},
        "usage": _METERED | {"service", *PERSON},
    },
    attributes=(CONTEXT_WINDOW, INFERENCE_GEO, SPEED, *_ATTRIBUTES),
    products=PRODUCTS,
    values=VALUES,
    presets=_PRESETS,
)
