"""Which days a report is compared with, and which day lies on which."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.window import Window
from reports.engine.periods import COMPARISONS, INTERVALS, first_day, split_into_intervals

days = st.dates(date(2020, 1, 1), date(2030, 12, 31))


def window(first: str, last: str) -> Window:
    return Window(date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1))


@pytest.mark.parametrize(
    ("compare", "first", "last", "earlier_first", "earlier_last"),
    [
        ("previous", "2026-11-03", "2026-11-09", "2026-10-27", "2026-11-02"),
        ("previous", "2026-11-01", "2026-11-30", "2026-10-01", "2026-10-31"),
        ("previous", "2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
        ("previous", "2026-07-01", "2026-09-30", "2026-04-01", "2026-06-30"),
        ("previous", "2026-11-01", "2026-11-09", "2026-10-23", "2026-10-31"),
        ("month", "2026-11-01", "2026-11-09", "2026-10-01", "2026-10-09"),
        ("month", "2026-03-30", "2026-03-31", "2026-02-28", "2026-02-28"),
        ("month", "2026-02-01", "2026-02-28", "2026-01-01", "2026-01-31"),
        ("year", "2028-02-29", "2028-02-29", "2027-02-28", "2027-02-28"),
        ("year", "2026-01-01", "2026-12-31", "2025-01-01", "2025-12-31"),
    ],
)
def test_a_report_is_compared_with_days_of_its_own_kind(
    compare, first, last, earlier_first, earlier_last
):
    now = window(first, last)

    assert COMPARISONS[compare].shift(now).before(now) == window(earlier_first, earlier_last)


@given(days, st.integers(1, 400), st.sampled_from(list(COMPARISONS)))
def test_every_earlier_day_maps_to_one_of_the_report_in_order(start, length, compare):
    now = Window(start, start + timedelta(days=length))
    shift = COMPARISONS[compare].shift(now)

    shifted = [shift.align(day, now) for day in shift.before(now)]

    assert all(day in now for day in shifted)
    assert shifted == sorted(shifted)


@given(days, st.integers(1, 400), st.sampled_from(INTERVALS))
def test_a_window_is_cut_without_gap_or_overlap(start, length, interval):
    whole = Window(start, start + timedelta(days=length))

    parts = list(split_into_intervals(whole, interval))

    assert [day for part in parts for day in part] == list(whole)
    starts = [first_day(interval, part.start) for part in parts]
    assert starts == sorted(set(starts))
