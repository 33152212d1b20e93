"""Links to the exports of a report."""

from dataclasses import dataclass

from django import template
from django.urls import reverse

from accounts.models import Organization
from reports.render.exports.registry import EXPORTS

register = template.Library()


@dataclass(frozen=True)
class ExportLink:
    """One entry of the export menu."""

    label: str
    icon: str
    address: str


@register.simple_tag
def export_links(organization: Organization, query: str, has_chart: object) -> list[ExportLink]:
    """Return a link for each format; those of a chart only if the page draws one."""
    return [
        ExportLink(
            export.description,
            export.icon,
            f"{reverse(f'reports:{export.url_name}', args=[organization.slug])}?{query}",
        )
        for export in EXPORTS.values()
        if has_chart or not export.needs_chart
    ]
