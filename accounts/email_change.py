"""Changing the e-mail that somebody signs in with.

With e-mail configured only a link that goes to the new address changes it, and the old address is
told. The link opens once, within four hours, for the account that asked, and no longer after a new
password: whoever finds an open session does not take the account along. Without e-mail the
password alone changes it, at once.
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
    """Another account signs in with this e-mail."""


class EmailChangeInvalid(Exception):
    """The link changes nothing: used, replaced, expired, damaged, or of another account."""


def request_change(user: User, email: str) -> None:
    """Mail a link to the new address, and word of it to the old one. An older link is dead.

    Who asks is not told whether somebody else has this e-mail: that is for its owner to read.
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
            subject="Your e-mail for Spendglass is about to change",
            template="email_change_asked",
            context={"change": change},
        )


def apply(user: User, email: str) -> None:
    """Sign in with this e-mail from now on. Raises `Taken`."""
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
    """Do what this user's link says. Raises `Gone` or `Taken`."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(
            pk=user.pk
        )  # of two clicks the second finds it gone
        change = find(user, token)
        apply(user, change.email)
    return change


def path(change: EmailChange) -> str:
    """The path of the link. It opens for the user of the change alone, with the password of now."""
    token = signing.dumps(change.pk, salt=_salt(change.user))
    return reverse("confirm_email", args=[token])


def find(user: User, token: str) -> EmailChange:
    """What this user's link changes. Raises `Gone`."""
    try:
        pk = signing.loads(token, salt=_salt(user))
    except signing.BadSignature:
        raise EmailChangeInvalid from None
    found = EmailChange.objects.filter(pk=pk, user=user, expires_at__gt=timezone.now()).first()
    if found is None:
        raise EmailChangeInvalid
    return found


@mail.writer
def send_link(*, change_id: int) -> mail.Mail | None:
    """Write the mail with the link, or that this e-mail has an account already.

    The link is made here, in the worker: it is never in the queue.
    """
    change = EmailChange.objects.select_related("user").filter(pk=change_id).first()
    if change is None:
        return None
    taken = User.objects.with_email(change.email).exclude(pk=change.user_id).exists()
    template = "email_change_taken" if taken else "email_change"
    context = {"change": change, "link": "" if taken else mail.absolute_url(path(change))}
    subject = "Sign in to Spendglass with this e-mail"
    return mail.render(change.email, subject, template, context)


def _salt(user: User) -> str:
    return f"accounts.emails:{user.get_session_auth_hash()}"
