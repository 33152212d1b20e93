"""The way to a new connection: its label, its key, the test, and Save."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.middleware import HtmxDetails

from accounts.tenancy import OrganizationRequest, connection_manager_required
from integrations import connections, import_range, inquiries, limits
from integrations.connectors.base import ActionNeeded, Connector, ConnectorError
from integrations.forms import ConnectForm
from integrations.views.lookups import (
    add_form_error,
    connector_or_404,
    connector_template,
    held_up,
    redirect_to_page,
)


def _is_sandbox(connector: Connector) -> bool:
    """Return True if the provider is a sandbox on this machine, whose keys may be shown.

    The address alone proves nothing: a proxy to the provider may run on this machine, too.
    """
    if not settings.SANDBOX:
        return False
    host = urlsplit(connector.base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _page(
    request: OrganizationRequest,
    connector: Connector,
    form: ConnectForm,
    *,
    tested: connections.TestResult | None = None,
    problem: ConnectorError | connections.OperationError | None = None,
    status: int = 200,
) -> HttpResponse:
    """Render the page with the test's outcome; for htmx only the outcome, to keep the form."""
    if tested or problem:
        inquiries.remember_test(request.session, request.organization, connector, problem=problem)
    today = timezone.now().date()
    context = {
        "connector": connector,
        "form": form,
        "tested": tested,
        "problem": problem,
        "can_forward": isinstance(problem, ActionNeeded),
        "suggestion": connections.suggest_label(request.organization, "my-org"),
        "recent": import_range.default_range(connector, today),
        "everything": import_range.full_history(connector, today),
        "is_sandbox": _is_sandbox(connector),
    }
    template = (
        ["integrations/_result.html"]
        if HtmxDetails(request)
        else connector_template(connector, "connect.html")
    )
    return render(request, template, context, status=status)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("key")
@sensitive_variables("form", "values")
def connect(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """Render the form of a new connection; POST saves it."""
    connector = connector_or_404(connector_slug)
    if request.method != "POST":
        return _page(request, connector, ConnectForm(connector))
    form = ConnectForm(connector, request.POST)
    problem = None
    if form.is_valid():
        values = form.cleaned_data
        try:
            connection = connections.connect(
                request.organization,
                connector,
                actor=request.user,
                label=values["label"],
                key=values["key"],
                proof=values["proof"],
                everything=values["history"] == "everything",
                key_expires_on=values["key_expires_on"],
            )
        except connections.OperationError as refused:
            problem = add_form_error(form, refused)
        else:
            messages.success(request, f"{connection.label} is saved. The import has started.")
            return redirect_to_page(request, "manage", connector.slug)
    return _page(request, connector, form, problem=problem, status=422)


@connection_manager_required
@require_POST
@sensitive_post_parameters("key")
@sensitive_variables("form", "values")
def test(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """Try a label and a key. Stores nothing; a passed test hands out the proof Save asks for."""
    connector = connector_or_404(connector_slug)
    form = ConnectForm(connector, request.POST)
    if form.is_valid():
        values = form.cleaned_data
        try:
            limits.count_test(request.organization, request.user)
            tested = connections.test(
                request.organization, connector, label=values["label"], key=values["key"]
            )
        except connections.OperationError as refused:
            problem = add_form_error(form, refused)
            if problem:
                return held_up(_page(request, connector, form, problem=problem), problem)
        else:
            return _page(request, connector, form, tested=tested, problem=tested.problem)
    return _page(request, connector, form, status=422)


@connection_manager_required
@require_safe
def label(request: OrganizationRequest) -> HttpResponse:
    """Validate a label while it is typed and suggest a free one. `own` keeps its label."""
    typed, own = request.GET.get("label", "").strip(), request.GET.get("own", "")
    problem = suggestion = ""
    if typed and typed != own:
        problem = connections.label_problem(request.organization, typed)
    if problem:
        suggestion = connections.suggest_label(request.organization, typed)
    context = {"problem": problem, "suggestion": suggestion}
    return render(request, "integrations/_label_check.html", context)
