"""The sandbox as a WSGI application: who may ask, how often, and what answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from integrations.connectors.anthropic_api.sandbox.query import ApiError
from integrations.connectors.anthropic_api.sandbox.server import (
    NEWER_VERSION,
    Server,
    failures,
    not_found,
)
from integrations.connectors.claude_enterprise.sandbox import activity, reports
from integrations.connectors.claude_enterprise.sandbox.company import companies
from integrations.connectors.claude_enterprise.sandbox.ledger import watermark

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROOT = "/v1/organizations/analytics"

_ENDPOINTS: dict[str, Callable[[reports.Request], dict[str, Any]]] = {
    "/summaries": activity.summaries,
    "/users": activity.users,
    "/cost_report": lambda request: reports.organization_report(request, "cost"),
    "/usage_report": lambda request: reports.organization_report(request, "usage"),
    "/user_cost_report": lambda request: reports.user_report(request, "cost"),
    "/user_usage_report": lambda request: reports.user_report(request, "usage"),
}

# Keys that fail on purpose, each in its own way.
FAILING_KEYS = failures("sk-ant-api01-") | {
    "sk-ant-api01-sandbox-noscope": ApiError(
        403,
        "permission_error",
        "Missing required scopes. Got: ['read:members'] Needed: ['read:analytics']",
    ),
    "sk-ant-api01-sandbox-off": ApiError(
        403, "permission_error", "Public API access is disabled for this organization."
    ),
}


class Sandbox(Server):
    """The Analytics API for the keys of `companies()` and `FAILING_KEYS`."""

    keys = tuple(companies())
    failing_keys = FAILING_KEYS

    def answer(
        self, environ: "WSGIEnvironment", key: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        company = companies()[key]
        headers["anthropic-organization-id"] = company.organization_id
        self.pace(company.slug)
        path = environ.get("PATH_INFO", "")
        endpoint = _ENDPOINTS.get(path.removeprefix(ROOT)) if path.startswith(ROOT) else None
        if endpoint is None:
            raise not_found()
        now = self.now()
        return endpoint(
            reports.Request(
                company=company,
                path=path,
                query_string=environ.get("QUERY_STRING", ""),
                now=now,
                export=watermark(now),
                newer=environ["HTTP_ANTHROPIC_VERSION"] >= NEWER_VERSION,
            )
        )
