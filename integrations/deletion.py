"""Erase a connection and all that hangs on it, in pieces small enough to be interrupted."""

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from graphlib import TopologicalSorter

from django.db import connection as database
from django.db import models, transaction
from django.db.models import F

from integrations import notices
from integrations.models import Connection

_BATCH_SIZE = 20_000
_LOCK = 0x65726173  # a number of our own among the advisory locks of this database


def delete_history(connection_id: int, *, seconds: float | None = None) -> bool:
    """Delete piece by piece, then the connection itself. Safe to run twice, also at once.

    Stop after about so many seconds, and return False if something is left to erase.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    with _exclusive(connection_id) as is_ours:
        deleting = Connection.objects.filter(pk=connection_id, state=Connection.State.DELETING)
        if not is_ours or not deleting.exists():
            return True
        if deleting.filter(rows_to_erase__isnull=True).exists():
            total = sum(_rows(model, connection_id).count() for model in _paths())
            deleting.update(rows_to_erase=total)
        for model in _paths():
            while deleted := _delete_batch(model, connection_id):
                deleting.update(rows_erased=F("rows_erased") + deleted)
                if ends_at is not None and time.monotonic() >= ends_at:
                    return False
        with transaction.atomic():
            for connection in deleting.select_for_update(no_key=True):
                notices.record_deletion(connection)
                connection.delete()
    return True


@contextmanager
def _exclusive(connection_id: int) -> Iterator[bool]:
    """Return True if no other process deletes this connection; locks of dead ones are free."""
    lock = [_LOCK, connection_id % 2**31]
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", lock)
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with database.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", lock)


@cache
def _paths() -> dict[type[models.Model], str]:
    """Return the path from each model to its connection, referencing models first.

    Read from the models, so that a table added later is erased too.
    """
    paths: dict[type[models.Model], str] = {}
    pointers: dict[type[models.Model], set[type[models.Model]]] = defaultdict(set)
    parents: deque[tuple[type[models.Model], str]] = deque([(Connection, "")])
    while parents:
        parent, path = parents.popleft()
        for relation in parent._meta.get_fields(include_hidden=True):
            if not isinstance(relation, models.ManyToOneRel):
                continue
            if relation.on_delete is not models.CASCADE:
                continue
            child = relation.field.model
            pointers[parent].add(child)
            if child not in paths:  # the shortest way, because parents are taken in their turn
                paths[child] = f"{relation.field.name}__{path}" if path else relation.field.name
                parents.append((child, paths[child]))
    order = TopologicalSorter(pointers).static_order()
    return {model: paths[model] for model in order if model is not Connection}


def _rows(model: type[models.Model], connection_id: int) -> "models.QuerySet[models.Model]":
    return model._base_manager.filter(**{_paths()[model]: connection_id})


def _delete_batch(model: type[models.Model], connection_id: int) -> int:
    """Delete some rows past the ORM, which would look for what points to each of them."""
    piece, values = _rows(model, connection_id).values("pk")[:_BATCH_SIZE].query.sql_with_params()
    table, key = model._meta.db_table, model._meta.pk.column
    with database.cursor() as cursor:
        # An array is looked up in the index of the key, whatever the planner knows of the
        # connection; for IN it may read the whole table once a piece.
        cursor.execute(
            f"DELETE FROM {table} WHERE {key} = ANY(ARRAY({piece}))",  # noqa: S608
            values,
        )
        return int(cursor.rowcount)
