"""What workers do for people."""

from accounts.mail import send_mail

__all__ = ["send_mail"]
