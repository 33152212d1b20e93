"""Saved reports go along when a connection gets another label, and so do their schedules."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.dispatch import receiver

from accounts import audit
from accounts.models import Organization, User
from integrations.signals import connection_renamed
from reports.engine.spec import Filter, Operator
from reports.models import SavedReport

# The filters that compare whole labels. A piece of one may mean any number of connections.
_FILTERS = {
    Filter("billing_account", (), operator).parameter for operator in Operator if operator.is_exact
}


@receiver(connection_renamed)
def rename_label(
    *, organization: Organization, before: str, after: str, actor: User | None, **_: Any
) -> None:
    """Replace the old label by the new one in all reports of the organization.

    No member edited these reports, so their modification date stays.
    """
    reports = SavedReport.objects.select_for_update(no_key=True).order_by("pk")
    for report in reports.filter(organization=organization, query__contains="billing_account"):
        query = replace_label(report.query, before, after)
        if query != report.query:
            SavedReport.objects.filter(pk=report.pk).update(query=query)
            audit.record(
                organization, actor, "report.relabeled", report.name, before=before, after=after
            )


def replace_label(query: str, before: str, after: str) -> str:
    """Replace one label by another in the report's query, keeping values distinct."""
    pairs = (
        (name, after if name in _FILTERS and value == before else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return urlencode(list(dict.fromkeys(pairs)), safe=",")
