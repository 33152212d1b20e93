"""A feed that failed on its last runs says so: on the card, in the bell and in Data health."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from accounts.models import Role
from integrations import notices, overview, sync
from integrations.encryption import Secret
from integrations.failing import failing_feeds
from integrations.feed_health import of
from integrations.health import health
from integrations.models import FeedDay, Notice, SyncRun, SyncWindow
from integrations.window import Window
from tests.factories import make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = Window.last(1, today=NOON.date())


@pytest.fixture
def connection(sandbox):
    key = Secret("sk-ant-api01-sandbox-my-org")
    return make_connection(make_organization(), credential=key, key_hint="-org")


def finished_run(connection, *failed):
    run = sync.plan(connection, SyncRun.Kind.REFRESH, DAY)
    run.windows.update(state=SyncWindow.State.DONE)
    run.windows.filter(feed__in=failed).update(
        state=SyncWindow.State.FAILED, error="Anthropic sent nonsense.", error_code="payload"
    )
    sync.settle(run)
    return run


def test_the_card_names_a_feed_that_failed_and_why(connection):
    finished_run(connection)
    assert overview.overview(connection).status is overview.CONNECTED

    finished_run(connection, "user_cost", "skills")

    found = overview.overview(connection)
    assert found.status is overview.PARTLY_FAILING
    assert found.sentence == (
        "Cost per user failed in its last run: Anthropic sent nonsense. "
        "Also failing: Skills. The next refresh tries again."
    )
    card = overview.card(connection.organization, connection.connector)
    assert (card.status, card.sentence) == (found.status, found.sentence)

    finished_run(connection)
    assert overview.overview(connection).status is overview.CONNECTED


def test_only_runs_in_a_row_count(connection):
    finished_run(connection, "user_cost")
    finished_run(connection)
    finished_run(connection, "user_cost")
    last = finished_run(connection, "user_cost")

    ((feed,),) = failing_feeds([connection]).values()

    assert (feed.runs, feed.first_run_id) == (2, last.pk - 1)


def test_the_bell_tells_it_after_the_second_run_once_and_settles_it(connection):
    finished_run(connection, "user_cost")
    notices.look(NOON)
    assert not Notice.objects.exists()

    finished_run(connection, "user_cost")
    notices.look(NOON)
    finished_run(connection, "user_cost")
    notices.look(NOON)

    notice = Notice.objects.get()
    assert notice.kind == Notice.Kind.FEED_FAILING
    assert notice.text == "Cost per user of my-org is not read: Anthropic sent nonsense."
    assert notice.settled_at is None

    finished_run(connection)
    notices.look(NOON)
    assert Notice.objects.get().settled_at == NOON


def test_data_health_and_the_connection_page_show_it(client, connection):
    finished_run(connection, "user_cost")
    finished_run(connection, "user_cost")
    FeedDay.objects.create(
        connection=connection,
        feed="skills",
        day=NOON.date(),
        state="incomplete",
        content_hash=b"",
        rows=3,
        read_at=NOON,
        kept_out=2,
        kept_out_reason="Anthropic sent an amount in EUR.",
    )
    client.force_login(make_member(connection.organization, Role.BILLING_ADMIN))

    coverage = {one.label: one for one in health(connection, today=NOON.date(), days=90).feeds}
    page = client.get(reverse("integrations:health", args=["demo"])).content.decode()
    manage = client.get(
        reverse("integrations:manage", args=["demo", "claude-enterprise"])
    ).content.decode()

    said = "Cost per user failed in its last 2 runs: Anthropic sent nonsense."
    assert coverage["Cost per user"].failure == said
    assert said in page
    assert "2 rows are kept out. Anthropic sent an amount in EUR." in page
    assert "2 rows of 1 day are kept out, so these days are incomplete." in manage
    assert {one.label: one.kept_out for one in of(connection)}["Cost per user"] == ""


def test_what_was_stopped_is_no_failure(connection):
    sync.plan(connection, SyncRun.Kind.REFRESH, DAY)
    sync.stop(connection)

    assert failing_feeds([connection]) == {}
