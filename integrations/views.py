"""The pages of the connections. Each view makes one call into the domain and shows the answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.members import who_can_help
from accounts.tenancy import (
    OrganizationRequest,
    connection_manager_required,
    organization_required,
)
from integrations import connections, overview
from integrations.connectors import get_connector
from integrations.connectors.base import ActionNeeded, Connector, ConnectorError
from integrations.forms import ConnectForm, DeleteForm, ReplaceKeyForm
from integrations.models import Connection
from integrations.overview import Card, Overview
from integrations.stats import Stats
from integrations.window import Window

# Tabs that are always there; a connector may bring its own.
TABS = ("Data & AI", "Others")


@dataclass(frozen=True)
class ShownCard:
    """A card with what the page says besides its sentence."""

    card: Card
    stats: Stats
    is_moving: bool

    @classmethod
    def of(cls, card: Card) -> "ShownCard":
        return cls(card, Stats.of(card.overviews), any(map(_is_moving, card.overviews)))


@dataclass(frozen=True)
class Tab:
    name: str
    slug: str
    count: int
    is_current: bool


def _connector(slug: str) -> Connector:
    try:
        return get_connector(slug)
    except KeyError:
        raise Http404 from None


def _connection(request: OrganizationRequest, label: str) -> Connection:
    return get_object_or_404(Connection, organization=request.organization, label=label)


def _is_moving(found: Overview) -> bool:
    """Whether looking again in a few seconds may show something new."""
    if found.connection.state == Connection.State.ACTION_NEEDED:
        return False  # its run waits for a person
    return found.active_run is not None or found.connection.state == Connection.State.DELETING


# --- The cards ---------------------------------------------------------------------------
def _tabs(cards: Iterable[Card], current: str) -> list[Tab]:
    names = [card.connector.tab for card in cards]
    tabs = [Tab("All", "", len(names), current == "")]
    for name in dict.fromkeys([*TABS, *names]):
        tabs.append(Tab(name, slugify(name), names.count(name), slugify(name) == current))
    return tabs


def _matches(card: Card, words: list[str]) -> bool:
    labels = [found.connection.label for found in card.overviews]
    text = " ".join([card.connector.name, card.connector.summary, *labels]).casefold()
    return all(word in text for word in words)


@organization_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """All kinds of integrations as cards, by tab and search; htmx gets the cards alone."""
    cards = overview.cards(request.organization)
    q, current = request.GET.get("q", "").strip()[:100], request.GET.get("tab", "")
    tabs = _tabs(cards, current)
    if not any(tab.is_current for tab in tabs):
        raise Http404
    words = q.casefold().split()
    shown = [
        ShownCard.of(card)
        for card in cards
        if current in ("", slugify(card.connector.tab)) and _matches(card, words)
    ]
    context = {
        "tabs": tabs,
        "current": next(tab for tab in tabs if tab.is_current),
        "q": q,
        "count": len(shown),
        "connected": [each for each in shown if each.stats.connected],
        "available": [each for each in shown if not each.stats.connected],
        "helpers": who_can_help(request.organization),
    }
    template = "integrations/_cards.html" if HtmxDetails(request) else "integrations/index.html"
    return render(request, template, context)


@organization_required
@require_safe
def card(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """One card, for the page to follow an import."""
    connector = _connector(connector_slug)
    found = next(
        card for card in overview.cards(request.organization) if card.connector is connector
    )
    context = {"shown": ShownCard.of(found), "helpers": who_can_help(request.organization)}
    return render(request, "integrations/_card.html", context)


# --- Connect -----------------------------------------------------------------------------
def _template(connector: Connector, name: str) -> list[str]:
    """The connector's own version of a page, or the common one."""
    own = connector.slug.replace("-", "_")
    return [f"integrations/connectors/{own}/{name}", f"integrations/{name}"]


def _is_sandbox(connector: Connector) -> bool:
    """Whether the provider is a twin on this very machine, so that its keys may be told."""
    host = urlsplit(connector.base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _connect_page(
    request: OrganizationRequest,
    connector: Connector,
    form: ConnectForm,
    *,
    tested: connections.Tested | None = None,
    problem: ConnectorError | connections.Refused | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page with the test's outcome; htmx gets the outcome alone, so what was typed stays."""
    today = timezone.now().date()
    history = Window.last(settings.IMPORT_DAYS, today=today)
    requests = sum(ceil(len(history) / feed.window_days) for feed in connector.feeds)
    context = {
        "connector": connector,
        "form": form,
        "tested": tested,
        "problem": problem,
        "can_forward": isinstance(problem, ActionNeeded),
        "taken": " ".join(
            Connection.objects.filter(organization=request.organization).values_list(
                "label", flat=True
            )
        ),
        "history": history,
        "requests": requests,
        "minutes": ceil(requests / connector.requests_per_minute)
        if connector.requests_per_minute
        else None,
        "is_sandbox": _is_sandbox(connector),
    }
    template = (
        ["integrations/_result.html"]
        if HtmxDetails(request)
        else _template(connector, "connect.html")
    )
    return render(request, template, context, status=status)


def _refuse(form: Form, refused: connections.Refused) -> connections.Refused | None:
    """Put a refusal beside its field; hand it back if it belongs to none."""
    if refused.field in form.fields:
        form.add_error(refused.field, " ".join(filter(None, [str(refused), refused.repair])))
        return None
    return refused


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("key")
@sensitive_variables("form")
def connect(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """The way to a new connection; POST is Save."""
    connector = _connector(connector_slug)
    if request.method != "POST":
        return _connect_page(request, connector, ConnectForm(connector))
    form = ConnectForm(connector, request.POST)
    problem = None
    if form.is_valid():
        try:
            connection = connections.connect(
                request.organization, connector, actor=request.user, **form.cleaned_data
            )
        except connections.Refused as refused:
            problem = _refuse(form, refused)
        else:
            messages.success(request, f"{connection.label} is saved. The import has started.")
            return _to_manage(request, connector)
    return _connect_page(request, connector, form, problem=problem, status=422)


@connection_manager_required
@require_POST
@sensitive_post_parameters("key")
@sensitive_variables("form", "values")
def test(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """Try a label and a key. Stores nothing; a passed test hands out the proof Save asks for."""
    connector = _connector(connector_slug)
    form = ConnectForm(connector, request.POST)
    if form.is_valid():
        values = form.cleaned_data
        try:
            tested = connections.test(
                request.organization, connector, label=values["label"], key=values["key"]
            )
        except connections.Refused as refused:
            problem = _refuse(form, refused)
            if problem:
                return _connect_page(request, connector, form, problem=problem)
        else:
            return _connect_page(request, connector, form, tested=tested, problem=tested.problem)
    return _connect_page(request, connector, form, status=422)


# --- Manage ------------------------------------------------------------------------------
def _to_manage(request: OrganizationRequest, connector: Connector) -> HttpResponse:
    address = resolve_url("integrations:manage", request.organization.slug, connector.slug)
    return HttpResponseClientRedirect(address) if HtmxDetails(request) else redirect(address)


def _manage_page(
    request: OrganizationRequest,
    connector: Connector,
    *,
    problem: connections.Refused | None = None,
    status: int = 200,
) -> HttpResponse:
    found = overview.overviews(request.organization, connector)
    context = {
        "connector": connector,
        "overviews": found,
        "stats": Stats.of(found),
        "is_deleting": any(o.connection.state == Connection.State.DELETING for o in found),
        "problem": problem,
    }
    return render(request, _template(connector, "manage.html"), context, status=status)


@connection_manager_required
@require_safe
def manage(request: OrganizationRequest, connector_slug: str) -> HttpResponse:
    """All connections of one connector, how they do, and the verbs for each."""
    return _manage_page(request, _connector(connector_slug))


@connection_manager_required
@require_safe
def progress(request: OrganizationRequest, label: str) -> HttpResponse:
    """What moves on the page while an import runs: its steps, its row and the figures on top."""
    connection = _connection(request, label)
    found = overview.overviews(request.organization, connection.connector)
    context = {
        "connector": connection.connector,
        "overview": (shown := next(o for o in found if o.connection.pk == connection.pk)),
        "is_moving": _is_moving(shown),
        "stats": Stats.of(found),
    }
    return render(request, "integrations/_progress.html", context)


@connection_manager_required
@require_POST
def sync_now(request: OrganizationRequest, label: str) -> HttpResponse:
    connection = _connection(request, label)
    try:
        connections.sync_now(connection, actor=request.user)
    except connections.Refused as refused:
        return _manage_page(request, connection.connector, problem=refused, status=422)
    messages.success(request, f"Sync of {label} has started.")
    return _to_manage(request, connection.connector)


def _dialog(
    request: OrganizationRequest,
    name: str,
    connection: Connection,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """A question about one connection: a dialog for htmx, otherwise a page of its own."""
    context |= {
        "overview": overview.overview(connection),
        "connector": connection.connector,
        "dialog": f"integrations/_{name}.html",
    }
    template = context["dialog"] if HtmxDetails(request) else "integrations/dialog.html"
    return render(request, template, context, status=status)


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("key")
@sensitive_variables("form")
def replace_key(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask for a new key, test it, and go on with it."""
    connection = _connection(request, label)
    connector = connection.connector
    form = ReplaceKeyForm(connector, request.POST or None)
    problem: ConnectorError | connections.Refused | None = None
    if form.is_valid():
        try:
            problem = connections.replace_key(
                connection, actor=request.user, key=form.cleaned_data["key"]
            ).problem
        except connections.Refused as refused:
            problem = _refuse(form, refused)
        if not problem and form.is_valid():
            messages.success(request, f"The key of {label} is replaced. Syncing goes on.")
            return _to_manage(request, connector)
    return _dialog(
        request,
        "replace_key",
        connection,
        form=form,
        problem=problem,
        status=422 if request.method == "POST" else 200,
    )


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def disconnect(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask, then stop syncing and forget the key. The history stays."""
    connection = _connection(request, label)
    problem = None
    if request.method == "POST":
        try:
            connections.disconnect(connection, actor=request.user)
        except connections.Refused as refused:
            problem = refused
        else:
            messages.success(request, f"{label} is disconnected. Its history is kept.")
            return _to_manage(request, connection.connector)
    return _dialog(
        request, "disconnect", connection, problem=problem, status=422 if problem else 200
    )


@connection_manager_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: OrganizationRequest, label: str) -> HttpResponse:
    """Ask for the label, then remove a disconnected connection with its history."""
    connection = _connection(request, label)
    form = DeleteForm(connection, request.POST if request.method == "POST" else None)
    problem = None
    if form.is_valid():
        try:
            connections.delete(connection, actor=request.user)
        except connections.Refused as refused:
            problem = refused
        else:
            messages.success(request, f"{label} is being deleted.")
            return _to_manage(request, connection.connector)
    return _dialog(
        request,
        "delete",
        connection,
        form=form,
        problem=problem,
        status=422 if request.method == "POST" else 200,
    )
