"""Membership operations: change role, deactivate, reactivate, remove.

Pages and the admin call these. Each writes an audit event, and none removes the last active Admin
of an organization.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.models import Membership, Organization, User
from accounts.permissions import Permission, Role


class MemberError(Exception):
    """Operation that is not possible. `str(exc)` says why, `repair` what to do instead."""

    repair = ""


class LastAdmin(MemberError):
    """Operation that would leave an organization without an active Admin."""

    repair = "Make another member Admin first."

    def __init__(self, organizations: list[str]) -> None:
        super().__init__(f"{' and '.join(organizations)} would be left without an active Admin.")


@contextmanager
def ensure_admin_remains(organizations: QuerySet[Organization]) -> Iterator[None]:
    """Roll the block back and raise `LastAdmin` if it removes the last active Admin.

    The organizations stay locked until the transaction ends, so if two Admins demote each
    other at the same moment, one is refused.
    """
    with transaction.atomic():
        # `no_key`: inserts of rows that reference the organization need not wait.
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
    """Return the names of active members with the permission, sorted."""
    able = Membership.objects.with_permission(permission).filter(organization=organization)
    return sorted(str(membership.user) for membership in able.select_related("user"))


def check_grant(organization: Organization, role: Role, *, actor: User | None) -> None:
    """Raise `MemberError` if the role has permissions that the actor lacks in the organization.

    Superusers and the command line (None) may grant every role.
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
    """Deactivate the member. Their role and saved objects stay."""
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
    """Remove the member from the organization. The account and its other memberships stay."""
    with _locked_membership(membership) as locked:
        _record(locked, actor, "member.removed", role=locked.get_role_display())
        locked.delete()


@contextmanager
def _locked_membership(membership: Membership) -> Iterator[Membership]:
    """Lock and return the current row. Raise `MemberError` if it no longer exists."""
    with ensure_admin_remains(Organization.objects.filter(pk=membership.organization_id)):
        locked = (
            Membership.objects.select_for_update(no_key=True, of=("self",))
            .select_related("user", "organization")
            .filter(pk=membership.pk)
            .first()
        )
        if locked is None:
            raise MemberError("This member has already been removed.")
        yield locked


def _record(membership: Membership, actor: User | None, action: str, **details: str) -> None:
    audit.record(membership.organization, actor, action, str(membership.user.email), **details)
