"""Page where members create, see and revoke tokens."""

from datetime import UTC, datetime

import pytest
from django.core import management

from accounts.models import AuditEvent, Role
from api.models import Scope, Token
from tests.factories import make_member, make_organization, make_token

PAGE = "/o/demo/tokens/"


@pytest.fixture
def signed_in(client, ann):
    client.force_login(ann)
    return client


def make(client, **fields):
    values = {"name": "month-end sheet", "scopes": ["read:reports"], "lifetime": "90"}
    return client.post(PAGE, {**values, **fields})


def secret_in(response):
    text = response.content.decode()
    return text.partition('id="secret">')[2].partition("<")[0]


def test_the_secret_is_shown_once_and_works(signed_in):
    response = make(signed_in)
    secret = secret_in(response)

    assert secret.startswith("sgt_")
    assert len(secret) == 47
    assert response["Cache-Control"] == "private, no-store"
    headers = {"Authorization": f"Bearer {secret}"}
    assert signed_in.get("/api/v1/metrics", headers=headers).status_code == 200
    later = signed_in.get(PAGE).content.decode()
    assert secret not in later
    assert f"…{secret[-4:]}" in later


@pytest.mark.parametrize(
    ("lifetime", "expires"),
    [("30", datetime(2026, 12, 25, 10, tzinfo=UTC)), ("", None)],
)
def test_it_lives_as_long_as_was_said(signed_in, time_machine, lifetime, expires):
    time_machine.move_to("2026-11-25T10:00:00Z", tick=False)

    make(signed_in, lifetime=lifetime)

    assert Token.objects.get().expires_at == expires


def test_what_is_missing_is_said_and_nothing_is_made(signed_in):
    for fields, sentence in (
        ({"name": " "}, "Enter a name for the token"),
        ({"scopes": []}, "Choose at least one scope"),
        ({"scopes": ["write:everything"]}, "Select a valid choice"),
        ({"lifetime": "9999"}, "Select a valid choice"),
    ):
        response = make(signed_in, **fields)
        assert response.status_code == 422
        assert sentence in response.content.decode()
    assert not Token.objects.exists()


def test_a_name_is_given_once_so_that_a_reload_makes_no_second_token(signed_in):
    make(signed_in)
    response = make(signed_in)

    assert response.status_code == 422
    assert "You already have a token with this name" in response.content.decode()
    assert not secret_in(response)
    assert Token.objects.count() == 1


def test_making_and_revoking_are_in_the_audit_trail_without_the_secret(signed_in, ann):
    secret = secret_in(make(signed_in, scopes=["read:reports", "read:health"]))
    signed_in.post(f"{PAGE}{Token.objects.get().pk}/revoke/")

    events = AuditEvent.objects.order_by("pk").values_list("verb", "target", "actor", "details")
    made, revoked = events
    assert made[:3] == ("token.created", "month-end sheet", ann.pk)
    assert made[3]["scopes"] == "read:health, read:reports"
    assert revoked == ("token.revoked", "month-end sheet", ann.pk, {"owner": "ann@example.com"})
    assert secret not in str(list(events))


def test_a_revoked_token_opens_nothing(signed_in):
    secret = secret_in(make(signed_in))
    response = signed_in.post(f"{PAGE}{Token.objects.get().pk}/revoke/", follow=True)

    assert "month-end sheet revoked" in response.content.decode()
    headers = {"Authorization": f"Bearer {secret}"}
    assert signed_in.get("/api/v1/metrics", headers=headers).status_code == 401


def test_members_see_their_own_tokens_and_admins_those_of_everybody(client, ann, organization):
    make_token(ann, name="of Ann")
    admin = make_member(organization, Role.ADMIN)
    make_token(admin, name="of the Admin")
    make_token(make_member(make_organization("theirs")), name="of a stranger")

    client.force_login(ann)
    page = client.get(PAGE).content.decode()
    assert "of Ann" in page
    assert "of the Admin" not in page

    client.force_login(admin)
    page = client.get(PAGE).content.decode()
    assert "of Ann" in page
    assert "of the Admin" in page
    assert "of a stranger" not in page
    assert client.post(f"{PAGE}{Token.objects.get(name='of Ann').pk}/revoke/").status_code == 302


def test_an_expired_token_is_marked(signed_in, ann):
    make_token(ann, expires_at=datetime(2026, 1, 1, tzinfo=UTC))

    assert "Expired" in signed_in.get(PAGE).content.decode()


def test_the_page_asks_as_often_for_many_tokens_as_for_one(
    client, organization, django_assert_max_num_queries
):
    admin = make_member(organization, Role.ADMIN)
    for _ in range(10):
        make_token(make_member(organization))
    client.force_login(admin)

    with django_assert_max_num_queries(8):
        client.get(PAGE)


def test_a_dump_holds_no_secret(signed_in, capsys):
    secret = secret_in(make(signed_in))

    management.call_command("dumpdata", "api")

    assert secret not in capsys.readouterr().out


def test_an_operator_sees_tokens_and_may_revoke_them(admin_client, ann):
    token = make_token(ann, "sgt_abcd", name="of Ann")

    page = admin_client.get(f"/admin/api/token/{token.pk}/change/").content.decode()
    assert "of Ann" in page
    assert "digest" not in page.lower()
    admin_client.post(f"/admin/api/token/{token.pk}/delete/", {"post": "yes"})

    assert not Token.objects.exists()
    assert AuditEvent.objects.get().verb == "token.revoked"


def test_the_account_menu_leads_here(signed_in):
    assert f'href="{PAGE}"' in signed_in.get("/o/demo/integrations/").content.decode()


def test_every_scope_is_offered_with_what_it_opens(signed_in):
    page = signed_in.get(PAGE).content.decode()

    for scope in Scope:
        assert scope.value in page
        assert scope.summary in page
