"""Expensive requests are limited per user and organization, and end with their client."""

import socket
import threading
import time
from contextlib import ExitStack
from functools import partial

import pytest
import redis
from django.conf import settings as django_settings
from django.db import connection, transaction

from accounts import deadlines, limits
from accounts.deadlines import Deadline, ReaderLeft, TooSlow
from accounts.limits import REPORT, WIDGET, TooMany, slot
from accounts.models import Role
from reports import engine
from tests.factories import make_member, make_organization, make_token

pytestmark = pytest.mark.django_db

PAGES = [
    "reports/explore/",
    "reports/explore.csv",
    "reports/explore.xlsx",
    "reports/explore.png",
    "reports/products/",
    "dashboards/genai/?render=all",
    "dashboards/genai/spend.csv",
]


@pytest.fixture
def organization():
    return make_organization()


@pytest.fixture
def viewer(client, organization):
    viewer = make_member(organization, Role.VIEWER)
    client.force_login(viewer)
    return viewer


@pytest.fixture
def held(viewer, organization):
    """Hold all slots of one user."""
    with ExitStack() as stack:
        for kind in (REPORT, WIDGET):
            # More than the turns of one process: as if others held them.
            for _ in range(kind.user):
                keys = [
                    f"slots:{kind.name}:user:{viewer.pk}",
                    f"slots:{kind.name}:organization:{organization.pk}",
                ]
                token = f"{kind.name}{_}"
                assert limits._take(keys, token, (kind.user, kind.organization)) == 0
                stack.callback(limits._give_back, keys, token)
        yield stack


@pytest.mark.parametrize("path", PAGES)
def test_one_report_too_many_is_answered_with_a_page_that_asks_again(
    client, organization, held, path
):
    response = client.get(f"/o/{organization.slug}/{path}")

    assert response.status_code == 429
    assert response["Retry-After"] == "2"
    html = response.content.decode()
    assert "3 of your reports are being computed already. Wait until one is done." in html
    assert '<meta http-equiv="refresh" content="2">' in html

    held.close()
    time.sleep(2)  # as the page says
    assert client.get(f"/o/{organization.slug}/{path}").status_code in {200, 422}


def test_api_answers_one_report_too_many_with_a_problem(client, organization, viewer, held):
    make_token(viewer, "sgt_limits")

    response = client.get("/api/v1/report", headers={"Authorization": "Bearer sgt_limits"})

    assert response.status_code == 429
    assert response["Retry-After"] == "2"
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"].startswith("3 of your reports are being computed already.")


def test_widget_too_many_stays_as_it_loads_and_asks_again(client, organization, held):
    path = f"/o/{organization.slug}/dashboards/genai/spend/"

    response = client.get(path, headers={"HX-Request": "true"})

    assert response.status_code == 200
    assert 'hx-trigger="load delay:2s"' in response.content.decode()


def test_part_of_a_page_that_has_to_wait_becomes_the_page_that_says_so(client, organization, held):
    path = f"/o/{organization.slug}/reports/explore/?metrics=cost"

    response = client.get(path, headers={"HX-Request": "true"})

    assert response["HX-Redirect"] == path


def test_others_have_slots_of_their_own(client, organization, held):
    other = make_organization("other", "Other Inc.")
    for member in (make_member(organization, Role.VIEWER), make_member(other, Role.VIEWER)):
        client.force_login(member)
        slug = member.memberships.get().organization.slug

        assert client.get(f"/o/{slug}/reports/explore/").status_code == 200


def test_an_organization_has_a_limit_over_all_its_users(organization):
    keys = [f"slots:report:organization:{organization.pk}"]
    for number in range(REPORT.organization):
        assert limits._take(keys, f"{number}", (REPORT.organization,)) == 0

    with (
        pytest.raises(TooMany, match="12 reports of your organization"),
        slot(REPORT, user=1, organization=organization.pk),
    ):
        pass

    # The slot of the user that was not needed is not kept, and all slots expire by themselves.
    with redis.Redis.from_url(django_settings.REDIS_URL) as client:
        assert client.zcard("slots:report:user:1") == 0
        assert 0 < client.ttl(keys[0]) <= 2 * django_settings.REQUEST_SECONDS + 10


def test_reports_of_a_quarter_of_an_hour_are_limited(client, organization, viewer, settings):
    settings.REPORT_REQUESTS = 1
    path = f"/o/{organization.slug}/reports/explore/"
    assert client.get(path).status_code == 200

    response = client.get(path)

    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 900
    assert "You have asked for 1 reports within a quarter of an hour." in response.content.decode()


def test_computing_is_limited_by_seconds(organization, viewer, settings):
    """Thirty seconds of computing: half of it spent, one at a time; all of it, a wait."""
    settings.REPORT_SECONDS = 30
    ids = {"user": viewer.pk, "organization": organization.pk}
    asking = partial(slot, REPORT, **ids)
    for _ in range(2):
        with asking():
            time.sleep(0.1)

    left = limits._spend(REPORT, **ids, seconds=16)
    assert left[0] <= 30 - 2 * 0.1 - 16 + 0.1  # both count, and a little came back
    with asking(), pytest.raises(TooMany, match="One of your reports is being computed"), asking():
        pass

    limits._spend(REPORT, **ids, seconds=15)
    with pytest.raises(TooMany, match="took more than 30 seconds to compute") as refusal, asking():
        pass
    assert 12 <= refusal.value.wait_seconds <= 21  # 1 s too many, 3 s to go on, 0.2 a second
    with slot(REPORT, user=viewer.pk + 1, organization=organization.pk):
        pass  # others have budgets of their own


def test_a_repeated_refusal_costs_no_query(client, organization, held, django_assert_num_queries):
    path = f"/o/{organization.slug}/reports/explore/"
    first = client.get(path)
    assert first.status_code == 429

    with django_assert_num_queries(0):
        again = client.get(path)

    assert again.status_code == first.status_code == 429
    assert again.content == first.content
    assert dict(again.headers) == dict(first.headers)
    assert client.get(f"/o/{organization.slug}/reports/").status_code == 200  # another page
    client.force_login(make_member(organization, Role.VIEWER))
    assert client.get(path).status_code == 200  # another session


def test_a_process_computes_so_many_reports_at_once(monkeypatch, settings):
    settings.REPORTS_AT_ONCE = 1
    turns = limits._Turns()
    monkeypatch.setattr(limits, "_turns", lambda: turns)
    monkeypatch.setattr(limits, "_LOCAL_WAIT_SECONDS", 0.05)

    with (
        slot(REPORT, user=1, organization=1),
        pytest.raises(limits.Busy, match="busy with other reports"),
        slot(REPORT, user=2, organization=2),
    ):
        pass


def test_one_user_leaves_turns_to_colleagues_and_an_organization_to_others(monkeypatch, settings):
    settings.REPORTS_AT_ONCE = 4
    monkeypatch.setattr(limits, "_LOCAL_WAIT_SECONDS", 0.05)
    turns = limits._Turns()
    with turns.one(1, 1), turns.one(1, 1):
        with pytest.raises(limits.Busy), turns.one(1, 1):
            pass
        with turns.one(2, 1):
            with pytest.raises(limits.Busy), turns.one(3, 1):
                pass
            with turns.one(4, 2), pytest.raises(limits.Busy), turns.one(5, 3):
                pass

    assert not turns._held


# --- Deadlines -------------------------------------------------------------------------------
def test_statement_has_a_timeout():
    began = time.monotonic()

    with pytest.raises(TooSlow), transaction.atomic(), deadlines.bounded(Deadline(0.1, None)):
        connection.cursor().execute("SELECT pg_sleep(600)")

    assert time.monotonic() - began < 300


def test_statement_ends_when_its_reader_leaves():
    ours, theirs = socket.socketpair()
    threading.Timer(0.2, theirs.close).start()
    began = time.monotonic()

    deadline = Deadline(600, None, ours)
    with pytest.raises(ReaderLeft), transaction.atomic(), deadlines.bounded(deadline):
        connection.cursor().execute("SELECT pg_sleep(600)")

    ours.close()
    assert time.monotonic() - began < 300


def test_reader_who_has_sent_more_is_still_there():
    ours, theirs = socket.socketpair()
    theirs.send(b"GET /next HTTP/1.1\r\n")

    assert not Deadline(60, None, ours).has_left()
    assert ours.recv(3) == b"GET"  # the look took nothing

    ours.close()
    theirs.close()


def test_rows_are_counted_under_the_deadline():
    with deadlines.bounded(Deadline(60, time.monotonic() - 1)), pytest.raises(TooSlow):
        list(engine.query._at_most(10, range(3)))


def test_worker_has_no_deadline():
    deadlines.check()


def test_report_over_its_time_is_answered_with_a_sentence(
    client, organization, viewer, monkeypatch
):
    def slow(*args):
        raise TooSlow

    monkeypatch.setattr(engine, "run", slow)
    make_token(viewer, "sgt_slow")

    page = client.get(f"/o/{organization.slug}/reports/explore/")
    document = client.get("/api/v1/report", headers={"Authorization": "Bearer sgt_slow"})

    assert page.status_code == document.status_code == 503
    sentence = "This took longer than 120 seconds and was stopped. Choose fewer days"
    assert sentence in page.content.decode()
    assert document.json()["detail"].startswith(sentence)
