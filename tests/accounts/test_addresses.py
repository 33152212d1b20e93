"""Canonical form of emails: no spelling has its own account, count or lock."""

from itertools import product

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts import invitations
from accounts.addresses import canonical
from accounts.members import MemberError
from accounts.models import Invitation, Role, User
from accounts.throttling import SIGN_IN_ACCOUNT
from tests.factories import PASSWORD, make_member, make_organization, make_user

pytestmark = pytest.mark.django_db
INES = "ines@example.com"
LOOK_ALIKES = [
    "INES@example.com",
    " ines@EXAMPLE.com ",
    "\u0131nes@example.com",  # dotless i
    "\u0130nes@example.com",  # capital i with a dot
    "ine\u017f@example.com",  # long s
    "\uff49\uff4e\uff45\uff53@example.com",  # full width
    "ines@\uff25xample.com",
]
ADDED = ["\u0307", "\u0301", "\u200b", "\u00ad", "\u0131", "\u017f", "\uff53", "\u0435"]


@pytest.fixture
def ines():
    return make_member(make_organization(), Role.ADMIN, INES)


@pytest.mark.parametrize("spelling", LOOK_ALIKES)
def test_spellings_share_one_form(spelling):
    assert canonical(spelling) == INES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ines@example.com", "ine@example.com"),
        ("ines@example.com", "ines@example.org"),
        ("ines@example.com", "in\u00e9s@example.com"),
        ("ines@example.com", "i.nes@example.com"),
    ],
)
def test_different_mailboxes_stay_different(one, other):
    assert canonical(one) != canonical(other)


def test_an_international_domain_is_compared_as_dns_spells_it():
    assert canonical("ines@B\u00fccher.example") == canonical("ines@xn--bcher-kva.example")


@pytest.mark.parametrize("typed", ["", "@", "no address", "a@" + "b" * 300, "\ud800@x"])
def test_any_text_has_a_form(typed):
    assert isinstance(canonical(typed), str)


@pytest.mark.parametrize("spelling", LOOK_ALIKES)
def test_the_owner_signs_in_beside_a_look_alike(client, ines, spelling):
    """A look-alike account made every sign-in of its victim an error 500."""
    with pytest.raises(IntegrityError), transaction.atomic():
        make_user(spelling)

    response = client.post("/login/", {"username": INES, "password": PASSWORD})

    assert response["Location"] == "/"


def test_256_spellings_share_one_counter(ines):
    letters = [("s", "\u017f"), ("i", "\u0131"), ("s", "S"), ("i", "I")] * 2
    spellings = {"".join(chosen) + "@example.com" for chosen in product(*letters)}
    assert len(spellings) == 256

    waits = [bool(SIGN_IN_ACCOUNT.wait_seconds(spelling)) for spelling in sorted(spellings)]

    assert waits == [False] * 10 + [True] * 246


# Spellings of no mailbox of Ines, which only look like hers.
HOMOGLYPHS = [
    "in\u0435s@example.com",  # Cyrillic e
    "\u0456nes@example.com",  # Cyrillic i
    "\u03b9nes@example.com",  # Greek iota
    "i\u200bnes@example.com",  # zero-width space
    "i\u200dnes@example.com",  # zero-width joiner
    "ine\u0301s@example.com",  # combining acute accent
    "ine\u00ads@example.com",  # soft hyphen
    "\u202eines@example.com",  # right-to-left override
]


@pytest.mark.parametrize("spelling", HOMOGLYPHS)
def test_a_spelling_that_only_looks_alike_opens_nothing_and_is_nobodys_new_address(
    client, ines, spelling
):
    for _ in range(3):
        response = Client().post("/login/", {"username": spelling, "password": PASSWORD})
        assert response.status_code == 200
        assert "_auth_user_id" not in response.wsgi_request.session
    client.force_login(ines)

    assert (
        client.post("/o/demo/members/invite/", {"email": spelling, "role": "viewer"}).status_code
        == 422
    )
    assert (
        client.post("/account/email/", {"email": spelling, "current": PASSWORD}).status_code == 422
    )
    with pytest.raises(ValidationError):
        User(email=spelling).full_clean(exclude=["password"])


@given(
    st.lists(
        st.tuples(st.sampled_from("ines"), st.sampled_from(["", *ADDED])), min_size=4, max_size=6
    ),
    st.sampled_from(["example.com", "EXAMPLE.com", "ex\u00adample.com", "\uff25xample\u3002com"]),
)
def test_whatever_finds_an_account_counts_against_it(letters, domain):
    """An attempt is counted by the form that the account is looked up by, so none escapes."""
    typed = f"{''.join(letter + mark for letter, mark in letters)}@{domain}"

    form = canonical(typed)

    assert canonical(form) == form
    assert (SIGN_IN_ACCOUNT._key(typed, 0) == SIGN_IN_ACCOUNT._key(INES, 0)) == (form == INES)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ines@b\u00fccher.example", "ines@xn--bcher-kva.example"),
        ("ines@ex\u0430mple.com", "ines@xn--exmple-4nf.com"),  # Cyrillic a
        ("ines@\uff25xample.com", "ines@example.com"),
    ],
)
def test_a_new_address_shows_its_domain_as_dns_spells_it(client, ines, typed, stored):
    """So that a domain that only looks like another one does not on the list of members."""
    organization = ines.memberships.get().organization
    client.force_login(make_member(organization, Role.ADMIN, "omar@example.com"))
    ines.memberships.all().delete()

    client.post("/o/demo/members/invite/", {"email": typed, "role": "viewer"})

    assert Invitation.objects.get().email == stored


def test_ten_wrong_passwords_in_ten_spellings_hold_up_the_account(ines):
    for at in range(10):
        spelling = LOOK_ALIKES[at % 5]
        Client().post("/login/", {"username": spelling, "password": "wrong"})

    response = Client().post("/login/", {"username": INES, "password": PASSWORD})

    assert response.status_code == 429


@pytest.mark.parametrize("spelling", LOOK_ALIKES)
def test_a_member_is_not_invited_in_another_spelling(ines, spelling):
    organization = ines.memberships.get().organization

    with pytest.raises(MemberError, match="is a member already"):
        invitations.invite(organization, email=spelling, role=Role.VIEWER, actor=ines)


def test_one_invitation_for_all_spellings(ines):
    organization = ines.memberships.get().organization
    invitations.invite(organization, email="omar\u0131@example.com", role=Role.VIEWER, actor=ines)

    with pytest.raises(MemberError, match="is already invited"):
        invitations.invite(organization, email="OMARI@example.com", role=Role.ADMIN, actor=ines)


@pytest.mark.parametrize("spelling", ["\u0131nes2@example.com", "ine\u017f2@example.com"])
def test_new_addresses_hold_no_look_alike_letters(client, ines, spelling):
    client.force_login(ines)

    invited = client.post("/o/demo/members/invite/", {"email": spelling, "role": "viewer"})
    changed = client.post("/account/email/", {"email": spelling, "current": PASSWORD})

    for response in (invited, changed):
        assert response.status_code == 422
        assert "Write the part before the @ with the letters a to z" in response.content.decode()
    assert not Invitation.objects.exists()


def test_changing_to_a_spelling_of_anothers_address_is_refused(client, ines):
    client.force_login(make_member(ines.memberships.get().organization, email="omar@example.com"))

    response = client.post(
        "/account/email/", {"email": "ines@\uff25xample.com", "current": PASSWORD}
    )

    assert response.status_code == 422
    assert "Another account signs in with this email" in response.content.decode()


def test_the_admin_refuses_a_spelling_of_anothers_address(client, ines):
    client.force_login(make_user(is_staff=True, is_superuser=True))

    response = client.post(
        "/admin/accounts/user/add/",
        {"email": "ines@\uff25xample.com", "password1": PASSWORD, "password2": PASSWORD},
    )

    assert response.status_code == 200
    assert "Another account signs in with this email." in response.content.decode()


def test_saving_the_email_saves_its_form(ines):
    ines.email = "Omar@Example.com"
    ines.save(update_fields=["email"])

    ines.refresh_from_db()
    assert ines.canonical_email == "omar@example.com"
