"""Invitations: invite, resend, revoke, accept.

The link is a signature of the invitation's id and the number of its issue. It works once, for a
week, and only while it is the newest: resending invalidates the older link. It is stored nowhere;
with email only the addressee knows it, without email the Admin who passes it on.
"""

from datetime import timedelta

from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts import addresses, audit, mail, quotas
from accounts.members import MemberError, check_grant
from accounts.models import Invitation, Membership, Organization, User
from accounts.permissions import Role
from accounts.throttling import INVITED_ADDRESS, INVITING_ORGANIZATION, minutes

LIFETIME = timedelta(days=7)
_SALT = "accounts.invitations"


class InvitationInvalid(Exception):
    """Link that is used, revoked, replaced by a newer one, expired or damaged."""


def invite(organization: Organization, *, email: str, role: Role, actor: User | None) -> Invitation:
    """Create an invitation and mail it if email is configured. Raise `MemberError`."""
    email = addresses.with_dns_domain(email)
    member = organization.memberships.filter(
        user__canonical_email=addresses.canonical(email)
    ).first()
    if member is not None:
        raise MemberError(
            f"{email} is a member already."
            if member.is_active
            else f"{email} is a deactivated member. Reactivate them in the list of members."
        )
    check_grant(organization, Role(role), actor=actor)
    _check_rate_limit(organization, email)
    try:
        with transaction.atomic():
            _check_limit(organization)
            invitation = Invitation.objects.create(
                organization=organization,
                email=email,
                role=role,
                invited_by=actor,
                expires_at=timezone.now() + LIFETIME,
            )
            _create(invitation, actor, "member.invited")
    except IntegrityError:
        raise MemberError(
            f"{email} is already invited. Resend the invitation, or revoke it first."
        ) from None
    return invitation


def resend(invitation: Invitation, *, actor: User | None) -> Invitation:
    """Create a new link for a week and invalidate the older one. Raise `MemberError`."""
    check_grant(invitation.organization, Role(invitation.role), actor=actor)
    _check_rate_limit(invitation.organization, invitation.email)
    with transaction.atomic():
        locked = _lock(invitation)
        locked.issue += 1
        locked.expires_at = timezone.now() + LIFETIME
        locked.save(update_fields=["issue", "expires_at"])
        _create(locked, actor, "member.invitation_renewed")
    return locked


def revoke(invitation: Invitation, *, actor: User | None) -> None:
    """Delete the invitation. Raise `MemberError` if it was answered in the meantime."""
    with transaction.atomic():
        locked = _lock(invitation)
        audit.record(locked.organization, actor, "member.invitation_withdrawn", locked.email)
        locked.delete()


def path(invitation: Invitation) -> str:
    """Return the path of the link, which lets its holder join. Show it only to the addressee."""
    token = signing.dumps([invitation.pk, invitation.issue], salt=_SALT)
    return reverse("invitation", args=[token])


def find(token: str) -> Invitation:
    """Return the invitation of a link. Raise `InvitationInvalid`."""
    try:
        pk, issue = signing.loads(token, salt=_SALT)
    except signing.BadSignature:
        raise InvitationInvalid from None
    invitation = (
        Invitation.objects.select_related("organization", "invited_by")
        .filter(pk=pk, issue=issue, expires_at__gt=timezone.now())
        .first()
    )
    if invitation is None:
        raise InvitationInvalid
    return invitation


def accept(invitation: Invitation, user: User) -> Membership:
    """Make the user a member. Raise `InvitationInvalid` if the link was used or revoked.

    A user whom an operator has added in the meantime stays unchanged, also if deactivated.
    """
    with transaction.atomic():
        locked = (
            Invitation.objects.select_for_update(no_key=True)
            .filter(pk=invitation.pk, issue=invitation.issue, expires_at__gt=timezone.now())
            .first()
        )
        if locked is None:
            raise InvitationInvalid
        membership, joined = Membership.objects.get_or_create(
            organization_id=locked.organization_id, user=user, defaults={"role": locked.role}
        )
        if not membership.is_active:
            raise InvitationInvalid
        if joined:
            audit.record(
                membership.organization,
                user,
                "member.joined",
                str(user.email),
                role=membership.get_role_display(),
            )
        locked.delete()
    return membership


def accept_as_new(invitation: Invitation, *, name: str, password: str) -> Membership:
    """Create an account for the invited email and make it a member. Raise `InvitationInvalid`."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(invitation.email, password, name=name)
            return accept(invitation, user)
    except IntegrityError:
        raise InvitationInvalid from None  # the account was made meanwhile, through another link


@mail.writer
def send_invitation(*, invitation_id: int, issue: int) -> mail.Mail | None:
    """Write the mail with the link, unless the invitation was answered or replaced.

    The link is made here, in the worker, so it is never in the queue.
    """
    invitation = (
        Invitation.objects.select_related("organization", "invited_by")
        .filter(pk=invitation_id, issue=issue)
        .first()
    )
    if invitation is None:
        return None
    subject = f"{invitation.organization.name_in_mail} invites you to Spendglass"
    context = {"invitation": invitation, "link": mail.absolute_url(path(invitation))}
    return mail.render(invitation.email, subject, "invitation", context)


def _check_limit(organization: Organization) -> None:
    try:
        quotas.check(organization, "invitations", organization.invitations.all())
    except quotas.LimitReached as exc:
        raise MemberError(str(exc)) from exc


def _check_rate_limit(organization: Organization, email: str) -> None:
    """Limit mails per mailbox and per organization. Raise `MemberError`."""
    if not mail.is_configured():
        return
    if wait := INVITED_ADDRESS.wait_seconds(f"{organization.pk} {email}"):
        raise MemberError(f"{email} received several links just now. Try again in {minutes(wait)}.")
    if wait := INVITING_ORGANIZATION.wait_seconds(f"{organization.pk}"):
        raise MemberError(f"Too many invitations at once. Try again in {minutes(wait)}.")


def _lock(invitation: Invitation) -> Invitation:
    locked = (
        Invitation.objects.select_for_update(no_key=True, of=("self",))
        .select_related("organization")
        .filter(pk=invitation.pk)
        .first()
    )
    if locked is None:
        raise MemberError("This invitation was already accepted or revoked.")
    return locked


def _create(invitation: Invitation, actor: User | None, action: str) -> None:
    role = invitation.get_role_display()
    audit.record(invitation.organization, actor, action, invitation.email, role=role)
    if mail.is_configured():
        mail.queue(send_invitation, invitation_id=invitation.pk, issue=invitation.issue)
