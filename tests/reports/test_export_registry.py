"""A format is one entry of the registry that URL, menu, schedule form and command read."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import NoReverseMatch, reverse

from accounts.models import Role
from reports.forms import ScheduleForm
from reports.models import ReportSchedule
from reports.render.exports.registry import EXPORTS, ROW_EXPORTS
from tests.factories import cost, make_connection, make_member, make_organization, make_report
from tests.reports.conftest import know

pytestmark = pytest.mark.django_db

QUERY = "metrics=cost&from=2026-11-02&to=2026-11-03&group_by=service&interval=day"


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def member(client, organization):
    connection = make_connection(organization)
    know(connection, "2026-11-02", "2026-11-03")
    cost(connection, "2026-11-02", "3.50", product="chat")
    member = make_member(organization, Role.ADMIN)
    client.force_login(member)
    return member


def address(name):
    return reverse(f"reports:explore_{name}", args=["demo"]) + f"?{QUERY}"


@pytest.mark.parametrize("export", EXPORTS.values(), ids=list(EXPORTS))
def test_every_format_has_a_url_a_type_and_a_place_in_the_menu(client, member, export):
    response = client.get(address(export.name))

    assert response.status_code == 200
    assert response["Content-Type"] == export.content_type
    name = f"demo-cost-by-service-2026-11-02-to-2026-11-03.{export.name}"
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    page = client.get(reverse("reports:explore", args=["demo"]) + f"?{QUERY}").content.decode()
    assert export.description in page
    assert f"/reports/explore.{export.name}?" in page


def test_json_has_the_exact_rows_of_the_page(client, member):
    rows = json.loads(b"".join(client.get(address("json"))))

    assert rows == [{"day": "2026-11-02", "service": "chat", "cost": "3.50"}]


def test_a_format_that_is_not_registered_has_no_url():
    with pytest.raises(NoReverseMatch):
        reverse("reports:explore_pdf", args=["demo"])


def test_a_schedule_offers_every_format_of_rows(organization, member):
    plan = ReportSchedule(report=make_report(organization, "Spend", QUERY, owner=member))

    offered = [name for name, _ in ScheduleForm(instance=plan).fields["attachment"].choices]

    assert offered == [export.name for export in ROW_EXPORTS] == ["csv", "xlsx", "json"]


@pytest.mark.parametrize("name", EXPORTS)
def test_the_command_writes_every_format(member, tmp_path, name):
    path = tmp_path / f"report.{name}"

    call_command(
        "report", organization="demo", metrics="cost", group_by="service", since="2026-11-02",
        until="2026-11-04", format=name, output=str(path),
    )  # fmt: skip

    begins = {"csv": b"\xef\xbb\xbfservice", "xlsx": b"PK", "json": b"[", "png": b"\x89PNG"}
    assert path.read_bytes().startswith(begins[name])


def test_the_command_prints_no_picture(member):
    with pytest.raises(CommandError, match="Excel workbook is no text"):
        call_command(
            "report", organization="demo", metrics="cost", since="2026-11-02",
            until="2026-11-04", format="xlsx",
        )  # fmt: skip
