"""The sandbox as a WSGI application: who may ask, how often, and what answers."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.anthropic.oddities import Broken, Oddities
from sandbox.anthropic.query import ApiError
from sandbox.anthropic.reporting import newest_export
from sandbox.anthropic.server import (
    NEWER_VERSION,
    Server,
    failures,
    not_found,
)
from sandbox.claude_enterprise import activity, beta_reports, items, reports
from sandbox.claude_enterprise.company import companies
from sandbox.claude_enterprise.sums import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROOT = "/v1/organizations"

_ANALYTICS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "/summaries": activity.summaries,
    "/users": activity.users,
    "/cost_report": lambda request: reports.organization_report(request, "cost"),
    "/usage_report": lambda request: reports.organization_report(request, "usage"),
    "/user_cost_report": lambda request: reports.user_report(request, "cost"),
    "/cost": lambda request: beta_reports.report(request, "cost"),
    "/usage": lambda request: beta_reports.report(request, "usage"),
    "/user_usage_report": lambda request: reports.user_report(request, "usage"),
    **{path: partial(items.listing, endpoint=path) for path in items.KINDS},
}
_ENDPOINTS = {f"/analytics{path}": endpoint for path, endpoint in _ANALYTICS.items()}
_ENDPOINTS["/rbac_groups"] = items.groups
_GROUPS_DENIED = ApiError(
    403,
    "permission_error",
    "Missing required scopes. Got: ['read:analytics'] Needed: ['read:rbac_groups']",
)

# Legacy cost and beta cost lose a row of people alone: the organization's totals stay whole.
_ODDITIES = Oddities(
    doubled=frozenset({*items.KINDS, "/users"}),
    broken={
        "/user_cost_report": Broken(("amount",), "a lot", where=("actor",)),
        "/cost": Broken(("cost", "amount"), "a lot", where=("group", "actor")),
        "/users": Broken(("user",), "Other", where=("user",)),
        "/connectors": Broken(("connector_name",), 7, where=("user_id",)),
    },
)

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
        if endpoint is items.groups and not company.names_groups:
            raise _GROUPS_DENIED
        now, query_string = self.now(), environ.get("QUERY_STRING", "")
        body = endpoint(
            Request(
                company=company,
                path=path,
                query_string=query_string,
                now=now,
                export=newest_export(now),
                newer=environ["HTTP_ANTHROPIC_VERSION"] >= NEWER_VERSION,
                betas=environ.get("HTTP_ANTHROPIC_BETA", ""),
            )
        )
        if company.is_odd:
            body = _ODDITIES.spoil(body, path.removeprefix(f"{ROOT}/analytics"), query_string)
        return body
