"""Every response has the security headers, whatever produces it."""

import logging

import pytest
import time_machine
from django.test import Client

from accounts.models import Role
from tests.factories import make_invitation, make_member, make_organization, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def answers(organization, settings, monkeypatch):
    """Return one response of each kind, by what produces it."""
    member, operator, stranger = Client(), Client(), Client(raise_request_exception=False)
    member.force_login(make_member(organization, Role.ADMIN))
    operator.force_login(make_user(is_staff=True, is_superuser=True))
    responses = {
        "a page": member.get("/o/demo/integrations/"),
        "a file": member.get("/o/demo/audit.csv"),
        "a redirect": stranger.get("/o/demo/integrations/"),
        "the admin": operator.get("/admin/"),
        "a page that is not there": stranger.get("/nowhere/"),
        "a forbidden page": member.get("/admin/login/"),
        "a method that is refused": stranger.get("/logout/"),
        "a form without its token": Client(enforce_csrf_checks=True).post("/login/"),
        "an unknown host": stranger.get("/login/", headers={"host": "evil.example"}),
        "the API": stranger.get("/api/v1/connections"),
        "the API's description": stranger.get("/api/v1/openapi.json"),
        "the health check": stranger.get("/healthz"),
    }
    monkeypatch.setattr("accounts.views.auth.SignIn.get", _crash)
    responses["a crash"] = stranger.get("/login/")
    settings.SECURE_SSL_REDIRECT = True
    responses["a redirect to HTTPS"] = Client().get("/login/")
    return responses


def _crash(*args, **kwargs):
    raise RuntimeError("crash")


def test_every_answer_has_the_content_security_policy(answers):
    assert answers["a crash"].status_code == 500
    assert answers["an unknown host"].status_code == 400
    assert answers["a redirect to HTTPS"].status_code == 301

    policies = {what: answer.get("Content-Security-Policy", "") for what, answer in answers.items()}

    assert {
        what for what, policy in policies.items() if "default-src 'none'" not in policy
    } == set()
    assert "unsafe" not in "".join(policies.values())


def test_every_answer_forbids_frames_and_guessing_of_types(answers):
    for what, answer in answers.items():
        assert answer["X-Frame-Options"] == "DENY", what
        assert answer["X-Content-Type-Options"] == "nosniff", what
        assert answer["Referrer-Policy"] == "same-origin", what


def test_what_is_signed_in_is_in_no_cache(answers):
    for what in ("a page", "a file", "the admin", "the API"):
        assert "no-store" in answers[what]["Cache-Control"], what


@pytest.mark.parametrize("contact", ["mailto:security@example.com", "https://example.com/security"])
def test_security_txt_names_the_contact_of_the_operator(client, settings, contact):
    assert client.get("/.well-known/security.txt").status_code == 404
    settings.SECURITY_CONTACT = contact
    settings.BASE_URL = "https://spendglass.example.com"

    with time_machine.travel("2026-11-22T10:00:00Z", tick=False):
        response = client.get("/.well-known/security.txt")

    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode().splitlines() == [
        f"Contact: {contact}",
        "Expires: 2027-05-21T00:00:00Z",
        "Preferred-Languages: en",
        "Canonical: https://spendglass.example.com/.well-known/security.txt",
    ]


@pytest.mark.parametrize(("proxies", "is_secure"), [(None, False), ("header", True)])
def test_a_client_does_not_make_plain_http_pass_for_https(client, settings, proxies, is_secure):
    settings.SECURE_SSL_REDIRECT = True
    header = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_PROXY_SSL_HEADER = header if proxies else None

    response = client.get("/login/", headers={"X-Forwarded-Proto": "https"})

    assert (response.status_code == 200) is is_secure


# --- The log -----------------------------------------------------------------------------
@pytest.fixture
def logged(capsys):
    """Return what the installation's own handler writes, as in production."""
    (handler,) = [
        handler
        for handler in logging.getLogger().handlers
        if any(type(one).__name__ == "RedactSecretPaths" for one in handler.filters)
    ]
    lines: list[str] = []

    class Copy(logging.Handler):
        def emit(self, record):
            lines.append(handler.format(record))

    copy = Copy()
    copy.filters = list(handler.filters)
    logging.getLogger().addHandler(copy)
    yield lines
    logging.getLogger().removeHandler(copy)


def test_a_link_that_opens_an_account_is_not_in_the_log(organization, logged):
    from accounts import invitations

    link = invitations.path(make_invitation(organization))

    assert Client().post(link, {"password": "1"}).status_code == 422
    assert Client(enforce_csrf_checks=True).post(link).status_code == 403

    assert [line.partition(": /")[2] for line in logged] == ["invitations/…", "invitations/…"]


def test_health_answers_by_any_host_name(client, settings, db):
    settings.ALLOWED_HOSTS = ["spendglass.example.com"]

    assert client.get("/healthz", headers={"Host": "10.0.0.7"}).status_code == 200
    assert client.get("/login/", headers={"Host": "10.0.0.7"}).status_code == 400


def test_a_refusal_is_one_line_of_the_log_without_a_traceback(organization, logged):
    viewer = Client()
    viewer.force_login(make_member(organization, Role.VIEWER))

    assert viewer.get("/o/demo/audit.csv").status_code == 403

    (line,) = logged
    assert "/o/demo/audit.csv" in line
    assert "\n" not in line
