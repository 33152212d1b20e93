"""Password reset by email."""

from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts import mail
from accounts.models import User


def request_reset(email: str) -> None:
    """Mail a link if an active account has this email; otherwise do nothing, silently."""
    user = User.objects.with_email(email).filter(is_active=True).first()
    if user is not None and mail.is_configured():
        mail.queue(send_reset_link, user_id=user.pk)


@mail.writer
def send_reset_link(*, user_id: int) -> mail.Mail | None:
    """Write the mail with the link.

    The link is made here, in the worker, so it is never in the queue.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    link = mail.absolute_url(reverse("password_reset_confirm", args=[uid, token]))
    subject = "Set a new password for Spendglass"
    return mail.render(user.email, subject, "password_reset", {"user": user, "link": link})
