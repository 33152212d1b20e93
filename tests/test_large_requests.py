"""Requests of absurd size or shape get an answer, and a cheap one."""

import time

import pytest

from accounts import deadlines
from accounts.models import Role
from tests.factories import make_connection, make_member, make_organization, make_token

pytestmark = pytest.mark.django_db

MANY = {
    "group_by": "&".join(["group_by=service"] * 1000),
    "many groupings": "group_by=" + ",".join(["service"] * 1000),
    "metrics": "&".join(["metrics=cost"] * 1000),
    "many metrics": "metrics=" + ",".join(["cost"] * 1000),
    "ranges": "&".join(["range=30d"] * 1000),
    "filters": "&".join(f"service={n}" for n in range(1000)),
    "unknown": "&".join(f"p{n}=1" for n in range(1000)),
    "fields": "&".join(["from=2026-11-01"] * 1000),
}


@pytest.fixture
def organization():
    organization = make_organization()
    make_connection(organization)
    return organization


@pytest.fixture
def admin(client, organization):
    member = make_member(organization, Role.ADMIN)
    client.force_login(member)
    return member


@pytest.mark.parametrize("many", MANY)
def test_repeated_parameters_are_refused_or_ignored_at_once(client, organization, admin, many):
    make_token(admin, "sgt_many")
    for path in (
        f"/o/{organization.slug}/reports/explore/",
        f"/o/{organization.slug}/reports/explore.csv",
        f"/o/{organization.slug}/dashboards/genai/",
        "/api/v1/report",
    ):
        began = time.monotonic()

        response = client.get(f"{path}?{MANY[many]}", headers={"Authorization": "Bearer sgt_many"})

        assert response.status_code in {200, 302, 400, 422}, path
        assert time.monotonic() - began < 60, path


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"n": 1' + b"0" * 1_000_000 + b"}",
        b'{"a": NaN, "a": 1e400, "a": -Infinity}',
    ],
    ids=["arrays", "objects", "a number", "no numbers"],
)
def test_a_body_that_nobody_asked_for_is_not_read(client, organization, admin, body):
    make_token(admin, "sgt_body")
    for path, status in (
        ("/api/v1/report", 405),
        (f"/o/{organization.slug}/reports/save/", 422),
    ):
        began = time.monotonic()

        response = client.post(
            path,
            body,
            content_type="application/json",
            headers={"Authorization": "Bearer sgt_body"},
        )

        assert response.status_code in {status, 400, 413}, (path, response.status_code)
        assert time.monotonic() - began < 60


@pytest.mark.parametrize("page", ["9" * 5000, "-1", "1e400", "NaN"])
@pytest.mark.parametrize(
    "path", ["audit/", "members/", "integrations/log/", "integrations/health/restatements/"]
)
def test_a_page_beyond_all_is_the_last_or_the_first(client, organization, admin, path, page):
    response = client.get(f"/o/{organization.slug}/{path}?page={page}")

    assert response.status_code == 200


def test_what_changes_something_has_six_times_the_time_of_a_page(client, admin, monkeypatch):
    """Its statements are bounded as those of a page, and all of it together, too."""
    asked = []

    class Noted(deadlines.Deadline):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            asked.append(self)

    monkeypatch.setattr(deadlines, "Deadline", Noted)
    client.get("/account/")
    client.post("/account/", {"name": "Ann"})

    page, change = (each for each in asked if each.ends_at is not None)
    began = time.monotonic()
    assert (page.seconds, change.seconds) == (120, 120)  # of the tests' settings
    assert page.ends_at <= began + 120 < change.ends_at <= began + 720
    assert str(change.too_slow) == (
        "This took longer than 12 minutes and was stopped."
        " Check what was stored before you try again."
    )
