"""The page of all products together."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.limits import limited
from accounts.tenancy import OrganizationRequest, organization_required
from reports import products
from reports.engine.periods import RANGES
from reports.engine.spec import ReportSpec, SpecError

USUAL = "30d"


@dataclass(frozen=True)
class RangeOption:
    """One range of days to look at."""

    name: str
    label: str
    is_chosen: bool


@require_safe
@organization_required
@limited
def show(request: OrganizationRequest) -> HttpResponse | HttpResponseRedirect:
    """Spend by product and connection, and which source reports what, for a `range`."""
    query = QueryDict(mutable=True)
    query["range"] = request.GET.get("range", USUAL)
    try:
        spec = ReportSpec.from_query(query, today=datetime.now(UTC).date())
    except SpecError:
        return redirect(request.path)
    context = {
        "products": products.read(request.organization, spec),
        "ranges": [
            RangeOption(name, one.label, name == spec.range) for name, one in RANGES.items()
        ],
    }
    return render(request, "reports/products.html", context)
