"""“Complete to” speaks of every connection it names: the earliest of them counts."""

from datetime import UTC, date, datetime

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Role
from integrations.context_processors import Navigation
from integrations.models import Connection, FeedDay
from integrations.status.completeness import Completeness
from integrations.status.connections import statuses
from integrations.status.summary import Summary
from tests.factories import make_connection, make_member, make_organization

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 28, 1, tzinfo=UTC)


def read(connection, feed, day, watermark):
    FeedDay.objects.create(
        connection=connection, feed=feed, day=day, state=FeedDay.State.PROVISIONAL,
        content_hash=b"\0" * 32, rows=1, read_at=NOON, watermark=watermark,
    )  # fmt: skip


def test_the_earliest_counts_and_is_named():
    completeness = Completeness.of({"my-org": NOON, "labs": NIGHT})

    assert (completeness.to, completeness.laggards, completeness.unread) == (NIGHT, ("labs",), ())
    assert completeness.basis == "held back by labs"


def test_many_laggards_are_counted_behind_the_first_two():
    late = {"a": NIGHT, "b": NIGHT, "c": NIGHT, "d": NIGHT}
    completeness = Completeness.of({**late, "my-org": NOON, "new": None})

    assert completeness.basis == "held back by a, b and 2 more; new not read yet"


def test_equals_have_no_laggard_and_what_was_never_read_is_named():
    completeness = Completeness.of({"a": NOON, "b": NOON, "new": None})

    assert (completeness.to, completeness.laggards, completeness.unread) == (NOON, (), ("new",))
    assert completeness.basis == "new not read yet"
    assert Completeness.of({"new": None}) == Completeness()


@given(st.dictionaries(st.text(min_size=1), st.none() | st.dates(), max_size=5))
def test_it_is_never_later_than_any_connection_it_speaks_of(reached):
    completeness = Completeness.of(reached)

    assert all(
        completeness.to is not None and completeness.to <= day for day in reached.values() if day
    )
    assert {*completeness.laggards}.isdisjoint(completeness.unread)


@pytest.fixture
def two(db):
    organization = make_organization()
    first = make_connection(organization, "my-org")
    second = make_connection(organization, "labs")
    read(first, "organization_cost", date(2026, 11, 27), NOON)
    read(second, "organization_cost", date(2026, 11, 27), NIGHT)
    return organization, first, second


def test_top_bar_and_cards_say_the_earliest_with_its_label(two, client):
    organization, *_ = two
    user = make_member(organization, Role.ADMIN)
    client.force_login(user)

    frame = Navigation(user.memberships.get())
    stats = Summary.of(statuses(organization))

    assert (frame.complete.to, frame.complete.laggards) == (NIGHT, ("labs",))
    assert (stats.cost.to, stats.cost.laggards) == (NIGHT, ("labs",))
    page = client.get(reverse("integrations:index", args=[organization.slug])).content.decode()
    assert "Complete to <b>28 Nov, 01:00 UTC</b>" in page
    assert "held back by labs" in page


def test_a_disconnected_connection_holds_nothing_back(two):
    organization, _, second = two
    second.state = Connection.State.DISCONNECTED
    second.save()
    frame = Navigation(make_member(organization).memberships.get())

    assert (frame.complete.to, frame.complete.basis) == (NOON, "")
