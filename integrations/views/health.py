"""Data health: how far the numbers reach, what proves them, and what was changed afterwards."""

from typing import Any, cast

from django import forms
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts import audit
from accounts.tenancy import OrganizationRequest, organization_required
from integrations.data_quality import checks as quality_checks
from integrations.data_quality.checks import CheckFilter
from integrations.models import Connection
from integrations.status.connections import status_of
from integrations.status.strips import coverage_page

DAYS = 90
_DAY: dict[str, Any] = {
    "widget": forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "class": "in"}),
    "error_messages": {"invalid": "Write the day as 2026-11-22."},
}


class DataQualityForm(forms.Form):
    """Which checks or restatements to show; nothing chosen shows all."""

    connection = forms.ChoiceField(
        required=False, error_messages={"invalid_choice": "This connection does not exist."}
    )
    feed = forms.ChoiceField(
        required=False, error_messages={"invalid_choice": "This feed does not exist."}
    )
    since = forms.DateField(required=False, label="From", **_DAY)
    until = forms.DateField(required=False, label="To", **_DAY)
    differences = forms.BooleanField(required=False)

    def __init__(self, data: Any, connections: list[Connection]) -> None:
        super().__init__(data)
        self._connections = {each.label: each for each in connections}
        feeds = {
            feed.name: feed.label
            for connection in connections
            for feed in connection.connector.feeds
            if feed.has_days
        }
        for name, offered in (
            ("connection", [(label, label) for label in self._connections]),
            ("feed", list(feeds.items())),
        ):
            field = cast(forms.ChoiceField, self.fields[name])
            field.widget = forms.Select(attrs={"class": "in"})
            field.choices = [("", "All"), *offered]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", "The last day is before the first day.")
        return cleaned

    @property
    def chosen(self) -> CheckFilter | None:
        """What was asked for; None if it makes no sense."""
        if not self.is_valid():
            return None
        values = self.cleaned_data
        return CheckFilter(
            connection=self._connections.get(values["connection"]),
            feed=values["feed"],
            since=values["since"],
            until=values["until"],
            only_differences=values["differences"],
        )


@organization_required
@require_safe
def index(request: OrganizationRequest) -> HttpResponse:
    """How far every feed of one connection reaches."""
    connections = quality_checks.connections_of(request.organization)
    label = request.GET.get("connection", "")
    if label:
        chosen = next((each for each in connections if each.label == label), None)
        if chosen is None:
            raise Http404
    else:  # the first that goes on, if there is one
        chosen = min(connections, key=lambda each: each.is_disconnected, default=None)
    context: dict[str, Any] = {"connections": connections, "chosen": chosen, "tab": "health"}
    if chosen is not None:
        everything = request.GET.get("days") == "all"
        days = None if everything else DAYS
        context["health"] = coverage = coverage_page(
            status_of(chosen), today=timezone.now().date(), days=days
        )
        context["variants"] = quality_checks.variant_lines(chosen, coverage.window)
        context["checked"] = quality_checks.summarize(chosen)
        context["everything"] = everything
    return render(request, "integrations/health.html", context)


@organization_required
@require_safe
def checks(request: OrganizationRequest) -> HttpResponse:
    """Every day's check against the provider's own total."""
    form, context = _filter(request, "checks")
    if form.chosen is not None:
        number = request.GET.get("page", "1")
        page = quality_checks.checks(request.organization, form.chosen, number)
        context |= {"page": page, "lines": quality_checks.check_lines(page)}
    return render(request, "integrations/health_checks.html", context)


@organization_required
@require_safe
def restatements(request: OrganizationRequest) -> HttpResponse:
    """Every complete day the provider changed afterwards."""
    form, context = _filter(request, "restatements")
    if form.chosen is not None:
        number = request.GET.get("page", "1")
        page = quality_checks.restatements(request.organization, form.chosen, number)
        context |= {"page": page, "lines": quality_checks.restatement_lines(page)}
    return render(request, "integrations/health_restatements.html", context)


@organization_required
@require_safe
def restatements_csv(request: OrganizationRequest) -> HttpResponseBase:
    """Download all restatements as CSV; invalid filters render the page."""
    form, context = _filter(request, "restatements")
    if form.chosen is None:
        return render(request, "integrations/health_restatements.html", context, status=422)
    audit.record(request.organization, request.user, "restatements.exported", "Restatements")
    return StreamingHttpResponse(
        quality_checks.restatements_csv(request.organization, form.chosen),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="restatements.csv"'},
    )


def _filter(request: OrganizationRequest, tab: str) -> tuple[DataQualityForm, dict[str, Any]]:
    form = DataQualityForm(request.GET, quality_checks.connections_of(request.organization))
    narrowed = form.is_valid() and any(form.cleaned_data.values())
    return form, {"form": form, "tab": tab, "is_narrowed": narrowed, "page": None}
