"""docs/metrics.md lists every field of every response and equals the code."""

import json
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

import pytest
from anthropic.types.beta import organization as sdk
from anthropic.types.beta.organization import analytics
from django.conf import settings
from pydantic import BaseModel

from integrations.connectors import get_connector
from integrations.connectors.base import Field
from reports.catalog.metrics import DIMENSIONS, METRICS
from reports.documentation import fields, replaced
from sandbox.claude_console import Sandbox as Console
from sandbox.claude_enterprise import Sandbox as Enterprise

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ENTERPRISE, CONSOLE = get_connector("claude-enterprise"), get_connector("claude-console")
# What the official SDK knows of each endpoint: newer than our documentation, field by field.
TYPES: dict[str, Any] = {
    "/analytics/cost_report": sdk.BetaAnalyticsCostBucketedResult,
    "/analytics/usage_report": sdk.BetaAnalyticsUsageBucketedResult,
    "/analytics/user_cost_report": sdk.BetaAnalyticsCostUsersItem,
    "/analytics/user_usage_report": sdk.BetaAnalyticsUsageUsersItem,
    "/analytics/cost": analytics.BetaAnalyticsCostItem,
    "/analytics/usage": analytics.BetaAnalyticsUsageItem,
    "/analytics/summaries": sdk.BetaAnalyticsSingleDayActivitySummary,
    "/analytics/users": sdk.BetaAnalyticsUserActivity,
    "/analytics/skills": sdk.BetaAnalyticsSkillActivity,
    "/analytics/connectors": sdk.BetaAnalyticsConnectorActivity,
    "/analytics/plugins": sdk.BetaAnalyticsPluginActivity,
    "/analytics/artifacts": sdk.BetaAnalyticsArtifactActivity,
    "/analytics/apps/chat/projects": sdk.BetaAnalyticsProjectActivity,
    "/rbac_groups": sdk.BetaRBACGroup,
}
NAMES = {
    "/workspaces": sdk.BetaWorkspace,
    "/api_keys": sdk.BetaAPIKey,
    "/users": sdk.BetaOrganizationUser,
}
BETA = {path: TYPES[path] for path in ("/analytics/cost", "/analytics/usage")}


def leaves(type_: Any, path: str = ""):
    """Yield every dotted path to a value of an SDK type; of a union, those of all its parts."""
    if get_origin(type_) is Literal:
        yield path
    elif get_origin(type_) in (dict, list):
        yield from leaves(get_args(type_)[-1], path)
    elif get_args(type_) and not isinstance(type_, type):
        parts = [part for part in get_args(type_) if isinstance(part, type) or get_args(part)]
        for part in parts:
            yield from leaves(part, path)
    elif isinstance(type_, type) and issubclass(type_, BaseModel):
        for name, inner in type_.model_fields.items():
            yield from leaves(inner.annotation, f"{path}.{name}" if path else name)
    elif type_ is not type(None):
        yield path


def unmapped(connector, path, wanted):
    endpoint = next(e for e in connector.catalog.endpoints if e.path == path)
    numbers = {field.name for field in fields(connector, endpoint)}
    return sorted({leaf for leaf in wanted if leaf not in numbers and endpoint.field(leaf) is None})


@pytest.mark.parametrize(
    ("connector", "path", "type_"),
    [
        *((ENTERPRISE, path, type_) for path, type_ in TYPES.items()),
        *((CONSOLE, path, type_) for path, type_ in (NAMES | BETA).items()),
    ],
)
def test_every_field_of_the_sdk_has_its_place(connector, path, type_):
    paths = set(leaves(type_))

    assert len(paths) > 3
    assert unmapped(connector, path, paths) == []


def flat(value: Any, path: str = ""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flat(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from flat(inner, path)
    elif value is not None:
        yield path


DAY = "starting_at=2026-11-10T00:00:00Z&ending_at=2026-11-11T00:00:00Z&bucket_width=1d&limit=1"
CONSOLE_ANSWERS = {
    "/usage_report/messages": f"{DAY}&group_by[]=model&group_by[]=workspace_id",
    "/cost_report": f"{DAY}&group_by[]=description&group_by[]=workspace_id",
    "/usage_report/claude_code": "starting_at=2026-11-10&limit=100",
    "/workspaces": "limit=10",
    "/api_keys": "limit=10",
    "/users": "limit=10",
}
ENTERPRISE_ANSWERS = {
    "/analytics/summaries": "starting_date=2026-11-10&ending_date=2026-11-11",
    "/analytics/users": "date=2026-11-10",
    "/analytics/cost_report": f"{DAY}&group_by[]=product",
    "/analytics/skills": "date=2026-11-10",
    "/analytics/artifacts": "date=2026-11-10",
}


def answer(app, key, path, query, version):
    """Return one response of a sandbox as decoded JSON."""
    headers = {"HTTP_X_API_KEY": key, "HTTP_ANTHROPIC_VERSION": version}
    request = {"REQUEST_METHOD": "GET", "PATH_INFO": f"/v1/organizations{path}"}
    statuses = []
    environ = {**request, "QUERY_STRING": query, **headers}
    body = app(environ, lambda status, _: statuses.append(status))
    assert statuses == ["200 OK"]
    return json.loads(b"".join(body))


@pytest.mark.parametrize(
    ("connector", "app", "path", "query"),
    [
        *((CONSOLE, Console, *asked) for asked in CONSOLE_ANSWERS.items()),
        *((ENTERPRISE, Enterprise, *asked) for asked in ENTERPRISE_ANSWERS.items()),
    ],
)
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
def test_every_field_of_the_sandboxes_has_its_place(connector, app, path, query, version):
    body = answer(app(now=lambda: NOON), app.keys[0], path, query, version)
    rows = body.get("data", body.get("summaries"))
    rows = [
        {**{k: v for k, v in row.items() if k != "results"}, **inner}
        for row in rows
        for inner in row.get("results", [{}])
    ]

    assert rows
    assert unmapped(connector, path, {leaf for row in rows for leaf in flat(row)}) == []


def test_an_undeclared_field_is_detected():
    assert unmapped(ENTERPRISE, "/analytics/summaries", {"moods", "seat_count"}) == [
        "moods",
        "seat_count",
    ]


def test_every_field_is_shown_somewhere_or_says_why_not():
    declared = [
        field
        for connector in (ENTERPRISE, CONSOLE)
        for endpoint in connector.catalog.endpoints
        for field in fields(connector, endpoint)
    ]
    wrong: list[Field] = []
    for field in declared:
        names = [name for name in field.shown.split(",") if name]
        known = all(name in METRICS or name in DIMENSIONS for name in names)
        wrong += [] if known and (names or field.why) and (field.stored or field.why) else [field]

    assert wrong == []


def test_every_declared_path_is_a_field_of_an_endpoint():
    """Otherwise a metric is read from a path that no response has."""
    for connector in (ENTERPRISE, CONSOLE):
        feeds = {name for endpoint in connector.catalog.endpoints for name in endpoint.feeds}
        assert [m.name for m in connector.catalog.metrics if not feeds & {*m.feeds}] == []


def test_the_file_is_as_the_code_says():
    text = (settings.BASE_DIR / "docs" / "metrics.md").read_text()

    assert replaced(text) == text, "Run: manage.py docs"
