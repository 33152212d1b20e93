"""Members: list, operations of Admins, and an Admin always remains."""

import threading
from functools import partial

import pytest
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as UserPermission
from django.db import connections
from django.test.utils import CaptureQueriesContext

from accounts import invitations, members
from accounts.models import AuditEvent, Membership, Organization, Role
from tests.factories import (
    PASSWORD,
    make_invitation,
    make_member,
    make_organization,
    make_user,
)

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def ada(client, organization):
    """Sign in the Admin who acts."""
    user = make_member(organization, Role.ADMIN, "ada@example.com", name="Ada Byron")
    client.force_login(user)
    return user


@pytest.fixture
def omar(organization):
    return make_member(organization, Role.VIEWER, "omar@example.com", name="Omar Haddad")


def membership(user):
    return Membership.objects.get(user=user, organization__slug="demo")


def address(user, act):
    return f"/o/demo/members/{membership(user).pk}/{act}/"


def trail():
    return [
        (event.actor_name, event.verb, event.target, event.details)
        for event in AuditEvent.objects.order_by("pk")
    ]


def page(client, query=""):
    return client.get(f"/o/demo/members/{query}").content.decode()


def test_the_list_shows_every_member_and_invitation(client, ada, omar, organization):
    make_invitation(organization, "eve@example.com", Role.ANALYST, invited_by=ada)

    text = page(client)

    for shown in ("Ada Byron", "omar@example.com", "eve@example.com", "Analyst", "Open until"):
        assert shown in text


def test_the_account_menu_leads_there_only_for_those_who_may(client, organization):
    client.force_login(make_member(organization, Role.BILLING_ADMIN))

    text = client.get("/o/demo/integrations/").content.decode()

    assert 'href="/o/demo/members/"' not in text
    assert 'href="/o/demo/audit/"' in text


def test_the_search_finds_names_and_e_mails(client, ada, omar):
    assert "Ada Byron" not in page(client, "?q=haddad").partition("<tbody>")[2]
    assert "omar@example.com" in page(client, "?q=OMAR@")
    assert "No members found" in page(client, "?q=zelda")


def test_fifty_members_a_page(client, ada, organization):
    for number in range(50):
        make_member(organization, email=f"m{number:02}@example.com", name=f"Zoe {number:02}")

    first, second = page(client), page(client, "?page=2")

    assert "1–50 of 51 members" in first
    assert 'href="?page=2"' in first
    assert "Zoe 49" in second
    assert "Zoe 48" not in second


def test_the_list_asks_the_same_number_of_questions_for_few_and_many(
    client, ada, organization, django_assert_num_queries
):
    make_invitation(organization, invited_by=ada)
    with CaptureQueriesContext(connections["default"]) as few:
        page(client)
    for _ in range(30):
        make_member(organization)
        make_invitation(organization, invited_by=ada)

    with django_assert_num_queries(len(few)):
        page(client)


def test_a_role_is_changed_and_noted(client, ada, omar):
    assert "Role of Omar Haddad" in client.get(address(omar, "role")).content.decode()

    response = client.post(address(omar, "role"), {"role": "analyst"}, follow=True)

    assert "Omar Haddad is Analyst now." in response.content.decode()
    assert membership(omar).role == Role.ANALYST
    assert trail() == [
        (
            "ada@example.com",
            "member.role_changed",
            "omar@example.com",
            {"role": "Viewer → Analyst"},
        )
    ]


def test_the_same_role_again_is_no_act(client, ada, omar):
    client.post(address(omar, "role"), {"role": "viewer"})

    assert trail() == []


@pytest.mark.parametrize("role", ["", "owner"])
def test_a_role_that_is_none_is_refused(client, ada, omar, role):
    response = client.post(address(omar, "role"), {"role": role})

    assert response.status_code == 422
    assert "Choose" in response.content.decode()
    assert membership(omar).role == Role.VIEWER


def test_who_is_deactivated_is_out_at_once_and_comes_back_with_one_click(client, ada, omar):
    from django.test import Client

    theirs = Client()
    theirs.force_login(omar)
    assert theirs.get("/o/demo/integrations/").status_code == 200

    client.post(address(omar, "deactivate"))
    assert theirs.get("/o/demo/integrations/").status_code == 404
    assert "belong to an organization yet" in theirs.get("/").content.decode()
    assert "Deactivated" in page(client)

    client.post(address(omar, "reactivate"))
    assert theirs.get("/o/demo/integrations/").status_code == 200
    assert [action for _, action, _, _ in trail()] == ["member.deactivated", "member.reactivated"]


def test_deactivating_in_one_organization_leaves_the_others_alone(client, ada, omar):
    other = make_organization("other", "Other Inc.")
    Membership.objects.create(organization=other, user=omar)

    client.post(address(omar, "deactivate"))

    client.force_login(omar)
    assert client.get("/")["Location"] == "/o/other/"
    text = client.get("/o/other/integrations/").content.decode()
    assert "/o/demo/" not in text


def test_who_is_removed_keeps_the_account(client, ada, omar):
    response = client.post(address(omar, "remove"), follow=True)

    assert "Omar Haddad is removed from the organization." in response.content.decode()
    assert not Membership.objects.filter(user=omar).exists()
    omar.refresh_from_db()
    assert omar.is_active
    assert trail() == [
        ("ada@example.com", "member.removed", "omar@example.com", {"role": "Viewer"})
    ]


@pytest.mark.parametrize(
    ("act", "values"), [("role", {"role": "billing_admin"}), ("deactivate", {}), ("remove", {})]
)
def test_the_last_admin_stays(client, ada, omar, act, values):
    response = client.post(address(ada, act), values)

    assert response.status_code == 422
    text = response.content.decode()
    assert "Demo Inc. would be left without an active Admin." in text
    assert "Make another member Admin first." in text
    kept = membership(ada)
    assert (kept.role, kept.is_active) == (Role.ADMIN, True)
    assert trail() == []


@pytest.mark.parametrize("absent", ["deactivated", "switched off"])
def test_an_admin_who_is_not_let_in_does_not_count(client, ada, organization, absent):
    other = make_member(organization, Role.ADMIN, is_active=absent != "switched off")
    if absent == "deactivated":
        Membership.objects.filter(user=other).update(is_active=False)

    assert client.post(address(ada, "remove")).status_code == 422


def test_an_admin_who_hands_over_is_led_out(client, ada, omar):
    client.post(address(omar, "role"), {"role": "admin"})

    assert client.post(address(ada, "role"), {"role": "viewer"})["Location"] == "/"
    assert client.get("/o/demo/members/").status_code == 403


def test_questions_are_dialogs_with_javascript(client, ada, omar):
    question = client.get(address(omar, "remove"), headers=HTMX).content.decode()
    answer = client.post(address(omar, "remove"), headers=HTMX)

    assert question.lstrip().startswith("<form")
    assert answer["HX-Redirect"] == "/o/demo/members/"


def test_a_removed_member_is_404(client, ada, omar):
    gone = address(omar, "role")
    Membership.objects.filter(user=omar).delete()

    assert client.post(gone, {"role": "analyst"}).status_code == 404


def test_an_operation_on_a_removed_row_says_so(ada, omar):
    stale = membership(omar)
    members.remove(membership(omar), actor=ada)

    with pytest.raises(members.MemberError, match="already been removed"):
        members.deactivate(stale, actor=ada)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "act",
    [members.deactivate, members.remove, partial(members.change_role, role=Role.VIEWER)],
    ids=["deactivate", "remove", "demote"],
)
def test_two_admins_who_take_each_other_away_at_once_leave_one(act):
    organization = make_organization()
    users = [make_member(organization, Role.ADMIN) for _ in range(2)]
    start, refused = threading.Barrier(2), []

    def take_away(other, actor):
        target = Membership.objects.get(user=other)
        start.wait(10)
        try:
            act(target, actor=actor)
        except members.LastAdmin:
            refused.append(actor)
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=take_away, args=pair) for pair in (users, list(reversed(users)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(refused) == 1
    assert Membership.objects.active().filter(role=Role.ADMIN).count() == 1


# --- The operator's admin ----------------------------------------------------------------
@pytest.fixture
def operator(client, organization, ada):
    client.force_login(make_user("operator@example.com", is_staff=True, is_superuser=True))
    return client


def change_membership(operator, user, **values):
    member = membership(user)
    form = {"role": member.role, "is_active": "on"} | values
    return operator.post(
        f"/admin/accounts/membership/{member.pk}/change/",
        {key: value for key, value in form.items() if value},
        follow=True,
    )


@pytest.mark.parametrize("values", [{"role": "viewer"}, {"is_active": ""}])
def test_an_operator_cannot_take_the_last_admin_away_either(operator, ada, values):
    response = change_membership(operator, ada, **values)

    assert "would be left without an active Admin" in response.content.decode()
    assert (membership(ada).role, membership(ada).is_active) == (Role.ADMIN, True)
    assert trail() == []


@pytest.mark.parametrize("model", ["membership", "user"])
@pytest.mark.parametrize("by", ["page", "action"])
def test_an_operator_cannot_delete_the_last_admin(operator, ada, model, by):
    pk = membership(ada).pk if model == "membership" else ada.pk
    where = f"/admin/accounts/{model}/"
    if by == "page":
        response = operator.post(f"{where}{pk}/delete/", {"post": "yes"}, follow=True)
    else:
        chosen = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
        response = operator.post(where, chosen, follow=True)

    assert "would be left without an active Admin" in response.content.decode()
    assert membership(ada).role == Role.ADMIN


def test_an_operator_cannot_switch_the_last_admin_off(operator, ada):
    values = {"email": ada.email, "name": ada.name}

    response = operator.post(f"/admin/accounts/user/{ada.pk}/change/", values, follow=True)

    assert "would be left without an active Admin" in response.content.decode()
    ada.refresh_from_db()
    assert ada.is_active


def test_what_an_operator_changes_is_in_the_audit_trail(operator, organization, omar):
    change_membership(operator, omar, role="analyst")
    change_membership(operator, omar, is_active="")
    operator.post(
        f"/admin/accounts/user/{omar.pk}/change/", {"email": omar.email, "name": omar.name}
    )
    operator.post(f"/admin/accounts/membership/{membership(omar).pk}/delete/", {"post": "yes"})
    stranger = make_user("eve@example.com")
    operator.post(
        "/admin/accounts/membership/add/",
        {"organization": organization.pk, "user": stranger.pk, "role": "viewer", "is_active": "on"},
    )
    operator.post(f"/admin/accounts/user/{stranger.pk}/delete/", {"post": "yes"})

    assert {who for who, _, _, _ in trail()} == {"operator@example.com"}
    assert [(action, target) for _, action, target, _ in trail()] == [
        ("member.role_changed", "omar@example.com"),
        ("member.deactivated", "omar@example.com"),
        ("member.account_switched_off", "omar@example.com"),
        ("member.removed", "omar@example.com"),
        ("member.added", "eve@example.com"),
        ("member.removed", "eve@example.com"),
    ]


def test_an_organization_may_be_deleted_with_its_last_admin(operator, organization):
    where = f"/admin/accounts/organization/{organization.pk}/delete/"

    assert operator.get(where).status_code == 200
    assert operator.post(where, {"post": "yes"}).status_code == 302
    assert not Membership.objects.exists()


def test_the_admin_of_an_organization_shows_its_members(operator, organization):
    text = operator.get(f"/admin/accounts/organization/{organization.pk}/change/").content.decode()

    assert "Ada Byron" in text


def change_user(client, user, **values):
    form = {"email": user.email, "name": user.name, "is_active": "on"} | values
    return client.post(f"/admin/accounts/user/{user.pk}/change/", form)


def test_what_an_operator_changes_of_an_account_is_in_the_trail_too(operator, omar):
    change_user(operator, omar, email="omar.haddad@example.com", name="Omar H. Haddad")
    passwords = {"password1": "a brand new sentence 7", "password2": "a brand new sentence 7"}
    operator.post(f"/admin/accounts/user/{omar.pk}/password/", passwords)

    omar.refresh_from_db()
    assert omar.check_password("a brand new sentence 7")
    assert [(action, target, details) for _, action, target, details in trail()] == [
        (
            "member.email_changed",
            "omar@example.com",
            {"email": "omar@example.com → omar.haddad@example.com"},
        ),
        (
            "member.name_changed",
            "omar@example.com",
            {"name": "Omar Haddad → Omar H. Haddad"},
        ),
        ("member.password_changed", "omar.haddad@example.com", {"role": "Viewer"}),
    ]


def test_a_password_that_an_operator_did_not_set_is_no_act(operator, omar):
    operator.post(f"/admin/accounts/user/{omar.pk}/password/", {"password1": "a", "password2": "b"})

    assert trail() == []
    assert operator.get("/admin/accounts/user/nobody/password/").status_code == 404


def test_an_organization_that_an_operator_makes_or_renames_is_in_its_trail(operator):
    none = {f"memberships-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    operator.post("/admin/accounts/organization/add/", {"slug": "new", "name": "New Inc."} | none)
    made = Organization.objects.get(slug="new")
    where = f"/admin/accounts/organization/{made.pk}/change/"
    operator.post(where, {"slug": "newer", "name": "New Inc."} | none)

    assert trail() == [
        ("operator@example.com", "organization.created", "new", {}),
        ("operator@example.com", "organization.changed", "newer", {"slug": "new → newer"}),
    ]


@pytest.fixture
def helper(client, organization):
    """Sign in an operator who may change accounts and nothing else."""
    user = make_user("helper@example.com", is_staff=True)
    codenames = ("view_user", "change_user", "delete_user", "add_user")
    user.user_permissions.set(UserPermission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return user


def test_an_operator_gives_nobody_more_than_they_have(client, helper, omar):
    for user in (omar, helper):
        change_user(client, user, is_staff="on", is_superuser="on", name="Changed")
        user.refresh_from_db()

    assert omar.name == "Changed"
    assert not omar.is_staff
    assert not omar.is_superuser
    assert not helper.is_superuser
    assert helper.name == ""


def test_the_account_of_another_operator_is_for_superusers(client, helper):
    other = make_user("root@example.com", is_staff=True, is_superuser=True)
    where = f"/admin/accounts/user/{other.pk}/"
    passwords = {"password1": "a brand new sentence 7", "password2": "a brand new sentence 7"}

    assert change_user(client, other, email="helper2@example.com").status_code == 403
    assert client.post(f"{where}password/", passwords).status_code == 403
    assert client.post(f"{where}delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    client.post("/admin/accounts/user/", chosen)

    other.refresh_from_db()
    assert (other.email, other.check_password(PASSWORD)) == ("root@example.com", True)


# --- No one grants more than they have ------------------------------------------------------
@pytest.fixture
def grouper(client):
    """Sign in an operator who may change groups and view accounts, and nothing else."""
    user = make_user("grouper@example.com", is_staff=True)
    names = ("view_group", "add_group", "change_group", "delete_group", "view_user")
    user.user_permissions.set(UserPermission.objects.filter(codename__in=names))
    client.force_login(user)
    return user


def _permission(codename):
    return UserPermission.objects.get(codename=codename).pk


def test_a_group_gets_no_permission_its_operator_lacks(client, grouper):
    group = Group.objects.create(name="helpers")
    grouper.groups.add(group)
    where = f"/admin/auth/group/{group.pk}/change/"

    refused = client.post(where, {"name": "helpers", "permissions": [_permission("delete_user")]})
    taken = client.post(where, {"name": "helpers", "permissions": [_permission("view_user")]})

    assert "is not one of the available choices" in refused.content.decode()
    assert taken.status_code == 302
    assert [p.codename for p in group.permissions.all()] == ["view_user"]


@pytest.mark.parametrize("act", ["change", "delete"])
def test_a_group_that_has_more_is_not_touched(client, grouper, act):
    group = Group.objects.create(name="root")
    group.permissions.add(_permission("delete_user"))

    response = client.post(f"/admin/auth/group/{group.pk}/{act}/", {"name": "x", "post": "yes"})

    assert response.status_code == 403
    assert list(group.permissions.values_list("codename", flat=True)) == ["delete_user"]


@pytest.mark.parametrize("own", [None, Role.VIEWER, Role.BILLING_ADMIN])
@pytest.mark.parametrize("how", ["add", "change"])
def test_an_operator_gives_no_role_above_their_own(client, organization, ada, omar, own, how):
    operator = make_user("operator@example.com", is_staff=True)
    names = ("view_membership", "add_membership", "change_membership", "view_user")
    operator.user_permissions.set(UserPermission.objects.filter(codename__in=names))
    if own:
        Membership.objects.create(user=operator, organization=organization, role=own)
    client.force_login(operator)
    target = make_user("eve@example.com") if how == "add" else omar
    form = {"user": target.pk, "organization": organization.pk, "role": "admin", "is_active": "on"}
    pk = "add" if how == "add" else f"{membership(omar).pk}/change"

    response = client.post(f"/admin/accounts/membership/{pk}/", form, follow=True)

    assert "The role Admin includes permissions you do not have" in response.content.decode()
    assert not Membership.objects.filter(user=target, role=Role.ADMIN).exists()


@pytest.mark.parametrize("own", [Role.VIEWER, Role.ANALYST, Role.BILLING_ADMIN])
def test_no_act_gives_a_role_above_the_actors(organization, ada, omar, own):
    """The pages let Admins in alone today; the acts hold whatever a page allows tomorrow."""
    actor = make_member(organization, own)
    former = make_member(organization, Role.ADMIN, "former@example.com")
    membership(former).delete()
    off = Membership.objects.create(
        user=former, organization=organization, role=Role.ADMIN, is_active=False
    )
    sent = make_invitation(organization, "new@example.com", Role.ADMIN)
    acts = [
        partial(members.change_role, membership(omar), Role.ADMIN),
        partial(members.reactivate, off),
        partial(invitations.resend, sent),
        partial(invitations.invite, organization, email="e@example.com", role=Role.ADMIN),
    ]

    for act in acts:
        with pytest.raises(members.MemberError, match="permissions you do not have"):
            act(actor=actor)

    assert Membership.objects.active().filter(role=Role.ADMIN).count() == 1
