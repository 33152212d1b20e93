"""Tasks and mail writers of this app, imported where workers look for them."""

from importlib import import_module

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounts.email_change import send_link
from accounts.invitations import send_invitation
from accounts.mail import send_mail, sweep
from accounts.models import AttemptCount
from accounts.password_reset import send_reset_link

__all__ = [
    "purge_sessions",
    "send_invitation",
    "send_link",
    "send_mail",
    "send_reset_link",
    "sweep",
]


@shared_task
def purge_sessions() -> None:
    """Delete expired sessions, which Django keeps otherwise, and old attempt counts."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    AttemptCount.objects.filter(ends_at__lte=timezone.now()).delete()
