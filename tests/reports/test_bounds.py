"""No question costs more than its answer is worth, whichever way it is asked."""

import io
import time
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.utils import timezone

from accounts import deadlines
from accounts.deadlines import Deadline, TooSlow
from accounts.models import Role
from integrations.models import Person
from integrations.window import Window
from reports import engine, exports
from reports.engine.periods import INTERVALS
from reports.engine.spec import MOST_DAYS, ReportSpec, SpecError
from reports.models import ReportFile
from reports.render import pivot
from reports.saved import delivery
from tests.factories import (
    cost,
    make_member,
    make_person,
    make_report,
    make_report_file,
    make_schedule,
    make_token,
    usage,
)
from tests.reports.conftest import know

# What took both web processes of an installation for 24 minutes: a thousand years, day by day.
ATTACK = (
    "metrics=cost&from=2026-11-20&to=2999-12-31&interval=day&cumulative=yes"
    "&group_by=user_email,sku,token_type"
)
DAYS = "from=2026-11-20&to=2999-12-31"
TOO_LONG = (
    "2026-11-20 to 2999-12-31 is 355,423 days, and a report has at most 3,660. Choose fewer days."
)


@pytest.fixture
def company(organization, connection):
    """Two people and two days."""
    ann = make_person(connection, "user_ann", email="ann@example.com")
    know(connection, "2026-11-20", "2026-11-21")
    cost(connection, "2026-11-20", "1.50", person=ann)
    zoe = make_person(connection, "user_zoe", email="zoe@example.com")
    cost(connection, "2026-11-21", "2.25", person=zoe)
    return organization


@pytest.mark.parametrize(
    "path",
    [
        f"reports/explore/?{ATTACK}",
        f"reports/explore.csv?{ATTACK}",
        f"reports/explore.xlsx?{ATTACK}",
        f"reports/explore.png?{ATTACK}",
        f"dashboards/genai/?render=all&{DAYS}",
        f"dashboards/genai/spend-over-time.csv?{DAYS}",
    ],
)
def test_page_and_file_refuse_a_thousand_years_before_reading(
    client, company, path, django_assert_max_num_queries
):
    client.force_login(make_member(company, Role.VIEWER))

    with django_assert_max_num_queries(24):  # session, member and the frame of the page
        response = client.get(f"/o/{company.slug}/{path}")

    assert response.status_code == 422
    assert TOO_LONG in response.content.decode()


def test_widget_refuses_a_thousand_years(client, company):
    client.force_login(make_member(company, Role.VIEWER))
    path = f"/o/{company.slug}/dashboards/genai/spend-over-time/?{DAYS}"

    response = client.get(path, headers={"HX-Request": "true"})

    assert response.status_code == 422
    assert TOO_LONG in response.content.decode()


def test_api_refuses_a_thousand_years(client, company):
    make_token(make_member(company, Role.VIEWER), "sgt_bounds")
    headers = {"Authorization": "Bearer sgt_bounds"}

    response = client.get(f"/api/v1/report?{ATTACK}", headers=headers)

    assert response.status_code == 422
    assert response.json()["detail"] == TOO_LONG


def test_mail_refuses_a_thousand_years(company, mails):
    ann = make_member(company, Role.ANALYST)
    report = make_report(company, owner=ann, query=ATTACK)
    schedule = make_schedule(report, ann, next_at=timezone.now() - timedelta(minutes=1))

    delivery.deliver(schedule.pk, now=timezone.now())

    schedule.refresh_from_db()
    assert schedule.last_result == f"Not sent: {TOO_LONG}"
    assert mails == []


def test_command_refuses_a_thousand_years(company):
    options = ["--metrics=cost", "--since=2026-11-20", "--until=2999-12-31", "--cumulative"]

    with pytest.raises(CommandError, match="a report has at most 3,660"):
        call_command("report", f"--organization={company.slug}", "--group-by=day", *options)


def test_days_beyond_the_data_cost_nothing(company, monkeypatch):
    start = date(2026, 11, 20)
    spec = ReportSpec(
        metrics=("cost",),
        window=Window(start, start + timedelta(days=MOST_DAYS)),
        group_by=("day", "user_email", "sku", "token_type"),
        cumulative=True,
    )
    looks = []
    is_known = engine.query._MissingValues.is_known

    def counted(self, source, keys):
        looks.append(keys)
        return is_known(self, source, keys)

    monkeypatch.setattr(engine.query._MissingValues, "is_known", counted)

    rows = list(engine.stream(company, spec).text_rows())

    # 1.50 of Ann, and on the second day hers again and 2.25 of Zoe: nothing of the ten years.
    assert [(row[0], row[1], row[4]) for row in rows] == [
        ("2026-11-20", "ann@example.com", "1.50"),
        ("2026-11-21", "ann@example.com", "1.50"),
        ("2026-11-21", "zoe@example.com", "2.25"),
    ]
    assert list(engine.run(company, spec).text_rows()) == rows
    assert len(looks) < 10


FAR = f"metrics=cost&from=2026-11-20&to={date(2026, 11, 20) + timedelta(days=MOST_DAYS - 1)}"


@pytest.mark.parametrize(
    "settings_of_report",
    [
        *(f"interval={interval}" for interval in INTERVALS),
        "interval=month&cumulative=yes",
        "compare=previous",
        "compare=year",
        "forecast=yes",
    ],
)
@pytest.mark.parametrize("path", ["explore/", "explore.csv", "explore.xlsx", "explore.png", "api"])
def test_ten_years_beyond_the_data_are_answered_at_once(client, company, path, settings_of_report):
    member = make_member(company, Role.VIEWER)
    client.force_login(member)
    make_token(member, "sgt_far")
    address = "/api/v1/report" if path == "api" else f"/o/{company.slug}/reports/{path}"
    began = time.monotonic()

    response = client.get(
        f"{address}?{FAR}&{settings_of_report}&group_by=user_email",
        headers={"Authorization": "Bearer sgt_far"},
    )

    assert response.status_code in {200, 422}
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("output", ["run", "stream"])
@pytest.mark.parametrize("compare", ["", "previous", "year"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_rows_follow_the_data_and_not_the_days(company, interval, compare, output):
    query = f"{FAR}&interval={interval}&compare={compare}&group_by=user_email"
    spec = ReportSpec.from_query(query, today=date(2026, 11, 30)).by_interval()

    report = getattr(engine, output)(company, spec)

    # Ann and Zoe have one fact each.
    assert len(list(report.text_rows())) == 2


def test_report_in_memory_has_a_bound_on_rows(company, monkeypatch):
    monkeypatch.setattr(engine.query, "MOST_ROWS", 1)
    spec = ReportSpec.from_query(
        "from=2026-11-20&to=2026-11-21&group_by=user_email", today=date(2026, 11, 30)
    )

    with pytest.raises(SpecError, match="This report has more than 1 rows"):
        engine.run(company, spec)


def test_added_up_report_has_the_same_bound(company, monkeypatch):
    """Two groups over two days are two rows of facts and three rows of running sums."""
    monkeypatch.setattr(engine.query, "MOST_ROWS", 2)
    spec = ReportSpec.from_query(
        "from=2026-11-20&to=2026-11-21&group_by=day,user_email&cumulative=yes",
        today=date(2026, 11, 30),
    )

    with pytest.raises(SpecError, match="This report has more than 2 rows"):
        _ = engine.run(company, spec).rows


def test_file_has_a_bound_on_rows(company):
    spec = ReportSpec.from_query(
        "from=2026-11-20&to=2026-11-21&group_by=day", today=date(2026, 11, 30)
    )

    with pytest.raises(SpecError, match="This report has more than 1 rows"):
        list(engine.stream(company, spec, most=1).text_rows())


def test_sets_of_people_have_a_bound(company, monkeypatch):
    usage(company.connections.get(), "2026-11-20", person=Person.objects.first(), requests=1)
    monkeypatch.setattr(engine.query, "MOST_IDENTIFIERS", 0)
    spec = ReportSpec(
        metrics=("people",),
        window=Window(date(2026, 11, 20), date(2026, 11, 22)),
        group_by=("day",),
    )

    with pytest.raises(SpecError, match="Counting different people"):
        engine.run(company, spec)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "group_by=service&service=" + "&service=".join(f"{n}" for n in range(501)),
            "500 filter values",
        ),
        (
            "group_by=service,sku,token_type,context_window,speed,inference_geo,provider,"
            "billing_account,cost_type",
            "at most 8 groupings, and this one has 9. Leave out 1.",
        ),
    ],
)
def test_metrics_groupings_and_filters_have_bounds(query, message):
    with pytest.raises(SpecError, match=message):
        ReportSpec.from_query(query, today=date(2026, 11, 30))


def test_command_prints_what_is_within_the_bounds(company):
    printed = io.StringIO()

    call_command(
        "report",
        f"--organization={company.slug}",
        "--metrics=cost",
        "--since=2026-11-20",
        "--until=2026-11-22",
        "--group-by=day",
        "--format=csv",
        stdout=printed,
    )

    assert printed.getvalue().split() == ["day,cost", "2026-11-20,1.50", "2026-11-21,2.25"]


def test_page_offers_smaller_reports(client, company):
    client.force_login(make_member(company, Role.VIEWER))

    response = client.get(f"/o/{company.slug}/reports/explore/?{ATTACK}")

    # An automatic interval would still be a thousand years, so it is not offered.
    assert [(repair.label, repair.query) for repair in response.context["repairs"]] == [
        (
            "The last 365 days",
            "metrics=cost&range=365d&group_by=user_email,sku,token_type&cumulative=yes",
        )
    ]


def test_report_of_too_many_rows_offers_fewer(client, company, monkeypatch):
    monkeypatch.setattr(engine.query, "MOST_ROWS", 1)
    client.force_login(make_member(company, Role.VIEWER))
    query = "metrics=cost&from=2026-11-20&to=2026-11-21&group_by=user_email,sku"

    response = client.get(f"/o/{company.slug}/reports/explore/?{query}")

    assert response.status_code == 422
    assert {repair.label for repair in response.context["repairs"]} == {
        "The 20 largest groups",
        "The first grouping only",
    }
    assert "show=top-20" in response.content.decode()


def test_command_prints_csv_row_by_row_and_other_formats_up_to_the_bound(company, monkeypatch):
    monkeypatch.setattr(engine.query, "MOST_ROWS", 1)
    options = ["--metrics=cost", "--since=2026-11-20", "--until=2026-11-22", "--group-by=day"]
    command = ("report", f"--organization={company.slug}", *options)
    printed = io.StringIO()

    call_command(*command, "--format=csv", stdout=printed)

    assert printed.getvalue().split() == ["day,cost", "2026-11-20,1.50", "2026-11-21,2.25"]
    with pytest.raises(CommandError, match="more than 1 rows"):
        call_command(*command, "--format=table", stdout=printed)


def count_by_day(company, days, people=3):
    """Create the same people on each of so many days before 20 November."""
    connection = company.connections.get()
    everybody = [make_person(connection, f"many_{n}", email=f"{n}@x.com") for n in range(people)]
    first = date(2026, 11, 20) - timedelta(days=days)
    know(connection, f"{first}", "2026-11-19")
    for number in range(days):
        for person in everybody:
            cost(connection, f"{first + timedelta(days=number)}", "1", person=person)
    return first


def test_a_report_of_too_many_rows_is_refused_after_its_newest_days(company, monkeypatch):
    first = count_by_day(company, days=32)
    monkeypatch.setattr(engine.query, "MOST_ROWS", 10)
    read = []
    keyed = engine.query._Query._keyed
    monkeypatch.setattr(
        engine.query._Query,
        "_keyed",
        lambda self, source: read.append(self.spec.window) or keyed(self, source),
    )
    spec = ReportSpec.from_query(
        f"from={first}&to=2026-11-21&group_by=day,user_email", today=date(2026, 11, 30)
    )

    with pytest.raises(engine.TooManyRows, match="more than 10 rows"):
        engine.run(company, spec)

    # 34 known days; 1, 2 and 4 of them have 1, 2 and 8 rows, and an eighth of 34 is no more.
    assert [len(window) for window in read[:3]] == [1, 2, 4]
    read.clear()
    monkeypatch.setattr(engine.query, "MOST_ROWS", 7)
    with pytest.raises(engine.TooManyRows, match="more than 7 rows"):
        engine.run(company, spec)
    assert [len(window) for window in read] == [1, 2, 4]  # 8 rows: no other day is read


def test_a_report_that_fits_is_counted_on_one_day_alone(company, monkeypatch):
    first = count_by_day(company, days=32, people=1)
    counted = []
    count = engine.query._Query.count_groups
    monkeypatch.setattr(
        engine.query._Query,
        "count_groups",
        lambda self, *args: counted.append(len(self.spec.window)) or count(self, *args),
    )
    spec = ReportSpec.from_query(
        f"from={first}&to=2026-11-21&group_by=day,user_email", today=date(2026, 11, 30)
    )

    # 32 of one person, one each of Ann and Zoe.
    assert len(engine.run(company, spec).rows) == 34
    assert counted == [1]


CELLS = "metrics=cost&from=2026-11-01&to=2026-11-21&interval=day&group_by=user_email"
TOO_MANY_CELLS = (
    "2 groups in 21 columns are 42 cells, and a page has at most 41. Choose fewer days or a longer"
    " interval, add a filter, or show only the top 100."
)


@pytest.mark.parametrize("path", ["explore/", "explore.png"])
def test_page_and_picture_have_a_bound_on_cells(client, company, monkeypatch, path):
    """Few rows may be many cells: 50,000 rows of 5,000 people over ten years are 18 million."""
    monkeypatch.setattr(pivot, "MOST_CELLS", 41)
    client.force_login(make_member(company, Role.VIEWER))

    response = client.get(f"/o/{company.slug}/reports/{path}?{CELLS}")

    assert response.status_code == 422
    assert TOO_MANY_CELLS in response.content.decode()


def test_mail_has_the_same_bound_on_cells(company, mails, monkeypatch):
    monkeypatch.setattr(pivot, "MOST_CELLS", 41)
    ann = make_member(company, Role.ANALYST)
    schedule = make_schedule(
        make_report(company, owner=ann, query=CELLS),
        ann,
        next_at=timezone.now() - timedelta(minutes=1),
    )

    delivery.deliver(schedule.pk, now=timezone.now())

    schedule.refresh_from_db()
    assert schedule.last_result == f"Not sent: {TOO_MANY_CELLS}"
    assert mails == []


def test_cells_without_a_fact_are_worked_out_once_for_all_that_are_alike(company, monkeypatch):
    count_by_day(company, days=1, people=20)
    worked_out = []
    answer = engine.query._ValueReader._of
    monkeypatch.setattr(
        engine.query._ValueReader, "_of", lambda *args: worked_out.append(args[1]) or answer(*args)
    )

    spec = ReportSpec.from_query(CELLS, today=date(2026, 11, 30)).by_interval()
    pivot_table = pivot.build(engine.run(company, spec))

    # 22 people in 21 columns: 462 cells, of which 22 have a fact.
    assert sum(len(line.cells) for line in pivot_table.lines) == 462
    assert len(worked_out) < 231
    values = [cell.value for cell in pivot_table.lines[0].cells]  # of Zoe, who cost most
    assert values[:18] == [None] * 18
    assert values[18:] == [0, 0, Decimal("2.25")]


def test_laying_out_ends_with_the_request(company, monkeypatch):
    spec = ReportSpec.from_query(CELLS, today=date(2026, 11, 30)).by_interval()
    report = engine.run(company, spec)

    with deadlines.bounded(Deadline(60, time.monotonic() - 1)), pytest.raises(TooSlow):
        pivot.build(report)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_a_worker_makes_has_a_deadline_for_its_statements(company, monkeypatch):
    ann = make_member(company, Role.ANALYST)
    file = make_report_file(company, ann, query="metrics=cost&from=2026-11-20&to=2026-11-21")
    monkeypatch.setattr(exports, "_MAKING_FOR", timedelta(seconds=0.2))
    monkeypatch.setattr(exports.engine, "stream", lambda *args: sleep_in_database(10))

    exports.make(file.pk)

    file.refresh_from_db()
    assert file.state == ReportFile.State.FAILED
    assert file.error.startswith("This took longer than 0.2 seconds and was stopped.")
    assert statement_timeout() == "0"


def test_a_mailed_report_has_a_deadline_for_its_statements(company, mails, monkeypatch):
    ann = make_member(company, Role.ANALYST)
    report = make_report(company, owner=ann, query="metrics=cost&range=30d")
    schedule = make_schedule(report, ann, next_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(delivery, "_COMPUTING_SECONDS", 0.2)
    monkeypatch.setattr(delivery.engine, "run", lambda *args: sleep_in_database(10))

    delivery.deliver(schedule.pk, now=timezone.now())

    schedule.refresh_from_db()
    assert schedule.last_result.startswith("Not sent: This took longer than 0.2 seconds")
    assert mails == []
    assert statement_timeout() == "0"


def sleep_in_database(seconds):
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def statement_timeout():
    with database.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]
