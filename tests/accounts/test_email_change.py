"""Change of email: requires the password and access to the new mailbox."""

import re
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connections
from django.test import Client

from accounts import email_change
from accounts.models import AuditEvent, EmailChange, MailContent, Membership, User
from tests.factories import PASSWORD, make_member, make_organization, make_user

pytestmark = pytest.mark.django_db
OLD, NEW = "ines@example.com", "ines.ito@example.com"
LINK = re.compile(r"https://spendglass\.example\.com(/account/email/\S+)")


@pytest.fixture
def ines(client):
    user = make_member(make_organization(), email=OLD, name="Ines Ito")
    client.force_login(user)
    return user


def change(client, email=NEW, password=PASSWORD):
    return client.post("/account/email/", {"email": email, "current": password}, follow=True)


@pytest.fixture
def asked(client, ines, mails, django_capture_on_commit_callbacks):
    """Return a function that requests a link and returns the mails since, by address."""

    def ask(email=NEW, **more):
        mails.clear()
        with django_capture_on_commit_callbacks(execute=True):
            change(client, email, **more)
        return {mail.to[0]: mail.body for mail in mails}

    return ask


@pytest.fixture
def link(asked):
    """Return the path in the mail to the new address."""
    return LINK.findall(asked()[NEW])[0]


def signs_in_with(user):
    user.refresh_from_db()
    return user.email


def trail():
    return list(AuditEvent.objects.values_list("actor_name", "verb", "target", "details"))


# --- With email -------------------------------------------------------------------------
def test_only_the_link_in_the_new_mailbox_changes_it(client, ines, link):
    assert signs_in_with(ines) == OLD
    assert "Open the link that went to ines.ito@example.com." in page(client, "/account/")

    question = page(client, link)
    assert "After the change you sign in with <b>ines.ito@example.com</b>." in question
    assert signs_in_with(ines) == OLD  # a program that follows links changes nothing

    done = client.post(link, follow=True).content.decode()
    assert "You sign in with ines.ito@example.com from now on." in done
    assert signs_in_with(ines) == NEW
    signed_in = Client().post("/login/", {"username": NEW, "password": PASSWORD})
    assert signed_in["Location"] == "/"


def page(client, address):
    return client.get(address).content.decode()


def test_the_old_address_is_notified_before_the_change(asked):
    bodies = asked()

    assert set(bodies) == {OLD, NEW}
    assert "Your email changes when the link sent to ines.ito" in bodies[OLD]
    assert "change your password now" in bodies[OLD]
    assert LINK.search(bodies[OLD]) is None


def test_old_and_new_are_in_the_audit_log_of_every_organization(client, ines, link):
    Membership.objects.create(organization=make_organization("other", "Other Inc."), user=ines)

    client.post(link)

    assert trail() == [(OLD, "member.email_changed", OLD, {"email": f"{OLD} → {NEW}"})] * 2


def test_the_link_opens_once_also_after_a_change_back(client, ines, link, asked):
    client.post(link)
    assert client.get(link).status_code == 410

    back = LINK.findall(asked(OLD)[OLD])[0]
    client.post(back)

    assert signs_in_with(ines) == OLD
    response = client.post(link)
    assert response.status_code == 410
    assert "This link does not work for ines@example.com" in response.content.decode()
    assert signs_in_with(ines) == OLD


def test_the_link_works_for_four_hours(client, link, ines):
    now = datetime.now(UTC)
    with time_machine.travel(now + timedelta(hours=3, minutes=59)):
        assert client.get(link).status_code == 200
    with time_machine.travel(now + timedelta(hours=4, minutes=1)):
        assert client.get(link).status_code == 410
        assert client.post(link).status_code == 410
        assert "Open the link" not in page(client, "/account/")
    assert signs_in_with(ines) == OLD


def test_a_newer_link_makes_the_older_useless(client, link, asked, ines):
    asked("ines@other.example")

    assert client.post(link).status_code == 410
    assert signs_in_with(ines) == OLD


def test_a_new_password_makes_the_link_useless(client, link, ines):
    values = {"current": PASSWORD, "password": "a brand new sentence 7"}
    client.post("/account/password/", values)

    assert client.post(link).status_code == 410
    assert signs_in_with(ines) == OLD
    assert not EmailChange.objects.exists()


def test_a_password_that_an_operator_sets_makes_it_useless_too(client, link, ines):
    ines.set_password("a brand new sentence 7")
    ines.save()
    client.force_login(ines)

    assert client.post(link).status_code == 410


def test_the_link_is_for_the_account_that_asked(client, link, ines):
    eve = make_user("eve@example.com")
    stranger = Client()
    assert stranger.get(link)["Location"] == f"/login/?next={link.replace(':', '%3A')}"

    stranger.force_login(eve)

    assert stranger.post(link).status_code == 410
    assert (signs_in_with(eve), signs_in_with(ines)) == ("eve@example.com", OLD)


@pytest.mark.parametrize("token", ["x", "MQ:1wxyz:abc"])
def test_a_link_that_is_made_up_changes_nothing(client, ines, token):
    assert client.post(f"/account/email/{token}/").status_code == 410


def test_the_requester_does_not_learn_whether_an_account_exists(client, asked):
    make_user("Omar@example.com")

    bodies = asked("omar@example.com")

    assert "Open the link that went to omar@example.com." in page(client, "/account/")
    assert "already belongs to another account" in bodies["omar@example.com"]
    assert LINK.search(bodies["omar@example.com"]) is None


def test_an_account_made_meanwhile_keeps_its_e_mail(client, link, ines):
    make_user(NEW)

    assert client.post(link).status_code == 410
    assert signs_in_with(ines) == OLD
    assert trail() == []


def test_the_link_is_not_in_the_queue(client, ines, mails, monkeypatch):
    queued = []
    monkeypatch.setattr("accounts.mail.queue", lambda task, **values: queued.append(values))

    change(client)

    assert queued == [{"change_id": EmailChange.objects.get().pk}]
    assert "/account/email/" not in MailContent.objects.get().text


def test_a_change_withdrawn_meanwhile_mails_nothing(ines, mails):
    email_change.send_link(change_id=1)

    assert mails == []


def test_no_mailbox_is_flooded(client, asked):
    with time_machine.travel(datetime(2026, 11, 25, 15, 5, tzinfo=UTC), tick=False):
        sent = [len(asked(f"guess{number}@example.com")) for number in range(4)]

        assert sent == [2, 2, 2, 0]
        text = change(client).content.decode()
    assert "Too many links. The next one is possible in 10 minutes." in text


# --- Without email ----------------------------------------------------------------------
def test_without_e_mail_the_password_changes_it_at_once(client, ines):
    assert "so the new address cannot be confirmed" in page(client, "/account/email/")

    text = change(client, "Ines.Ito@Example.com").content.decode()

    assert "You sign in with ines.ito@example.com from now on." in text
    assert signs_in_with(ines) == NEW
    assert trail() == [(OLD, "member.email_changed", OLD, {"email": f"{OLD} → {NEW}"})]


@pytest.mark.parametrize("taken", ["omar@example.com", "OMAR@example.com"])
def test_without_e_mail_an_e_mail_of_another_account_is_refused(client, ines, taken):
    make_user("Omar@example.com")

    response = change(client, taken)

    assert response.status_code == 422
    assert "Another account signs in with this email." in response.content.decode()
    assert signs_in_with(ines) == OLD
    assert trail() == []


def test_who_does_not_know_the_password_learns_nothing_of_others(client, ines):
    make_user("omar@example.com")

    text = change(client, "omar@example.com", "guess").content.decode()

    assert "This is not your password." in text
    assert "Another account" not in text


@pytest.mark.parametrize(
    ("email", "sentence"),
    [
        ("", "Enter the new email."),
        ("ines", "Enter a whole email address, such as ines@example.com."),
        ("INES@example.com", "You already sign in with this email."),
        (f"{'x' * 60}@{'y' * 60}.{'y' * 60}.{'y' * 60}.{'y' * 60}.com", "at most 254 characters"),
    ],
)
def test_an_e_mail_that_cannot_be_is_named(client, ines, email, sentence):
    response = change(client, email)

    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert signs_in_with(ines) == OLD


def test_guessing_the_password_here_is_as_slow_as_at_sign_in(client, ines):
    with time_machine.travel(datetime(2026, 11, 25, 15, 5, tzinfo=UTC), tick=False):
        for _ in range(10):
            change(client, password="guess")

        text = change(client).content.decode()

    assert "The next one is possible in 10 minutes." in text
    assert signs_in_with(ines) == OLD


@pytest.mark.django_db(transaction=True)
def test_of_two_accounts_that_want_the_same_email_at_once_one_gets_it():
    users = [make_user() for _ in range(2)]
    start, refused = threading.Barrier(2), []

    def take(user):
        start.wait(10)
        try:
            email_change.apply(user, NEW)
        except email_change.EmailTaken:
            refused.append(user)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=take, args=[user]) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(refused) == 1
    assert User.objects.filter(email=NEW).count() == 1


# --- The name ----------------------------------------------------------------------------
def test_a_new_name_is_in_the_audit_log(client, ines):
    client.post("/account/", {"name": "Ines Öztürk"})
    client.post("/account/", {"name": "Ines Öztürk"})
    client.post("/account/", {"name": ""})

    assert trail() == [
        (OLD, "member.name_changed", OLD, {"name": "Ines Ito → Ines Öztürk"}),
        (OLD, "member.name_changed", OLD, {"name": "Ines Öztürk → –"}),
    ]


def test_a_name_stands_on_one_line(client, ines):
    client.post("/account/", {"name": " Ines\r\n\r\nde Souza "})

    ines.refresh_from_db()
    assert ines.name == "Ines de Souza"
