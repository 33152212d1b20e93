"""The audit trail: one line per act on a connection, a member or an organization."""

from accounts.models import AuditEvent, Organization, User


def record(
    organization: Organization, actor: User | None, verb: str, target: str, **details: str | int
) -> AuditEvent:
    """Add one event. `actor` None is the system or the command line. Never pass a secret."""
    return AuditEvent.objects.create(
        organization=organization,
        actor=actor,
        actor_name=str(actor.email) if actor else "command line",
        verb=verb,
        target=target,
        details=details,
    )
