"""How far the days of a report can be trusted."""

from datetime import date

from integrations.models import Connection, FeedDay
from integrations.status.days import DayState
from integrations.window import Window
from reports import engine
from reports.coverage import Coverage
from reports.engine.spec import Filter, ReportSpec
from tests.factories import make_connection
from tests.reports.conftest import know

WEEK = Window(date(2026, 11, 2), date(2026, 11, 9))


def states(organization, metrics="cost", window=WEEK, group_by="", **filters):
    return [state.name for state in cover(organization, metrics, window, group_by, **filters)
            .states.values()]  # fmt: skip


def cover(organization, metrics="cost", window=WEEK, group_by="", **filters) -> Coverage:
    spec = ReportSpec(
        metrics=tuple(metrics.split(",")),
        window=window,
        group_by=tuple(group_by.split(",")) if group_by else (),
        filters=tuple(Filter(name, (value,)) for name, value in filters.items()),
    )
    return engine.coverage(organization, spec)


def test_a_day_is_as_its_feed_says_and_unknown_if_it_says_nothing(organization, connection):
    know(connection, "2026-11-02", "2026-11-03", FeedDay.State.FINAL)
    know(connection, "2026-11-05", "2026-11-06", FeedDay.State.PROVISIONAL)
    know(connection, "2026-11-07", "2026-11-07", FeedDay.State.INCOMPLETE)

    assert states(organization) == [
        "FINAL",
        "FINAL",
        "UNKNOWN",
        "PROVISIONAL",
        "PROVISIONAL",
        "INCOMPLETE",
        "UNKNOWN",
    ]


def test_final_ends_with_the_last_final_day(organization, connection):
    know(connection, "2026-11-03", "2026-11-04", FeedDay.State.FINAL)
    know(connection, "2026-11-05", "2026-11-07", FeedDay.State.PROVISIONAL)
    know(connection, "2026-11-08", "2026-11-08", FeedDay.State.INCOMPLETE)

    coverage = cover(organization)

    assert coverage.final_to == date(2026, 11, 4)
    assert coverage.known_to == date(2026, 11, 7)
    assert coverage.count(DayState.FINAL) == 2


def test_the_total_needs_the_feed_of_the_organization_and_people_need_both(
    organization, connection
):
    know(connection, "2026-11-02", "2026-11-08", feeds=("all_cost",))
    know(connection, "2026-11-02", "2026-11-03", "provisional", feeds=("person_cost",))

    assert states(organization) == ["FINAL"] * 7
    # The total of the last five is known, but not whose it is: unknown for one person, a part of
    # what is known for everybody together.
    assert states(organization, group_by="project_id") == ["PROVISIONAL"] * 2 + ["INCOMPLETE"] * 5
    assert states(organization, user_name="Ann") == ["PROVISIONAL"] * 2 + ["UNKNOWN"] * 5


def test_cost_beside_usage_is_as_good_as_the_worse(organization, connection):
    know(connection, "2026-11-02", "2026-11-08", feeds=("all_cost",))
    know(connection, "2026-11-02", "2026-11-07", "provisional", feeds=("person_usage",))

    assert states(organization, "cost,requests") == ["PROVISIONAL"] * 6 + ["INCOMPLETE"]
    assert states(organization, "requests") == ["PROVISIONAL"] * 6 + ["UNKNOWN"]


def test_a_day_that_one_of_two_connections_lacks_is_incomplete(organization, connection):
    other = make_connection(organization, "labs")
    know(connection, "2026-11-02", "2026-11-08")
    know(other, "2026-11-02", "2026-11-04", "provisional")
    know(other, "2026-11-06", "2026-11-06", "provisional")

    assert states(organization) == [
        *["PROVISIONAL"] * 3,
        "INCOMPLETE",
        "PROVISIONAL",
        *["INCOMPLETE"] * 2,
    ]
    assert states(organization, billing_account="my-org") == ["FINAL"] * 7


def test_nothing_is_expected_of_a_disconnected_connection_after_its_last_day(
    organization, connection
):
    old = make_connection(organization, "old", state=Connection.State.DISCONNECTED)
    know(connection, "2026-11-02", "2026-11-08")
    know(old, "2026-11-02", "2026-11-04", "provisional")

    assert states(organization) == ["PROVISIONAL"] * 3 + ["FINAL"] * 4


def test_a_connection_that_begins_later_is_named_instead_of_spoiling_the_days_before(
    organization, connection
):
    labs = make_connection(organization, "labs")
    new = make_connection(organization, "new")
    know(connection, "2026-11-02", "2026-11-08")
    know(labs, "2026-11-05", "2026-11-08", "provisional")

    coverage = cover(organization)

    assert states(organization) == ["FINAL"] * 3 + ["PROVISIONAL"] * 4
    assert coverage.late == {labs.pk: date(2026, 11, 5), new.pk: None}
    assert cover(organization, billing_account="labs").late == {}


def test_several_days_together_are_incomplete_as_soon_as_one_is_missing(organization, connection):
    know(connection, "2026-11-02", "2026-11-03")
    know(connection, "2026-11-04", "2026-11-05", "provisional")

    coverage = cover(organization)

    def state(first: int, end: int) -> DayState:
        return coverage.state_of(Window(date(2026, 11, first), date(2026, 11, end)))

    assert state(2, 4) is DayState.FINAL
    assert state(2, 6) is DayState.PROVISIONAL
    assert state(5, 7) is DayState.INCOMPLETE
    assert state(6, 9) is DayState.UNKNOWN


def test_without_a_connection_nothing_is_known(organization):
    assert states(organization) == ["UNKNOWN"] * 7
    assert cover(organization).final_to is None
