"""Find the start of a provider's data behind many days without any use."""

from datetime import timedelta
from typing import Any

from django.db.models import Min

from integrations.connectors.base import Feed, NotAvailable, Table
from integrations.models import Connection, CostTotal, FeedDay, UsageTotal
from integrations.window import Window

BEFORE_DATA = "before_data"  # the code of what is not asked for
_TOTALS: dict[Table, Any] = {Table.COST: CostTotal, Table.USAGE: UsageTotal}


def refuse_if_before_data(connection: Connection, feed: Feed, window: Window) -> None:
    """Raise `NotAvailable` for days that lie before the first use; asks the database alone.

    Windows are read from the newest to the oldest, so what follows `window` is known by then.
    """
    if is_before_data(connection, feed, window):
        raise NotAvailable(
            f"Not read: the {feed.empty_days} days after {window} are empty, so the data is taken "
            "to start later.",
            code=BEFORE_DATA,
            repair="If there was use before that pause, read those days with "
            "`manage.py sync --since … --until …`.",
        )


def is_before_data(connection: Connection, feed: Feed, window: Window) -> bool:
    """Return True if nothing older is known and enough of the oldest known days are empty."""
    if not feed.empty_days:
        return False
    for name in _deciding(connection, feed):
        days = FeedDay.objects.filter(connection=connection, feed=name)
        if days.filter(day__lt=window.start).exists():
            return False
        first = days.filter(day__gte=window.end).aggregate(first=Min("day"))["first"]
        if first is None:
            return False
        empty = Window(first, first + timedelta(days=feed.empty_days))
        known = days.filter(day__gte=empty.start, day__lt=empty.end)
        if known.count() < len(empty):
            return False
        if not feed.is_metered and known.filter(rows__gt=0).exists():
            return False
        if feed.is_metered and (
            _TOTALS[feed.table].objects.within(empty).filter(connection=connection).exists()
        ):
            return False
    return True


def _deciding(connection: Connection, feed: Feed) -> list[str]:
    """Return the feeds that show any use, since people may have started later than programs."""
    if not feed.is_metered:
        return [feed.name]
    return [
        other.name
        for other in connection.connector.feeds
        if other.table is feed.table and other.grain == "total"
    ]
