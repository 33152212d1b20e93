"""Look up the connector or connection of a URL, or raise 404."""

from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, resolve_url

from accounts.tenancy import OrganizationRequest
from accounts.views.dialogs import redirect_to
from integrations import connections
from integrations.connectors import connector_of, get_connector
from integrations.connectors.base import Connector
from integrations.limits import TooMany
from integrations.models import Connection


def connector_or_404(slug: str) -> Connector:
    try:
        return get_connector(slug)
    except KeyError:
        raise Http404 from None


def connector_in_use_or_404(request: OrganizationRequest, slug: str) -> Connector:
    """Return a connector that the settings name or the organization uses, or raise 404."""
    connector = connector_of(slug)
    stored = request.organization.connections.filter(connector_slug=slug)
    if not connector.is_installed and not stored.exists():
        raise Http404
    return connector


def connection_or_404(request: OrganizationRequest, label: str) -> Connection:
    return get_object_or_404(Connection, organization=request.organization, label=label)


def connector_template(connector: Connector, name: str) -> list[str]:
    """Return the connector's own version of a template, or the common one."""
    if not connector.is_installed:
        return [f"integrations/{name}"]
    own = connector.slug.replace("-", "_")
    return [f"integrations/connectors/{own}/{name}", f"integrations/{name}"]


def redirect_to_page(request: OrganizationRequest, name: str, *arguments: object) -> HttpResponse:
    """On to a page of the organization, also from a dialog or a part of a page."""
    return redirect_to(
        request, resolve_url(f"integrations:{name}", request.organization.slug, *arguments)
    )


def held_up(response: HttpResponse, problem: object) -> HttpResponse:
    """Answer 429 and when to try again if the problem is that there were too many."""
    if isinstance(problem, TooMany):
        response.status_code = 429
        response["Retry-After"] = str(problem.wait_seconds)
    return response


def add_form_error(
    form: Form, refused: connections.OperationError
) -> connections.OperationError | None:
    """Put a refusal beside its field; hand it back if it belongs to none, or has more to show."""
    if refused.field in form.fields and not (refused.duplicate or refused.checks):
        form.add_error(refused.field, " ".join(filter(None, [str(refused), refused.repair])))
        return None
    return refused
