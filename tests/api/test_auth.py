"""Tokens give access by scope and rate limit, and every refusal is a problem document."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Membership
from api.models import Scope, Token
from tests.api.conftest import SECRET
from tests.factories import make_connection, make_member, make_organization, make_token

PATHS = {
    "connections": Scope.CONNECTIONS,
    "connections/my-org": Scope.CONNECTIONS,
    "connections/my-org/health": Scope.HEALTH,
    "metrics": Scope.REPORTS,
    "dimensions": Scope.REPORTS,
    "dimensions/service/members": Scope.REPORTS,
    "report": Scope.REPORTS,
}


def refused(response, status):
    """Return the problem document of a refusal."""
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "private, no-store"
    document = response.json()
    assert document["status"] == status
    assert document["detail"]
    return document


@pytest.mark.parametrize("path", PATHS)
def test_a_token_with_the_scope_is_let_in_and_kept_out_of_caches(ask, connection, token, path):
    token.scopes = [PATHS[path]]
    token.save()

    response = ask(path)

    assert response.status_code == 200
    assert response["Content-Type"].startswith("application/json")
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", PATHS)
def test_a_token_without_the_scope_learns_which_one_it_lacks(ask, connection, token, path):
    token.scopes = [scope for scope in Scope if scope is not PATHS[path]]
    token.save()

    assert PATHS[path] in refused(ask(path), 403)["detail"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("secret", ["", "sgt_wrong", "sgt_of-ann2", "Bearer", "\xe4\x00"])
def test_nobody_else_is_let_in(ask, connection, path, secret):
    response = ask(path, secret=secret)

    refused(response, 401)
    assert response["WWW-Authenticate"] == "Bearer"


def test_being_signed_in_opens_pages_and_not_the_api(client, ann, connection):
    client.force_login(ann)

    refused(client.get("/api/v1/connections"), 401)


def test_an_expired_token_opens_nothing(ask, token):
    token.expires_at = timezone.now()
    token.save()
    refused(ask("connections"), 401)

    token.expires_at = timezone.now() + timedelta(minutes=1)
    token.save()
    assert ask("connections").status_code == 200


def test_a_member_who_is_switched_off_takes_the_tokens_along(ask, ann):
    ann.is_active = False
    ann.save()

    refused(ask("connections"), 401)


def test_a_member_who_is_deactivated_here_takes_the_tokens_along(ask, ann):
    Membership.objects.filter(user=ann).update(is_active=False)

    refused(ask("connections"), 401)


def test_who_leaves_and_comes_back_has_no_tokens_any_more(ask, ann, organization):
    Membership.objects.get(user=ann).delete()
    Membership.objects.create(user=ann, organization=organization)

    assert not Token.objects.exists()
    refused(ask("connections"), 401)


def test_a_token_of_one_organization_never_sees_another(ask, connection, client):
    theirs = make_organization("theirs", "Their Corp.")
    make_connection(theirs, "their-label")
    make_token(make_member(theirs), "sgt_theirs")

    assert [c["label"] for c in ask("connections").json()] == ["my-org"]
    refused(ask("connections/their-label"), 404)
    refused(ask("connections/their-label/health"), 404)
    members = ask("dimensions/billing_account/members").json()["members"]
    assert [member["value"] for member in members] == ["my-org"]
    refused(ask("connections/my-org", secret="sgt_theirs"), 404)


def test_use_is_noted_to_the_minute(ask, token):
    assert token.last_used_at is None

    ask("connections")
    token.refresh_from_db()
    first = token.last_used_at
    assert timezone.now() - first < timedelta(minutes=1)

    ask("connections")
    token.refresh_from_db()
    assert token.last_used_at == first


def test_a_rate_limited_token_learns_when_to_retry(ask, ann, settings, time_machine):
    time_machine.move_to("2026-11-25T10:05:00Z", tick=False)
    settings.API_REQUESTS = 2
    make_token(ann, "sgt_other")

    answers = [ask("metrics") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused(answers[-1], 429)
    assert answers[-1]["Retry-After"] == "600"  # the quarter of an hour ends at 10:15
    assert ask("metrics", secret="sgt_other").status_code == 200
    time_machine.move_to("2026-11-25T10:15:00Z", tick=False)
    assert ask("metrics").status_code == 200


def test_zero_requests_is_no_limit(ask, settings):
    settings.API_REQUESTS = 0

    assert [ask("metrics").status_code for _ in range(3)] == [200, 200, 200]


def test_an_address_that_does_not_exist_is_a_document_too(ask):
    for path in ("", "nothing", "connections/", "connections/nobody"):
        refused(ask(path), 404)
    refused(ask("../v2/connections"), 404)


def test_the_api_only_reads(client, token):
    response = client.post("/api/v1/connections", headers={"Authorization": f"Bearer {SECRET}"})

    assert "GET" in refused(response, 405)["detail"]
    assert response["Allow"] == "GET"


def test_a_crash_is_a_document_that_says_nothing_of_it(ask, client, monkeypatch):
    def broken(*args):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("api.v1.statuses", broken)
    client.raise_request_exception = False

    assert "hunter2" not in str(refused(ask("connections"), 500))


def test_the_secret_is_in_no_table(token):
    stored = str(list(Token.objects.values()))

    assert SECRET not in stored
    assert len(bytes(Token.objects.get().digest)) == 32


@pytest.mark.parametrize("path", PATHS)
def test_queries_do_not_grow_with_the_rows(
    ask, organization, connection, path, django_assert_max_num_queries
):
    ask(path)
    for number in range(20):
        make_connection(organization, f"org-{number}")
    cache.clear()

    with django_assert_max_num_queries(9):
        ask(path)
