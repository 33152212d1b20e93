"""All products on one page: every dollar once, and who reports what."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from accounts.models import Role
from reports import products
from reports.engine.spec import ReportSpec
from tests.factories import (
    activity,
    cost,
    feed_day,
    make_connection,
    make_member,
    make_organization,
    make_person,
    usage,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)


@pytest.fixture(autouse=True)
def _a_sunday():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def enterprise(organization):
    connection = make_connection(
        organization,
        "my-org",
        provider_organization_id="org_chat",
        created_at=NOW - timedelta(days=9),
    )
    feed_day(connection, "organization_cost", DAY)
    cost(connection, DAY, "30.10", product="chat")
    cost(connection, DAY, "12.25", product="claude_code")
    return connection


@pytest.fixture
def console(organization):
    connection = make_connection(
        organization, "platform", "claude-console", provider_organization_id="org_api"
    )
    for feed in ("cost", "usage", "people_usage"):
        feed_day(connection, feed, DAY)
    cost(connection, DAY, "7.65", product="messages_api", workspace_id="default")
    usage(connection, DAY, output_tokens=500, product="messages_api", workspace_id="default")
    return connection


def read(organization):
    return products.read(organization, ReportSpec.from_query("range=7d", today=NOW.date()))


def figures(products):
    """Per product the dollars of each connection and the total."""
    return {
        line.label: (*(cell.value for cell in line.cells), line.total) for line in products.lines
    }


def show(client, organization, query=""):
    client.force_login(make_member(organization, Role.VIEWER))
    return client.get(reverse("reports:products", args=[organization.slug]) + query)


def test_every_product_stands_under_the_connection_that_brings_it(
    organization, enterprise, console
):
    products = read(organization)

    assert [column.label for column in products.columns] == ["my-org", "platform"]
    shown = figures(products)
    assert shown["Chat"][0] == shown["Chat"][2] == Decimal("30.10")
    assert shown["Claude Code"][2] == Decimal("12.25")
    assert shown["Messages API"][1] == shown["Messages API"][2] == Decimal("7.65")
    assert products.foot == (Decimal("42.35"), Decimal("7.65"))
    assert products.total == Decimal("50.00")


def test_what_two_connections_read_of_one_organization_counts_once(organization, enterprise):
    duplicate = make_connection(
        organization, "twin", "claude-console", provider_organization_id="org_chat"
    )
    feed_day(duplicate, "cost", DAY)
    cost(duplicate, DAY, "30.10", product="chat")
    cost(duplicate, DAY, "1.00", product="messages_api")

    products = read(organization)

    assert [column.same_as for column in products.columns] == ["", "my-org"]
    assert figures(products)["Chat"][1:] == (Decimal("30.10"), Decimal("30.10"))
    assert products.foot == (Decimal("42.35"), Decimal("31.10"))
    assert products.total == Decimal("42.35")


def test_a_uuid_is_the_same_however_it_is_written(organization):
    uuid = "8F3C1D2E-0000-4000-8000-000000000001"
    for label, spelled in (("one", uuid), ("two", uuid.lower().replace("-", ""))):
        duplicate = make_connection(organization, label, provider_organization_id=spelled)
        cost(duplicate, DAY, "5", product="chat")

    products = read(organization)

    assert [column.same_as for column in products.columns] == ["", "one"]
    assert products.total == Decimal("5")
    assert products.unlike == ()


def test_two_spellings_of_organizations_that_nobody_can_compare_are_named(
    organization, enterprise, client
):
    uuid = "8f3c1d2e-0000-4000-8000-000000000001"
    make_connection(organization, "platform", "claude-console", provider_organization_id=uuid)

    (apart,) = read(organization).unlike

    assert (apart.by_uuid, apart.tagged) == (("platform",), ("my-org",))
    page = show(client, organization, "?range=7d").content.decode()
    assert "Whether platform reads the same organization as my-org is unknown." in page


def test_a_key_that_spans_organizations_leaves_out_only_the_one_that_is_read_elsewhere(
    organization, enterprise, console
):
    cost(enterprise, DAY, "4.00", product="messages_api", organization_id="org_other")
    other = make_connection(
        organization, "other", "claude-console", provider_organization_id="org_other"
    )
    feed_day(other, "cost", DAY)
    cost(other, DAY, "4.00", product="messages_api")

    products = read(organization)

    assert {column.label: column.same_as for column in products.columns} == {
        "my-org": "",
        "other": "my-org",
        "platform": "",
    }
    assert products.total == Decimal("54.00")


def test_the_matrix_says_which_source_reports_what(organization, enterprise, console):
    feed_day(console, "claude_code", DAY)

    sources = {surface.label: surface.sources for surface in read(organization).surfaces}

    assert sources == {
        "Chat": (("Cost",), ()),
        "Claude Code": (("Cost",), ("Activity",)),
        "Messages API": ((), ("Cost", "Tokens")),
    }


def test_an_estimate_is_shown_and_never_added(organization, console, client):
    feed_day(console, "claude_code", DAY)
    dev = make_person(console, email="dev@example.com")
    estimate = {"claude_code_metrics__estimated_cost_usd": 1.86}
    activity(console, DAY, person=dev, feed="claude_code", **estimate)

    products = read(organization)

    assert [(one.label, one.amount) for one in products.estimates] == [
        ("platform", Decimal("1.86"))
    ]
    assert products.total == Decimal("7.65")
    text = show(client, organization, "?range=7d").content.decode()
    assert "Claude Code in platform: about $1.86, an estimate." in text


def test_people_of_several_connections_match_by_their_address(organization, enterprise, console):
    make_person(enterprise, email="ada@example.com")
    make_person(console, email="Ada@example.com")
    make_person(console, email="ben@example.com")
    make_person(enterprise, email="")
    make_person(console, email="")

    assert read(organization).shared_people == 1


def test_each_number_links_to_the_report_that_says_the_same(
    organization, enterprise, console, client
):
    products = read(organization)

    (chat,) = (line for line in products.lines if line.label == "Chat")
    assert chat.cells[0].query == (
        "metrics=cost&range=7d&group_by=sku&billing_account=my-org&service=chat"
    )
    assert chat.cells[0].query.replace("&", "&amp;") in (
        show(client, organization, "?range=7d").content.decode()
    )


def test_the_page_needs_the_same_few_queries_however_much_there_is(
    organization, enterprise, console, django_assert_max_num_queries
):
    for number in range(12):
        cost(console, DAY, "1", product=f"product-{number}", workspace_id=f"wrkspc_{number}")
        make_connection(organization, f"more-{number}", "claude-console")

    with django_assert_max_num_queries(10):
        products = read(organization)
        assert products.total is not None
        assert products.foot


def test_what_is_not_known_is_not_a_zero(organization, enterprise, client):
    make_connection(organization, "new", "claude-console")

    products = read(organization)

    assert figures(products)["Chat"] == (Decimal("30.10"), None, Decimal("30.10"))
    assert products.foot == (Decimal("42.35"), None)
    assert (
        '<td class="num"><span class="muted">–</span></td>'
        in show(client, organization, "?range=7d").content.decode()
    )


def test_a_page_without_connections_leads_to_them(organization, client):
    text = show(client, organization).content.decode()

    assert "Nothing is connected yet" in text
    assert reverse("integrations:index", args=[organization.slug]) in text


def test_a_range_that_does_not_exist_leads_to_the_usual_one(organization, client):
    response = show(client, organization, "?range=decade")

    assert response.status_code == 302
    assert response["Location"] == reverse("reports:products", args=[organization.slug])
