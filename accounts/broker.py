"""Length of task queues."""

from typing import Any

from celery import Task, current_app
from kombu.exceptions import ChannelError, OperationalError


def waiting(task: "Task[..., None] | str") -> int:
    """Return how many messages wait in the queue of the task, whatever their priority.

    Raise kombu's `OperationalError` if the broker does not answer.
    """
    name = task if isinstance(task, str) else task.name
    if current_app.conf.task_always_eager:
        return 0
    queue = current_app.amqp.router.route({}, name)["queue"].name
    with current_app.connection_for_read() as connection:
        try:
            # Not `default_channel`, which waits until the broker is back.
            channel: Any = connection.channel()
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except ChannelError:  # the queue does not exist yet
            return 0
        except connection.connection_errors as exc:
            raise OperationalError(str(exc)) from exc
