"""Change of the email that a user signs in with.

If email is configured, a link sent to the new address confirms the change, and the old address is
notified. The link works once, within four hours, only for the account that requested it, and not
after a password change: an open session is not enough to take over the account. Without email
the password alone confirms the change.
"""

from datetime import timedelta

from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts import audit, mail
from accounts.models import EmailChange, User

LIFETIME = timedelta(hours=4)


class EmailTaken(Exception):
    """Another account signs in with this email."""


class EmailChangeInvalid(Exception):
    """Link that is used, replaced, expired, damaged or of another account."""


def request_change(user: User, email: str) -> None:
    """Mail a link to the new address and a notice to the old one. Older links stop working.

    The requester does not learn whether another account has this email.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        EmailChange.objects.filter(user=user).delete()
        change = EmailChange.objects.create(
            user=user, email=email, expires_at=timezone.now() + LIFETIME
        )
        mail.queue(send_link, change_id=change.pk)
        mail.send(
            to=[user.email],
            subject="Your email for Spendglass is about to change",
            template="email_change_asked",
            context={"change": change},
        )


def apply(user: User, email: str) -> None:
    """Change the email of the user. Raise `EmailTaken` if another account has it."""
    try:
        with transaction.atomic():
            locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
            old = locked.email
            audit.record_account_event(
                locked, locked, "member.email_changed", old, email=f"{old} → {email}"
            )
            locked.email = email
            locked.save(update_fields=["email"])
            EmailChange.objects.filter(user=locked).delete()
    except IntegrityError:
        raise EmailTaken from None
    user.email = email


def confirm(user: User, token: str) -> EmailChange:
    """Apply the change of this user's link. Raise `EmailChangeInvalid` or `EmailTaken`."""
    with transaction.atomic():
        # Locked, so that the second of two clicks is refused.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        change = find(user, token)
        apply(user, change.email)
    return change


def path(change: EmailChange) -> str:
    """Return the path of the link.

    It works only for the user of the change and while the password stays the same.
    """
    token = signing.dumps(change.pk, salt=_salt(change.user))
    return reverse("confirm_email", args=[token])


def find(user: User, token: str) -> EmailChange:
    """Return the change of this user's link. Raise `EmailChangeInvalid`."""
    try:
        pk = signing.loads(token, salt=_salt(user))
    except signing.BadSignature:
        raise EmailChangeInvalid from None
    change = EmailChange.objects.filter(pk=pk, user=user, expires_at__gt=timezone.now()).first()
    if change is None:
        raise EmailChangeInvalid
    return change


@mail.writer
def send_link(*, change_id: int) -> mail.Mail | None:
    """Write the mail with the link, or that this email already has an account.

    The link is made here, in the worker, so it is never in the queue.
    """
    change = EmailChange.objects.select_related("user").filter(pk=change_id).first()
    if change is None:
        return None
    taken = User.objects.with_email(change.email).exclude(pk=change.user_id).exists()
    template = "email_change_taken" if taken else "email_change"
    context = {"change": change, "link": "" if taken else mail.absolute_url(path(change))}
    subject = "Sign in to Spendglass with this email"
    return mail.render(change.email, subject, template, context)


def _salt(user: User) -> str:
    return f"accounts.emails:{user.get_session_auth_hash()}"
