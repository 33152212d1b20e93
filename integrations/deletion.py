"""Erase a connection and every fact it brought, in pieces small enough to be interrupted."""

from django.db import connection as database
from django.db import transaction

from integrations.models import (
    Connection,
    CostByMeter,
    CostByPerson,
    CostFact,
    CostTotal,
    EngagementFact,
    UsageByMeter,
    UsageByPerson,
    UsageFact,
    UsageTotal,
)

_PIECE = 20_000
_BIG_TABLES = (
    CostFact,
    CostTotal,
    CostByMeter,
    CostByPerson,
    UsageFact,
    UsageTotal,
    UsageByMeter,
    UsageByPerson,
    EngagementFact,
)


def erase(connection_id: int) -> None:
    """Delete facts piece by piece, then the connection with the rest. Safe to run twice."""
    if not Connection.objects.filter(pk=connection_id, state=Connection.State.DELETING).exists():
        return
    for model in _BIG_TABLES:
        while _delete_piece(model._meta.db_table, connection_id):
            pass
    with transaction.atomic():
        for connection in Connection.objects.select_for_update(skip_locked=True).filter(
            pk=connection_id
        ):
            connection.delete()


def _delete_piece(table: str, connection_id: int) -> int:
    with database.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN"  # noqa: S608 - our own table names
            f" (SELECT id FROM {table} WHERE connection_id = %s LIMIT %s)",
            [connection_id, _PIECE],
        )
        return int(cursor.rowcount)
