"""Passwords: attempts are limited, a reset works, a change ends other sessions."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
import time_machine
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from redis import Redis
from redis.exceptions import ConnectionError as RedisIsAway

from accounts import throttling
from accounts.models import AttemptCount, AuditEvent
from accounts.tasks import purge_sessions
from accounts.throttling import SIGN_IN_ACCOUNT, RateLimit
from tests.factories import PASSWORD, make_member, make_organization, make_user

pytestmark = pytest.mark.django_db
INES = "ines@example.com"
NEW = "a brand new sentence 7"
AT_THREE = datetime(2026, 11, 25, 15, 5, tzinfo=UTC)  # ten minutes before the count starts anew


@pytest.fixture
def ines():
    return make_member(make_organization(), email=INES)


@pytest.fixture
def at_three():
    with time_machine.travel(AT_THREE, tick=False) as clock:
        yield clock


def sign_in(client, email=INES, password=PASSWORD, **extra):
    return client.post("/login/", {"username": email, "password": password}, **extra)


def fail(client, times, email=INES, **extra):
    for _ in range(times):
        response = sign_in(client, email, "wrong", **extra)
    return response


# --- Guessing ----------------------------------------------------------------------------
def test_after_ten_wrong_passwords_the_right_one_has_to_wait_too(client, ines, at_three):
    assert fail(client, 10).status_code == 200

    response = sign_in(client)

    assert response.status_code == 429
    assert response["Retry-After"] == "600"
    text = response.content.decode()
    assert "Too many attempts to sign in." in text
    assert "the next one is possible in 10 minutes." in text
    assert "_auth_user_id" not in client.session


def test_the_count_starts_anew_every_quarter_of_an_hour(client, ines, at_three):
    fail(client, 11)

    at_three.shift(timedelta(minutes=10))

    assert sign_in(client)["Location"] == "/"


def test_the_right_password_forgets_the_wrong_ones(client, ines, at_three):
    fail(client, 9)
    sign_in(client)

    assert fail(Client(), 10).status_code == 200


def test_another_account_is_not_held_up(client, ines, at_three):
    make_user("omar@example.com")
    fail(client, 11)

    assert sign_in(client, "omar@example.com")["Location"] == "/"


def test_capital_letters_are_no_second_chance(client, ines, at_three):
    fail(client, 10, "INES@example.com")

    assert sign_in(client).status_code == 429


def test_an_address_that_tries_many_accounts_is_held_up(client, ines, at_three, monkeypatch):
    monkeypatch.setattr("accounts.forms.SIGN_IN_ADDRESS", RateLimit("test", limit=3))
    for number in range(3):
        fail(client, 1, f"guess{number}@example.com")

    assert sign_in(client).status_code == 429
    assert sign_in(Client(), REMOTE_ADDR="192.0.2.7")["Location"] == "/"


def test_an_office_full_of_people_who_know_their_passwords_is_not_held_up(
    client, ines, at_three, monkeypatch
):
    monkeypatch.setattr("accounts.forms.SIGN_IN_ADDRESS", RateLimit("test", limit=3))

    assert [sign_in(Client()).status_code for _ in range(6)] == [302] * 6


def test_the_admin_has_no_sign_in_page_of_its_own(client):
    operator = make_user("operator@example.com", is_staff=True, is_superuser=True)

    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1][0] == "/login/?next=/admin/"

    client.force_login(operator)
    assert client.get("/admin/").status_code == 200


def test_the_admin_turns_members_away(client, ines):
    client.force_login(ines)

    response = client.get("/admin/", follow=True)

    assert response.status_code == 403
    assert "This is for the operators of this installation." in response.content.decode()


@pytest.fixture(params=["away", "full"])
def redis_takes_no_counts(request, monkeypatch):
    """Redis does not answer, or has no memory left and deletes nothing."""
    if request.param == "full":
        with Redis.from_url(django_settings.REDIS_URL) as client:
            client.config_set("maxmemory", 1)
            yield
            client.config_set("maxmemory", 0)
        return

    def refuse(*args, **kwargs):
        raise RedisIsAway("Connection refused")

    for act in ("add", "incr", "decr", "delete"):
        monkeypatch.setattr(cache, act, refuse)
    yield


def test_without_redis_people_still_get_in(client, ines, redis_takes_no_counts, caplog):
    assert sign_in(client)["Location"] == "/"
    assert "PostgreSQL counts sign-in-account" in caplog.text


def test_without_redis_guesses_stay_limited(client, ines, at_three, redis_takes_no_counts):
    assert fail(client, 10).status_code == 200

    response = sign_in(client)

    assert response.status_code == 429
    assert response["Retry-After"] == "600"
    at_three.shift(timedelta(minutes=10))
    assert sign_in(client)["Location"] == "/"


def test_without_redis_an_address_that_tries_many_accounts_is_held_up(
    client, ines, redis_takes_no_counts, monkeypatch
):
    monkeypatch.setattr("accounts.forms.SIGN_IN_ADDRESS", RateLimit("test", limit=3))
    for number in range(3):
        fail(client, 1, f"guess{number}@example.com")

    assert sign_in(client).status_code == 429


def test_without_redis_the_right_password_forgets_the_wrong_ones(
    client, ines, at_three, redis_takes_no_counts, monkeypatch
):
    monkeypatch.setattr("accounts.forms.SIGN_IN_ADDRESS", RateLimit("test", limit=10))
    fail(client, 9)
    sign_in(client)  # gives its own attempt back to the address: nine are left

    assert fail(Client(), 1).status_code == 200
    assert fail(Client(), 1).status_code == 429


def test_without_redis_the_current_password_is_not_guessed_either(
    client, ines, at_three, redis_takes_no_counts
):
    client.force_login(ines)
    for _ in range(10):
        client.post("/account/password/", {"current": "guess", "password": NEW})

    response = client.post("/account/password/", {"current": PASSWORD, "password": NEW})

    assert "The next one is possible in 10 minutes." in response.content.decode()


def test_reports_are_not_counted_row_by_row_in_the_database(ines, redis_takes_no_counts):
    throttle = RateLimit("report-user", limit=1, survives_redis=False)

    assert [throttle.wait_seconds("1") for _ in range(3)] == [0, 0, 0]
    assert not AttemptCount.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_moment_are_all_counted(redis_takes_no_counts):
    def attempt(number):
        try:
            return SIGN_IN_ACCOUNT.wait_seconds(INES) == 0
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(30))) == 10


def test_counts_of_the_past_are_purged(ines, at_three, redis_takes_no_counts):
    SIGN_IN_ACCOUNT.wait_seconds(INES)
    at_three.shift(timedelta(minutes=9))
    purge_sessions()
    assert AttemptCount.objects.count() == 1

    at_three.shift(timedelta(minutes=1))
    purge_sessions()

    assert not AttemptCount.objects.exists()


@pytest.mark.parametrize("store", ["redis", "database"])
def test_what_was_typed_is_not_stored(store, monkeypatch):
    if store == "database":
        monkeypatch.setattr(cache, "add", Mock(side_effect=RedisIsAway))

    assert SIGN_IN_ACCOUNT.wait_seconds("hunter2, typed into the wrong field") == 0

    keys = [key.decode() for key in cache._cache.get_client().keys("*")]
    keys += AttemptCount.objects.values_list("key", flat=True)
    assert keys
    assert not [key for key in keys if "hunter2" in key]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.1", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),  # what is left of it is the client's word
        (2, "203.0.113.9, 198.51.100.1", "203.0.113.9"),
        (3, "203.0.113.9, 198.51.100.1", "127.0.0.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "unknown", "unknown"),
    ],
)
def test_the_address_is_what_our_outermost_proxy_saw(settings, proxies, forwarded, expected):
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    assert throttling.client_ip(RequestFactory().get("/", headers=headers)) == expected


# --- Losing ------------------------------------------------------------------------------
def forget(client, email=INES):
    return client.post("/password/", {"email": email})


@pytest.fixture
def elsewhere(ines):
    """Sign Ines in on another machine."""
    client = Client()
    client.force_login(ines)
    return client


@pytest.fixture
def link(client, ines, elsewhere, mails, django_capture_on_commit_callbacks):
    """Return the path in the mail to Ines."""
    with django_capture_on_commit_callbacks(execute=True):
        forget(client)
    return re.findall(r"https://spendglass\.example\.com(/password/\S+)", mails.pop().body)[0]


def set_password(client, link, password=NEW):
    form = client.get(link)["Location"]
    return client.post(form, {"password": password}, follow=True)


def test_the_link_in_the_mail_sets_a_new_password_once(client, link, elsewhere):
    page = set_password(client, link).content.decode()

    assert "Password changed. Sign in with it." in page
    assert sign_in(client, password=NEW)["Location"] == "/"
    assert elsewhere.get("/").status_code == 302  # its session has ended
    assert "This link is no longer valid" in Client().get(link).content.decode()
    assert AuditEvent.objects.get().verb == "member.password_changed"


def test_the_link_works_for_four_hours(link):
    now = datetime.now(UTC)
    with time_machine.travel(now + timedelta(hours=3, minutes=59)):
        assert Client().get(link).status_code == 302
    with time_machine.travel(now + timedelta(hours=4, minutes=1)):
        assert "older than 4 hours" in Client().get(link).content.decode()


def test_a_new_password_has_to_be_a_good_one(client, link, ines):
    page = set_password(client, link, "12345678").content.decode()

    assert "This password is entirely numeric." in page
    ines.refresh_from_db()
    assert ines.check_password(PASSWORD)


def test_the_answer_does_not_tell_who_has_an_account(
    client, ines, mails, django_capture_on_commit_callbacks
):
    make_user("off@example.com", is_active=False)
    with django_capture_on_commit_callbacks(execute=True):
        pages = [forget(client, email) for email in ("eve@example.com", "off@example.com")]

    for page in pages:
        assert page.status_code == 200
        assert "has an account, a link to set a new password is on its way" in page.content.decode()
    assert mails == []


def test_the_link_is_not_in_the_queue(client, ines, mails, monkeypatch):
    queued = []
    monkeypatch.setattr("accounts.mail.queue", lambda task, **values: queued.append(values))

    forget(client)

    assert queued == [{"user_id": ines.pk}]


def test_nobodys_mailbox_is_flooded(
    client, ines, mails, at_three, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answers = [forget(client).status_code for _ in range(5)]

    assert answers == [200] * 5
    assert len(mails) == 3


def test_an_address_that_asks_for_many_is_held_up(client, mails, at_three, monkeypatch):
    monkeypatch.setattr("accounts.views.account.RESET_ADDRESS", RateLimit("test", limit=2))
    answers = [forget(client, f"guess{number}@example.com") for number in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1]["Retry-After"] == "600"
    assert "Try again in 10 minutes." in answers[-1].content.decode()


def test_without_e_mail_the_page_says_who_can_help(client):
    text = client.get("/password/").content.decode()

    assert "email is not set up here" in text
    assert "manage.py changepassword" in text
    assert "<form" not in text.partition("<main")[2].partition("</main>")[0]


def test_a_damaged_link_says_what_to_do(client):
    assert "Send a new link" in client.get("/password/x/y/").content.decode()


def test_the_sign_in_page_links_to_the_password_reset(client):
    assert 'href="/password/"' in client.get("/login/").content.decode()


# --- Changing ----------------------------------------------------------------------------
def test_who_knows_the_password_changes_it_and_stays_signed_in_here_alone(client, ines, elsewhere):
    client.force_login(ines)

    response = client.post(
        "/account/password/", {"current": PASSWORD, "password": NEW}, follow=True
    )

    assert "Password changed." in response.content.decode()
    assert client.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302
    assert AuditEvent.objects.get().verb == "member.password_changed"


def test_an_open_session_alone_does_not(client, ines, at_three):
    client.force_login(ines)
    for _ in range(10):
        response = client.post("/account/password/", {"current": "guess", "password": NEW})
        assert response.status_code == 422
        assert "This is not your password." in response.content.decode()

    response = client.post("/account/password/", {"current": PASSWORD, "password": NEW})

    assert "The next one is possible in 10 minutes." in response.content.decode()
    ines.refresh_from_db()
    assert ines.check_password(PASSWORD)


def test_the_name_is_ones_own_to_choose(client, ines):
    client.force_login(ines)

    response = client.post("/account/", {"name": "Ines Öztürk"}, follow=True)

    assert "Name changed." in response.content.decode()
    ines.refresh_from_db()
    assert (ines.name, ines.initials) == ("Ines Öztürk", "IÖ")


@pytest.mark.parametrize("address", ["/account/", "/account/password/"])
def test_an_account_is_for_who_is_signed_in(client, address):
    assert client.get(address)["Location"] == f"/login/?next={address}"
