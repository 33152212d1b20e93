"""A feed that failed on its last runs says so: on the card, in the bell and in Data health."""

from datetime import UTC, date, datetime

import pytest
from django.urls import reverse

from accounts.models import Role
from integrations import notices, sync
from integrations.encryption import Secret
from integrations.models import FeedDay, Notice, SyncRun, SyncWindow
from integrations.status.connections import card, status_of
from integrations.status.strips import coverage_page
from integrations.status.words import CONNECTED, PARTLY_FAILING, PARTLY_READ
from integrations.window import Window
from tests.factories import make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = Window.last(1, today=NOON.date())


@pytest.fixture
def connection(sandbox):
    key = Secret("sk-ant-api01-sandbox-my-org")
    return make_connection(make_organization(), credential=key, key_hint="-org")


def strips_of(connection):
    return coverage_page(status_of(connection), today=NOON.date(), days=90)


def finished_run(connection, *failed):
    run = sync.plan(connection, SyncRun.Kind.REFRESH, DAY)
    run.windows.update(state=SyncWindow.State.DONE)
    run.windows.filter(feed__in=failed).update(
        state=SyncWindow.State.FAILED, error="Anthropic sent nonsense.", error_code="payload"
    )
    sync.close_if_done(run)
    return run


def test_the_card_names_a_feed_that_failed_and_why(connection):
    finished_run(connection)
    assert status_of(connection).status is CONNECTED

    finished_run(connection, "user_cost", "skills")

    status = status_of(connection)
    assert status.status is PARTLY_FAILING
    assert status.sentence == (
        "Cost per user failed in its last run: Anthropic sent nonsense. Also failing: Skills."
    )
    assert status.repair == "The next refresh tries again."
    shown_card = card(connection.organization, connection.connector)
    assert (shown_card.status, shown_card.sentence) == (status.status, status.sentence)

    finished_run(connection)
    assert status_of(connection).status is CONNECTED


def test_only_runs_in_a_row_count(connection):
    finished_run(connection, "user_cost")
    finished_run(connection)
    finished_run(connection, "user_cost")
    last = finished_run(connection, "user_cost")

    (feed,) = status_of(connection).failing_feeds

    assert (feed.failed_runs, feed.first_failed_run_id) == (2, last.pk - 1)


def test_the_bell_tells_it_after_the_second_run_once_and_settles_it(connection):
    finished_run(connection, "user_cost")
    notices.detect(NOON)
    assert not Notice.objects.exists()

    finished_run(connection, "user_cost")
    notices.detect(NOON)
    finished_run(connection, "user_cost")
    notices.detect(NOON)

    notice = Notice.objects.get()
    assert notice.kind == Notice.Kind.FEED_FAILING
    assert notice.text == "Cost per user of my-org is not read: Anthropic sent nonsense."
    assert notice.settled_at is None

    finished_run(connection)
    notices.detect(NOON)
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

    coverage = {one.label: one for one in strips_of(connection).feeds}
    page = client.get(reverse("integrations:health", args=["demo"])).content.decode()
    manage = client.get(
        reverse("integrations:manage", args=["demo", "claude-enterprise"])
    ).content.decode()

    said = "Cost per user failed in its last 2 runs: Anthropic sent nonsense."
    assert coverage["Cost per user"].feed.sentence == said
    assert said in page
    assert "2 rows are kept out. Anthropic sent an amount in EUR." in page
    assert "2 rows of 1 day are kept out, so this day is incomplete." in manage
    assert {one.label: one.kept_out for one in status_of(connection).feeds}["Cost per user"] == ""


def test_what_was_stopped_is_no_failure(connection):
    sync.plan(connection, SyncRun.Kind.REFRESH, DAY)
    sync.stop(connection)

    assert status_of(connection).failing_feeds == []


def a_day_without_cost_per_user(connection, *people):
    for feed in ("organization_cost", *people):
        FeedDay.objects.create(
            connection=connection,
            feed=feed,
            day=date(2026, 11, 19),
            state=FeedDay.State.PROVISIONAL,
            content_hash=b"",
            rows=1,
            read_at=NOON,
        )


def test_no_status_is_green_while_cost_per_user_is_not_read(client, connection):
    finished_run(connection)
    a_day_without_cost_per_user(connection)
    client.force_login(make_member(connection.organization, Role.BILLING_ADMIN))
    sentence = "The cost per user of 19 Nov 2026 is not known. The total is complete."

    shown = status_of(connection)
    shown_card = card(connection.organization, connection.connector)
    notices.detect(NOON)

    assert (shown.status, shown.sentence) == (PARTLY_READ, sentence)
    assert (shown_card.status, shown_card.sentence) == (PARTLY_READ, sentence)
    assert strips_of(connection).unnamed_days == 1
    assert [each.text for each in Notice.objects.all()] == [f"my-org: {sentence}"]
    for name, *arguments in (("index",), ("manage", "claude-enterprise")):
        page = client.get(reverse(f"integrations:{name}", args=["demo", *arguments]))
        assert "Partly read" in page.content.decode()
        assert '<span class="st good">' not in page.content.decode()


def test_the_status_is_green_again_once_cost_per_user_is_read(connection):
    finished_run(connection)
    a_day_without_cost_per_user(connection)
    notices.detect(NOON)
    FeedDay.objects.all().delete()
    a_day_without_cost_per_user(connection, "user_cost")

    notices.detect(NOON)

    assert status_of(connection).status is CONNECTED
    assert Notice.objects.get().settled_at == NOON


def test_a_refresh_that_reads_cost_per_user_now_is_no_fault(connection):
    a_day_without_cost_per_user(connection)
    day = Window(date(2026, 11, 19), date(2026, 11, 20))
    run = sync.plan(connection, SyncRun.Kind.REFRESH, day)

    assert status_of(connection).status is CONNECTED

    run.windows.filter(feed="user_cost").update(error="The endpoint is closed.")
    assert status_of(connection).status is PARTLY_READ
