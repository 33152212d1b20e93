"""Confirmation dialogs: an overlay with JavaScript, a page without."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


def render_dialog(
    request: HttpRequest, question: str, *, answered: bool = False, **context: Any
) -> HttpResponse:
    """Render a dialog: the template alone for htmx, otherwise inside its app's `dialog.html`.

    A dialog that is shown again after a POST has an error, so its status is 422 unless `answered`.
    """
    context["dialog"] = question
    page = f"{question.partition('/')[0]}/dialog.html"
    status = 422 if request.method == "POST" and not answered else 200
    return render(request, question if HtmxDetails(request) else page, context, status=status)


def redirect_to(request: HttpRequest, address: str) -> HttpResponse:
    """Redirect to another page, also from a dialog or fragment."""
    return HttpResponseClientRedirect(address) if HtmxDetails(request) else redirect(address)
