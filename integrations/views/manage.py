"""Show the connections of one connector with their state and operations."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import Http404, HttpResponse
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.tenancy import OrganizationRequest, connection_manager_required
from accounts.views.dialogs import redirect_to, render_dialog
from integrations import (
    connections,
    identifier_names,
    import_range,
    inquiries,
    limits,
    service_accounts,
)
from integrations.connectors.base import Connector, ConnectorError
from integrations.forms import (
    DeleteForm,
    IdentifierForm,
    RenameForm,
    ReplaceKeyForm,
    ServiceAccountForm,
)
from integrations.identifier_names import NamedIdentifier
from integrations.models import Connection
from integrations.service_accounts import ServiceAccount
from integrations.status.connections import ConnectionStatus, retained, status_of, statuses
from integrations.status.summary import Summary
from integrations.views.lookups import (
    add_form_error,
    connection_or_404,
    connector_in_use_or_404,
    connector_or_404,
    connector_template,
    held_up,
    redirect_to_page,
)


def _manage_page(
    request: OrganizationRequest,
    connector: Connector,
    *,
    problem: connections.OperationError | None = None,
    named: ServiceAccountForm | None = None,
    label: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render the page of a connector. `named` is an invalid form of the connection `label`."""
    overviews = statuses(request.organization, connector)
    chosen = _chosen(overviews, label or request.GET.get("connection", ""))
    context = {
        "connector": connector,
        "overviews": overviews,
        "stats": Summary.of(overviews),
        "is_deleting": any(o.connection.state == Connection.State.DELETING for o in overviews),
        "archived": len(retained(request.organization)),
        "chosen": chosen,
        "feeds": chosen.feeds if chosen else (),
        "accounts": service_accounts.service_accounts(chosen.connection) if chosen else [],
        "named": named,
        "named_dimensions": identifier_names.named_dimensions(chosen.connection) if chosen else [],
        "problem": problem,
    }
    return render(request, connector_template(connector, "manage.html"), context, status=status)


def _chosen(summaries: list[ConnectionStatus], label: str) -> ConnectionStatus | None:
    """Return the connection whose feeds are shown: as requested, or the one needing attention."""
    tones = ("bad", "warn", "busy", "good", "off")
    by_need = sorted(
        summaries, key=lambda o: (o.connection.label != label, tones.index(o.status.tone))
    )
    return by_need[0] if by_need else None


@connection_manager_required
@require_safe
def manage(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """Render all connections of one connector with their state and operations."""
    return _manage_page(request, connector_in_use_or_404(request, connector_slug))


@connection_manager_required
@require_safe
def progress(request: OrganizationRequest, label: str) -> HttpResponse:
    """Render what changes during an import: its steps, its row and the figures above."""
    connection = connection_or_404(request, label)
    summaries = statuses(request.organization, connection.connector)
    context = {
        "connector": connection.connector,
        "overview": (shown := next(o for o in summaries if o.connection.pk == connection.pk)),
        "is_moving": shown.is_in_progress,
        "stats": Summary.of(summaries),
    }
    return render(request, "integrations/_progress.html", context)


@connection_manager_required
@require_safe
def feeds(request: OrganizationRequest, label: str) -> HttpResponse:
    """Render one connection's feeds, so that the page can follow a run."""
    connection = connection_or_404(request, label)
    chosen = status_of(connection)
    context = {"chosen": chosen, "feeds": chosen.feeds}
    return render(request, "integrations/_feeds.html", context)


@connection_manager_required
@require_POST
def sync_now(request: OrganizationRequest, label: str) -> HttpResponse:
    connection = connection_or_404(request, label)
    try:
        connections.sync_now(connection, actor=request.user)
    except connections.OperationError as refused:
        return _manage_page(request, connection.connector, problem=refused, status=422)
    messages.success(request, f"Sync of {label} has started.")
    return redirect_to_page(request, "manage", connection.connector_slug)


def _dialog(
    request: OrganizationRequest, name: str, connection: Connection, **context: Any
) -> HttpResponse:
    """Render a dialog about one connection."""
    context |= {"overview": status_of(connection), "connector": connection.connector}
    return render_dialog(request, f"integrations/_{name}.html", **context)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("key")
@sensitive_variables("form")
def replace_key(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask for a new key, test it, and go on with it."""
    connection = connection_or_404(request, label)
    connector = connector_or_404(connection.connector_slug)
    form = ReplaceKeyForm(connector, request.POST or None)
    problem: ConnectorError | connections.OperationError | None = None
    if form.is_valid():
        try:
            limits.count_test(request.organization, request.user)
            problem = connections.replace_key(
                connection,
                actor=request.user,
                key=form.cleaned_data["key"],
                key_expires_on=form.cleaned_data["key_expires_on"],
            ).problem
        except connections.OperationError as refused:
            problem = add_form_error(form, refused)
        inquiries.remember_test(request.session, request.organization, connector, problem=problem)
        if not problem and form.is_valid():
            messages.success(request, f"The key of {label} was replaced. Syncing continues.")
            return redirect_to_page(request, "manage", connector.slug)
    dialog = _dialog(request, "replace_key", connection, form=form, problem=problem)
    return held_up(dialog, problem)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def rename(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask for another label; reports call all its days by it from then on."""
    connection = connection_or_404(request, label)
    posted = request.POST if request.method == "POST" else None
    form = RenameForm(posted, initial={"label": label})
    if form.is_valid():
        try:
            connections.rename(connection, actor=request.user, label=form.cleaned_data["label"])
        except connections.OperationError as refused:
            add_form_error(form, refused)
        else:
            messages.success(request, f"Label changed to {connection.label}.")
            return redirect_to_page(request, "manage", connection.connector_slug)
    return _dialog(request, "rename", connection, form=form)


@connection_manager_required
@require_POST
def name_service_account(request: OrganizationRequest, label: str) -> HttpResponse:
    """Name one service account, or take its name away; reports show it from then on."""
    form = ServiceAccountForm(request.POST)
    return _save_name(request, label, form, service_accounts.name_service_account, "accounts-h")


@connection_manager_required
@require_POST
def name_identifier(request: OrganizationRequest, label: str) -> HttpResponse:
    """Name one value of a dimension, or remove its name; reports show it from then on."""
    form = IdentifierForm(request.POST)
    place = f"names-{form['dimension'].value()}"
    return _save_name(request, label, form, identifier_names.name_identifier, place)


def _save_name(
    request: OrganizationRequest,
    label: str,
    form: ServiceAccountForm,
    save: Callable[..., ServiceAccount | NamedIdentifier],
    place: str,
) -> HttpResponse:
    """Save a name and return to the list it stands in, or show why it is refused."""
    connection = connection_or_404(request, label)
    if form.is_valid():
        try:
            named = save(connection, actor=request.user, **form.cleaned_data)
        except connections.OperationError as refused:
            if refused.code == "not_found":
                raise Http404 from refused
            add_form_error(form, refused)
        else:
            shown = f"{named.external_id} is named {named.name}." if named.name else "Name removed."
            messages.success(request, shown)
            page = resolve_url(
                "integrations:manage", request.organization.slug, connection.connector_slug
            )
            return redirect_to(request, f"{page}?{urlencode({'connection': label})}#{place}")
    return _manage_page(request, connection.connector, named=form, label=label, status=422)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_everything(request: OrganizationRequest, label: str) -> HttpResponse:
    """Say what it takes, then read all the provider still has."""
    connection = connection_or_404(request, label)
    problem = None
    if request.method == "POST":
        try:
            connections.backfill(connection, actor=request.user)
        except connections.OperationError as refused:
            problem = refused
        else:
            messages.success(request, f"The import of {label} has started.")
            return redirect_to_page(request, "manage", connection.connector_slug)
    everything = import_range.full_history(connection.connector, timezone.now().date())
    return _dialog(request, "import_everything", connection, everything=everything, problem=problem)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def disconnect(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask, then stop syncing and forget the key. The history stays."""
    connection = connection_or_404(request, label)
    problem = None
    if request.method == "POST":
        try:
            connections.disconnect(connection, actor=request.user)
        except connections.OperationError as refused:
            problem = refused
        else:
            messages.success(request, f"{label} is disconnected. Its history is kept.")
            return redirect_to_page(request, "manage", connection.connector_slug)
    return _dialog(request, "disconnect", connection, problem=problem)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask for the label and what to do with the history, then take the connection away."""
    connection = connection_or_404(request, label)
    form = DeleteForm(connection, request.POST if request.method == "POST" else None)
    problem = None
    if form.is_valid():
        keep = form.cleaned_data["history"] == "keep"
        try:
            connections.delete(connection, actor=request.user, keep_history=keep)
        except connections.OperationError as refused:
            problem = refused
        else:
            said = "is archived. Its history stays in reports." if keep else "is being deleted."
            messages.success(request, f"{label} {said}")
            return redirect_to_page(request, "manage", connection.connector_slug)
    return _dialog(
        request,
        "delete",
        connection,
        form=form,
        problem=problem,
        days=connection.feed_days.values("day").distinct().count(),
        effective_cost=connection.cost_totals.aggregate(sum=Sum("effective_cost"))["sum"],
    )


@connection_manager_required
@require_safe
def archive(request: OrganizationRequest) -> HttpResponse:
    """Render deleted connections with history, which can be restored or erased."""
    context = {"overviews": retained(request.organization)}
    return render(request, "integrations/archive.html", context)
