"""Credits, one model, the first of a month, weeks that are cut off: words, shares and axes."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from integrations.status.days import DayState
from integrations.window import Window
from reports import engine
from reports.catalog.metrics import Unit
from reports.dashboard.results import shares
from reports.dashboard.spend import _mover
from reports.engine.spec import ReportSpec
from reports.forecast import Forecast
from reports.render import charts
from reports.render.charts.plot import Scale, axis_label
from reports.render.pivot import Column, build, heat
from reports.templatetags import figures
from tests.factories import cost
from tests.reports.conftest import know

WEEK = Window(date(2026, 11, 2), date(2026, 11, 9))


def week(first, days, *, monday="2026-11-02", interval="week"):
    start = date.fromisoformat(first)
    window = Window(start, start + timedelta(days=days))
    return Column(interval, date.fromisoformat(monday), window, DayState.FINAL)


@pytest.mark.parametrize(
    ("column", "label", "part", "width"),
    [
        (week("2026-11-02", 7), "2 Nov", "", 1),
        (week("2026-11-06", 3), "6 Nov", "3 of 7 days", 3 / 7),
        (week("2026-11-02", 1), "2 Nov", "1 of 7 days", 0.2),
        (week("2026-11-01", 30, monday="2026-11-01", interval="month"), "Nov 2026", "", 1),
        (week("2026-10-22", 10, monday="2026-10-01", interval="month"), "Oct 2026",
         "10 of 31 days", 10 / 31),
        (week("2026-11-02", 1, interval="day"), "2 Nov", "", 1),
    ],
)  # fmt: skip
def test_a_part_of_a_week_or_month_looks_like_one(column, label, part, width):
    assert (column.label, column.part) == (label, part)
    assert column.part_width == pytest.approx(width)


def test_the_bar_of_a_part_is_narrower_and_its_week_is_named(organization, connection):
    know(connection, "2026-11-06", "2026-11-15")
    cost(connection, "2026-11-06", "7")
    cost(connection, "2026-11-09", "7")
    window = Window(date(2026, 11, 6), date(2026, 11, 16))
    spec = ReportSpec(("cost",), window, ("week",), interval="week", chart="stacked")

    part, whole = charts.draw(build(engine.run(organization, spec))).bars

    assert part.width == pytest.approx(whole.width * 3 / 7, abs=0.01)
    assert part.segments[0].width == pytest.approx(part.width)
    assert (part.part, whole.part) == ("3 of 7 days", "")


def test_a_credit_has_no_share_and_the_others_sum_to_all():
    assert shares([75, Decimal(25), -20, None]) == [Decimal("0.75"), Decimal("0.25"), None, None]
    assert shares([-1, -2]) == [None, None]


def test_a_mix_that_did_not_move_and_a_single_model_have_no_mover(organization, connection):
    know(connection, "2026-10-26", "2026-11-08")
    spec = ReportSpec(("cost",), WEEK, ("sku",), compare="previous")
    for day, price in (("2026-10-26", 10), ("2026-11-02", 30)):
        cost(connection, day, price, model="opus")
    assert _mover(engine.run_if_comparable(organization, spec)) is None

    for day, price in (("2026-10-26", 10), ("2026-11-02", 30)):
        cost(connection, day, price, model="haiku")
    assert _mover(engine.run_if_comparable(organization, spec)) is None

    cost(connection, "2026-11-03", 20, model="opus")  # 10 of 20, then 50 of 80
    mover = _mover(engine.run_if_comparable(organization, spec))
    assert (mover.label, mover.direction) in {("opus", "rose"), ("haiku", "fell")}
    assert {mover.before, mover.now} <= {Decimal("0.5"), Decimal("0.625"), Decimal("0.375")}


def test_the_axis_names_zero_where_credits_lie_below_it():
    labels = [tick.label for tick in Scale.of([-10, 20]).ticks(Unit.USD)]

    assert "$0" in labels
    assert any(label.startswith("−$") for label in labels)
    assert "$0" not in [tick.label for tick in Scale.of([20]).ticks(Unit.USD)]
    assert [axis_label(0, unit) for unit in (Unit.USD, Unit.SHARE, Unit.TOKENS)] == [
        "$0",
        "0%",
        "0",
    ]


def test_credits_hang_below_the_base_line_of_an_area(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    for day in WEEK:
        cost(connection, day, "10", product="chat")
        cost(connection, day, "-4", product="credit")
    spec = ReportSpec(("cost",), WEEK, ("day", "service"), chart="area")

    chart = charts.draw(build(engine.run(organization, spec)))

    heights = [
        {float(point.split(",")[1]) for point in trace.points.split()} for trace in chart.traces
    ]
    assert min(heights[0]) < chart.zero == max(heights[0])  # chat: up from the base line
    assert min(heights[1]) == chart.zero < max(heights[1])  # the credit: down from it


def test_a_treemap_of_credits_alone_shows_bars(organization, connection):
    know(connection, "2026-11-02", "2026-11-08")
    cost(connection, "2026-11-02", "-4", product="credit")
    cost(connection, "2026-11-03", "-1", product="chat")
    spec = ReportSpec(("cost",), WEEK, ("day", "service"), chart="treemap")

    chart = charts.draw(build(engine.run(organization, spec)))

    assert chart.kind == "bar"
    assert {tile.value for tile in chart.tiles} == {-4, -1}
    assert all(tile.width > 0 for tile in chart.tiles)


def test_heat_tells_small_groups_from_nothing():
    assert [heat(value, 100) for value in (None, 0, -5, 1, 9, 30, 100)] == [0, 0, 0, 1, 2, 3, 5]
    assert heat(5, 0) == 0


def test_credits_are_forecast_below_zero_and_written_with_their_sign():
    start = date(2026, 9, 1)
    known = {start + timedelta(days=at): Decimal(-5) for at in range(60)}

    estimate = Forecast(known).estimate([start + timedelta(days=60)])

    assert estimate.expected < 0
    assert figures.usd_rounded(Decimal("-1234.5")) == "−$1,235"
    assert figures.usd_rounded(Decimal(7)) == "$7"
