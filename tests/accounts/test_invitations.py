"""Invitations: the link works once, for a week, and only for the addressee."""

import re
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
import time_machine
from django.core import signing
from django.db import connections
from django.utils import timezone

from accounts import invitations
from accounts.members import MemberError
from accounts.models import AuditEvent, Invitation, Membership, Role, User
from accounts.throttling import RateLimit
from tests.factories import PASSWORD, make_invitation, make_member, make_organization, make_user

pytestmark = pytest.mark.django_db
EVE = "eve@example.com"


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def ada(client, organization):
    """Sign in the Admin who invites."""
    user = make_member(organization, Role.ADMIN, "ada@example.com", name="Ada Byron")
    client.force_login(user)
    return user


@pytest.fixture
def invited(organization):
    """Invite Eve and return the path she received."""
    return invitations.path(make_invitation(organization, EVE, Role.ANALYST))


def invite(client, email=EVE, role="analyst", **extra):
    return client.post("/o/demo/members/invite/", {"email": email, "role": role}, **extra)


def recorded():
    return list(AuditEvent.objects.order_by("pk").values_list("verb", "target"))


def join(client, path, **values):
    return client.post(path, {"name": "Eve Ito", "password": PASSWORD} | values)


def test_the_link_goes_out_by_e_mail_and_is_not_on_the_page(
    client, ada, mails, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        response = invite(client, "Eve@Example.com")

    assert response.status_code == 302
    (sent,) = mails
    assert sent.to == [EVE]
    assert sent.subject == "Demo Inc. invites you to Spendglass"
    assert (
        "Ada Byron (ada@example.com) invites you to Demo Inc. in Spendglass, as Analyst."
        in sent.body
    )
    (link,) = re.findall(r"https://spendglass\.example\.com(/invitations/\S+)", sent.body)
    client.logout()
    assert "Join Demo Inc." in client.get(link).content.decode()
    assert recorded() == [("member.invited", EVE)]


def test_the_link_is_not_in_the_queue(client, ada, mails, monkeypatch):
    queued = []
    monkeypatch.setattr(invitations.mail, "queue", lambda task, **values: queued.append(values))

    invite(client)

    invitation = Invitation.objects.get()
    assert queued == [{"invitation_id": invitation.pk, "issue": 1}]


def test_without_e_mail_the_page_shows_the_link_this_once(client, ada):
    text = invite(client).content.decode()

    (link,) = set(re.findall(r"http://testserver(/invitations/[\w:-]+/)", text))
    assert "Copy the link now. You won’t see it again." in text
    assert link not in client.get("/o/demo/members/").content.decode()
    assert link not in client.get("/o/demo/audit/").content.decode()
    client.logout()
    assert "Join Demo Inc." in client.get(link).content.decode()


def test_somebody_new_sets_name_and_password_and_is_in(client, organization, invited):
    page = client.get(invited).content.decode()
    assert 'value="eve@example.com"' in page
    assert "Analyst" in page

    response = join(client, invited)

    assert response["Location"] == "/o/demo/"
    begun = client.get(response["Location"], follow=True)
    assert "You joined Demo Inc. as Analyst." in begun.content.decode()
    user = User.objects.get(email=EVE)
    assert (user.name, user.check_password(PASSWORD)) == ("Eve Ito", True)
    assert Membership.objects.get(user=user).role == Role.ANALYST
    assert recorded() == [("member.joined", EVE)]


def test_somebody_with_an_account_signs_in_and_just_joins(client, organization, invited):
    user = make_user("Eve@example.com")
    before = user.password

    response = client.get(invited)
    assert response["Location"] == f"/login/?next={quote(invited)}"
    signed_in = client.post(
        "/login/", {"username": EVE, "password": PASSWORD, "next": invited}, follow=True
    )
    assert "You are signed in as" in signed_in.content.decode()
    assert not Membership.objects.exists()
    client.post(invited)

    assert Membership.objects.get(user=user).role == Role.ANALYST
    user.refresh_from_db()
    assert user.password == before


def test_a_link_makes_no_second_account_and_sets_no_password_of_the_first(client, invited):
    user = make_user(EVE)

    response = join(client, invited, password="another password 1")

    assert response["Location"].startswith("/login/")
    assert User.objects.get().check_password(PASSWORD)
    assert not Membership.objects.filter(user=user).exists()


def test_somebody_else_who_is_signed_in_cannot_use_it(client, organization, invited):
    client.force_login(make_user("mallory@example.com"))

    for response in (client.get(invited), client.post(invited)):
        assert "This invitation is for eve@example.com" in response.content.decode()
    assert not Membership.objects.exists()


def test_a_link_opens_once(client, invited):
    join(client, invited)
    client.logout()

    response = client.get(invited)

    assert response.status_code == 410
    assert "is no longer valid" in response.content.decode()


def test_a_link_opens_for_a_week(client, organization):
    now = timezone.now()
    path = invitations.path(make_invitation(organization, EVE, expires_at=now + timedelta(days=7)))

    with time_machine.travel(now + timedelta(days=7) - timedelta(minutes=1)):
        assert client.get(path).status_code == 200
    with time_machine.travel(now + timedelta(days=7)):
        assert client.get(path).status_code == 410
        assert join(client, path).status_code == 410
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "token",
    ["x", signing.dumps([1, 1]), signing.dumps([1, 1], salt="accounts.invitations")],
    ids=["nonsense", "signed for something else", "of no invitation"],
)
def test_a_link_that_is_made_up_opens_nothing(client, token):
    assert client.get(f"/invitations/{token}/").status_code == 410


def test_sending_again_makes_the_older_link_useless_and_the_week_new(
    client, ada, organization, invited
):
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert "Expired" in client.get("/o/demo/members/").content.decode()

    client.post(f"/o/demo/invitations/{Invitation.objects.get().pk}/send/")

    client.logout()
    assert client.get(invited).status_code == 410
    newer = invitations.path(Invitation.objects.get())
    assert client.get(newer).status_code == 200
    assert recorded() == [("member.invitation_renewed", EVE)]


def test_a_withdrawn_invitation_opens_nothing(client, ada, invited):
    client.post(f"/o/demo/invitations/{Invitation.objects.get().pk}/withdraw/")

    client.logout()
    assert client.get(invited).status_code == 410
    assert recorded() == [("member.invitation_withdrawn", EVE)]


def test_a_mail_still_in_the_queue_does_not_go_out_for_a_withdrawn_invitation(organization, mails):
    invitation = make_invitation(organization, EVE)
    invitation_id = invitation.pk
    invitation.delete()

    invitations.send_invitation(invitation_id=invitation_id, issue=1)

    assert mails == []


def test_who_is_invited_or_a_member_already_is_not_invited_again(client, ada, organization):
    make_member(organization, email="omar@example.com")
    out = make_member(organization, email="out@example.com")
    Membership.objects.filter(user=out).update(is_active=False)
    make_invitation(organization, EVE)

    for email, sentence in (
        ("Omar@example.com", "omar@example.com is a member already."),
        ("out@example.com", "is a deactivated member. Reactivate them in the list"),
        ("EVE@example.com", "eve@example.com is already invited."),
    ):
        response = invite(client, email)
        assert response.status_code == 422
        assert sentence in response.content.decode()
    assert Invitation.objects.count() == 1


def test_no_mailbox_is_flooded_with_links(client, ada, organization, mails):
    with time_machine.travel(datetime(2026, 11, 25, 15, 5, tzinfo=UTC), tick=False):
        invite(client)
        again = f"/o/demo/invitations/{Invitation.objects.get().pk}/send/"
        answers = [client.post(again).status_code for _ in range(3)]
        text = client.post(again).content.decode()

    assert answers == [302, 302, 422]
    assert "eve@example.com received several links just now. Try again in 10 minutes." in text
    assert Invitation.objects.get().issue == 3


def test_an_organization_does_not_flood_others(client, ada, mails, monkeypatch):
    monkeypatch.setattr(invitations, "INVITING_ORGANIZATION", RateLimit("test", limit=2))
    with time_machine.travel(datetime(2026, 11, 25, 15, 5, tzinfo=UTC), tick=False):
        answers = [invite(client, f"guess{number}@example.com") for number in range(3)]

    assert [answer.status_code for answer in answers] == [302, 302, 422]
    assert "Too many invitations at once. Try again in 10 minutes." in answers[2].content.decode()
    assert Invitation.objects.count() == 2


def test_links_that_an_admin_passes_on_are_not_counted(client, ada):
    assert [invite(client, f"e{number}@example.com").status_code for number in range(4)] == [
        200
    ] * 4
    again = f"/o/demo/invitations/{Invitation.objects.latest('pk').pk}/send/"
    assert [client.post(again).status_code for _ in range(4)] == [200] * 4


def test_a_form_with_mistakes_names_them(client, ada):
    text = invite(client, "eve", "").content.decode()

    assert "Enter a whole email address, such as ines@example.com." in text
    assert "Choose a role." in text


@pytest.mark.parametrize("password", ["sesame1", "12345678901", "eve@example.com", "password123"])
def test_a_password_that_is_easy_to_guess_is_refused(client, invited, password):
    response = join(client, invited, password=password)

    assert response.status_code == 422
    assert not User.objects.exists()
    assert password not in response.content.decode().replace('value="eve@example.com"', "")


def test_an_answer_that_comes_too_late_is_refused(organization, ada):
    invitation = make_invitation(organization, EVE)
    Invitation.objects.all().delete()

    for late in (invitations.revoke, invitations.resend):
        with pytest.raises(MemberError, match="already accepted or revoked"):
            late(invitation, actor=ada)
    with pytest.raises(invitations.InvitationInvalid):
        invitations.accept(invitation, make_user(EVE))


def test_an_invitation_does_not_bring_back_who_was_deactivated_meanwhile(organization):
    invitation = make_invitation(organization, EVE, Role.ADMIN)
    user = make_member(organization, Role.VIEWER, EVE)
    user.memberships.update(is_active=False)

    with pytest.raises(invitations.InvitationInvalid):
        invitations.accept(invitation, user)

    assert not Membership.objects.get().is_active


@pytest.mark.django_db(transaction=True)
def test_of_two_who_open_the_link_at_once_one_joins():
    invitation = make_invitation(make_organization(), EVE)
    start, gone = threading.Barrier(2), []

    def join_as(name):
        start.wait(10)
        try:
            invitations.accept_as_new(invitation, name=name, password=PASSWORD)
        except invitations.InvitationInvalid:
            gone.append(name)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=join_as, args=[name]) for name in ("Eve", "Mallory")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(gone) == 1
    assert Membership.objects.get().user == User.objects.get()
    assert User.objects.get().name not in gone


def test_somebody_an_operator_added_meanwhile_keeps_their_role(organization):
    invitation = make_invitation(organization, EVE, Role.ADMIN)
    user = make_member(organization, Role.VIEWER, EVE)

    invitations.accept(invitation, user)

    assert Membership.objects.get(user=user).role == Role.VIEWER
    assert not Invitation.objects.exists()
    assert recorded() == []
