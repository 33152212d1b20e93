"""Expert inquiries: what goes along, who sees them, and that no key is ever part of them."""

import json

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Role
from accounts.throttling import RateLimit
from integrations import sync
from integrations.encryption import Secret
from integrations.models import ExpertInquiry
from tests.factories import make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

KEY = "sk-ant-api01-sandbox-my-org"
QUESTION = "The key is new, but the test fails."


@pytest.fixture
def organization(sandbox):
    return make_organization()


@pytest.fixture
def ines(client, organization):
    """Return the client, signed in as a Billing Profiles Admin."""
    client.force_login(make_member(organization, Role.BILLING_ADMIN, "ines@example.com"))
    return client


def url(name, *arguments):
    return reverse(f"integrations:{name}", args=["demo", *arguments])


INQUIRE = url("inquire", "claude-enterprise")


def fail_a_test(client, suffix="revoked"):
    key = f"sk-ant-api01-sandbox-{suffix}"
    values = {"label": "my-org", "key": key}
    response = client.post(url("test", "claude-enterprise"), values)
    return key, response.content.decode()


def ask(client, address=INQUIRE, question=QUESTION, reply_to="ines@example.com"):
    return client.post(address, {"question": question, "reply_to": reply_to}, follow=True)


def test_a_failed_test_leads_to_an_inquiry_that_knows_it(ines):
    key, text = fail_a_test(ines)
    assert f'href="{INQUIRE}">Open an expert inquiry' in text
    form = ines.get(INQUIRE).content.decode()
    assert "<dt>test · code</dt><dd>key_rejected</dd>" in form

    response = ask(ines)

    assert "Inquiry submitted." in response.content.decode()
    inquiry = ExpertInquiry.objects.get()
    assert inquiry.question == QUESTION
    tested = inquiry.diagnosis["test"]
    assert (tested["code"], tested["status"]) == ("key_rejected", 401)
    assert tested["request_id"].startswith("req_")
    assert tested["checks"]["Key accepted"] == "failed No (401)."
    assert key not in json.dumps(inquiry.diagnosis)
    assert AuditEvent.objects.get().verb == "inquiry.filed"


def test_a_passed_test_is_no_trouble_any_more(ines):
    fail_a_test(ines)
    fail_a_test(ines, "my-org")

    assert "key_rejected" not in ines.get(INQUIRE).content.decode()


def test_the_test_of_one_organization_is_not_part_of_another(ines, client, organization):
    fail_a_test(ines)
    other = make_organization("other", "Other Inc.")
    other.memberships.create(user=organization.memberships.get().user, role=Role.ADMIN)

    address = reverse("integrations:inquire", args=["other", "claude-enterprise"])

    assert "key_rejected" not in ines.get(address).content.decode()


def test_an_inquiry_about_a_connection_carries_its_last_errors(ines, organization):
    connection = make_connection(
        organization,
        credential=Secret("sk-ant-api01-sandbox-revoked"),
        provider_organization_id="org_1",
    )
    run = sync.plan_import(connection, today=timezone.now().date(), days=2)
    list(sync.run_inline(run, wait=lambda seconds: None))

    ask(ines, f"{INQUIRE}?connection=my-org")

    inquiry = ExpertInquiry.objects.get()
    described = inquiry.diagnosis["connection"]
    assert inquiry.label == "my-org"
    assert (described["status"], described["problem_code"]) == ("Action needed", "key_rejected")
    assert described["errors"][0]["code"] == "key_rejected"
    assert described["errors"][0]["request_id"].startswith("req_")
    assert "sk-ant-api01-sandbox-revoked" not in json.dumps(inquiry.diagnosis)


@pytest.mark.parametrize(
    "question",
    ["My key sk-ant-api01-abcdef123 fails", "SK-ANT-ADMIN01-abcdef123", "see sk-proj-abcdef123"],
)
def test_a_key_in_the_text_is_refused(ines, question):
    response = ask(ines, question=question)

    assert response.status_code == 422
    assert "This looks like an API key. Remove it" in response.content.decode()
    assert "abcdef123" not in response.content.decode()
    assert not ExpertInquiry.objects.exists()


@pytest.mark.parametrize(
    ("question", "reply_to", "reason"),
    [
        ("", "ines@example.com", "Describe what you tried and what you expected."),
        (QUESTION, "", "Enter the email for the reply."),
        (QUESTION, "ines", "Enter a whole email address"),
    ],
)
def test_what_is_missing_is_said_and_what_was_typed_stays(ines, question, reply_to, reason):
    response = ask(ines, question=question, reply_to=reply_to)

    assert response.status_code == 422
    text = response.content.decode()
    assert reason in text
    assert question in text


def test_admins_see_all_and_close_them_others_see_their_own(client, organization):
    billing = [make_member(organization, Role.BILLING_ADMIN) for _ in range(2)]
    for number, user in enumerate(billing):
        client.force_login(user)
        ask(client, question=f"Question {number}")
        text = client.get(url("inquiries")).content.decode()
        assert f"Question {number}" in text
        assert "Question 0" not in text or number == 0
        assert "close/" not in text

    client.force_login(make_member(organization, Role.ADMIN))
    text = client.get(url("inquiries")).content.decode()
    assert "Question 0" in text
    assert "Question 1" in text
    inquiry = ExpertInquiry.objects.first()
    client.post(url("close_inquiry", inquiry.pk))
    inquiry.refresh_from_db()
    assert inquiry.state == "closed"


def test_it_is_mailed_to_the_experts_or_else_to_the_admins(
    ines, organization, mails, settings, django_capture_on_commit_callbacks
):
    make_member(organization, Role.ADMIN, "ada@example.com")
    fail_a_test(ines)
    with django_capture_on_commit_callbacks(execute=True):
        ask(ines)
    settings.EXPERT_EMAILS = ["experts@example.com"]
    with django_capture_on_commit_callbacks(execute=True):
        ask(ines)

    assert [mail.to for mail in mails] == [["ada@example.com"], ["experts@example.com"]]
    body = mails[0].body
    assert QUESTION in body
    assert "test · code: key_rejected" in body
    assert "sandbox-revoked" not in body


# --- How often -----------------------------------------------------------------------------
@pytest.fixture
def at_three():
    with time_machine.travel("2026-11-25T15:05:00Z", tick=False):
        yield


def test_nobody_floods_the_experts_with_inquiries(ines, at_three, mails):
    for _ in range(5):
        assert ask(ines).status_code == 200

    response = ask(ines)

    assert (response.status_code, response["Retry-After"]) == (429, "600")
    text = response.content.decode()
    assert "<b>Too many inquiries in a short time.</b> Try again in 10 minutes." in text
    assert QUESTION in text  # nothing has to be typed again
    assert ExpertInquiry.objects.count() == 5


def test_an_organization_has_a_limit_of_its_own(ines, client, organization, at_three, monkeypatch):
    monkeypatch.setattr("integrations.limits.INQUIRIES_OF_ORGANIZATION", RateLimit("test", limit=1))
    ask(ines)
    client.force_login(make_member(organization, Role.BILLING_ADMIN))

    assert ask(client).status_code == 429


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["form", "htmx"])
@pytest.mark.parametrize("where", ["test", "key"])
def test_connection_tests_are_limited(ines, organization, at_three, monkeypatch, headers, where):
    monkeypatch.setattr("integrations.limits.TESTS_OF_USER", RateLimit("test", limit=2))
    make_connection(organization, "stored", credential=Secret(KEY))
    address = url("test", "claude-enterprise") if where == "test" else url("replace_key", "stored")
    values = {"label": "my-org", "key": "sk-ant-api01-sandbox-revoked"}
    for _ in range(2):
        assert ines.post(address, values, headers=headers).status_code in {200, 422}

    response = ines.post(address, values, headers=headers)

    assert (response.status_code, response["Retry-After"]) == (429, "600")
    text = response.content.decode()
    assert "Too many connection tests in a short time." in text
    assert "Try again in 10 minutes." in text
