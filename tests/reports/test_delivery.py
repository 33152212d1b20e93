"""What is due goes out once, and says how it went."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from accounts.models import AuditEvent, Delivery, MailAttachment, Membership, User
from accounts.permissions import Role
from integrations.models import Connection
from reports.models import SavedReport
from reports.saved import delivery
from reports.tasks import tick
from tests.factories import cost, make_member, make_organization, make_report, make_schedule
from tests.pages import Page, squeeze
from tests.reports.conftest import know

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
QUERY = "metrics=cost,list_cost&from=2026-11-02&to=2026-11-08&group_by=service&interval=week"


@pytest.fixture(autouse=True)
def address(mails, settings):
    """Mails stay in this process, and their links lead here."""
    settings.BASE_URL = "https://spend.example.com"


@pytest.fixture
def ann(organization):
    return make_member(organization, email="ann@example.com", name="Ann Ito")


@pytest.fixture
def plan(organization, connection, ann):
    know(connection, "2026-10-26", "2026-11-08")
    cost(connection, "2026-10-28", "2", product="chat")
    cost(connection, "2026-11-02", "3.50", list_amount="4", product="chat")
    cost(connection, "2026-11-03", "6.50", list_amount="8", product="cowork")
    report = make_report(organization, "Spend", f"{QUERY}&compare=previous", owner=ann)
    return make_schedule(report, ann)


@pytest.fixture
def send(plan, django_capture_on_commit_callbacks):
    def run(now=MONDAY) -> bool:
        with django_capture_on_commit_callbacks(execute=True):
            return delivery.deliver(plan.pk, now=now)

    return run


def test_the_mail_has_the_table_and_the_csv(send, plan):
    assert send()

    (sent,) = mail.outbox
    assert sent.to == ["ann@example.com"]
    assert sent.subject == "Report “Spend”, 2 Nov – 8 Nov 2026"
    assert "Cost: $10.00 (+400.0% against 26 Oct – 1 Nov 2026)" in sent.body
    assert "Cowork: $6.50, $8.00" in sent.body
    assert f"https://spend.example.com/o/demo/reports/saved/{plan.report.pk}/" in sent.body
    html = Page(squeeze(sent.alternatives[0][0]))
    assert '<td>Chat</td><td align="right">$3.50</td>' in html
    assert sent.attachments == [
        (
            "demo-cost-and-list-cost-by-service-2026-11-02-to-2026-11-08.csv",
            "\ufeffweek,service,cost,list_cost,cost_comparable,list_cost_comparable,cost_before,"
            "list_cost_before\r\n"
            "2026-11-02,chat,3.50,4.00,3.50,4.00,2.00,2.00\r\n"
            "2026-11-02,cowork,6.50,8.00,6.50,8.00,0.00,0.00\r\n",
            "text/csv",
        )
    ]
    event = AuditEvent.objects.get(verb="report.sent")
    assert (event.actor_name, event.target, event.details) == (
        "schedule",
        "Spend",
        {"to": "ann@example.com", "file": "csv"},
    )
    plan.refresh_from_db()
    assert plan.last_result == "Sent to ann@example.com."
    assert plan.last_at == MONDAY
    assert plan.next_at == MONDAY + timedelta(days=7)


def test_the_mail_names_the_dimension_of_its_rows_only(send, plan):
    plan.report.query = QUERY.replace("group_by=service", "group_by=service,sku")
    plan.report.save()

    send()

    html = Page(squeeze(mail.outbox[0].alternatives[0][0]))
    assert '<th align="left">Service</th>' in html


def test_the_mail_says_that_a_key_is_rejected(send, connection):
    connection.state = Connection.State.ACTION_NEEDED
    connection.problem = "Anthropic rejected the key of O'Hara."
    connection.save()

    send()

    sent = mail.outbox[0]
    assert "my-org: Action needed. Anthropic rejected the key of O'Hara." in sent.body
    assert "<strong>my-org: Action needed." in sent.alternatives[0][0]


def test_the_result_names_the_first_three_recipients(send, plan, organization):
    people = [make_member(organization, email=f"{name}@example.com") for name in "bcde"]
    plan.recipients.add(*people)

    send()

    plan.refresh_from_db()
    assert plan.last_result == "Sent to ann@example.com, b@example.com, c@example.com and 2 more."


def test_the_name_of_a_report_carries_no_link_into_the_mail(send, plan):
    plan.report.name = "Locked: sign in at https://evil.example/x, or write to eve@evil.example"
    plan.report.save()

    send()

    (sent,) = mail.outbox
    assert sent.subject.startswith("Report “Locked: sign in at https evil example/x, or write to")
    for text in (sent.subject, sent.body, sent.alternatives[0][0]):
        assert "evil.example" not in text
        assert "https://evil" not in text


def test_a_private_report_is_mailed_with_a_link_that_its_recipients_can_open(
    send, plan, organization, client
):
    bo = make_member(organization, email="bo@example.com")
    plan.recipients.add(bo)
    plan.report.sharing = SavedReport.Sharing.PRIVATE
    plan.report.save()

    send()

    body = mail.outbox[0].body
    assert f"/o/demo/reports/explore/?{plan.report.query}" in body
    assert "They can stop it under Reports; once they have left, an Admin can." in body
    client.force_login(bo)
    assert client.get(f"/o/demo/reports/explore/?{plan.report.query}").status_code == 200


def test_what_is_due_goes_out_once_however_often_one_looks(send):
    assert [send(), send(), send(MONDAY + timedelta(hours=1))] == [True, False, False]
    assert len(mail.outbox) == 1


def test_missed_times_go_out_once(send, plan):
    assert send(MONDAY + timedelta(days=30))

    plan.refresh_from_db()
    assert len(mail.outbox) == 1
    assert plan.next_at == datetime(2026, 12, 28, 8, tzinfo=UTC)


def test_nothing_goes_out_early_or_paused(send, plan):
    assert not send(MONDAY - timedelta(minutes=1))

    plan.is_paused = True
    plan.save()
    assert not send()
    assert delivery.due_schedules(MONDAY) == []
    assert mail.outbox == []


def test_who_left_the_organization_gets_nothing(send, plan, organization, ann):
    bo = make_member(organization, email="bo@example.com")
    plan.recipients.add(bo)
    plan.created_by = bo
    plan.save()
    Membership.objects.filter(user=ann).delete()

    send()

    assert [sent.to for sent in mail.outbox] == [["bo@example.com"]]


def test_without_a_recipient_or_a_server_it_says_so(send, plan, settings, ann, organization):
    plan.created_by = make_member(organization, email="bo@example.com")
    plan.save()
    ann.is_active = False
    ann.save()
    send()
    plan.refresh_from_db()
    assert plan.last_result == "Not sent: no recipient is a member any more."

    settings.EMAIL_CONFIGURED = False
    send(MONDAY + timedelta(days=7))
    plan.refresh_from_db()
    assert plan.last_result == "Not sent: email is not set up."
    assert mail.outbox == []


def test_a_report_that_can_no_longer_be_asked_says_why(send, plan):
    plan.report.query = "metrics=gone"
    plan.report.save()

    send()

    plan.refresh_from_db()
    assert plan.last_result == "Not sent: There is no metric “gone”."
    assert plan.next_at > MONDAY


def test_a_csv_too_large_for_a_mail_stays_on_the_page(send, monkeypatch):
    monkeypatch.setattr(delivery, "MAX_ATTACHMENT_BYTES", 50)

    send()

    assert mail.outbox[0].attachments == []
    assert "too large for an email" in mail.outbox[0].body


def test_one_report_that_fails_stops_no_other(plan, organization, ann, monkeypatch):
    make_schedule(make_report(organization, "Other", QUERY), ann)
    started = []
    monkeypatch.setattr("reports.tasks.send_report.delay", lambda **k: started.append(k))

    tick()

    assert len(started) == 2


@pytest.mark.parametrize("gone", ["deactivated", "removed", "switched off"])
def test_schedules_of_who_is_no_active_member_stop_until_an_admin_takes_over(
    send, plan, ann, organization, client, gone
):
    admin = make_member(organization, email="admin@example.com", role=Role.ADMIN)
    plan.recipients.add(admin)
    if gone == "deactivated":
        Membership.objects.filter(user=ann).update(is_active=False)
    elif gone == "removed":
        Membership.objects.filter(user=ann).delete()
    else:
        User.objects.filter(pk=ann.pk).update(is_active=False)

    send()

    plan.refresh_from_db()
    assert mail.outbox == []
    assert plan.last_result == (
        "Stopped: Ann Ito is not an active member. An Admin can take it over."
    )
    assert plan.next_at == MONDAY + timedelta(days=7)  # what was missed is not made up for
    client.force_login(admin)
    page = client.get("/o/demo/reports/").content.decode()
    assert "Stopped" in page
    assert "Ann Ito is not an active member." in page

    client.post(f"/o/demo/reports/schedules/{plan.pk}/take-over/")

    send(MONDAY + timedelta(days=7000))
    assert [sent.to for sent in mail.outbox][-1] == ["admin@example.com"]
    assert "Stopped" not in client.get("/o/demo/reports/").content.decode()


def test_the_schedule_of_who_is_back_goes_on(send, plan, ann):
    Membership.objects.filter(user=ann).update(is_active=False)
    send()
    Membership.objects.filter(user=ann).update(is_active=True)

    assert send(MONDAY + timedelta(days=7))

    assert len(mail.outbox) == 1


def test_nobody_takes_over_the_schedule_of_an_active_member(plan, organization, client):
    client.force_login(make_member(organization, email="a@example.com", role=Role.ADMIN))

    response = client.post(f"/o/demo/reports/schedules/{plan.pk}/take-over/")

    assert response.status_code == 404


def test_admins_see_that_schedules_of_private_reports_stopped_and_not_of_which(
    send, plan, ann, organization, client
):
    admin = make_member(organization, email="admin@example.com", role=Role.ADMIN)
    viewer = make_member(organization, email="viewer@example.com", role=Role.VIEWER)
    plan.report.name = "Severance"
    plan.report.sharing = SavedReport.Sharing.PRIVATE
    plan.report.save()
    Membership.objects.filter(user=ann).update(is_active=False)

    client.force_login(admin)
    page = client.get("/o/demo/reports/").content.decode()
    assert "1 schedule of private reports stopped." in page
    assert "They belong to deactivated members: Ann Ito." in page
    assert "Severance" not in page
    assert client.post(f"/o/demo/reports/schedules/{plan.pk}/take-over/").status_code == 404
    client.force_login(viewer)
    assert "stopped" not in client.get("/o/demo/reports/").content.decode()

    Membership.objects.filter(user=ann).delete()
    client.force_login(admin)
    assert "Severance" in client.get("/o/demo/reports/").content.decode()
    client.post(f"/o/demo/reports/saved/{plan.report.pk}/take-over/")

    plan.recipients.add(admin)
    assert send()
    assert [sent.to for sent in mail.outbox] == [["admin@example.com"]]


def test_a_report_for_many_is_computed_and_stored_once(plan, organization, monkeypatch):
    for number in range(30):
        plan.recipients.add(make_member(organization, email=f"user{number}@example.com"))
    computed = []
    run = delivery.engine.run
    monkeypatch.setattr("reports.engine.run", lambda *args: computed.append(1) or run(*args))

    delivery.deliver(plan.pk, now=MONDAY)

    assert len(computed) == 1
    assert MailAttachment.objects.count() == 1
    assert Delivery.objects.count() == 31


def test_organizations_take_turns(plan, organization, ann):
    now = plan.next_at + timedelta(hours=1)
    for number in range(3):
        report = make_report(organization, f"Report {number}", owner=ann)
        make_schedule(report, ann, next_at=plan.next_at)
    there = make_organization("there", "There Inc.")
    zoe = make_member(there)
    last = make_schedule(make_report(there, owner=zoe), zoe, next_at=now)

    in_turn = delivery.due_schedules(now)

    assert len(in_turn) == 5
    assert in_turn[:2] == [plan.pk, last.pk]
