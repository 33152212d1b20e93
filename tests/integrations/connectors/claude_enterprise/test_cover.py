"""Questions that bring every group, planned from how many rows each is expected to take."""

from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.claude_enterprise.feeds.filter_planner import FilterPlanner

GROUPS = st.tuples(
    st.sampled_from(["chat", "cowork", None]),
    st.sampled_from(["opus", "sonnet", "haiku"]),
    st.sampled_from(["us", None]),
)
REGION = 2  # the place of the dimension that has a filter for null


def matches(asked, group):
    return all(group[place] in values for place, values in asked.items())


def test_values_go_together_while_they_stay_below_the_cap():
    day = {("chat", "opus"): 6, ("chat", "sonnet"): 4, ("chat", "haiku"): 3, ("code", "opus"): 1}

    plan = FilterPlanner([day], cap=8, null_filter=-1).of({*day})

    assert plan == [{1: {"opus"}}, {1: {"sonnet", "haiku"}}]


def test_a_value_that_is_too_large_by_itself_is_cut_by_another_dimension():
    day = {("chat", "opus"): 6, ("code", "opus"): 6, ("chat", "haiku"): 3, ("code", "haiku"): 3}

    plan = FilterPlanner([day], cap=8, null_filter=-1).of({*day})

    assert plan is not None
    assert sorted(plan, key=len) == [
        {1: {"haiku"}},
        {0: {"chat"}, 1: {"opus"}},
        {0: {"code"}, 1: {"opus"}},
    ]


def test_what_lacks_nothing_is_not_asked_for():
    day = {("chat", "opus"): 9, ("code", "opus"): 9, ("code", "haiku"): 2}

    assert FilterPlanner([day], cap=10, null_filter=-1).of({("code", "haiku")}) == [{1: {"haiku"}}]
    assert FilterPlanner([day], cap=10, null_filter=-1).of(set()) == []


def test_a_null_is_reached_by_another_dimension_or_not_at_all():
    day = {(None, "opus"): 9, ("code", "opus"): 9, (None, "haiku"): 2}

    assert FilterPlanner([day], cap=10, null_filter=-1).of({(None, "haiku")}) == [{1: {"haiku"}}]
    assert FilterPlanner([day], cap=10, null_filter=-1).of({(None, "opus")}) is None
    assert FilterPlanner([day], cap=12, null_filter=0).of({(None, "opus")}) == [{0: {None}}]


@given(
    st.lists(st.dictionaries(GROUPS, st.integers(1, 6), min_size=1), min_size=1, max_size=3),
    st.integers(2, 20),
)
def test_a_plan_brings_every_group_and_no_answer_reaches_the_cap(days, cap):
    wanted = {group for day in days for group in day}

    plan = FilterPlanner(days, cap, REGION).of(wanted)

    if plan is not None:
        assert all(any(matches(asked, group) for asked in plan) for group in wanted)
        for asked in plan:
            for day in days:
                assert sum(rows for group, rows in day.items() if matches(asked, group)) < cap
            assert all(None not in values for place, values in asked.items() if place != REGION)
