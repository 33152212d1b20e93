"""What lists of the Console tell of keys, workspaces and members, and its beta reports."""

from datetime import date
from decimal import Decimal

import pytest

from integrations.loading.rollups import roll_up_activity
from integrations.models import EngagementFact, FeedDay, Resource, ResourceVersion
from integrations.window import Window
from reports import engine, limits
from reports.catalog import resource_names
from reports.engine.spec import Filter, Operator, ReportSpec, SpecError
from reports.explore.controls import dimension_values
from tests.factories import cost, make_connection, make_person, usage
from tests.reports.conftest import know

DAYS = Window(date(2026, 11, 1), date(2026, 11, 4))
FEEDS = ("cost", "usage", "people_usage", "beta_cost", "beta_usage", "claude_code")


@pytest.fixture
def console(organization):
    """Create keys of Ann and of a robot, and a workspace that changes teams on day 2."""
    console = make_connection(organization, "platform", "claude-console")
    ann = make_person(console, "user_ann", name="Ann", email="ann@example.com", role="developer")
    resource(console, "api_key_id", "key_ann", owner="user_ann", expires_on="2027-01-31")
    resource(console, "api_key_id", "key_robot", owner="svac_robot")
    search = resource(
        console, "workspace_id", "w_search", day=2, tags="cost_center=42, team=search"
    )
    version(search, 3, tags="cost_center=42, team=find")
    resource(console, "workspace_id", "w_lab", day=2)
    for day in (1, 2, 3):
        at = f"2026-11-0{day}"
        usage(
            console,
            at,
            person=ann,
            api_key_id="key_ann",
            workspace_id="w_search",
            output_tokens=day,
        )
        usage(console, at, api_key_id="key_robot", workspace_id="w_lab", output_tokens=10)
        usage(console, at, output_tokens=100)
        cost(console, at, "5", workspace_id="w_search")
    know(console, "2026-11-01", "2026-11-03", feeds=FEEDS)
    return console


def resource(connection, kind, external_id, *, day=1, **attributes):
    made = Resource.objects.create(
        connection=connection, kind=kind, external_id=external_id, attributes=attributes
    )
    version(made, day, **attributes)
    return made


def version(resource, day, **attributes):
    ResourceVersion.objects.create(
        resource=resource, since=date(2026, 11, day), attributes=attributes
    )


def document(connection, day, amount, requests, *, person=None, **labels):
    EngagementFact.objects.create(
        connection=connection,
        feed="beta_cost",
        day=date(2026, 11, day),
        subject="|".join(labels.values()),
        person=person,
        values={"effective_cost": amount, "list_cost": amount * 2, "requests": requests},
        labels=labels,
    )
    feed = connection.connector.feed("beta_cost")
    roll_up_activity(connection, feed, [date(2026, 11, day)])


def ask(connection, *metrics, group_by=(), filters=()):
    spec = ReportSpec(metrics, DAYS, group_by=group_by, filters=filters)
    report = engine.run(connection.organization, spec)
    return {row.keys: row.values for row in report.rows}


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("api_key_owner", {"user_ann": 6, "svac_robot": 30, "": 300}),
        ("api_key_expiry", {"2027-01-31": 6, "": 330}),
        ("user_role", {"developer": 6, "": 330}),
        # Day 1 is before the first import: the oldest tags stand for it.
        (
            "workspace_tags",
            {"cost_center=42, team=search": 3, "cost_center=42, team=find": 3, "": 330},
        ),
    ],
)
def test_tokens_are_cut_by_what_lists_tell(console, group_by, expected):
    answer = ask(console, "output_tokens", group_by=(group_by,))

    assert {keys[0]: values[0] for keys, values in answer.items()} == expected


def test_cost_of_one_team_is_filtered_by_its_tag(console):
    team = Filter("workspace_tags", ("team=search",), Operator.CONTAINS)

    assert ask(console, "cost", filters=(team,)) == {(): (Decimal(10),)}


def test_owners_have_names_and_robots_keep_their_id(console):
    names = resource_names.of([console], ["api_key_owner"])

    assert names == {("api_key_owner", "user_ann"): "Ann"}


@pytest.mark.parametrize(
    ("dimension", "offered"),
    [
        ("api_key_owner", {"user_ann": "Ann", "svac_robot": "svac_robot"}),
        ("user_role", {"developer", ""}),
        ("workspace_tags", {"cost_center=42, team=search", "cost_center=42, team=find"}),
    ],
)
def test_filters_offer_what_lists_tell(console, dimension, offered):
    values = dimension_values(dimension, [console])

    assert (values if isinstance(offered, dict) else {*values}) == offered


def test_cost_of_the_older_reports_is_never_cut_by_owner(console):
    spec = ReportSpec(("cost",), DAYS, group_by=("api_key_owner",))

    with pytest.raises(SpecError, match="does not report cost by API key owner"):
        limits.refuse_unanswerable(console.organization, spec)


def test_the_beta_report_is_cut_by_owner_and_tag(console):
    where = {"api_key_id": "key_ann", "workspace_id": "w_search"}
    document(console, 1, 4, 7, service="messages_api", sku="opus", **where)
    document(console, 3, 2, 1, service="messages_api", sku="opus", **where)
    document(console, 3, 1, 5, service="messages_api", sku="opus", api_key_id="", workspace_id="")

    by_owner = ask(console, "beta_cost", "beta_requests", group_by=("api_key_owner",))
    by_tags = ask(console, "beta_list_cost", group_by=("workspace_tags",))

    assert by_owner == {("",): (Decimal(1), 5), ("user_ann",): (Decimal(6), 8)}
    assert by_tags == {
        ("",): (Decimal(2),),
        ("cost_center=42, team=find",): (Decimal(4),),
        ("cost_center=42, team=search",): (Decimal(8),),
    }


def test_the_beta_report_stands_beside_the_total_with_the_difference(console):
    """The total says $5 a day; the beta $4, $5 and $2.50. A day without it is not compared."""
    for day, amount in ((1, 4), (2, 5), (3, 2.5)):
        document(console, day, amount, 1, service="messages_api", sku="opus")

    by_day = ask(console, "beta_cost", "cost", "beta_cost_difference", group_by=("day",))
    (note,) = limits.notes_of(
        console.organization, ReportSpec(("beta_cost",), DAYS, group_by=("sku",))
    )

    assert [values for _, values in sorted(by_day.items())] == [
        (Decimal(4), Decimal(5), Decimal(-1)),
        (Decimal(5), Decimal(5), Decimal(0)),
        (Decimal("2.5"), Decimal(5), Decimal("-2.5")),
    ]
    assert "platform: Cost (beta) of all of it is $11.50" in note
    assert "Cost, the authoritative number, is $15.00" in note
    assert "both reports know is −$3.50" in note


def test_a_day_the_beta_has_not_read_is_in_no_difference(console):
    FeedDay.objects.filter(feed="beta_cost", day=date(2026, 11, 3)).delete()
    document(console, 1, 4, 1, service="messages_api", sku="opus")
    document(console, 2, 5, 1, service="messages_api", sku="opus")

    assert ask(console, "beta_cost_difference") == {(): (Decimal(-1),)}
