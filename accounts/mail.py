"""E-mail: rendered here, queued when the transaction commits, sent by a worker.

What is queued is text in Redis, so no mail passed to `send` may hold a secret. Mails with a link
that opens an account are written by the worker itself (`accounts.tasks`).

A mail is better lost than sent twice: these tasks are taken off the queue before they start, so a
killed worker loses the mail it had in hand. A mail server that does not answer is tried again.
"""

import base64
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from celery import Task, shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template import Context, Engine, TemplateDoesNotExist
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


class Patient(Task[..., None]):
    """A task that tries again while the mail server does not answer, for about an hour in all.

    30 s, 1 min, 2 min … 10 min: less than the 15 minutes after which the broker would hand a
    waiting message to another worker as well.
    """

    acks_late = False
    autoretry_for = (OSError,)  # SMTPException is one
    retry_backoff = 30
    retry_backoff_max = 600
    retry_jitter = False
    max_retries = 10


@dataclass(frozen=True)
class Attachment:
    """A file that travels with a mail, and through Redis: megabytes at most."""

    name: str
    content: bytes
    mimetype: str


@dataclass(frozen=True)
class Mail:
    """A rendered mail to one person. `html` is "" for a mail of plain text."""

    to: str
    subject: str
    text: str
    html: str = ""


def is_configured() -> bool:
    """Whether this installation can send e-mail. Pages say so where it matters."""
    return bool(settings.EMAIL_CONFIGURED)


def absolute(path: str) -> str:
    """The whole address of a path of ours, for a mail: `/login/` → `https://…/login/`."""
    return f"{settings.BASE_URL}{path}"


def send(
    *,
    to: Sequence[str],
    subject: str,
    template: str,
    context: Mapping[str, Any],
    attachments: Sequence[Attachment] = (),
) -> None:
    """Mail `templates/mail/<template>.txt`, and `.html` if there is one, to each address by itself.

    Templates also get `base_url`. A worker sends after the transaction commits, and tries again
    for about an hour while the mail server does not answer. Nothing happens if e-mail is not
    configured. Never pass a secret: the text waits in Redis.
    """
    if not is_configured():
        return
    files = [(a.name, base64.b64encode(a.content).decode(), a.mimetype) for a in attachments]
    for address in to:
        mail = render(address, subject, template, context)
        queue(send_mail, **asdict(mail), attachments=files)


@shared_task(base=Patient)
def send_mail(
    *, to: str, subject: str, text: str, html: str, attachments: Sequence[tuple[str, str, str]]
) -> None:
    """Send one rendered mail. Attachments are (name, base64, MIME type)."""
    deliver(
        Mail(to, subject, text, html),
        [Attachment(name, base64.b64decode(data), kind) for name, data, kind in attachments],
    )


def render(to: str, subject: str, template: str, context: Mapping[str, Any]) -> Mail:
    """Fill in a template. Line breaks in the subject become spaces."""
    context = {"base_url": settings.BASE_URL, **context}
    engine = Engine.get_default()
    plain = engine.get_template(f"mail/{template}.txt")
    text = plain.render(Context(context, autoescape=False))  # an apostrophe is an apostrophe
    html = ""
    with suppress(TemplateDoesNotExist):
        html = engine.get_template(f"mail/{template}.html").render(Context(context))
    return Mail(to, " ".join(subject.split()), text.strip() + "\n", html)


def deliver(mail: Mail, attachments: Sequence[Attachment] = ()) -> None:
    """Hand the mail to the mail server now. Raises `OSError`."""
    message = EmailMultiAlternatives(
        mail.subject, mail.text, to=[mail.to], headers={"Auto-Submitted": "auto-generated"}
    )
    if mail.html:
        message.attach_alternative(mail.html, "text/html")
    for attachment in attachments:
        message.attach(attachment.name, attachment.content, attachment.mimetype)
    message.send()


def queue(task: Task[..., None], **arguments: Any) -> None:
    """Have a worker start the task when the transaction commits."""

    def start() -> None:
        try:
            task.apply_async(kwargs=arguments, retry=False)
        except OperationalError:
            logger.warning("The broker does not answer; %s was not started", task.name)

    transaction.on_commit(start)
