"""Progress of a run is of its requests: what is complete, how much is left, and how long."""

from datetime import UTC, date, datetime, timedelta

import pytest

from integrations.models import Connection, SyncWindow
from integrations.status.progress import ProgressPart, measure_progress
from integrations.sync.planning import plan_import
from tests.factories import make_connection, make_organization

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
STATE = SyncWindow.State


def window(feed, day, days=1, *, finished=None, seconds=0, requests=0, state=None, **fields):
    """Return a window of November 2026; `finished` is in seconds after the start of the run."""
    end = None if finished is None else START + timedelta(seconds=finished)
    return SyncWindow(
        feed=feed,
        start=date(2026, 11, day),
        end=date(2026, 11, day) + timedelta(days),
        state=state or (STATE.PENDING if finished is None else STATE.DONE),
        started_at=end and end - timedelta(seconds=seconds),
        finished_at=end,
        requests=requests,
        position=0,
        **fields,
    )


def measure(*windows):
    return measure_progress(Connection(connector_slug="claude-enterprise"), windows)


def test_parts_name_what_is_complete_and_count_the_days_of_the_rest():
    progress = measure(
        window("organization_cost", 1, 10, finished=10, requests=2),
        window("user_cost", 1, 10, finished=20, requests=3),
        window("organization_usage", 1, 10, finished=30, requests=2, state=STATE.UNCHANGED),
        window("users", 9, finished=40, requests=5),
        window("users", 10, finished=50, requests=5),
        window("skills", 9, finished=60, requests=1),
        window("skills", 10),
        window("groups", 10),
        window("users_spans", 10),
    )

    assert progress.parts == (
        ProgressPart("cost", 10, 10),
        ProgressPart("tokens", 10, 10),
        ProgressPart("activity", 1, 2),
    )
    assert progress.sentence == "Cost and tokens are complete, activity 1 of 2 days."


def test_a_day_that_failed_is_not_complete():
    progress = measure(
        window("organization_cost", 1, 10, finished=10, requests=2),
        window("user_cost", 1, 5, finished=20, requests=3, state=STATE.FAILED),
        window("user_cost", 6, 5, finished=30, requests=3),
    )

    assert progress.sentence == "Cost 5 of 10 days."
    assert progress.percent == 100


@pytest.mark.parametrize(
    ("windows", "percent", "seconds_left"),
    [
        # Nothing is measured yet.
        ([window("user_cost", 1, 10)], 0, None),
        # 8 of 40 requests, as the other 8 days will take 4 each; 2 seconds a request.
        (
            [
                window("users", 10, finished=8, seconds=8, requests=4),
                window("users", 9, finished=16, seconds=8, requests=4),
                window("users", 1, 8),
            ],
            20,
            64,
        ),
        # 10 requests for one part; the other counts one a day until it is measured: 10 of 12.
        (
            [
                window("user_cost", 1, 10, finished=10, seconds=10, requests=10),
                window("skills", 1),
                window("skills", 2),
            ],
            83,
            2,
        ),
        # The second feed turns out to take 9 a day instead of one. What was said stays.
        (
            [
                window("user_cost", 1, 10, finished=10, seconds=10, requests=10),
                window("skills", 1, finished=19, seconds=9, requests=9),
                window("skills", 2),
            ],
            83,
            2,
        ),
        # Reading again to confirm a difference changes neither.
        (
            [
                window("users", 10, finished=8, seconds=8, requests=4),
                window("users", 9),
                window("users", 1, 8, is_recheck=True),
            ],
            50,
            8,
        ),
    ],
)
def test_progress_weighs_requests(windows, percent, seconds_left):
    progress = measure(*windows)

    assert (progress.percent, progress.seconds_left) == (percent, seconds_left)


def test_share_never_falls_and_time_left_never_rises():
    """Feeds of 1, 12 and 3 requests a day, whose cost is not known before they are read."""
    requests = {"organization_cost": 1, "users": 12, "skills": 3}
    planned = [(feed, day) for feed in requests for day in range(20, 0, -1)]

    def after(count):
        return measure(
            *(
                window(feed, day, finished=place + 1, seconds=1, requests=requests[feed])
                if place < count
                else window(feed, day)
                for place, (feed, day) in enumerate(planned)
            )
        )

    seen = [after(count) for count in range(1, len(planned) + 1)]

    shares = [one.percent for one in seen]
    times = [one.seconds_left for one in seen]
    assert shares == sorted(shares)
    assert times == sorted(times, reverse=True)
    assert (shares[-1], times[-1]) == (100, 0)


@pytest.mark.django_db
def test_an_import_reads_cost_and_tokens_first_and_activity_day_by_day():
    connection = make_connection(make_organization(), "my-org")
    run = plan_import(connection, today=date(2026, 11, 22), days=3)
    order = list(run.windows.order_by("position").values_list("feed", "start"))

    assert [feed for feed, _ in order[:5]] == [
        "summaries", "organization_cost", "user_cost", "organization_usage", "user_usage",
    ]  # fmt: skip
    days = [day for feed, day in order if feed in {"users", "skills", "artifacts"}]
    assert days == sorted(days, reverse=True)
    assert [feed for feed, day in order if day == date(2026, 11, 22)][-1] != "users"
