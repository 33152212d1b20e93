"""Mails are rendered here, sent by a worker once the transaction has committed, and only then."""

import smtplib
from pathlib import Path

import pytest
from django.core import mail as outgoing
from django.db import transaction
from kombu.exceptions import OperationalError

from accounts import mail

pytestmark = pytest.mark.django_db


@pytest.fixture
def templates(settings, tmp_path):
    """A folder for templates of mails: write `mail/<name>.txt` into it."""
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


def test_a_mail_server_that_is_away_is_tried_again(
    mails, hello, monkeypatch, django_capture_on_commit_callbacks
):
    answers = iter([smtplib.SMTPServerDisconnected(), TimeoutError()])
    send = outgoing.EmailMessage.send

    def away_twice(message, *args, **kwargs):
        for error in answers:
            raise error
        return send(message)

    monkeypatch.setattr(outgoing.EmailMessage, "send", away_twice)

    with django_capture_on_commit_callbacks(execute=True):
        send_hello()

    assert len(mails) == 1


def test_a_killed_worker_does_not_send_twice():
    assert mail.send_mail.acks_late is False
    assert mail.Patient.retry_backoff_max < 900  # the visibility timeout of the broker


def test_a_broker_that_is_away_stops_nobody(
    mails, hello, monkeypatch, caplog, django_capture_on_commit_callbacks
):
    def away(*args, **kwargs):
        raise OperationalError("Connection refused")

    monkeypatch.setattr(mail.send_mail, "apply_async", away)

    with django_capture_on_commit_callbacks(execute=True):
        send_hello()

    assert "accounts.mail.send_mail was not started" in caplog.text
    assert "O'Neil" not in caplog.text


def test_links_in_mails_are_whole(mails):
    assert mail.absolute("/o/demo/") == "https://spendglass.example.com/o/demo/"
