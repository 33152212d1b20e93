"""Every task waits in one declared queue, and the documented workers take from all of them."""

from pathlib import Path

import pytest
import yaml

from config import queues
from config.celery import app

ROOT = Path(__file__).resolve().parents[2]


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
