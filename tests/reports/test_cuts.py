"""Groups and Slack channels, artifacts, unified activity: what documents hold can be asked."""

import json
from datetime import date
from decimal import Decimal
from io import BytesIO, StringIO
from urllib.parse import urlencode

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from openpyxl import load_workbook

from integrations.connectors.base import Table
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.models import EngagementFact, Resource
from integrations.window import Window
from reports import engine, limits
from reports.catalog.metrics import METRICS
from reports.dashboard import activity_queries
from reports.engine.spec import Filter, Operator, ReportSpec, SpecError
from reports.explore.controls import dimension_values
from reports.render import pivot
from reports.render.charts import kind_of
from tests.factories import activity, cost, make_connection, make_member, make_person, make_token
from tests.reports.conftest import a_feed, know

DAYS = Window(date(2026, 11, 1), date(2026, 11, 4))
FEEDS = {
    "group_cost": "total",
    "group_usage": "total",
    "group_activity": "total",
    "slack_channel_cost": "total",
    "artifacts": "total",
    "skills": "total",
    "skills_by_person": "person",
    "skills_by_group": "total",
}


def document(connection, feed, subject, day, values, *, person=None, name="", **labels):
    EngagementFact.objects.create(
        connection=connection,
        feed=feed,
        day=f"2026-11-0{day}",
        subject=subject,
        name=name,
        person=person,
        values=values,
        labels=labels,
    )


def dollars(amount, listed):
    return {"effective_cost": float(amount), "list_cost": float(listed)}


@pytest.fixture
def cut(connection, monkeypatch):
    """Ann is in both groups, so $6 of the $10 stand in two of them."""
    more = (a_feed(name, Table.ENGAGEMENT, grain) for name, grain in FEEDS.items())
    monkeypatch.setattr(ClaudeEnterprise, "feeds", (*ClaudeEnterprise.feeds, *more))
    cost(connection, "2026-11-01", "10", list_amount="12", product="chat")
    document(connection, "group_cost", "rbac_group_a", 1, dollars(6, 8))
    document(connection, "group_cost", "rbac_group_b", 1, dollars(6, 8))
    document(connection, "group_cost", "rbac_group_b", 2, dollars("0.5", 1))
    document(connection, "group_cost", "no_group", 1, dollars(4, 4))
    document(connection, "slack_channel_cost", "C01", 1, dollars(3, 3))
    tokens = dict.fromkeys(
        (
            "uncached_input_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
        ),
        10,
    )
    used = {**tokens, "output_tokens": 2, "web_searches": 1, "requests": 7}
    document(connection, "group_usage", "rbac_group_a", 1, used)
    document(connection, "group_activity", "rbac_group_a", 2, {"chat_metrics.message_count": 5})
    Resource.objects.create(
        connection=connection, kind="rbac_group_id", external_id="rbac_group_a", name="Research"
    )
    know(connection, "2026-11-01", "2026-11-03", feeds=("all_cost", "person_cost", *FEEDS))
    return connection


def ask(connection, *metrics, group_by=(), filters=(), **more):
    spec = ReportSpec(metrics, DAYS, group_by, filters, **more)
    return engine.run(connection.organization, spec)


def rows(report):
    return [(*row.keys, *row.values) for row in report.rows]


def test_cost_by_group_has_every_group_and_no_total(cut):
    report = ask(cut, "cost", "savings", group_by=("rbac_group_id",))

    assert rows(report) == [
        ("", Decimal(4), Decimal(0)),
        ("rbac_group_a", Decimal(6), Decimal(2)),
        ("rbac_group_b", Decimal("6.5"), Decimal("2.5")),
    ]
    assert report.totals == (None, None)
    assert report.by("rbac_group_id").row(("rbac_group_a",)).values == (Decimal(6), Decimal(2))
    assert "Groups overlap" in limits.notes(report)[0]
    assert report.missing == ()  # the connection reports groups, which have no sum all the same


def test_tokens_and_activity_are_cut_by_group_as_well(cut):
    report = ask(cut, "total_tokens", "requests", "chat_messages", group_by=("rbac_group_id",))

    assert rows(report) == [("rbac_group_a", 42, 7, 5)]


def test_groups_are_cut_by_time(cut):
    report = ask(cut, "cost", group_by=("day", "rbac_group_id"))

    assert rows(report) == [
        (date(2026, 11, 1), "", 4),
        (date(2026, 11, 1), "rbac_group_a", 6),
        (date(2026, 11, 1), "rbac_group_b", 6),
        (date(2026, 11, 2), "rbac_group_b", Decimal("0.5")),
    ]
    assert rows(report.by("day"))[0] == (date(2026, 11, 1), None)


def test_one_group_is_a_number_and_several_are_none(cut):
    one = ask(cut, "cost", filters=(Filter("rbac_group_id", ("rbac_group_b",)),))
    assert one.totals == (Decimal("6.5"),)

    for filter_ in (
        Filter("rbac_group_id", ("rbac_group_a", "rbac_group_b")),
        Filter("rbac_group_id", ("rbac_group_a",), Operator.IS_NOT),
    ):
        with pytest.raises(SpecError, match="Groups overlap, so several of them have no sum"):
            ask(cut, "cost", filters=(filter_,))


def test_the_largest_groups_come_without_others(cut):
    report = ask(cut, "cost", group_by=("rbac_group_id",), limit=1)

    assert rows(report) == [("", 4), ("rbac_group_b", Decimal("6.5"))]


def test_a_slack_channel_has_its_cost(cut):
    assert rows(ask(cut, "cost", group_by=("slack_channel_id",))) == [("C01", 3)]


@pytest.mark.parametrize(
    ("metrics", "group_by", "words"),
    [
        ("people", "rbac_group_id", "People with usage is not available by group"),
        (
            "cost",
            "rbac_group_id,user_name",
            "Cost is not available by group and user name together",
        ),
        ("active_people", "rbac_group_id", "People with activity is not available by group"),
        ("seats", "rbac_group_id", "Seats is not available by group"),
        ("total_tokens", "slack_channel_id", "Tokens is not available by Slack channel"),
    ],
)
def test_what_no_document_tells_is_refused(cut, metrics, group_by, words):
    with pytest.raises(SpecError, match=words):
        ask(cut, metrics, group_by=tuple(group_by.split(",")))


def test_a_table_of_groups_has_no_total_and_no_stack(cut):
    spec = ReportSpec(("cost",), DAYS, ("rbac_group_id",))
    pivot_table = pivot.build(engine.run(cut.organization, spec.by_interval()))

    assert not pivot_table.has_total
    assert {cell.value for cell in pivot_table.foot} == {None}
    assert [line.label for line in pivot_table.lines] == ["rbac_group_b", "Research", "In no group"]
    assert kind_of(pivot_table) == "column"


def test_groups_match_by_name(cut):
    assert list(dimension_values("rbac_group_id", [cut]).items()) == [
        ("rbac_group_b", "rbac_group_b"),
        ("rbac_group_a", "Research"),
        ("", "In no group"),
    ]


def command(**options):
    out, err = StringIO(), StringIO()
    call_command(
        "report",
        organization="demo",
        since="2026-11-01",
        until="2026-11-04",
        stdout=out,
        stderr=err,
        **options,
    )
    return out.getvalue(), err.getvalue()


def test_the_command_answers(cut):
    out, err = command(metrics="cost", group_by="rbac_group_id", format="csv")

    assert out.splitlines() == [
        "rbac_group_id,rbac_group_name,cost",
        ",In no group,4.00",
        "rbac_group_a,Research,6.00",
        "rbac_group_b,,6.50",
    ]
    assert "Groups overlap" in err
    out, err = command(metrics="cost", group_by="slack_channel_id", format="json")
    assert json.loads(out) == [
        {"slack_channel_id": "C01", "slack_channel_name": "", "cost": "3.00"}
    ]
    assert "Slack channels are a part" in err


ASKED = {
    "metrics": "cost",
    "group_by": "rbac_group_id",
    "from": "2026-11-01",
    "to": "2026-11-03",
}
GROUPS = [
    ["", "In no group", "4.00"],
    ["rbac_group_a", "Research", "6.00"],
    ["rbac_group_b", "", "6.50"],
]


@pytest.fixture
def signed_in(client, organization):
    client.force_login(make_member(organization))
    return client


def test_the_page_has_names_and_a_note_instead_of_a_total(cut, signed_in):
    page = signed_in.get(reverse("reports:explore", args=["demo"]), ASKED).content.decode()

    assert "Groups overlap: a person counts in every group held on that day." in page
    assert "does not report it" not in page
    for words in ("Research", "In no group", "$6.50"):
        assert words in page
    for sum_ in ("$16.50", "$10.00"):
        assert sum_ not in page


@pytest.mark.parametrize("chart", ["stacked", "column", "line", "bar", "treemap", "heatmap"])
def test_a_page_without_any_group_is_drawn(cut, signed_in, chart):
    query = ASKED | {"from": "2026-11-03", "chart": chart}

    assert signed_in.get(reverse("reports:explore", args=["demo"]), query).status_code == 200


def test_files_have_every_group_and_no_total(cut, signed_in):
    query = urlencode(ASKED)
    csv_ = signed_in.get(reverse("reports:explore_csv", args=["demo"]) + f"?{query}")
    book = signed_in.get(reverse("reports:explore_xlsx", args=["demo"]) + f"?{query}")

    assert b"".join(csv_).decode("utf-8-sig").splitlines() == [
        "day,rbac_group_id,rbac_group_name,cost",
        "2026-11-01,,In no group,4.00",
        "2026-11-01,rbac_group_a,Research,6.00",
        "2026-11-01,rbac_group_b,,6.00",
        "2026-11-02,rbac_group_b,,0.50",
    ]
    sheets = load_workbook(BytesIO(b"".join(book)), read_only=True).worksheets
    cells = [cell for sheet in sheets for row in sheet.iter_rows(values_only=True) for cell in row]
    assert {4, 6, 0.5, "rbac_group_a", "Research", "rbac_group_name"} <= {*cells}
    assert not {6.5, 10, 16, 16.5} & {*cells}
    assert any("Groups overlap" in str(cell) for cell in cells)


def test_the_api_has_every_group_no_total_and_says_why(cut, organization, client):
    make_token(make_member(organization), "sgt_groups")
    headers = {"Authorization": "Bearer sgt_groups"}
    document = json.loads(client.get("/api/v1/report", ASKED, headers=headers).getvalue())

    assert [[*row.values()] for row in document["rows"]] == GROUPS
    assert document["totals"] == {"cost": None}
    assert "Groups overlap" in " ".join(document["notes"])


@pytest.mark.parametrize(
    ("widget", "label", "dimension"),
    [
        ("top-users", "Spend by group", "rbac_group_id"),
        ("unattributed", "Spend by Slack channel", "slack_channel_id"),
    ],
)
def test_the_dashboard_leads_to_groups_and_channels(cut, signed_in, widget, label, dimension):
    address = reverse("dashboards:widget", args=["demo", widget])
    query = "from=2026-11-01&to=2026-11-03"
    html = signed_in.get(f"{address}?{query}", headers={"HX-Request": "true"}).content.decode()

    assert label in html
    assert f"group_by={dimension}" in html


def test_a_dimension_no_connection_reports_is_refused(cut):
    with pytest.raises(CommandError, match="my-org does not report cost by API key"):
        command(metrics="cost", group_by="api_key_id")


# --- Items that people use ------------------------------------------------------------------
@pytest.fixture
def used(cut):
    ann = make_person(cut, "user_ann", name="Ann")
    document(cut, "skills", "pdf", 1, {"invocation_count": 9, "distinct_user_count": 2}, name="PDF")
    document(
        cut,
        "skills_by_person",
        "pdf|user_ann|chat",
        1,
        {"invocation_count": 6},
        person=ann,
        item="pdf",
        service="chat",
    )
    document(
        cut,
        "skills_by_group",
        "pdf|rbac_group_a",
        1,
        {"invocation_count": 6},
        item="pdf",
        rbac_group_id="rbac_group_a",
    )
    document(cut, "artifacts", "text/html|shared", 1, {"artifacts_created_count": 3})
    return cut


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("", (9,)),
        ("item", ("pdf", 9)),
        ("user_name", ("Ann", 6)),
        ("item,user_id", ("pdf", "user_ann", 6)),
        ("item,rbac_group_id", ("pdf", "rbac_group_a", 6)),
        ("service", ("chat", 6)),
    ],
)
def test_a_skill_is_cut_by_person_group_and_product(used, group_by, expected):
    report = ask(used, "skill_uses", group_by=tuple(filter(None, group_by.split(","))))

    assert rows(report) == [expected]
    # The total is of what was read: 9 in all, of which 6 are of people. Groups have none.
    assert report.totals == ((None,) if "rbac_group_id" in group_by else expected[-1:])
    assert bool(report.missing) is False
    for name in {*report.spec.group_by} - {"rbac_group_id"}:
        assert report.by(name).rows[0].values == report.totals


def test_artifacts_are_a_metric_by_item(used):
    assert rows(ask(used, "artifacts_created", group_by=("item",))) == [("text/html|shared", 3)]


def test_different_people_are_shown_where_one_document_says_it(used):
    by_item = ask(used, "skill_people", group_by=("item",))
    assert rows(by_item) == [("pdf", 2)]
    document(used, "skills", "pdf", 2, {"invocation_count": 1, "distinct_user_count": 2})

    assert rows(ask(used, "skill_people", group_by=("item",))) == [("pdf", None)]
    assert rows(ask(used, "skill_people", group_by=("day", "item")))[1][2] == 2


# --- Activity -------------------------------------------------------------------------------
UNIFIED = "chat_cowork_unified_metrics"


def test_unified_messages_are_chat_messages_by_day_and_by_person(connection):
    ann = make_person(connection, "user_ann", name="Ann")
    zoe = make_person(connection, "user_zoe", name="Zoe")
    activity(connection, "2026-11-01", person=ann, chat_metrics__message_count=5)
    activity(
        connection,
        "2026-11-01",
        person=zoe,
        chat_metrics__message_count=0,
        **{f"{UNIFIED}__chat__message_count": 8},
    )
    know(connection, "2026-11-01", "2026-11-03", feeds=("users",))

    assert ask(connection, "chat_messages").totals == (13,)
    assert rows(ask(connection, "chat_messages", group_by=("user_name",))) == [
        ("Ann", 5),
        ("Zoe", 8),
    ]


def test_conversations_are_added_over_people_and_not_over_days(connection):
    path = "chat_metrics__distinct_conversation_count"
    for external_id, day, count in (("ann", 1, 3), ("zoe", 1, 4), ("ann", 2, 2)):
        person = connection.people.filter(external_id=external_id).first() or make_person(
            connection, external_id
        )
        activity(connection, f"2026-11-0{day}", person=person, **{path: count})
    know(connection, "2026-11-01", "2026-11-03", feeds=("users",))

    by_day = ask(connection, "chat_conversations", group_by=("day",))

    assert [row.values for row in by_day.rows] == [(7,), (2,)]
    assert by_day.totals == (None,)


def test_claude_tag_counts_whoever_has_it(connection):
    """The block is there for people who linked their account alone."""
    ann, zoe = make_person(connection, "user_ann"), make_person(connection, "user_zoe")
    activity(connection, "2026-11-01", person=ann, claude_tag_metrics__active_message_count=4)
    activity(connection, "2026-11-01", person=zoe, chat_metrics__message_count=0)
    know(connection, "2026-11-01", "2026-11-03", feeds=("users",))

    assert ask(connection, "tag_messages").totals == (4,)


def test_people_with_activity_are_those_who_did_something_in_any_product(connection, organization):
    """No one here used a token. Una is unified, Tom in Slack, Sam in Science; Ida did nothing."""
    did = {
        "user_una": {f"{UNIFIED}__chat__message_count": 8, "chat_metrics__message_count": 0},
        "user_tom": {"claude_tag_metrics__active_message_count": 4},
        "user_sam": {"science_metrics__delegation_count": 1},
        "user_ida": {"chat_metrics__message_count": 0},
    }
    for external_id, values in did.items():
        person = make_person(connection, external_id, name=external_id[5:].title())
        for day in ("2026-11-01", "2026-11-02"):
            activity(connection, day, person=person, **values)
    know(connection, "2026-11-01", "2026-11-03", feeds=("users",))

    assert ask(connection, "active_people").totals == (3,)
    assert rows(ask(connection, "active_people", group_by=("user_name",))) == [
        ("Ida", 0),
        ("Sam", 1),
        ("Tom", 1),
        ("Una", 1),
    ]
    assert (
        rows(ask(connection, "active_people", group_by=("day",)))
        == [
            (date(2026, 11, 1), 3),
            (date(2026, 11, 2), 3),
            (date(2026, 11, 3), 0),
        ][:2]
    )
    done = activity_queries.activity([connection], DAYS)[connection.pk]
    assert (done.active, dict(done.products)) == (3, {"chat": 1, "claude_tag": 1, "science": 1})


def test_one_person_of_two_connections_is_active_once(connection, organization):
    other = make_connection(organization, "other")
    for one in (connection, other):
        person = make_person(one, "user_una", email="una@example.com", name="Una")
        activity(one, "2026-11-01", person=person, chat_metrics__message_count=2)
        know(one, "2026-11-01", "2026-11-03", feeds=("users",))

    assert ask(connection, "active_people").totals == (1,)


def test_every_number_has_a_section_and_a_sentence():
    for metric in METRICS.values():
        assert metric.kind
        assert metric.definition.endswith(".")
