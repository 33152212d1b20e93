"""What the days ahead will cost, tried on series that are easy to see through and on the past."""

from datetime import date, timedelta
from decimal import Decimal
from math import exp, sin

import pytest

from reports.forecast import MAX_HORIZON_DAYS, Forecast

MONDAY = date(2026, 11, 2)


def steady(count: int) -> dict[date, Decimal]:
    """Return a thousand on workdays and a hundred on weekends, every week alike."""
    days = [MONDAY + timedelta(days=at) for at in range(7 * count)]
    return {day: Decimal(1000 if day.weekday() < 5 else 100) for day in days}


def after(known: dict[date, Decimal], count: int = 7) -> list[date]:
    return [max(known) + timedelta(days=at + 1) for at in range(count)]


def test_weekdays_differ():
    forecast = Forecast(steady(8))

    assert forecast.expected(MONDAY + timedelta(days=56)) == pytest.approx(1000, rel=0.01)
    assert forecast.expected(MONDAY + timedelta(days=61)) == pytest.approx(100, rel=0.05)


def test_days_that_are_alike_leave_little_doubt():
    known = steady(8)

    estimates = Forecast(known).estimate(after(known))

    assert estimates is not None
    assert estimates.low <= estimates.expected <= estimates.high
    assert estimates.expected == pytest.approx(5200, rel=0.01)
    assert estimates.high - estimates.low < 520


def test_a_day_that_is_not_known_is_left_out_and_not_zero():
    holes = {MONDAY + timedelta(days=at) for at in (3, 17, 18, 40)}
    known = {day: value for day, value in steady(8).items() if day not in holes}

    estimates = Forecast(known).estimate(after(known))

    assert estimates is not None
    assert estimates.expected == pytest.approx(5200, rel=0.01)


def test_a_hole_in_the_month_is_expected_like_a_day_to_come():
    known = steady(8)
    hole = MONDAY + timedelta(days=49)
    del known[hole]
    forecast = Forecast(known)

    assert forecast.expected(hole) == pytest.approx(1000, rel=0.02)
    both = forecast.estimate([hole, MONDAY + timedelta(days=56)])
    assert both is not None
    assert both.expected == pytest.approx(2000, rel=0.02)


def test_nothing_costs_less_than_nothing():
    known = {MONDAY + timedelta(days=at): Decimal(at % 7 == 0) for at in range(56)}

    estimates = Forecast(known).estimate(after(known, 6))

    assert estimates is not None
    assert 0 <= estimates.low <= estimates.expected <= estimates.high


def test_the_same_history_always_says_the_same():
    known = {day: value + day.day for day, value in steady(8).items()}

    assert Forecast(known).estimate(after(known)) == Forecast(dict(known)).estimate(after(known))


def test_a_range_of_several_days_is_not_the_sum_of_their_ranges():
    known = {day: value + 90 * (day.day % 3) for day, value in steady(8).items()}
    forecast = Forecast(known)

    week = forecast.estimate(after(known))
    days = [forecast.estimate([day]) for day in after(known)]

    assert week is not None
    widths = [one.high - one.low for one in days if one]
    assert len(widths) == 7
    assert max(widths) < week.high - week.low < sum(widths)


def test_without_enough_history_nothing_is_said():
    assert Forecast({}).estimate([MONDAY]) is None
    known = steady(6)
    assert Forecast(known).estimate(after(known)) is not None
    del known[MONDAY]
    assert Forecast(known).estimate(after(known)) is None  # 41 days
    assert Forecast(steady(8)).estimate([]) is None


def test_nobody_knows_next_year():
    known = steady(8)

    assert Forecast(known).estimate([max(known) + timedelta(days=MAX_HORIZON_DAYS)]) is not None
    assert Forecast(known).estimate([max(known) + timedelta(days=MAX_HORIZON_DAYS + 1)]) is None


def test_the_method_holds_what_it_promises_on_a_year_it_has_not_seen():
    """Growth, a weekly pattern and swings of its own: the error of 14 days ahead, and how often
    the range held it. Deterministic: the swings are sines of incommensurable periods."""
    start = date(2026, 1, 5)
    series = {
        start + timedelta(days=at): Decimal(
            str(
                round(
                    1000
                    * exp(0.002 * at)
                    * (1, 1.05, 1.1, 1, 0.8, 0.2, 0.15)[at % 7]
                    * (1 + 0.12 * sin(at * 1.7) + 0.08 * sin(at * 0.61 + 2)),
                    2,
                )
            )
        )
        for at in range(330)
    }
    errors, held = [], 0
    origins = range(100, 310, 15)
    for origin in origins:
        today = start + timedelta(days=origin)
        known = {d: v for d, v in series.items() if d < today}
        ahead = [today + timedelta(days=at) for at in range(14)]
        actual = sum(series[day] for day in ahead)
        estimates = Forecast(known).estimate(ahead)
        assert estimates is not None
        errors.append(abs(estimates.expected / actual - 1))
        held += estimates.low <= actual <= estimates.high

    assert sum(errors) / len(errors) < Decimal("0.07")
    assert held / len(origins) > 0.7
