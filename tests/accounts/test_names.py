"""Names of people bring no address, number or sentence into mails."""

import pytest
from django.core.exceptions import ValidationError

from accounts import invitations
from accounts.models import Role
from accounts.names import for_mail, validate_name
from tests.factories import make_invitation, make_member, make_organization, make_user

NAMES = [
    "Ines \u00d6zt\u00fcrk",
    "Maria do Carmo de Souza e Silva Neto",
    "O'Neil-Smith, J. R. R.",
    "J.R.R. Tolkien",
    "\u738b\u5c0f\u660e",
    "\u0646\u0648\u0631 \u0627\u0644\u0647\u062f\u0649",
    "Henry 8th",
    "Se\u00e1n \u00d3 R\u00edord\u00e1in",
]
ATTACKS = [
    "Security https://evil.example",
    "evil.example",
    "login.evil.example/reset",
    "Write to eve@evil.example",
    "Call 555 0199",
    "Your account is locked: sign in",
    "Ines\u202ekcatta",  # written backwards
    "Ines\u200b",
    "Ines\x07",
    "[Sign in](http evil)",
    "evil\u3002example",
    "We have seen strange acts on your account and will close it today",
    "A" * 61,
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_people_are_taken(name):
    validate_name(name)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_no_name_is_refused(attack):
    with pytest.raises(ValidationError):
        validate_name(attack)


@pytest.mark.django_db
@pytest.mark.parametrize("attack", ["evil.example", "Your account is locked: sign in"])
def test_no_page_takes_it(client, attack):
    invitation = make_invitation(make_organization())
    operator = make_user(is_staff=True, is_superuser=True)

    joined = client.post(invitations.path(invitation), {"name": attack, "password": "longer 4 x"})
    client.force_login(operator)
    renamed = client.post("/account/", {"name": attack})
    client.post(f"/admin/accounts/user/{operator.pk}/change/", {"email": "o@x.org", "name": attack})

    assert (joined.status_code, renamed.status_code) == (422, 422)
    operator.refresh_from_db()
    assert operator.name == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ines \u00d6zt\u00fcrk", "Ines \u00d6zt\u00fcrk (eve@example.com) invites you"),
        ("Visit evil.example", "eve@example.com invites you"),
        ("", "eve@example.com invites you"),
    ],
)
def test_a_mail_names_the_email_and_no_older_phishing_name(
    mails, django_capture_on_commit_callbacks, name, shown
):
    eve = make_member(make_organization(), Role.ADMIN, "eve@example.com", name=name)
    organization = eve.memberships.get().organization

    with django_capture_on_commit_callbacks(execute=True):
        invitations.invite(organization, email="a@example.com", role=Role.VIEWER, actor=eve)

    assert mails[0].body.startswith(f"{shown} to Demo Inc.")
    assert "evil" not in mails[0].body


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Brightwater Logistics", "Brightwater Logistics"),
        ("Spend 2026-11-01, v1.2 (J. R.)", "Spend 2026-11-01, v1.2 (J. R.)"),
        ("Seats of claude.ai", "Seats of claude ai"),
        ("https://evil.example/reset", "https evil example/reset"),
        ("WWW.evil.example", "evil example"),
        ("evil\uff0eexample", "evil example"),  # a full-width dot
        ("evil\u3002example", "evil example"),
        ("eve@evil.example", "eve evil example"),
        ("Demo\r\nBcc: eve", "Demo Bcc: eve"),
        ("Demo\u202e\u200bInc.", "Demo Inc."),
        ("A" * 200, "A" * 59 + "…"),
    ],
)
def test_titles_carry_no_link_into_mails(title, shown):
    assert for_mail(title) == shown


@pytest.mark.django_db
def test_an_invitation_shows_the_organization_without_links(
    mails, django_capture_on_commit_callbacks
):
    eve = make_member(make_organization("demo", "Reset at evil.example"), Role.ADMIN)
    organization = eve.memberships.get().organization

    with django_capture_on_commit_callbacks(execute=True):
        invitations.invite(organization, email="a@example.com", role=Role.VIEWER, actor=eve)

    assert mails[0].subject == "Reset at evil example invites you to Spendglass"
    assert "evil.example" not in mails[0].body
