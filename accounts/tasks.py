"""Where workers look for the tasks of this app. Each lives beside what it belongs to."""

from accounts.emails import send_link
from accounts.invitations import send_invitation
from accounts.mail import send_mail
from accounts.passwords import send_reset_link

__all__ = ["send_invitation", "send_link", "send_mail", "send_reset_link"]
