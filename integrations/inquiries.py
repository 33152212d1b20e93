"""Expert inquiries: a question with what was tried and what came back, and never a key."""

from datetime import datetime
from textwrap import indent
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts import audit, mail, quotas
from accounts.models import Membership, Organization, User
from accounts.permissions import Permission
from common.redaction import redact
from integrations import connections, log
from integrations.connectors.base import Connector, ConnectorError
from integrations.models import Connection, ExpertInquiry
from integrations.status.connections import status_of

Problem = ConnectorError | connections.OperationError


def remember_test(
    session: SessionBase,
    organization: Organization,
    connector: Connector,
    *,
    problem: Problem | None,
) -> None:
    """Remember how the last test went, for an inquiry; a passed one is forgotten."""
    name = _name(organization, connector)
    if problem is None:
        session.pop(name, None)
        return
    session[name] = {
        "kind": type(problem).__name__,
        "code": problem.code,
        "message": str(problem),
        "repair": problem.repair,
        "provider_message": getattr(problem, "provider_message", ""),
        "status": getattr(problem, "status", None),
        "request_id": getattr(problem, "request_id", ""),
        "checks": {one.label: f"{one.state} {one.detail}".strip() for one in problem.checks},
        "at": timezone.now().isoformat(timespec="seconds"),
    }


def diagnosis(
    session: SessionBase,
    organization: Organization,
    connector: Connector,
    connection: Connection | None,
) -> dict[str, Any]:
    """Return the diagnosis an expert needs, from texts that may stand on a page."""
    values: dict[str, Any] = {
        "connector": connector.slug,
        "provider": urlsplit(connector.base_url).netloc,
        "test": session.get(_name(organization, connector)),
    }
    if connection is not None:
        values["connection"] = _connection(connection)
    return values


def submit(
    organization: Organization,
    connector: Connector,
    *,
    actor: User,
    label: str,
    question: str,
    reply_to: str,
    diagnosis: dict[str, Any],
) -> ExpertInquiry:
    """Store an inquiry and mail it to who answers them: `EXPERT_EMAILS`, or the Admins."""
    with transaction.atomic():
        still_open = ExpertInquiry.objects.filter(
            organization=organization, state=ExpertInquiry.State.OPEN
        )
        quotas.check(organization, "inquiries", still_open)
        inquiry = ExpertInquiry.objects.create(
            organization=organization,
            connector_slug=connector.slug,
            label=label,
            question=redact(question),  # people paste what does not work
            reply_to=reply_to,
            diagnosis=diagnosis,
            asked_by=actor,
        )
        audit.record(organization, actor, "inquiry.filed", label or connector.name)
        mail.send(
            to=settings.EXPERT_EMAILS or _recipients(organization),
            subject=f"Expert inquiry {inquiry.pk}: {connector.name}",
            template="inquiry",
            context={
                "inquiry": inquiry,
                # Marked line by line, so that it cannot pass for the rest of the mail.
                "question": indent(inquiry.question, "> ", lambda line: True),
                "organization": organization,
                "facts": diagnosis_lines(diagnosis),
                "path": reverse("integrations:inquiries", args=[organization.slug]),
            },
        )
    return inquiry


def close(inquiry: ExpertInquiry, *, actor: User) -> None:
    with transaction.atomic():
        ExpertInquiry.objects.filter(pk=inquiry.pk).update(state=ExpertInquiry.State.CLOSED)
        target = inquiry.label or inquiry.connector_slug
        audit.record(inquiry.organization, actor, "inquiry.closed", target, inquiry=inquiry.pk)


def visible_to(membership: Membership) -> list[ExpertInquiry]:
    """Return the newest 200: all of the organization for experts, their own for others."""
    visible = ExpertInquiry.objects.filter(organization=membership.organization)
    if not membership.may(Permission.ANSWER_INQUIRIES):
        visible = visible.filter(asked_by=membership.user)
    return list(visible.select_related("asked_by").order_by("-asked_at", "-pk")[:200])


def diagnosis_lines(diagnosis: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the diagnosis as lines of name and value, for a page and a mail."""
    return list(_lines("", diagnosis))


def _lines(name: str, value: Any) -> "list[tuple[str, str]]":
    if isinstance(value, dict):
        return [
            line
            for key, part in value.items()
            for line in _lines(f"{name} · {key}" if name else key, part)
        ]
    if isinstance(value, list):
        return [
            line
            for number, part in enumerate(value, 1)
            for line in _lines(f"{name} {number}", part)
        ]
    return [] if value in ("", None) else [(name.replace("_", " "), str(value))]


def _connection(connection: Connection) -> dict[str, Any]:
    shown = status_of(connection)
    return {
        "label": connection.label,
        "organization_id": connection.provider_organization_id,
        "status": shown.status.word,
        "problem": connection.problem,
        "problem_code": connection.problem_code,
        "problem_since": _instant(connection.problem_since),
        "cost_complete_to": _instant(shown.cost_complete_to),
        "engagement_complete_to": str(shown.engagement_complete_to or ""),
        "last_sync_at": _instant(shown.last_sync_at),
        "errors": [
            {
                "feed": part.feed,
                "days": str(part.window),
                "code": part.error_code,
                "error": part.error,
                "request_id": part.request_id,
                "at": _instant(part.started_at),
            }
            for part in log.recent_failures(connection)
        ],
    }


def _instant(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""


def _recipients(organization: Organization) -> list[str]:
    memberships = Membership.objects.with_permission(Permission.ANSWER_INQUIRIES)
    memberships = memberships.filter(organization=organization)
    return list(memberships.order_by("user__email").values_list("user__email", flat=True))


def _name(organization: Organization, connector: Connector) -> str:
    return f"last-test-{organization.pk}-{connector.slug}"
