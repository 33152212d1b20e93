"""The verbs of a membership: change role · deactivate · reactivate · remove.

Pages and the admin call these. Each leaves an audit event, and none takes the last active Admin
away from an organization.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.models import Membership, Organization, User
from accounts.permissions import Permission, Role


class MemberError(Exception):
    """The act cannot be done as asked. `str(exc)` says why, `repair` what to do instead."""

    repair = ""


class LastAdmin(MemberError):
    """It would have left an organization without anybody who can let others in."""

    repair = "Make somebody else Admin first."

    def __init__(self, organizations: list[str]) -> None:
        super().__init__(f"{' and '.join(organizations)} would be left without an active Admin.")


@contextmanager
def ensure_admin_remains(organizations: QuerySet[Organization]) -> Iterator[None]:
    """Undo what happens inside, and raise `LastAdmin`, if it takes away the last active Admin.

    The organizations stay locked until the transaction ends, so of two Admins who demote each
    other at the same moment one is refused.
    """
    with transaction.atomic():
        # Without the key: whoever adds a row that points here need not wait.
        locked = organizations.order_by("pk").select_for_update(no_key=True)
        before = _ensure_admin([organization.pk for organization in locked])
        yield
        lost = Organization.objects.filter(pk__in=before - _ensure_admin(before))
        if names := sorted(organization.name for organization in lost):
            raise LastAdmin(names)


def _ensure_admin(organizations: Iterable[int]) -> set[int]:
    admins = Membership.objects.active().filter(role=Role.ADMIN, organization__in=organizations)
    return set(admins.values_list("organization_id", flat=True))


def members_with(
    organization: Organization, permission: Permission = Permission.MANAGE_CONNECTIONS
) -> list[str]:
    """The members who may do this themselves, by name."""
    able = Membership.objects.who_may(permission).filter(organization=organization)
    return sorted(str(membership.user) for membership in able.select_related("user"))


def check_grant(organization: Organization, role: Role, *, actor: User | None) -> None:
    """Raise `Refused` if the role includes what the actor may not do in this organization.

    Superusers and the command line (None) may give every role.
    """
    if actor is None or actor.is_superuser:
        return
    own = Membership.objects.active().filter(user=actor, organization=organization).first()
    if own is None or not role.permissions <= Role(own.role).permissions:
        raise MemberError(
            f"The role {role.label} includes permissions you do not have in {organization}."
        )


def change_role(membership: Membership, role: Role, *, actor: User | None) -> None:
    check_grant(membership.organization, role, actor=actor)
    with _locked_membership(membership) as locked:
        if locked.role == role:
            return
        change = f"{locked.get_role_display()} → {role.label}"
        locked.role = role
        locked.save(update_fields=["role"])
        _record(locked, actor, "member.role_changed", role=change)


def deactivate(membership: Membership, *, actor: User | None) -> None:
    """Let the member in no longer; their role and what they made stay."""
    with _locked_membership(membership) as locked:
        if not locked.is_active:
            return
        locked.is_active = False
        locked.save(update_fields=["is_active"])
        _record(locked, actor, "member.deactivated")


def reactivate(membership: Membership, *, actor: User | None) -> None:
    with _locked_membership(membership) as locked:
        if locked.is_active:
            return
        check_grant(locked.organization, Role(locked.role), actor=actor)
        locked.is_active = True
        locked.save(update_fields=["is_active"])
        _record(locked, actor, "member.reactivated", role=locked.get_role_display())


def remove(membership: Membership, *, actor: User | None) -> None:
    """Take the member out of the organization. The account stays, for its other organizations."""
    with _locked_membership(membership) as locked:
        _record(locked, actor, "member.removed", role=locked.get_role_display())
        locked.delete()


@contextmanager
def _locked_membership(membership: Membership) -> Iterator[Membership]:
    """The row as it is now, locked; raises `Refused` if it went away meanwhile."""
    with ensure_admin_remains(Organization.objects.filter(pk=membership.organization_id)):
        locked = (
            Membership.objects.select_for_update(no_key=True, of=("self",))
            .select_related("user", "organization")
            .filter(pk=membership.pk)
            .first()
        )
        if locked is None:
            raise MemberError("This member was removed meanwhile.")
        yield locked


def _record(membership: Membership, actor: User | None, verb: str, **details: str) -> None:
    audit.record(membership.organization, actor, verb, str(membership.user.email), **details)
