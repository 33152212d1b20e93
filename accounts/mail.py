"""Email: one row per mail and address, sent by a worker after the transaction commits.

The broker transports only the row's id. A lost message, an emptied broker or an unreachable mail
server loses no mail: `sweep` picks up what waits. The worker itself writes mails whose link opens
an account, so that no row stores the link.

A lost mail is better than a mail sent twice: after delivery has begun, only an answer of the mail
server allows another attempt. Every attempt has the same Message-ID, so that servers can detect
duplicates.
"""

import logging
import smtplib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from celery import shared_task
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F, QuerySet
from django.template import Context, Engine, TemplateDoesNotExist
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import broker
from accounts.models import Delivery, MailAttachment, MailContent

logger = logging.getLogger(__name__)

_MOST_ATTEMPTS = 11  # 30 s, 1 min, 2 min … 10 min apart: about an hour in all
_LONGEST_PAUSE = timedelta(minutes=10)
_CLAIM = timedelta(minutes=5)  # far above what rendering and connecting take
_MOST_CALLS = 100  # of waiting mails at a time
_KEPT = timedelta(days=30)  # how long a failed one can be looked at
_SOON, _LATER = 0, 9  # broker priorities: mails that a user waits for go first


@dataclass(frozen=True)
class Attachment:
    """Attached file, stored once for all recipients. At most a few megabytes."""

    name: str
    content: bytes
    mimetype: str


@dataclass(frozen=True)
class Mail:
    """Rendered mail to one person. `html` is "" for plain text."""

    to: str
    subject: str
    text: str
    html: str = ""


def is_configured() -> bool:
    """Return whether this installation can send email."""
    return bool(settings.EMAIL_CONFIGURED)


def absolute_url(path: str) -> str:
    """Return the absolute URL of a path: `/login/` becomes `https://…/login/`."""
    return f"{settings.BASE_URL}{path}"


def send(
    *,
    to: Sequence[str],
    subject: str,
    template: str,
    context: Mapping[str, Any],
    attachments: Sequence[Attachment] = (),
) -> None:
    """Mail `templates/mail/<template>.txt`, and `.html` if it exists, to each address separately.

    Templates also get `base_url`. A worker sends after the transaction commits, and retries for
    about an hour while the mail server does not answer. Does nothing if email is not
    configured. Never pass a secret: the text is stored until it is sent.
    """
    if not to or not is_configured():
        return
    mail = render("", subject, template, context)
    with transaction.atomic():
        content = MailContent.objects.create(subject=mail.subject, text=mail.text, html=mail.html)
        MailAttachment.objects.bulk_create(
            MailAttachment(content=content, name=a.name, mimetype=a.mimetype, data=a.content)
            for a in attachments
        )
        deliveries = Delivery.objects.bulk_create(
            Delivery(to=address, content=content) for address in to
        )
        _call([delivery.pk for delivery in deliveries], _SOON if len(to) == 1 else _LATER)


Writer = Callable[..., "Mail | None"]
WRITERS: dict[str, Writer] = {}


def writer(function: Writer) -> Writer:
    """Register a function that writes a mail when it is sent; None means no mail is needed.

    Its arguments are ids, which are stored; what it returns is not.
    """
    WRITERS[function.__name__] = function
    return function


def queue(write: Writer, **arguments: int) -> None:
    """Have a worker write and send a mail when the transaction commits."""
    with transaction.atomic():
        delivery = Delivery.objects.create(writer=write.__name__, arguments=arguments)
        _call([delivery.pk], _SOON)


def _call(delivery_ids: Sequence[int], priority: int) -> None:
    """Queue the sending when the transaction commits. Without a broker, `sweep` does it later."""

    def start() -> None:
        try:
            for pk in delivery_ids:
                send_mail.apply_async(kwargs={"delivery_id": pk}, priority=priority, retry=False)
        except OperationalError:
            logger.warning("The broker does not answer; mails start with the next sweep")

    transaction.on_commit(start)


# --- Sending -------------------------------------------------------------------------------


@shared_task
def send_mail(*, delivery_id: int) -> None:
    """Send one mail unless it was sent or is being sent."""
    now = timezone.now()
    delivery = _claim(delivery_id, now)
    if delivery is None:
        return
    mail, attachments = _written(delivery)
    if mail is None:
        _forget(delivery)
        return
    connection = get_connection()
    try:
        connection.open()
        if not _claimed(delivery).update(state=Delivery.State.HANDING_OVER):
            return
        domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
        message_id = f"<{delivery.created_at:%Y%m%d%H%M%S}.{delivery.pk}@{domain}>"
        deliver(mail, attachments, connection=connection, message_id=message_id)
    except OSError as exc:  # SMTPException is one
        _try_later(delivery, exc, now)
    else:
        _forget(delivery)
    finally:
        with suppress(OSError):
            connection.close()


@shared_task
def sweep() -> None:
    """Queue waiting mails, mark those whose worker died and delete old failures."""
    now = timezone.now()
    vanished = Delivery.objects.filter(
        state=Delivery.State.HANDING_OVER, not_before__lte=now - _CLAIM
    ).update(
        state=Delivery.State.FAILED,
        error="The worker ended while it handed the mail over. It may have been sent.",
    )
    if vanished:
        logger.warning("%s mails may not have been sent: their workers stopped", vanished)
    Delivery.objects.filter(state=Delivery.State.FAILED, created_at__lte=now - _KEPT).delete()
    MailContent.objects.filter(deliveries=None).delete()
    free = max(0, _MOST_CALLS - broker.waiting(send_mail))
    waiting = Delivery.objects.filter(
        state=Delivery.State.WAITING, not_before__lte=now - timedelta(seconds=20)
    )
    _call(list(waiting.order_by("not_before").values_list("pk", flat=True)[:free]), _LATER)


def _claim(delivery_id: int, now: datetime) -> Delivery | None:
    """Return the mail if it is due, marked as being sent. A claim expires if its worker dies."""
    claimed = Delivery.objects.filter(
        pk=delivery_id, state=Delivery.State.WAITING, not_before__lte=now
    ).update(not_before=now + _CLAIM, attempts=F("attempts") + 1)
    if not claimed:
        return None
    return Delivery.objects.select_related("content").filter(pk=delivery_id).first()


def _claimed(delivery: Delivery) -> QuerySet[Delivery]:
    """Return the row unless another worker has claimed it since."""
    return Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts)


def _written(delivery: Delivery) -> "tuple[Mail | None, list[Attachment]]":
    content = delivery.content
    if content is None:
        write = WRITERS.get(delivery.writer)
        return (write(**delivery.arguments) if write else None), []
    attachments = [
        Attachment(file.name, bytes(file.data), file.mimetype)
        for file in content.attachments.order_by("pk")
    ]
    return Mail(delivery.to, content.subject, content.text, content.html), attachments


def _try_later(delivery: Delivery, exc: OSError, now: datetime) -> None:
    """Schedule another attempt; give up after an hour or on a permanent refusal."""
    codes = [exc.smtp_code] if isinstance(exc, smtplib.SMTPResponseException) else []
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in exc.recipients.values()]
    # A refused sign-in is for the operator to repair, not the fault of this mail.
    is_final = bool(codes) and min(codes) >= 500
    is_final = is_final and not isinstance(exc, smtplib.SMTPAuthenticationError)
    # The server's own text stays out: it may repeat the address or the password.
    error = " ".join([type(exc).__name__, *map(str, codes)])[:200]
    if is_final or delivery.attempts >= _MOST_ATTEMPTS:
        logger.error("Mail %s failed permanently: %s", delivery.pk, error)
        _claimed(delivery).update(state=Delivery.State.FAILED, error=error)
        return
    pause = min(timedelta(seconds=30 * 2 ** (delivery.attempts - 1)), _LONGEST_PAUSE)
    _claimed(delivery).update(state=Delivery.State.WAITING, not_before=now + pause, error=error)


def _forget(delivery: Delivery) -> None:
    _claimed(delivery).delete()
    if delivery.content is not None:
        MailContent.objects.filter(pk=delivery.content.pk, deliveries=None).delete()


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


def deliver(
    mail: Mail,
    attachments: Sequence[Attachment] = (),
    *,
    connection: Any = None,
    message_id: str = "",
) -> None:
    """Hand the mail to the mail server. Raise `OSError`."""
    headers = {"Auto-Submitted": "auto-generated"}
    if message_id:
        headers["Message-ID"] = message_id
    message = EmailMultiAlternatives(
        mail.subject, mail.text, to=[mail.to], headers=headers, connection=connection
    )
    if mail.html:
        message.attach_alternative(mail.html, "text/html")
    for attachment in attachments:
        message.attach(attachment.name, attachment.content, attachment.mimetype)
    message.send()
