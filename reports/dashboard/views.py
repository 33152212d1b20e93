"""The dashboard, its widgets one by one, their rows as CSV, and what the numbers mean."""

from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import pairwise

from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails
from markdown_it import MarkdownIt

from accounts import audit
from accounts.limits import REPORT, WIDGET, TooMany, limited, slot
from accounts.tenancy import OrganizationRequest, organization_required
from integrations.models import FeedDay
from reports.dashboard.declaration import Widget
from reports.dashboard.filters import FilterBar
from reports.dashboard.scope import Scope
from reports.dashboard.widgets import WIDGET_LIST, WIDGETS, RenderedWidget, render_widget
from reports.engine.spec import SpecError

OWN = ("render", "find")  # parameters of the page that are not filters


@require_safe
@organization_required
def start(request: OrganizationRequest) -> HttpResponseBase:
    """Redirect to the dashboard once there is data, before that to Integrations."""
    has_data = FeedDay.objects.filter(connection__organization=request.organization).exists()
    page = "dashboards:genai" if has_data else "integrations:index"
    return redirect(page, request.organization.slug)


@require_safe
@organization_required
def genai(request: OrganizationRequest) -> HttpResponseBase:
    """Render the page. Widgets load on their own, except for `render=all`."""
    htmx = HtmxDetails(request)
    is_part = bool(htmx) and not htmx.history_restore_request
    try:
        scope = _scope(request)
    except SpecError as error:
        context = {"error": error, "bar": FilterBar(_bare(request))}
        template = "dashboards/_error.html" if is_part else "dashboards/genai.html"
        return render(request, template, context, status=422)
    at_once = request.GET.get("render") == "all"
    context = {
        "bar": FilterBar(scope, find=request.GET.get("find", "").strip()),
        "query": scope.query,
        "at_once": at_once,
        "shown": _all_shown(request, scope)
        if at_once
        else [RenderedWidget(widget) for widget in WIDGET_LIST],
    }
    response = render(
        request, "dashboards/_swap.html" if is_part else "dashboards/genai.html", context
    )
    if is_part:
        response["HX-Push-Url"] = f"{request.path}?{scope.query}"
    return response


@require_safe
@organization_required
def widget(request: OrganizationRequest, widget: str) -> HttpResponseBase:
    """Render one widget for the page, or redirect to the page if it was opened directly."""
    declared = _widget(widget)
    if not HtmxDetails(request):
        page = reverse("dashboards:genai", args=[request.organization.slug])
        return redirect(f"{page}?{request.GET.urlencode()}#{widget}")
    try:
        scope = _scope(request)
    except SpecError as error:
        return render(request, "dashboards/_error.html", {"error": error}, status=422)
    context: dict[str, object] = {"query": scope.query}
    try:
        with slot(WIDGET, user=request.user.pk, organization=request.organization.pk):
            context["it"] = render_widget(declared, scope)
    except TooMany as error:
        # The widget stays as it was while it loads, and asks again by itself.
        context |= {"it": RenderedWidget(declared), "again_seconds": min(error.wait_seconds, 60)}
    return render(request, "dashboards/_widget.html", context)


@require_safe
@organization_required
@limited
def widget_csv(request: OrganizationRequest, widget: str) -> HttpResponseBase:
    """Download the exact rows of one widget."""
    declared = _widget(widget)
    try:
        scope = _scope(request)
    except SpecError as error:
        return HttpResponse(f"{error}\n", content_type="text/plain; charset=utf-8", status=422)
    window = scope.window
    audit.record(
        request.organization, request.user, "dashboard.exported", declared.title, query=scope.query
    )
    file = f"{request.organization.slug}-{widget}-{window.start}-to-{window.last_day}.csv"
    answer = declared.ask(scope)
    table = answer.table
    if answer.missing:
        table = table.saying_what_is_missing(lack.label for lack in answer.missing)
    return HttpResponse(
        table.csv(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


@require_safe
@organization_required
def people(request: OrganizationRequest) -> HttpResponseBase:
    """Search the people for a filter by part of the name."""
    try:
        bar = FilterBar(_scope(request), find=request.GET.get("find", "").strip())
    except SpecError as error:
        return render(request, "dashboards/_error.html", {"error": error}, status=422)
    return render(request, "dashboards/_people.html", {"bar": bar})


@require_safe
@organization_required
def definitions(request: OrganizationRequest) -> HttpResponseBase:
    """docs/metrics.md as a page: what every number means."""
    return render(request, "dashboards/definitions.html", {"text": _definitions()})


def _all_shown(request: OrganizationRequest, scope: Scope) -> list[RenderedWidget]:
    with slot(REPORT, user=request.user.pk, organization=request.organization.pk):
        return [render_widget(widget, scope) for widget in WIDGET_LIST]


def _today() -> date:
    return datetime.now(UTC).date()


def _scope(request: OrganizationRequest) -> Scope:
    query = request.GET.copy()
    for name in OWN:
        query.pop(name, None)
    return Scope.from_query(request.organization, query, today=_today())


def _bare(request: OrganizationRequest) -> Scope:
    """Return the dashboard without parameters, for the bar of an invalid URL."""
    return Scope.from_query(request.organization, QueryDict(), today=_today())


def _widget(name: str) -> Widget:
    if name not in WIDGETS:
        raise Http404
    return WIDGETS[name]


@lru_cache(maxsize=1)
def _definitions() -> SafeString:
    """Render the document as HTML with an anchor per heading; HTML inside is escaped."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse((settings.BASE_DIR / "docs" / "metrics.md").read_text())
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slugify(inline.content))
    text: str = parser.renderer.render(tokens, parser.options, {})
    return mark_safe(text)  # noqa: S308  # our own document
