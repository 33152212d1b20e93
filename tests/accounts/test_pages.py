"""Sign-in, redirects, choice of an organization, sign-out."""

import pytest
from django.test import Client

from accounts.models import Membership, Role
from tests.factories import PASSWORD, make_member, make_organization, make_user

pytestmark = pytest.mark.django_db


def sign_in(client, email, password=PASSWORD, **extra):
    return client.post("/login/", {"username": email, "password": password, **extra})


def test_a_visitor_is_redirected_to_sign_in(client):
    response = client.get("/")

    assert response.status_code == 302
    assert response["Location"] == "/login/?next=/"


def test_the_sign_in_page_describes_the_product(client):
    page = client.get("/login/").content.decode()

    assert "Sign in to Spendglass" in page
    assert 'autocomplete="current-password"' in page


def test_the_member_of_one_organization_lands_where_it_begins(client):
    make_member(make_organization(), email="ines@example.com")

    response = sign_in(client, "Ines@Example.com")

    assert response["Location"] == "/"
    assert client.get("/")["Location"] == "/o/demo/"
    assert client.get("/o/demo/")["Location"] == "/o/demo/integrations/"  # nothing is in yet


def test_the_member_of_several_organizations_chooses(client):
    member = make_member(make_organization("north", "North Ltd."))
    south = make_organization("south", "South Ltd.")
    Membership.objects.create(organization=south, user=member, role=Role.ADMIN)
    make_organization("west", "West Ltd.")
    client.force_login(member)

    page = client.get("/").content.decode()

    assert 'href="/o/north/"' in page
    assert 'href="/o/south/"' in page
    assert "West" not in page


def test_a_user_without_an_organization_learns_what_is_missing(client):
    client.force_login(make_user())

    response = client.get("/")

    assert response.status_code == 200
    assert "belong to an organization yet" in response.content.decode()


def test_a_wrong_password_is_refused_without_saying_which_half_was_wrong(client):
    make_user("ines@example.com")

    known = sign_in(client, "ines@example.com", "wrong").content.decode()
    unknown = sign_in(client, "nobody@example.com", "wrong").content.decode()

    assert "No account has this email and password." in known
    assert "No account has this email and password." in unknown
    assert "wrong" not in known.partition("<form")[2]


def test_empty_fields_are_named(client):
    page = sign_in(client, "", "").content.decode()

    assert "Enter your email." in page
    assert "Enter your password." in page


def test_somebody_switched_off_cannot_sign_in(client):
    user = make_user("ines@example.com")
    user.is_active = False
    user.save()

    assert sign_in(client, "ines@example.com").status_code == 200
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_signing_in_never_leads_to_another_site(client, elsewhere):
    make_user("ines@example.com")

    assert sign_in(client, "ines@example.com", next=elsewhere)["Location"] == "/"


def test_the_admin_leads_to_no_other_site_either(client):
    make_user("ines@example.com", is_staff=True)
    elsewhere = "https://evil.example/"

    location = client.get(f"/admin/login/?next={elsewhere}")["Location"]

    assert location.startswith("/login/?next=")
    values = {"username": "ines@example.com", "password": PASSWORD}
    assert client.post(location, values)["Location"] == "/"


def test_signing_in_begins_a_session_that_nobody_prepared(client):
    make_user("ines@example.com")
    client.cookies["sessionid"] = "prepared0by0somebody0else0000000"

    sign_in(client, "ines@example.com")

    assert client.cookies["sessionid"].value != "prepared0by0somebody0else0000000"
    assert client.cookies["sessionid"]["httponly"]


def test_who_is_switched_off_is_out_at_once(client):
    user = make_member(make_organization(), email="ines@example.com")
    client.force_login(user)
    assert client.get("/o/demo/integrations/").status_code == 200

    user.is_active = False
    user.save()

    assert client.get("/o/demo/integrations/")["Location"].startswith("/login/")


def test_signing_in_goes_on_where_one_was_stopped(client):
    make_member(make_organization(), email="ines@example.com")
    address = "/o/demo/integrations/?tab=others"

    assert sign_in(client, "ines@example.com", next=address)["Location"] == address


def test_a_part_of_a_page_that_finds_the_session_gone_reloads_the_page(client):
    response = client.get("/login/?next=/", headers={"HX-Request": "true"})

    assert response["HX-Refresh"] == "true"
    assert not response.content


def test_signing_out_takes_a_post_and_ends_the_session(client):
    client.force_login(make_user())

    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_signing_in_needs_the_token_of_the_form():
    careful = Client(enforce_csrf_checks=True)

    response = careful.post("/login/", {"username": "a@example.com", "password": "x"})

    assert response.status_code == 403
    assert "This page has expired" in response.content.decode()


def test_pages_of_signed_in_people_stay_out_of_every_cache(client):
    client.force_login(make_user())

    assert client.get("/")["Cache-Control"] == "private, no-store"


def test_the_account_menu_shows_who_one_is_and_switches_organizations(client):
    member = make_member(make_organization(), Role.BILLING_ADMIN, "ines@example.com")
    other = make_organization("other", "Other Inc.")
    Membership.objects.create(organization=other, user=member)
    client.force_login(member)

    page = client.get("/o/demo/integrations/").content.decode()

    assert "Billing Profiles Admin" in page
    assert 'href="/o/other/integrations/"' in page
    assert 'action="/logout/"' in page


def test_an_address_that_is_not_there_is_a_page_too(client):
    client.force_login(make_user())

    response = client.get("/o/nowhere/integrations/")

    assert response.status_code == 404
    assert "Page not found" in response.content.decode()
