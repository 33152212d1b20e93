"""Each kind of stored object has a limit per organization."""

import pytest

from accounts import invitations, members, quotas
from accounts.permissions import Role
from api import tokens
from integrations import connections, inquiries
from integrations.connectors import get_connector
from integrations.models import ExpertInquiry
from reports import saved
from reports.forms import ScheduleForm
from reports.models import ReportSchedule, SavedReport
from tests.factories import make_connection, make_member, make_organization, make_report

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")


def save_report(organization, member, name):
    report = SavedReport(organization=organization, owner=member, name=name, query="metrics=cost")
    return saved.save(report, actor=member)


def schedule(organization, member, name):
    from datetime import UTC, datetime

    plan = ReportSchedule(report=make_report(organization, name), created_by=member)
    now = datetime(2026, 11, 30, tzinfo=UTC)
    return saved.schedule(plan, recipients=[member], actor=member, now=now)


def issue_token(organization, member, name):
    membership = organization.memberships.get(user=member)
    return tokens.create(membership, name, ["read:reports"], None)


def invite(organization, member, name):
    return invitations.invite(
        organization, email=f"{name}@example.com", role=Role.VIEWER, actor=member
    )


def connect(organization, member, name):
    connections._check_limit(organization)
    return make_connection(organization, label=name, provider_organization_id=name)


def inquire(organization, member, name):
    return inquiries.submit(
        organization,
        CONNECTOR,
        actor=member,
        label="",
        question=name,
        reply_to=member.email,
        diagnosis={},
    )


@pytest.mark.parametrize(
    ("limit", "add", "refusal", "name"),
    [
        ("saved_reports", save_report, quotas.LimitReached, "saved reports"),
        ("schedules", schedule, quotas.LimitReached, "schedules"),
        ("tokens", issue_token, quotas.LimitReached, "API tokens"),
        ("invitations", invite, members.MemberError, "open invitations"),
        ("connections", connect, connections.OperationError, "connections"),
        ("inquiries", inquire, quotas.LimitReached, "open inquiries"),
    ],
)
def test_an_organization_keeps_so_many_and_no_more(settings, limit, add, refusal, name):
    settings.LIMITS = {**settings.LIMITS, limit: 2}
    organization = make_organization()
    member = make_member(organization)
    other = make_organization("other", "Other")
    add(organization, member, "first")
    add(organization, member, "second")

    with pytest.raises(refusal) as caught:
        add(organization, member, "third")

    assert str(caught.value) == (
        f"Demo Inc. has 2 {name}, the most an organization can have. "
        "Delete some that are no longer needed, then try again."
    )
    add(other, make_member(other), "first")


def test_the_page_says_which_limit_was_reached(settings, client):
    settings.LIMITS = {**settings.LIMITS, "saved_reports": 0}
    organization = make_organization()
    client.force_login(make_member(organization, role=Role.ADMIN))

    response = client.post(
        "/o/demo/reports/save/?metrics=cost", {"name": "Spend", "sharing": "private"}
    )

    assert response.status_code == 403
    assert "the most an organization can have." in response.content.decode()


def test_a_schedule_has_so_many_recipients_and_no_more(settings):
    settings.LIMITS = {**settings.LIMITS, "recipients": 1}
    organization = make_organization()
    people = [make_member(organization, email=f"{name}@example.com") for name in ("a", "b")]
    plan = ReportSchedule(report=make_report(organization))
    values = {"frequency": "daily", "weekday": 0, "day_of_month": 1, "hour": 8}
    values["attachment"] = "csv"

    form = ScheduleForm({**values, "recipients": [one.pk for one in people]}, instance=plan)

    assert form.errors["recipients"] == [
        "A schedule has 1 recipients at most. Choose fewer, or share the report."
    ]


def test_a_key_pasted_into_an_inquiry_is_neither_stored_nor_mailed():
    organization = make_organization()
    key = "sk-ant-api01-" + "a1B2c3D4" * 10

    inquire(organization, make_member(organization), f"Why is {key} refused?")

    assert key not in ExpertInquiry.objects.get().question
    assert "[redacted " in ExpertInquiry.objects.get().question
