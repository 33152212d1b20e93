"""Page where members create and revoke API tokens."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Permission
from accounts.tenancy import NotPermitted, OrganizationRequest, organization_required
from api import tokens
from api.forms import TokenForm
from api.models import Scope, Token


@organization_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("secret")
def index(request: OrganizationRequest) -> HttpResponseBase:
    """List the visible tokens and create one. Only that response holds the secret."""
    if request.method != "POST":
        return _page(request, TokenForm())
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        token, secret = tokens.create(
            request.membership,
            form.cleaned_data["name"],
            form.cleaned_data["scopes"],
            form.expires_at(timezone.now()),
        )
    except tokens.NameTaken:
        form.add_error(
            "name",
            "You already have a token with this name. Choose another name, or revoke that one "
            "first.",
        )
        return _page(request, form, status=422)
    return _page(request, TokenForm(), made=token, secret=secret)


@organization_required
@require_POST
def revoke(request: OrganizationRequest, token_pk: int) -> HttpResponseBase:
    """Revoke one's own token, or with the permission to manage members any token."""
    token = get_object_or_404(Token, pk=token_pk, membership__organization=request.organization)
    is_own = token.membership_id == request.membership.pk
    if not (is_own or request.membership.may(Permission.MANAGE_MEMBERS)):
        raise NotPermitted(Permission.MANAGE_MEMBERS)
    tokens.revoke(token, request.user)
    messages.success(request, f"{token.name} revoked. Programs that use it no longer have access.")
    return redirect("tokens:index", request.organization.slug)


def _page(
    request: OrganizationRequest, form: TokenForm, *, status: int = 200, **more: Any
) -> HttpResponse:
    context = {
        "form": form,
        "scopes": [(scope, scope in _chosen(form)) for scope in Scope],
        "tokens": tokens.visible_to(request.membership),
        **more,
    }
    return render(request, "api/tokens.html", context, status=status)


def _chosen(form: TokenForm) -> list[str]:
    return form.data.getlist("scopes") if form.is_bound else [Scope.REPORTS]  # type: ignore[attr-defined]
