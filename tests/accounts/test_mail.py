"""Mails are rendered at once and sent by a worker only after the transaction commits."""

import smtplib
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.core import mail as outgoing
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import broker, mail
from accounts.models import Delivery, MailAttachment, MailContent
from config import queues
from config.celery import app as celery

pytestmark = pytest.mark.django_db


@pytest.fixture
def templates(settings, tmp_path):
    """Return a folder for mail templates, `mail/<name>.txt`."""
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    (tmp_path / "mail").mkdir()
    return tmp_path / "mail"


@pytest.fixture
def hello(templates: Path):
    (templates / "hello.txt").write_text("Hello {{ name }}, see {{ base_url }}/login/.\n\n\n")
    return templates


def send_hello(to=("ines@example.com",), **more):
    mail.send(to=to, subject="Hello\nthere", template="hello", context={"name": "O'Neil"}, **more)


def test_a_mail_goes_out_when_the_transaction_commits(
    mails, hello, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        send_hello()
        assert mails == []

    (sent,) = mails
    assert sent.to == ["ines@example.com"]
    assert sent.from_email == "Spendglass <spendglass@example.com>"
    assert sent.subject == "Hello there"
    assert sent.body == "Hello O'Neil, see https://spendglass.example.com/login/.\n"
    assert sent.alternatives == []


def test_a_transaction_that_fails_sends_nothing(mails, hello, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        send_hello()
        transaction.set_rollback(True)

    assert mails == []


def test_several_people_do_not_see_each_other(mails, hello, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        send_hello(["ines@example.com", "omar@example.com"])

    assert [sent.to for sent in mails] == [["ines@example.com"], ["omar@example.com"]]


def test_html_and_files_come_along(mails, hello, django_capture_on_commit_callbacks):
    (hello / "hello.html").write_text("<p>Hello {{ name }}</p>")
    attached = mail.Attachment("costs.csv", b"day,usd\n2026-11-01,1.50\n", "text/csv")

    with django_capture_on_commit_callbacks(execute=True):
        send_hello(attachments=[attached])

    (sent,) = mails
    assert [tuple(part) for part in sent.alternatives] == [
        ("<p>Hello O&#x27;Neil</p>", "text/html")
    ]
    (file,) = sent.attachments
    assert tuple(file) == ("costs.csv", "day,usd\n2026-11-01,1.50\n", "text/csv")


def test_without_a_mail_server_nothing_is_rendered_or_queued(
    mails, settings, django_capture_on_commit_callbacks
):
    settings.EMAIL_CONFIGURED = False

    with django_capture_on_commit_callbacks() as queued:
        mail.send(to=["ines@example.com"], subject="x", template="not there", context={})

    assert not mail.is_configured()
    assert queued == []


# --- Retries -------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch):
    """Set the answers of the mail server in order; afterwards it accepts every mail."""
    answers = []
    send = outgoing.EmailMessage.send

    def answer(message, *args, **kwargs):
        if answers:
            raise answers.pop(0)
        return send(message)

    monkeypatch.setattr(outgoing.EmailMessage, "send", answer)
    return answers


@pytest.fixture
def send_one(mails, hello, django_capture_on_commit_callbacks):
    def send(**more):
        with django_capture_on_commit_callbacks(execute=True):
            send_hello(**more)

    return send


@pytest.fixture
def sweep_after(django_capture_on_commit_callbacks):
    """Let seconds pass, then sweep as beat does."""

    def run(seconds):
        Delivery.objects.update(not_before=F("not_before") - timedelta(seconds=seconds))
        with django_capture_on_commit_callbacks(execute=True):
            mail.sweep()

    return run


def test_a_mail_server_that_is_away_is_tried_again_after_growing_pauses(
    mails, server, send_one, sweep_after
):
    server += [smtplib.SMTPServerDisconnected(), TimeoutError(), ConnectionRefusedError()]
    send_one()
    for pause in (30, 60, 120):
        waiting = Delivery.objects.get()
        until = waiting.not_before - timezone.now()
        assert timedelta(seconds=pause - 5) < until <= timedelta(seconds=pause)
        sweep_after(pause + 21)

    assert len(mails) == 1
    assert not Delivery.objects.exists()
    assert not MailContent.objects.exists()


def test_a_mail_is_given_up_after_an_hour_and_says_why(mails, server, send_one, sweep_after):
    server += [smtplib.SMTPServerDisconnected("me@example.com")] * 20
    send_one()
    for _ in range(12):
        sweep_after(700)

    failed = Delivery.objects.get()
    assert (failed.state, failed.attempts) == ("failed", 11)
    assert failed.error == "SMTPServerDisconnected"


@pytest.mark.parametrize(
    ("refusal", "state", "error"),
    [
        (
            smtplib.SMTPRecipientsRefused({"ines@example.com": (550, b"ines? hunter2")}),
            "failed",
            "SMTPRecipientsRefused 550",
        ),
        (
            smtplib.SMTPRecipientsRefused({"ines@example.com": (450, b"later")}),
            "waiting",
            "SMTPRecipientsRefused 450",
        ),
        (smtplib.SMTPDataError(554, b"spam"), "failed", "SMTPDataError 554"),
        (
            smtplib.SMTPAuthenticationError(535, b"hunter2"),
            "waiting",
            "SMTPAuthenticationError 535",
        ),
    ],
)
def test_what_the_server_refuses_for_good_is_not_tried_again(
    server, send_one, refusal, state, error
):
    server.append(refusal)

    send_one()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.error) == (state, error)


def test_a_mail_server_that_is_away_loses_no_recipient_and_sends_nobody_two(
    mails, server, send_one, sweep_after
):
    server += [TimeoutError()] * 30
    everybody = [f"user{number}@example.com" for number in range(20)]

    send_one(to=everybody)
    for _ in range(4):
        sweep_after(700)

    assert sorted(sent.to[0] for sent in mails) == sorted(everybody)


# --- Lost messages and killed workers --------------------------------------------------------


def test_a_message_that_is_lost_or_comes_twice_changes_nothing(
    mails, hello, django_capture_on_commit_callbacks, sweep_after
):
    with django_capture_on_commit_callbacks():
        send_hello()  # committed, but Redis was emptied before a worker looked
    assert mails == []

    sweep_after(60)
    pk = 1 + max(Delivery.objects.values_list("pk", flat=True), default=0)
    mail.send_mail(delivery_id=pk)

    assert len(mails) == 1


def test_a_broker_that_is_away_delays_a_mail_and_nothing_else(
    mails, hello, monkeypatch, caplog, django_capture_on_commit_callbacks, sweep_after
):
    def away(*args, **kwargs):
        raise OperationalError("Connection refused")

    with monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
        patch.setattr(mail.send_mail, "apply_async", away)
        send_hello()
    assert "The broker does not answer" in caplog.text
    assert "O'Neil" not in caplog.text

    sweep_after(60)

    assert len(mails) == 1


def test_a_worker_killed_before_it_reached_the_server_loses_nothing(
    mails, server, send_one, sweep_after, monkeypatch
):
    class Killed(BaseException):
        pass

    def killed(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mail, "_written", killed)
        with pytest.raises(Killed):
            send_one()
    assert mails == []

    sweep_after(100)
    assert mails == []  # it may still be at work
    sweep_after(400)
    assert len(mails) == 1


def test_a_worker_killed_while_handing_over_does_not_send_twice(
    mails, server, send_one, sweep_after
):
    class Killed(BaseException):
        pass

    server.append(Killed())
    with pytest.raises(Killed):
        send_one()

    for _ in range(3):
        sweep_after(700)

    assert mails == []
    failed = Delivery.objects.get()
    assert failed.state == "failed"
    assert failed.error == "The worker ended while it handed the mail over. It may have been sent."


def test_every_attempt_has_the_same_message_id(mails, monkeypatch, send_one, sweep_after):
    seen = []
    send = outgoing.EmailMessage.send

    def note(message, *args, **kwargs):
        seen.append(message.message()["Message-ID"])
        if len(seen) < 3:
            raise TimeoutError
        return send(message)

    monkeypatch.setattr(outgoing.EmailMessage, "send", note)
    send_one()
    sweep_after(100)
    sweep_after(100)

    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0].endswith("@example.com>")


# --- What is stored and what travels ---------------------------------------------------------


def test_a_file_for_many_is_stored_once_and_travels_as_ids(hello, settings):
    settings.EMAIL_CONFIGURED = True
    attached = mail.Attachment("costs.csv", b"x" * 3_000_000, "text/csv")
    everybody = [f"user{number}@example.com" for number in range(68)]

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        before = client.info("memory")["used_memory"]
        mail.send(
            to=everybody,
            subject="Hello",
            template="hello",
            context={"name": "all"},
            attachments=[attached],
        )
        for callback in transaction.get_connection().run_on_commit:
            callback[1]()
        grown = client.info("memory")["used_memory"] - before

    assert MailAttachment.objects.count() == 1
    assert Delivery.objects.count() == 68
    assert broker.waiting(mail.send_mail) == 68
    assert grown < 1_000_000  # it was 218 MB


def test_a_mail_somebody_waits_for_overtakes_a_report_for_many(hello, settings):
    settings.EMAIL_CONFIGURED = True
    send_hello([f"user{number}@example.com" for number in range(10)])
    send_hello(["ines@example.com"])
    for callback in transaction.get_connection().run_on_commit:
        callback[1]()

    with celery.connection_for_read() as connection:
        first = connection.SimpleQueue(queues.MAIL).get(timeout=5)

    delivery_id = first.payload[1]["delivery_id"]
    assert Delivery.objects.get(pk=delivery_id).to == "ines@example.com"


def test_failures_and_texts_nobody_needs_are_not_kept(server, send_one, sweep_after):
    server.append(smtplib.SMTPDataError(554, b"spam"))
    send_one()
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=31))

    sweep_after(0)

    assert not Delivery.objects.exists()
    assert not MailContent.objects.exists()


def test_links_in_mails_are_whole(mails):
    assert mail.absolute_url("/o/demo/") == "https://spendglass.example.com/o/demo/"
