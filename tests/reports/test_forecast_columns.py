"""How a report is expected to go on: which columns, which reports, and what stands on the page."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from integrations.window import Window
from reports import engine
from reports.engine.spec import ReportSpec
from reports.forecast.columns import outlook
from reports.render import charts, pivot
from tests.factories import cost, make_member
from tests.reports.conftest import know

TODAY = date(2026, 11, 25)  # a Wednesday
SINCE = date(2026, 8, 3)


@pytest.fixture
def steady(organization, connection):
    """Seventy dollars a day of chat, thirty of cowork, complete to yesterday; ten so far today."""
    know(connection, SINCE.isoformat(), "2026-11-24", "provisional")
    for day in Window(SINCE, TODAY):
        cost(connection, day, "70", product="chat")
        cost(connection, day, "30", product="cowork")
    know(connection, "2026-11-25", "2026-11-25", "incomplete")
    cost(connection, TODAY, "10", product="chat")
    return organization


def ask(organization, query):
    report = engine.run(organization, ReportSpec.from_query(query, today=TODAY).by_interval())
    return report, outlook(organization, report, today=TODAY)


def about(amount):
    return pytest.approx(Decimal(amount), rel=Decimal("0.01"))


def test_today_and_fourteen_days_are_ahead(steady):
    report, forecast = ask(steady, "range=7d&interval=day&group_by=service")

    assert forecast.reason == ""
    assert [ahead.column.start for ahead in forecast.columns] == [
        TODAY + timedelta(days=at) for at in range(15)
    ]
    # Today's column has its place already, at the end of seven.
    assert [ahead.at for ahead in forecast.columns] == list(range(6, 21))
    assert [ahead.estimate.expected for ahead in forecast.columns] == [about("100")] * 15
    assert pivot.build(report, forecast.columns).places == 21


def test_a_week_that_is_not_over_is_what_it_has_and_what_is_to_come(steady):
    _, forecast = ask(steady, "from=2026-11-09&to=2026-11-25&interval=week")

    assert [a.column.start.isoformat() for a in forecast.columns] == [
        "2026-11-23", "2026-11-30", "2026-12-07", "2026-12-14", "2026-12-21",
    ]  # fmt: skip
    assert [a.at for a in forecast.columns] == [2, 3, 4, 5, 6]
    # Monday and Tuesday are known, 200; the ten dollars of today are no whole day.
    assert [a.estimate.expected for a in forecast.columns] == [about("700")] * 5


def test_a_month_cut_by_the_range_counts_from_its_first_day_there(steady):
    _, forecast = ask(steady, "from=2026-11-21&to=2026-11-25&interval=month")

    assert forecast.columns[0].estimate.expected == about("1000")  # 21 to 30 November
    assert forecast.columns[1].estimate.expected == about("3100")


def test_filters_are_those_of_the_report(steady):
    _, forecast = ask(steady, "range=7d&interval=day&service=cowork")

    assert forecast.columns[3].estimate.expected == about("30")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("range=7d&metrics=people", "different people of several days do not add up"),
        ("range=7d&metrics=cost_per_request", "only cost, tokens and counts of use"),
        ("range=7d&metrics=seats", "only cost, tokens and counts of use"),
        ("range=30d&cumulative=yes", "Cumulative reports have no forecast"),
        ("range=last_month", "end before today"),
        ("range=30d&final=yes", "end before today"),
    ],
)
def test_what_has_no_forecast_says_why(steady, connection, query, reason):
    know(connection, "2026-07-01", "2026-08-02")
    connection.feed_days.filter(day__lt="2026-11-01").update(state="final")

    _, forecast = ask(steady, query)

    assert forecast.columns == ()
    assert reason in forecast.reason


def test_five_weeks_are_too_little(organization, connection):
    know(connection, "2026-10-21", "2026-11-24", "provisional")
    cost(connection, "2026-11-02", "5")

    _, forecast = ask(organization, "range=30d")

    assert forecast.columns == ()
    assert forecast.reason == "A forecast needs six weeks of complete days."


@pytest.mark.parametrize(
    ("chart", "count"), [("stacked", 15), ("area", 15), ("line", 0), ("column", 0)]
)
def test_it_is_drawn_where_everything_has_one_height(steady, chart, count):
    report, forecast = ask(steady, f"range=7d&interval=day&group_by=service&chart={chart}")

    drawn = charts.draw(pivot.build(report, forecast.columns))

    assert len(drawn.guesses) == count


def test_a_single_line_goes_on(steady):
    report, forecast = ask(steady, "range=7d&interval=day&chart=line")

    drawn = charts.draw(pivot.build(report, forecast.columns))

    assert len(drawn.guesses) == 15
    assert drawn.bars[-1].end < drawn.guesses[1].x
    top = [tick.y for tick in drawn.ticks]
    assert min(guess.band_y for guess in drawn.guesses) >= 0
    assert top


def test_the_page_draws_it_and_has_it_as_a_table(steady, client, time_machine):
    time_machine.move_to("2026-11-25T12:00:00Z", tick=False)
    client.force_login(make_member(steady))
    address = reverse("reports:explore", args=[steady.slug])

    page = client.get(f"{address}?range=7d&interval=day&forecast=yes").content.decode()

    assert page.count('class="ahead"') == 15
    assert page.count('<tr data-at="') == 15
    assert 'data-places="21"' in page
    assert "80 % prediction interval" in page
    page = client.get(f"{address}?range=7d&interval=day").content.decode()
    assert 'class="ahead"' not in page
    assert 'id="ahead"' not in page


def test_the_page_says_why_there_is_none(steady, client, time_machine):
    time_machine.move_to("2026-11-25T12:00:00Z", tick=False)
    client.force_login(make_member(steady))
    address = reverse("reports:explore", args=[steady.slug])

    page = client.get(f"{address}?range=last_month&forecast=yes").content.decode()

    assert "The days of this report end before today" in page
