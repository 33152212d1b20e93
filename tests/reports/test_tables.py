"""Which table a report reads: the smallest that knows what is asked, and all say the same."""

from itertools import combinations

import pytest

from integrations.models import (
    ActivityByDay,
    CostByMeter,
    CostByPerson,
    CostFact,
    EngagementFact,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
)
from reports import engine
from reports.catalog.metrics import DIMENSIONS, METRICS, Source
from reports.engine.spec import FILTERABLE, MOST_METRICS, Filter, ReportSpec
from tests.factories import activity, cost, make_connection, make_person, usage
from tests.reports.test_queries import NOVEMBER


def table(group_by="", *, metrics="cost", **filters):
    spec = ReportSpec(
        tuple(metrics.split(",")),
        NOVEMBER,
        tuple(group_by.split(",")) if group_by else (),
        tuple(Filter(name, (value,)) for name, value in filters.items()),
    )
    (source,) = spec.sources
    return engine.facts(source, [], spec, engine.People([])).model


def test_what_was_metered_is_read_from_the_rollup_by_meter():
    assert table() is CostByMeter
    assert table("month,provider,billing_account") is CostByMeter
    assert table("day,service,sku,token_type", speed="fast") is CostByMeter
    assert table("week,service", metrics="requests,total_tokens") is UsageByMeter


def test_who_it_was_is_read_from_the_rollup_by_person():
    assert table("project_id") is CostByPerson
    assert table("month,user_name,user_email,user_state") is CostByPerson
    assert table("day", project_id="user_ann") is CostByPerson
    assert table("user_email", metrics="output_tokens") is UsageByPerson
    assert table("day", metrics="people") is UsageByPerson


def test_both_together_only_the_facts_know():
    assert table("project_id,sku") is CostFact
    assert table("service", user_email="") is CostFact
    assert table("project_id", metrics="requests", speed="fast") is UsageFact


def test_what_everybody_did_is_read_from_the_rollup_by_day():
    assert table("month,billing_account", metrics="chat_messages,cowork_actions") is ActivityByDay
    assert table(metrics="code_commits") is ActivityByDay
    assert table("user_email", metrics="chat_messages") is EngagementFact
    assert table(metrics="code_commits", project_id="user_ann") is EngagementFact


ACTIVITY = (Source("users"), Source.of(["users", "claude_code"]))
DID = {
    path.replace(".", "__"): number
    for number, path in enumerate(
        {
            path
            for metric in METRICS.values()
            for measure in metric.measures
            if measure.source in ACTIVITY
            for path in measure.paths
        }
    )
}


@pytest.fixture
def year(organization):
    """Create a few facts that differ in every dimension a rollup sums over."""
    for label in ("my-org", "labs"):
        connection = make_connection(organization, label)
        ann = make_person(connection, f"user_ann_{label}", email="ann@example.com", name="Ann")
        zoe = make_person(connection, f"user_zoe_{label}", state="deleted")
        for number, person in enumerate((ann, zoe, None), start=1):
            for product, workspace in (("chat", ""), ("api", "wrkspc_1")):
                for day in ("2026-11-01", "2026-11-02", "2026-11-30"):
                    meter = {"product": product, "model": "opus", "workspace_id": workspace}
                    listed = None if product == "api" and day == "2026-11-30" else f"{number}.5"
                    cost(connection, day, f"{number}", list_amount=listed, person=person, **meter)
                    usage(connection, day, requests=number, person=person, output_tokens=5, **meter)
            for day in ("2026-11-01", "2026-11-02", "2026-11-30") if person else ():
                numbers = {} if day == "2026-11-30" and person is zoe else DID
                activity(connection, day, person=person, **numbers)
    return organization


def test_every_table_gives_the_answer_of_the_facts(year, monkeypatch):
    specs = [
        ReportSpec(
            tuple(m.name for m in METRICS.values() if m.sources == {source})[:MOST_METRICS],
            NOVEMBER,
            names,
            filters,
        )
        for source in (
            Source.COST,
            Source.USAGE,
            Source("users"),
            Source.of(["users", "claude_code"]),
        )
        for names in [(), *combinations(DIMENSIONS, 1), ("day", "project_id")]
        for filters in [
            (),
            (Filter("project_id", ("",)),),
            (Filter("project_id", ("",)), Filter("service", ("chat",))),
            (Filter("project_id", ("", "wrkspc_1")),),
            (Filter("service", ("api",)),),
        ]
        if all(
            source in DIMENSIONS[name].sources
            for name in (*names, *(filter_.dimension for filter_ in filters))
        )
    ]
    answers = [engine.run(year, spec) for spec in specs]

    monkeypatch.setattr(engine.query, "_smallest", lambda source, _: engine.tables_of(source)[-1])

    for spec, report in zip(specs, answers, strict=True):
        from_facts = engine.run(year, spec)
        assert report.rows == from_facts.rows
        assert report.totals == from_facts.totals


@pytest.mark.parametrize("name", [n for n, d in FILTERABLE.items() if Source.COST in d.sources])
def test_every_single_dimension_is_known_to_a_rollup(name):
    assert table(name) is not CostFact
    assert table(**{name: "x"}) is not CostFact
