"""Saving, sharing, copying and deleting reports, and saying when they go out by mail."""

import re
from datetime import UTC, date, datetime

import pytest
import time_machine
from django.urls import reverse

from accounts.models import AuditEvent, Role
from integrations.connectors.base import Table
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from reports import saved
from reports.engine.spec import ReportSpec
from reports.explore.controls import check
from reports.models import ReportSchedule, SavedReport
from reports.presets import presets
from reports.saved import delivery
from tests.factories import (
    cost,
    make_member,
    make_organization,
    make_report,
    make_schedule,
)
from tests.reports.conftest import a_feed

PRIVATE, SHARED = SavedReport.Sharing.PRIVATE, SavedReport.Sharing.ORGANIZATION
QUERY = "metrics=cost&range=30d&group_by=service"


@pytest.fixture
def ann(organization):
    return make_member(organization, Role.ANALYST, name="Ann Ito")


@pytest.fixture
def zoe(organization):
    return make_member(organization, Role.ANALYST, name="Zoe Doe")


@pytest.fixture
def at(organization, client):
    """Open a URL as a member."""

    def ask(who, name, *args, query="", **data):
        client.force_login(who)
        address = reverse(f"reports:{name}", args=[organization.slug, *args])
        address += f"?{query}" if query else ""
        return client.post(address, data.pop("data")) if "data" in data else client.get(address)

    return ask


def text(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def acts() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("verb", "target"))


# --- Saving ---------------------------------------------------------------------------------
def test_a_report_is_saved_under_a_name_and_opens_with_its_settings(at, ann, connection):
    response = at(
        ann, "save", query=f"{QUERY}&chart=line", data={"name": "My spend", "sharing": PRIVATE}
    )

    (report,) = SavedReport.objects.all()
    assert (report.name, report.query, report.owner) == ("My spend", f"{QUERY}&chart=line", ann)
    assert response["Location"] == f"/o/demo/reports/explore/?{QUERY}&chart=line&report={report.pk}"
    assert acts() == [("report.saved", "My spend")]

    shown = text(at(ann, "open", report.pk).client.get(response["Location"]))
    assert "My spend Private" in shown


def test_the_form_suggests_what_the_report_is_called(at, ann):
    html = at(ann, "save", query=QUERY).content.decode()

    assert 'value="Cost by service, daily"' in html
    assert "Its days move with the calendar." in html


def test_a_name_is_needed_and_may_be_used_once(at, ann, organization):
    make_report(organization, "Spend", owner=ann)

    nameless = at(ann, "save", query=QUERY, data={"name": " ", "sharing": PRIVATE})
    twice = at(ann, "save", query=QUERY, data={"name": "Spend", "sharing": PRIVATE})

    assert (nameless.status_code, twice.status_code) == (422, 422)
    assert "Enter a name for the report." in text(nameless)
    assert "You already have a report called Spend." in text(twice)
    assert SavedReport.objects.count() == 1


def test_what_cannot_be_asked_cannot_be_saved(at, ann):
    response = at(ann, "save", query="metrics=costs", data={"name": "x", "sharing": PRIVATE})

    assert response.status_code == 422
    assert "There is no metric “costs”." in text(response)
    assert not SavedReport.objects.exists()


def test_changed_settings_are_shown_and_can_be_saved(at, ann, organization, connection, client):
    report = make_report(organization, query=QUERY, owner=ann, sharing=PRIVATE)
    client.force_login(ann)

    edited = client.get(f"/o/demo/reports/explore/?{QUERY}&compare=year&report={report.pk}")
    assert "Spend Edited, not saved" in text(edited)
    at(ann, "update", report.pk, query=f"{QUERY}&compare=year&report={report.pk}", data={})

    report.refresh_from_db()
    assert report.query == f"{QUERY}&compare=year"
    assert acts() == [("report.changed", "Spend")]


def test_the_number_of_the_report_stays_in_every_address_of_the_page(
    at, ann, organization, connection, client
):
    report = make_report(organization, query=QUERY, owner=ann)
    cost(connection, datetime.now(UTC).date(), "1", product="chat")
    client.force_login(ann)
    headers = {"HX-Request": "true"}

    response = client.get(
        f"/o/demo/reports/explore/?{QUERY}&service=chat&report={report.pk}", headers=headers
    )
    html = response.content.decode()

    assert response["HX-Push-Url"].endswith(f"&report={report.pk}")
    assert f'type="hidden" name="report" value="{report.pk}"' in html
    links = re.findall(r'hx-get="([^"]*)"', html)
    assert links
    assert all(f"report={report.pk}" in link for link in links)


def test_a_link_to_a_report_one_may_not_see_is_a_plain_link(at, ann, zoe, organization, client):
    report = make_report(organization, "Secret plan", query=QUERY, owner=ann, sharing=PRIVATE)
    client.force_login(zoe)

    response = client.get(f"/o/demo/reports/explore/?{QUERY}&report={report.pk}")

    assert response.status_code == 200
    assert "Secret plan" not in text(response)
    assert "Not saved" in text(response)


# --- Sharing --------------------------------------------------------------------------------
def test_private_reports_are_for_their_owner_alone(at, ann, zoe, organization):
    report = make_report(organization, "Secret plan", owner=ann, sharing=PRIVATE)
    admin = make_member(organization, Role.ADMIN)

    assert "Secret plan" in text(at(ann, "index"))
    for other in (zoe, admin):
        assert "Secret plan" not in text(at(other, "index"))
        assert at(other, "open", report.pk).status_code == 404
        assert at(other, "edit", report.pk).status_code == 404
        assert at(other, "duplicate", report.pk, data={}).status_code == 404


def test_shared_reports_are_seen_by_all_and_changed_by_owner_and_admins(at, ann, zoe, organization):
    report = make_report(organization, "Board", owner=ann)
    viewer, admin = make_member(organization), make_member(organization, Role.ADMIN)

    for member in (ann, zoe, viewer, admin):
        assert "Board" in text(at(member, "index"))
    refused = at(zoe, "edit", report.pk)
    assert refused.status_code == 403
    assert "Ann Ito and Admins can change Board. Duplicate it to have your own." in text(refused)
    assert at(viewer, "edit", report.pk).status_code == 403
    for member in (ann, admin):
        assert at(member, "edit", report.pk).status_code == 200


def test_an_owner_who_became_a_viewer_changes_nothing_any_more(at, organization):
    viewer = make_member(organization)
    report = make_report(organization, owner=viewer)

    assert at(viewer, "edit", report.pk).status_code == 403
    assert at(viewer, "update", report.pk, data={}).status_code == 403


def test_a_report_is_renamed_and_shared(at, ann, organization):
    report = make_report(organization, owner=ann, sharing=PRIVATE)

    at(ann, "edit", report.pk, data={"name": "Board", "sharing": SHARED})

    report.refresh_from_db()
    assert (report.name, report.is_shared) == ("Board", True)
    assert acts() == [("report.changed", "Board")]


def test_a_copy_is_private_and_belongs_to_who_made_it(at, ann, zoe, organization):
    report = make_report(organization, "Board", query=QUERY, owner=ann)

    at(zoe, "duplicate", report.pk, data={})
    at(zoe, "duplicate", report.pk, data={})

    copies = SavedReport.objects.filter(owner=zoe).order_by("pk")
    assert [(c.name, c.query, c.is_shared) for c in copies] == [
        ("Copy of Board", QUERY, False),
        ("Copy of Board (2)", QUERY, False),
    ]


def test_a_copy_of_a_long_name_still_fits(ann, organization):
    report = make_report(organization, "x" * 100, owner=ann)

    names = [saved.duplicate(report, actor=ann).name for _ in range(2)]

    assert [len(name) for name in names] == [100, 100]
    assert names[1].endswith(" (2)")


def test_a_deleted_report_takes_its_schedules_along(at, ann, organization):
    report = make_report(organization, owner=ann)
    make_schedule(report, ann)

    assert "Delete Spend?" in text(at(ann, "delete", report.pk))
    at(ann, "delete", report.pk, data={})

    assert not SavedReport.objects.exists()
    assert not ReportSchedule.objects.exists()
    assert acts() == [("report.deleted", "Spend")]


# --- Reports of former members ----------------------------------------------------------------
@pytest.fixture
def left(ann, organization):
    """Remove Ann, who leaves a private report and a shared one."""
    mine = make_report(organization, "Secret plan", query=QUERY, owner=ann, sharing=PRIVATE)
    make_schedule(mine, make_member(organization))
    make_report(organization, "Board", owner=ann)
    organization.memberships.filter(user=ann).delete()
    return mine


def test_private_reports_of_who_left_are_there_for_admins_alone(at, zoe, left, organization):
    admin = make_member(organization, Role.ADMIN)
    shown = text(at(admin, "index"))

    assert "Reports of former members" in shown
    assert "Secret plan Ann Ito" in shown
    assert "Every Monday at 08:00 UTC to 1 person" in shown
    for other in (zoe, make_member(organization), make_member(organization, Role.BILLING_ADMIN)):
        html = at(other, "index").content.decode()
        assert "Board" in html
        assert "Secret plan" not in html
        assert "Reports of former members" not in html
        assert at(other, "take_over", left.pk, data={}).status_code == 403
        assert at(other, "delete", left.pk, data={}).status_code in {403, 404}
    assert SavedReport.objects.get(pk=left.pk).owner.name == "Ann Ito"


def test_an_admin_takes_over_what_somebody_left_and_what_it_mails_goes_on(at, left, organization):
    admin = make_member(organization, Role.ADMIN)
    make_report(organization, "Secret plan", owner=admin, sharing=PRIVATE)

    at(admin, "take_over", left.pk, data={})

    left.refresh_from_db()
    assert (left.owner, left.name, left.query) == (admin, "Secret plan (2)", QUERY)
    assert not left.is_shared
    assert left.schedules.count() == 1
    assert "Reports of former members" not in text(at(admin, "index"))
    event = AuditEvent.objects.get()
    assert (event.verb, event.target, event.details) == (
        "report.taken_over",
        "Secret plan",
        {"owner": "Ann Ito"},
    )


def test_an_admin_deletes_what_somebody_left(at, left, organization):
    admin = make_member(organization, Role.ADMIN)

    assert "Delete Secret plan?" in text(at(admin, "delete", left.pk))
    at(admin, "delete", left.pk, data={})

    assert not SavedReport.objects.filter(pk=left.pk).exists()
    assert acts() == [("report.deleted", "Secret plan")]


def test_what_a_deleted_account_had_is_left_behind_too(at, ann, left, organization):
    ann.delete()

    assert "Secret plan An account that is gone" in text(
        at(make_member(organization, Role.ADMIN), "index")
    )


def test_nothing_is_left_behind_by_members_deactivated_or_back_again(at, ann, left, organization):
    admin = make_member(organization, Role.ADMIN)
    membership = organization.memberships.create(user=ann, role=Role.ANALYST)
    assert "Secret plan" in text(at(ann, "index"))

    membership.is_active = False
    membership.save()

    for report in (left.pk, make_report(organization, "Mine", owner=admin, sharing=PRIVATE).pk):
        assert at(admin, "take_over", report, data={}).status_code == 404
    assert at(admin, "delete", left.pk).status_code == 404
    assert "Secret plan" not in text(at(admin, "index"))


# --- The list -------------------------------------------------------------------------------
def test_viewers_see_what_is_shared_and_no_button_to_change_it(at, organization):
    viewer = make_member(organization)
    make_schedule(make_report(organization, "Board"), viewer)

    html = at(viewer, "index").content.decode()

    assert "Board" in html
    for word in ("Duplicate", "Rename or share", "Delete", "Pause"):
        assert word not in html


def test_the_number_of_queries_of_the_list_is_fixed(
    at, ann, organization, django_assert_max_num_queries
):
    admin = make_member(organization, Role.ADMIN)

    def count() -> int:
        with django_assert_max_num_queries(30) as queries:
            at(admin, "index")
        return len(queries)

    def make(name: str) -> None:
        owner = make_member(organization)
        make_schedule(make_report(organization, name, owner=owner), ann, owner)
        left = make_report(organization, name, sharing=PRIVATE)
        make_schedule(left, ann, owner)

    make("0")
    count()  # signs in
    before = count()
    for number in range(1, 6):
        make(str(number))
    assert count() == before


@pytest.fixture
def some_feeds(monkeypatch):
    """Return reports that only Claude Enterprise has."""
    more = [
        a_feed(name, Table.ENGAGEMENT, "total") for name in ("group_cost", "slack_channel_cost")
    ]
    monkeypatch.setattr(ClaudeEnterprise, "feeds", (*ClaudeEnterprise.feeds, *more))


def test_groups_and_channels_are_offered_where_a_connection_reports_them(
    client, organization, connection, some_feeds, ann
):
    client.force_login(ann)
    index = reverse("reports:index", args=["demo"])
    words = ("Spend by group", "Spend by Slack channel")

    assert [word in client.get(index).content.decode() for word in words] == [True, True]
    connection.connector_slug = "claude-console"
    connection.save()
    assert [word in client.get(index).content.decode() for word in words] == [False, False]


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_every_preset_is_a_report_of_the_page(preset, some_feeds):
    for today in (date(2026, 11, 25), date(2027, 1, 1), date(2028, 2, 29), date(2026, 10, 31)):
        assert check(ReportSpec.from_query(preset.query, today=today))


# --- Schedules ------------------------------------------------------------------------------
FORM = {"frequency": "weekly", "weekday": 0, "day_of_month": 1, "hour": 8, "attachment": "csv"}


@pytest.mark.parametrize(
    ("frequency", "now", "then"),
    [
        ("daily", "2026-11-25 07:59", "2026-11-25 08:00"),
        ("daily", "2026-11-25 08:00", "2026-11-26 08:00"),
        ("weekly", "2026-11-25 12:00", "2026-11-30 08:00"),
        ("weekly", "2026-11-30 07:00", "2026-11-30 08:00"),
        ("monthly", "2026-11-25 12:00", "2026-12-01 08:00"),
        ("monthly", "2026-12-31 23:59", "2027-01-01 08:00"),
    ],
)
def test_a_schedule_knows_its_next_time(frequency, now, then):
    plan = ReportSchedule(frequency=frequency, weekday=0, day_of_month=1, hour=8)

    due = plan.time_after(datetime.fromisoformat(now).replace(tzinfo=UTC))

    assert f"{due:%Y-%m-%d %H:%M}" == then


@time_machine.travel("2026-11-25 12:00:00Z", tick=False)
def test_a_report_is_scheduled_changed_paused_and_stopped(at, ann, zoe, organization):
    report = make_report(organization, owner=ann)

    at(ann, "schedule", report.pk, data={**FORM, "recipients": [ann.pk, zoe.pk]})
    (plan,) = ReportSchedule.objects.all()
    assert plan.when == "every Monday at 08:00 UTC"
    assert plan.next_at == datetime(2026, 11, 30, 8, tzinfo=UTC)
    assert set(plan.recipients.all()) == {ann, zoe}
    assert "Every Monday at 08:00 UTC 2 members 30 Nov, 08:00 UTC" in text(at(ann, "index"))

    change = {**FORM, "frequency": "daily", "recipients": [zoe.pk]}
    at(ann, "change_schedule", plan.pk, data=change)
    plan.refresh_from_db()
    assert (plan.when, plan.next_at.day) == ("every day at 08:00 UTC", 26)

    at(ann, "pause", plan.pk, data={})
    plan.refresh_from_db()
    assert plan.is_paused
    assert "Paused" in text(at(ann, "index"))
    at(ann, "pause", plan.pk, data={})
    plan.refresh_from_db()
    assert not plan.is_paused

    at(ann, "unschedule", plan.pk, data={})
    assert not ReportSchedule.objects.exists()
    assert [action for action, _ in acts()] == [
        "report.scheduled",
        "report.scheduled",
        "report.schedule_paused",
        "report.schedule_resumed",
        "report.unscheduled",
    ]


@time_machine.travel("2026-11-25 12:00:00Z", tick=False)
def test_a_schedule_is_sent_now_and_keeps_its_regular_time(at, ann, organization, mails):
    plan = make_schedule(make_report(organization, owner=ann), ann)
    plan.next_at = plan.time_after(datetime.now(UTC))
    plan.save()
    regular = plan.next_at

    assert at(ann, "send_now", plan.pk, data={}).status_code == 302
    assert delivery.due_schedules(datetime.now(UTC)) == [plan.pk]
    assert delivery.deliver(plan.pk, now=datetime.now(UTC))
    plan.refresh_from_db()
    assert plan.next_at == regular
    at(ann, "send_now", plan.pk, data={})
    assert "was sent less than a minute ago." in text(at(ann, "index"))
    assert delivery.due_schedules(datetime.now(UTC)) == []


def test_a_paused_schedule_is_not_sent_now(at, ann, organization, settings):
    settings.EMAIL_CONFIGURED = True
    plan = make_schedule(make_report(organization, owner=ann), ann)
    plan.is_paused = True
    plan.save()

    at(ann, "send_now", plan.pk, data={})

    assert "its schedule is paused" in text(at(ann, "index"))


def test_the_day_of_another_frequency_is_ignored(at, ann, organization):
    """Its field is hidden, so nothing in it can be an error."""
    report = make_report(organization, owner=ann)
    data = {**FORM, "frequency": "weekly", "day_of_month": "40", "recipients": [ann.pk]}

    assert at(ann, "schedule", report.pk, data=data).status_code == 302
    assert ReportSchedule.objects.get().day_of_month == 1


def test_only_members_can_be_chosen(at, ann, organization):
    report = make_report(organization, owner=ann)
    stranger = make_member(make_organization("other"))

    response = at(ann, "schedule", report.pk, data={**FORM, "recipients": [stranger.pk]})

    assert response.status_code == 422
    assert "A chosen recipient is no longer a member." in text(response)
    assert stranger.email not in response.content.decode()


def test_a_schedule_says_what_it_lacks(at, ann, organization):
    report = make_report(organization, owner=ann)

    shown = text(at(ann, "schedule", report.pk, data={**FORM, "hour": 24}))

    assert "Choose at least one member." in shown
    assert "less than or equal to 23" in shown
    assert not ReportSchedule.objects.exists()


def test_a_schedule_of_a_report_one_may_not_change_is_out_of_reach(at, ann, zoe, organization):
    private = make_schedule(make_report(organization, "a", owner=ann, sharing=PRIVATE), ann)
    shared = make_schedule(make_report(organization, "b", owner=ann), ann)

    assert at(zoe, "pause", private.pk, data={}).status_code == 404
    assert at(zoe, "pause", shared.pk, data={}).status_code == 403
    assert not ReportSchedule.objects.filter(is_paused=True).exists()


def test_the_page_says_so_where_nothing_can_be_sent(at, ann, organization, settings):
    settings.EMAIL_CONFIGURED = False
    make_schedule(make_report(organization, owner=ann), ann)

    assert "Email is not set up" in text(at(ann, "index"))
