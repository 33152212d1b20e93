"""The sandbox as a WSGI application: which key opens which organization, and what answers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.anthropic.oddities import Broken, Oddities
from sandbox.anthropic.query import ApiError
from sandbox.anthropic.reporting import Kind
from sandbox.anthropic.server import (
    NEWER_VERSION,
    Server,
    failures,
    not_found,
)
from sandbox.claude_console import beta_reports, lists, reports
from sandbox.claude_console.company import Company, companies

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ROOT = "/v1/organizations"

_REPORTS: dict[str, Callable[[reports.Request], dict[str, Any]]] = {
    "/usage_report/messages": reports.messages,
    "/cost_report": reports.cost,
    "/usage_report/claude_code": reports.claude_code,
}
_BETA_REPORTS: dict[str, Kind] = {"/analytics/cost": "cost", "/analytics/usage": "usage"}
# Legacy cost loses a row by description, beta cost one of people: ungrouped totals stay whole.
_ODDITIES = Oddities(
    doubled=frozenset({"/usage_report/claude_code"}),
    broken={
        "/cost_report": Broken(("amount",), {}, where=("description",)),
        "/analytics/cost": Broken(("cost", "amount"), "a lot", where=("group", "actor")),
        "/usage_report/claude_code": Broken(("actor",), "Other", where=("actor",)),
    },
)


class Sandbox(Server):
    """The Admin API for the keys of `companies()` and those that fail on purpose."""

    keys = tuple(companies())
    failing_keys = failures("sk-ant-admin01-") | {
        "sk-ant-admin01-sandbox-denied": ApiError(
            403, "permission_error", "The Admin API is not available to this organization."
        ),
    }

    def answer(
        self, environ: "WSGIEnvironment", key: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        company = companies()[key]
        body = self._body(company, environ, headers)
        if company.is_odd:
            endpoint = environ.get("PATH_INFO", "").removeprefix(ROOT)
            body = _ODDITIES.spoil(body, endpoint, environ.get("QUERY_STRING", ""))
        return body

    def _body(
        self, company: Company, environ: "WSGIEnvironment", headers: dict[str, str]
    ) -> dict[str, Any]:
        headers["anthropic-organization-id"] = company.tagged_id
        self.pace(company.slug)
        path = environ.get("PATH_INFO", "")
        query_string = environ.get("QUERY_STRING", "")
        now = self.now()
        newer = environ["HTTP_ANTHROPIC_VERSION"] >= NEWER_VERSION
        endpoint = path.removeprefix(ROOT) if path.startswith(ROOT) else ""
        if endpoint in _REPORTS:
            return _REPORTS[endpoint](reports.Request(company, path, query_string, now))
        if endpoint in _BETA_REPORTS:
            asked = reports.Request(company, path, query_string, now)
            betas = environ.get("HTTP_ANTHROPIC_BETA", "")
            return beta_reports.report(asked, _BETA_REPORTS[endpoint], betas=betas)
        match endpoint:
            case "/me":
                return lists.organization(company)
            case "/workspaces":
                return lists.workspaces(company, query_string, now.date())
            case "/api_keys":
                return lists.api_keys(company, query_string, newer=newer)
            case "/users":
                return lists.users(company, query_string, now.date())
        raise not_found()
