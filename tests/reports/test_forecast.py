"""What the days ahead will cost, worked out by hand and tried on the past."""

from datetime import date, timedelta
from decimal import Decimal
from math import exp, sin

from reports.forecast import Forecast

MONDAY = date(2026, 11, 2)


def weeks(*totals: str, skip: tuple[int, ...] = ()) -> dict[date, Decimal]:
    """Days that cost the same within a week, from a Monday on; `skip` are days left out."""
    return {
        MONDAY + timedelta(days=7 * week + day): Decimal(total)
        for week, total in enumerate(totals)
        for day in range(7)
        if 7 * week + day not in skip
    }


def steady(count: int) -> dict[date, Decimal]:
    """A thousand on workdays, a hundred on weekends, every week alike."""
    days = [MONDAY + timedelta(days=at) for at in range(7 * count)]
    return {day: Decimal(1000 if day.weekday() < 5 else 100) for day in days}


def test_a_week_further_back_counts_half_as_much():
    found = Forecast(weeks("40", "100"))

    # Next Monday: (100 + 40 / 2) / 1.5
    assert found.expected(MONDAY + timedelta(days=14)) == 80


def test_weekdays_are_told_apart():
    found = Forecast(steady(4))

    assert found.expected(MONDAY + timedelta(days=28)) == 1000
    assert found.expected(MONDAY + timedelta(days=33)) == 100


def test_a_day_that_is_not_known_is_left_out_and_not_zero():
    found = Forecast(weeks("40", "100", skip=(7,)))

    assert found.expected(MONDAY + timedelta(days=14)) == 40  # the other Monday alone
    assert found.expected(MONDAY + timedelta(days=15)) == 80


def test_days_that_are_alike_leave_no_doubt():
    found = Forecast(steady(8)).estimate(MONDAY + timedelta(days=56 + at) for at in range(7))

    assert found is not None
    assert (found.low, found.expected, found.high) == (5200, 5200, 5200)


def test_the_range_is_how_far_earlier_trials_were_off():
    # Each week costs a tenth more, so a mean of the weeks before was always too little: the range
    # reaches upwards only.
    found = Forecast(weeks("100", "110", "121", "133.1", "146.41", "161.051", "177.1561"))

    estimate = found.estimate([MONDAY + timedelta(days=49)])

    assert estimate is not None
    assert estimate.low == estimate.expected
    assert estimate.high > estimate.expected


def test_without_enough_history_nothing_is_said():
    assert Forecast({}).estimate([MONDAY]) is None
    assert Forecast(steady(3)).estimate([MONDAY + timedelta(days=21)]) is None
    assert Forecast({MONDAY: Decimal(5)}).estimate([MONDAY + timedelta(days=1)]) is None
    assert Forecast(steady(8)).estimate([]) is None


def test_a_hole_in_the_month_is_expected_like_a_day_to_come():
    known = steady(8)
    hole = MONDAY + timedelta(days=49)
    del known[hole]

    found = Forecast(known).estimate([hole, MONDAY + timedelta(days=56)])

    assert found is not None
    assert found.expected == 2000


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
    origins = range(100, 310, 5)
    for origin in origins:
        today = start + timedelta(days=origin)
        known = {d: v for d, v in series.items() if today - timedelta(days=91) <= d < today}
        ahead = [today + timedelta(days=at) for at in range(14)]
        actual = sum(series[day] for day in ahead)
        found = Forecast(known).estimate(ahead)
        assert found is not None
        errors.append(abs(found.expected / actual - 1))
        held += found.low <= actual <= found.high

    assert sum(errors) / len(errors) < Decimal("0.06")
    assert held / len(origins) > 0.7
