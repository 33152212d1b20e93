"""Every task has a declared queue, and the documented workers cover all of them."""

import re
from pathlib import Path

import pytest
import redis
import yaml

from accounts import mail, password_reset
from accounts.models import Delivery
from config import checks, queues
from config.celery import app
from integrations import tasks
from tests.factories import PASSWORD, make_member, make_organization, make_user

ROOT = Path(__file__).resolve().parents[2]
OURS = ("accounts", "api", "config", "integrations", "reports")
BEAT = app.conf.beat_schedule.values()
DAYS = "from=2026-11-01&to=2026-11-02"


def our_tasks():
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_every_task_has_a_queue_of_its_kind():
    assert our_tasks() == set(queues.ROUTES)
    assert set(queues.ROUTES.values()) <= set(queues.NAMES)


@pytest.mark.parametrize("task", sorted(queues.ROUTES))
def test_messages_go_where_the_table_says(task):
    assert app.amqp.router.route({}, task)["queue"].name == queues.ROUTES[task]


def test_a_worker_takes_from_every_queue_unless_it_is_given_some():
    assert set(app.amqp.queues) == set(queues.NAMES)


def test_slow_work_shares_no_worker_with_mail():
    by_queue = {name: worker.name for worker in queues.WORKERS for name in worker.queues}

    assert set(by_queue) == set(queues.NAMES)
    assert by_queue["mail"] not in {by_queue["imports"], by_queue["exports"]}


def test_compose_and_the_documentation_start_the_same_workers():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    documented = (ROOT / "docs/operations.md").read_text()

    for worker in queues.WORKERS:
        command = [*worker.arguments, "--loglevel", "INFO"]
        assert services[worker.name]["command"] == ["celery", "--app", "config", *command]
        assert f"`celery --app config {' '.join(worker.arguments)}`" in documented


def test_every_scheduled_task_exists():
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= our_tasks()


# --- Redis -----------------------------------------------------------------------------------


@pytest.fixture
def small_redis(settings):
    """Return a function that sets the memory limit and policy of Redis, restored afterwards."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield lambda **values: [
            client.config_set(name.replace("_", "-"), value) for name, value in values.items()
        ]
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_redis_that_deletes_keys_is_a_warning(small_redis, policy):
    small_redis(maxmemory=500_000_000, maxmemory_policy=policy)

    (warning,) = checks.check_redis_policy(None)

    assert warning.msg == (
        f"Redis deletes keys when its memory is full (maxmemory-policy {policy})."
    )
    assert "noeviction" in warning.hint


def test_a_redis_that_keeps_everything_is_fine(small_redis, settings):
    assert checks.check_redis_policy(None) == []
    small_redis(maxmemory=500_000_000)
    assert checks.check_redis_policy(None) == []

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert checks.check_redis_policy(None) == []


@pytest.mark.django_db
def test_a_full_redis_delays_mails_and_imports_but_fails_no_request(
    small_redis, settings, caplog, django_capture_on_commit_callbacks
):
    settings.EMAIL_CONFIGURED = True
    user = make_user("ines@example.com")
    small_redis(maxmemory=1)

    with django_capture_on_commit_callbacks(execute=True):
        mail.queue(password_reset.send_reset_link, user_id=user.pk)
    tasks.wake_deletion(1)

    assert caplog.text.count("The broker does not answer") == 2
    assert Delivery.objects.count() == 1  # the next sweep sends it


@pytest.mark.django_db
def test_with_a_full_redis_people_still_sign_in_and_read_reports(small_redis, client):
    organization = make_organization()
    user = make_member(organization)
    small_redis(maxmemory=1)

    wrong = client.post("/login/", {"username": user.email, "password": "wrong"})
    right = client.post("/login/", {"username": user.email, "password": PASSWORD})
    report = client.get(f"/o/{organization.slug}/reports/explore/?metrics=cost&{DAYS}")

    assert [wrong.status_code, right.status_code, report.status_code] == [200, 302, 200]
    assert client.session["_auth_user_id"] == str(user.pk)


def test_no_message_expires_by_the_clock_of_a_worker():
    """One that runs ahead would drop what it takes."""
    source = [path for app in OURS for path in (ROOT / app).rglob("*.py")]

    assert len(source) > 100
    assert [path for path in source if re.search(r"\bexpires\s*=\s*\d", path.read_text())] == []
    assert not any((entry.get("options") or {}).get("expires") for entry in BEAT)


def test_no_result_is_stored_and_the_longest_task_is_not_handed_out_twice():
    assert app.conf.task_ignore_result
    assert app.conf.result_backend is None
    longest_request = 120 + 5  # seconds; a window makes several, and renews its lease meanwhile
    assert app.conf.broker_transport_options["visibility_timeout"] > longest_request
