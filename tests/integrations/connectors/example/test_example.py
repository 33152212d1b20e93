"""A folder and a line in the settings make a provider, and nothing else."""

import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.models import Role
from integrations.models import Connection, CostFact
from tests.factories import make_member, make_organization, make_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization(installed):
    installed(
        "integrations.connectors.claude_enterprise.ClaudeEnterprise",
        "tests.integrations.connectors.example.Example",
    )
    return make_organization()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("example-key-0001\n"))


def test_it_has_a_card_and_the_common_pages(organization, client):
    client.force_login(make_member(organization, Role.ADMIN))

    index = client.get(reverse("integrations:index", args=["demo"])).content.decode()
    page = client.get(reverse("integrations:connect", args=["demo", "example"])).content.decode()

    assert "Example (Tests)" in index
    assert "Thirty-seven cents a day" in index
    assert "Connect Example (Tests)" in page
    assert "Starts with example-." in page


def test_it_connects_syncs_and_reports(organization, key):
    connect = {"organization": "demo", "no_import": True, "stdout": StringIO()}
    call_command("connect", "example", "ours", **connect)
    call_command("sync", "ours", organization="demo", days=3, stdout=StringIO())

    today = datetime.now(UTC).date()
    connection = Connection.objects.get()
    assert connection.provider_organization_id == "example-org"
    assert CostFact.objects.filter(connection=connection).count() == 6
    out = StringIO()
    call_command(
        "report",
        organization="demo",
        metrics="cost",
        group_by="provider,project_id,service",
        since=str(today - timedelta(days=2)),
        until=str(today + timedelta(days=1)),
        format="csv",
        stdout=out,
    )
    assert out.getvalue().splitlines()[1:] == ["Example (Tests),room-1,,example_product,1.11"]
    desks = connection.meters.values_list("attributes", flat=True)
    assert {desk["example_desk"] for desk in desks} == {"window", "corner"}


@pytest.fixture
def imported(organization, key):
    """Three days of four hellos and one goodbye."""
    connect = {"organization": "demo", "no_import": True, "stdout": StringIO()}
    call_command("connect", "example", "ours", **connect)
    call_command("sync", "ours", organization="demo", days=3, stdout=StringIO())
    today = datetime.now(UTC).date()
    return {
        "metrics": "example_greetings",
        "group_by": "item",
        "from": str(today - timedelta(days=2)),
        "to": str(today),
    }


def test_its_metric_and_dimension_are_on_the_page(imported, organization, client):
    client.force_login(make_member(organization))
    page = client.get(reverse("reports:explore", args=["demo"]), imported).content.decode()

    assert "<summary>Greetings</summary>" in re.sub(r"\s*<", "<", re.sub(r">\s*", ">", page))
    assert "How often a greeting was said." in page
    assert [page.count(word) > 0 for word in ("Hello", "Goodbye")] == [True, True]


def test_its_metric_and_dimension_are_in_the_api(imported, organization, client):
    make_token(make_member(organization), "sgt_of-example")
    headers = {"Authorization": "Bearer sgt_of-example"}
    answer = client.get("/api/v1/report", imported, headers=headers)
    body = json.loads(answer.getvalue())

    assert [(row["item"], row["example_greetings"]) for row in body["rows"]] == [
        ("goodbye", 3),
        ("hello", 12),
    ]


COST_BY_DESK = {"metrics": "cost", "group_by": "service,example_desk"}


def test_its_words_and_its_own_dimension_of_cost_are_on_the_page(imported, organization, client):
    client.force_login(make_member(organization))
    explore = reverse("reports:explore", args=["demo"])
    page = client.get(explore, imported | COST_BY_DESK).content.decode()

    assert "Example product" in page
    assert "Total, EUR" in page
    assert "$" not in page
    assert "By the window" in page
    assert "Desk" in page
    filtered = client.get(explore, imported | COST_BY_DESK | {"example_desk": "window"})
    assert "By the window" in filtered.content.decode()
    assert "Spend by desk" in client.get(reverse("reports:index", args=["demo"])).content.decode()


def test_its_own_dimension_of_cost_is_in_the_api(imported, organization, client):
    make_token(make_member(organization), "sgt_of-example")
    headers = {"Authorization": "Bearer sgt_of-example"}
    answer = client.get("/api/v1/report", imported | COST_BY_DESK, headers=headers)
    rows = json.loads(answer.getvalue())["rows"]
    dimensions = client.get("/api/v1/dimensions", headers=headers).json()
    members = client.get("/api/v1/dimensions/example_desk/members", headers=headers).json()

    assert [(row["service"], row["example_desk"], row["cost"]) for row in rows] == [
        ("example_product", "corner", "0.21"),
        ("example_product", "window", "0.90"),
    ]
    assert "example_desk" in {dimension["name"] for dimension in dimensions}
    assert members["members"] == [
        {"value": "window", "label": "By the window"},
        {"value": "corner", "label": "corner"},
    ]


@pytest.mark.parametrize(
    ("widget", "words"),
    [
        ("price-drivers", ["Desk", "By the window", "€0.90"]),
        ("spend-over-time", ["Example product"]),
        ("spend", ["€1.11"]),
    ],
)
def test_it_is_on_the_dashboard(imported, organization, client, widget, words):
    client.force_login(make_member(organization))
    url = reverse("dashboards:widget", args=["demo", widget])
    page = client.get(url, {"range": "30d"}, headers={"HX-Request": "true"}).content.decode()

    assert [word for word in words if word not in page] == []


def test_what_the_other_connector_declares_is_not_asked_of_it(imported, organization, client):
    client.force_login(make_member(organization))
    explore = reverse("reports:explore", args=["demo"])
    page = client.get(explore, imported | {"metrics": "cost", "group_by": "speed"})

    assert "does not report cost by speed" in page.content.decode()


def test_it_needs_no_migration(organization):
    call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())  # exits if it does
