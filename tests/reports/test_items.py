"""Skills, connectors, plugins and projects: how often each was used, in a report."""

from datetime import date

import pytest

from integrations.connectors.base import Table
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.window import Window
from reports import engine
from reports.catalog import resource_names
from reports.engine.spec import Filter, ReportSpec, SpecError
from reports.explore.controls import dimension_values
from tests.factories import activity, make_connection, make_organization
from tests.reports.conftest import a_feed, know

USED = ("skill_uses", "connector_calls", "plugin_uses", "project_messages")
DAYS = Window(date(2026, 11, 1), date(2026, 11, 4))
ITEM_FEEDS = ("skills", "connectors", "plugins", "artifacts", "projects")


def use(connection, feed, subject, day, *, name="", days=1, **values):
    fact = activity(connection, f"2026-11-0{day}", feed=feed, **values)
    fact.subject, fact.name, fact.days = subject, name, days
    fact.save()


@pytest.fixture
def used(connection, monkeypatch):
    """Two skills on two of three known days, and a connector; plugins are not known at all."""
    items = (a_feed(feed, Table.ENGAGEMENT, "total") for feed in ITEM_FEEDS)
    monkeypatch.setattr(ClaudeEnterprise, "feeds", (*ClaudeEnterprise.feeds, *items))
    use(connection, "skills", "xlsx", 1, name="Tables", invocation_count=10)
    use(connection, "skills", "xlsx", 2, name="Spreadsheets", invocation_count=7)
    use(connection, "skills", "pdf", 2, invocation_count=4)
    # A span of days repeats the numbers of its days.
    use(connection, "skills", "xlsx", 3, days=3, invocation_count=17)
    calls = {"read_call_count": 3, "write_call_count": 2, "unclassified_call_count": 1}
    use(connection, "connectors", "jira", 1, name="Jira", **calls)
    know(connection, "2026-11-01", "2026-11-03", feeds=("skills", "connectors", "projects"))
    return connection


def ask(connection, *metrics, group_by=(), filters=()):
    spec = ReportSpec(metrics, DAYS, group_by, filters)
    return engine.run(connection.organization, spec)


def test_each_item_has_its_uses_and_a_span_counts_none_twice(used):
    report = ask(used, *USED, group_by=("item",))

    assert [(row.keys, row.values) for row in report.rows] == [
        (("jira",), (0, 6, None, 0)),
        (("pdf",), (4, 0, None, 0)),
        (("xlsx",), (17, 0, None, 0)),
    ]
    assert report.totals == (21, 6, None, 0)


def test_they_can_be_cut_by_day_and_filtered(used):
    only = (Filter("item", ("xlsx",)),)
    report = ask(used, "skill_uses", group_by=("day",), filters=only)

    assert [(f"{row.keys[0]:%d}", *row.values) for row in report.rows] == [("01", 10), ("02", 7)]


def test_a_part_that_was_not_reported_is_not_zero(used):
    use(used, "connectors", "slack", 1, read_call_count=3)

    assert ask(used, "connector_calls").totals == (None,)


def test_people_read_their_newest_names(used):
    assert resource_names.of([used], ["item"]) == {
        ("item", "xlsx"): "Spreadsheets",
        ("item", "jira"): "Jira",
    }
    assert list(dimension_values("item", [used]).items()) == [
        ("jira", "Jira"),
        ("pdf", "pdf"),
        ("xlsx", "Spreadsheets"),
    ]


def test_items_of_another_organization_are_invisible(used):
    theirs = make_connection(make_organization("other"), "my-org")
    use(theirs, "skills", "secret", 1, invocation_count=1000)

    assert ask(used, "skill_uses").totals == (21,)
    assert "secret" not in dimension_values("item", [used])


def test_nobody_s_cost_is_cut_by_them(used):
    with pytest.raises(SpecError, match="Cost is not available by skill, connector or project"):
        ask(used, "cost", group_by=("item",))
