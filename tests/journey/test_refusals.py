"""Pages of delayed and stopped requests, in light and dark, on desktop and phone."""

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.deadlines import TooSlow
from accounts.limits import TooMany
from accounts.models import Membership, Role
from reports.explore import views
from reports.models import ReportFile
from tests.factories import (
    PASSWORD,
    make_member,
    make_organization,
    make_report,
    make_report_file,
    make_schedule,
)
from tests.journey.screenshots import wrong

pytestmark = pytest.mark.browser


@pytest.fixture
def ines(transactional_db):
    organization = make_organization("demo", "Brightwater Logistics")
    return make_member(organization, Role.ADMIN, "ines@example.com", name="Ines Öztürk")


def sign_in(page, password=PASSWORD):
    page.goto("/login/")
    page.get_by_label("Email").fill("ines@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def files(ines):
    """Create a file in each state and return the one that waits."""
    organization, now = ines.memberships.get().organization, timezone.now()
    common = {"title": "Cost by user and model, each day of the last 365 days"}
    make_report_file(organization, ines, state="ready", size=48_200_000, finished_at=now, **common)
    failed = {"state": "failed", "error": "This file took longer than 15 minutes.", **common}
    make_report_file(organization, ines, finished_at=now, **failed)
    make_report_file(organization, ines, state="working", rows_written=125_000, **common)
    return make_report_file(organization, ines, **common)


def stopped_schedules(ines):
    """Create schedules of a shared and a private report by a deactivated member."""
    organization = ines.memberships.get().organization
    priya = make_member(organization, Role.ANALYST, "priya@example.com", name="Priya Raghunathan")
    for name, sharing in (("Spend by team", "organization"), ("Own notes", "private")):
        report = make_report(organization, name, owner=priya, sharing=sharing)
        make_schedule(report, priya, ines)
    Membership.objects.filter(user=priya).update(is_active=False)


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_what_waits_can_be_used_by_everybody(open_page, ines, width, monkeypatch):
    page, faults = open_page(width=width, color_scheme="light"), []
    sign_in(page)
    waiting = files(ines)
    for path, name in (("", "files"), (f"{waiting.pk}/", "file-waiting")):
        page.goto(f"/o/demo/reports/files/{path}")
        faults += wrong(page, name)
    ReportFile.objects.update(state="working", rows_written=F("rows_written") + 5_000)
    page.goto(f"/o/demo/reports/files/{waiting.pk}/")
    faults += wrong(page, "file-working")

    refusals = {
        "429": TooMany(
            "3 of your reports are being computed already. Wait until one is done.", 120
        ),
        "503": TooSlow(),
    }
    for name, error in refusals.items():

        def refuse(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr(views.engine, "run", refuse)
        page.goto("/o/demo/reports/explore/?metrics=cost&range=30d")
        # Two lines are read in less time than this page waits.
        faults += [one for one in wrong(page, name) if " meta-refresh " not in one]

    monkeypatch.undo()
    stopped_schedules(ines)
    page.goto("/o/demo/reports/")
    faults += wrong(page, "schedules-stopped")

    page.context.clear_cookies()
    for _ in range(11):
        sign_in(page, "wrong")
    faults += wrong(page, "sign-in-lockout")

    assert not faults, "\n".join(faults)
