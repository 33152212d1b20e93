"""The benchmark in small: its ways to ask agree, and each source is asked once."""

import pytest

from benchmarks import export_memory, ledger, loading, measure
from benchmarks.questions import DASHBOARDS, REPORTS
from benchmarks.second import two_organizations
from integrations.models import CostFact, UsageFact
from reports import engine
from reports.catalog.metrics import DIMENSIONS, DistinctCount
from reports.dashboard.widgets import WIDGET_LIST
from reports.engine.spec import ReportSpec

pytestmark = pytest.mark.django_db


@pytest.fixture
def books(tmp_path):
    return ledger.fill(tmp_path, people=6, days=40)


def test_facts_rollups_and_duckdb_answer_the_same(books):
    """`measure.report` raises where they do not. Each source of a plain report is asked once."""
    asked = [measure.report(books, name, query, times=1) for name, query in REPORTS.items()]

    assert len(asked) == 20
    for timing, query in zip(asked, REPORTS.values(), strict=True):
        spec = ReportSpec.from_query(query, today=books.today)
        assert timing.duck is not None
        if not (spec.limit or spec.compare):
            # And the connections, the days, once who is one person where that is asked, and of
            # people by time the groups of the newest day.
            by_person = any(DIMENSIONS[name].is_person for name in spec.group_by)
            of_people = (
                by_person
                or any(DIMENSIONS[x.dimension].is_person and any(x.values) for x in spec.filters)
                or any(isinstance(measure, DistinctCount) for measure in spec.measures)
            )
            counted = by_person and spec.interval
            assert timing.queries == 2 + len(spec.sources) * (1 + bool(counted)) + of_people


def test_every_widget_of_the_dashboard_is_asked(books):
    asked = list(measure.dashboard(books, DASHBOARDS[0], times=1))

    assert len(asked) == len(WIDGET_LIST)


def test_the_ledger_has_what_real_ones_have(books):
    costs = CostFact.objects.filter(connection=books.connection)

    assert books.facts == UsageFact.objects.count() + costs.count()
    assert costs.filter(person=None).exists()
    assert costs.filter(person__isnull=False).exists()
    assert costs.values("day").distinct().count() == len(books.window) == 40


def test_storing_is_measured_and_leaves_the_ledger_as_it_was(books):
    rows, load, upsert = loading.rows_a_second(books, days=2)

    assert 0 < rows < books.facts
    assert load > 0
    assert upsert > 0
    assert books.facts == UsageFact.objects.count() + CostFact.objects.count()


def test_two_organizations_of_one_size_are_imported():
    first, second = two_organizations(people=3, days=2)

    assert list(first.seconds) == list(second.seconds)
    assert len(first.seconds) == 4
    first_facts, second_facts = (
        CostFact.objects.filter(connection__label=label).count() for label in ("first", "second")
    )
    # Two days of three people with eight meters each, and the unattributed rows of 90 meters.
    assert first_facts == second_facts == 2 * (3 * 8 + 90)


def test_a_file_that_is_measured_is_the_whole_report(books):
    export_memory.reader(books)
    short, long = export_memory.addresses(books, "csv", (2, 40))
    (book,) = export_memory.addresses(books, "xlsx", (2,))

    taken = export_memory.take(long)

    query = ReportSpec.from_query(long.partition("?")[2], today=books.today)
    assert taken.rows == len(engine.run(books.organization, query.by_interval()).rows)
    assert 0 < export_memory.take(short).rows < taken.rows
    assert export_memory.take(book).size > 0
