"""What people do: active users and seats, each user, and the things they use.

Activity is computed once a day, without a watermark. A distinct count of several days is no sum
of days, so spans are asked for as a whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.connectors.anthropic_api.rows import (
    Read,
    day_in,
    in_dollars,
    numbers,
    odd,
    usd,
    yesterday,
)
from integrations.connectors.base import NotAvailable
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds.days import OLDEST_DAY, published
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import EngagementRecord, Page, PersonRef
from integrations.window import Window

SPANS = (7, 30, 90)  # the days of a span, the shortest first
Row = dict[str, Any]


# --- The whole organization ----------------------------------------------------------------


def read_summaries(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Active users and seats of the whole organization, all days in one request."""
    asked = published(window)
    read = Read()
    records = []
    for entry in _summaries(client, asked):
        day = day_in(asked, entry.get("starting_at"))
        values = dict(numbers(entry))
        if read.is_new((day,), tuple(sorted(values.items()))):
            records.append(EngagementRecord(day, "", None, values))
    yield Page(tuple(records), None, client.organization_id)


def _summaries(client: AnalyticsClient, window: Window) -> list[Row]:
    """The entries of the window; without its newest days if those are refused as too recent."""
    newest = window.last_day
    while True:
        try:
            return client.summaries(window.start, newest + timedelta(days=1))
        except NotAvailable:
            newest -= timedelta(days=1)
            if newest < window.start or newest < yesterday() - _LONGEST_LAG:
                raise


_LONGEST_LAG = timedelta(days=3)  # older texts say three days, current ones one


# --- Users ---------------------------------------------------------------------------------


def read_users(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Activity of every user, day by day: counts of a range would not add up."""
    read = Read()
    for day in published(window):
        for listing in client.activity("/users", _only(day)):
            records = []
            for row in listing.data:
                person = _engaged(row.pop("user", None))
                values = dict(numbers(row))
                if person is None:
                    continue
                if read.is_new((day, person.external_id), tuple(sorted(values.items()))):
                    records.append(EngagementRecord(day, person.external_id, person, values))
            yield Page(tuple(records), None, client.organization_id)


def _engaged(user: Any) -> PersonRef | None:
    if not isinstance(user, dict) or not isinstance(user.get("id"), str):
        return None
    email = user.get("email_address") or user.get("email")
    return PersonRef(canonical_id(user["id"]), email if isinstance(email, str) else "")


def read_user_spans(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """How many people did anything over a span, at all and by product.

    Counted from the provider's own row per person: nobody is counted twice.
    """
    return _by_span(window, lambda span: _active_people(client, span))


def _active_people(client: AnalyticsClient, span: Window) -> Iterator[Page]:
    counts = {"distinct_user_count": 0}
    seen: set[str] = set()
    for listing in client.activity("/users", span):
        for row in listing.data:
            person = _engaged(row.pop("user", None))
            if person is None or person.external_id in seen:
                continue
            seen.add(person.external_id)
            used = [name for name, block in row.items() if _is_active(block)]
            counts["distinct_user_count"] += bool(used)
            for name in used:
                if name.endswith("_metrics"):
                    path = f"{name}.distinct_user_count"
                    counts[path] = counts.get(path, 0) + 1
    record = EngagementRecord(span.last_day, "", None, counts, days=len(span))
    yield Page((record,), None, client.organization_id)


def _is_active(block: Any) -> bool:
    return any(number > 0 for _, number in numbers({"": block}))


# --- Things people use ---------------------------------------------------------------------


@dataclass(frozen=True)
class Things:
    """An endpoint with a row per thing. `subject` is its stable key, `name` what it is called."""

    endpoint: str
    subject: Callable[[Row], Any]
    name: Callable[[Row], Any]

    def read(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """Day by day, not cut by product: blocks of a row tell products apart already."""
        read = Read()
        for day in published(window):
            yield from self._pages(client, _only(day), read)

    def read_spans(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """What a span of days comes to, its distinct people counted by the provider."""
        read = Read()
        return _by_span(window, lambda span: self._pages(client, span, read))

    def _pages(self, client: AnalyticsClient, days: Window, read: Read) -> Iterator[Page]:
        for listing in client.activity(self.endpoint, days):
            records = []
            for row in listing.data:
                subject, name = self.subject(row), self.name(row)
                if not isinstance(subject, str):
                    raise odd(f"a row of {self.endpoint} that does not say what it is about")
                values = dict(_values(row))
                key = (days.last_day, subject, len(days))
                if read.is_new(key, tuple(sorted(values.items()))):
                    records.append(
                        EngagementRecord(
                            days.last_day,
                            subject,
                            None,
                            values,
                            name=name if isinstance(name, str) else "",
                            days=len(days),
                        )
                    )
            yield Page(tuple(records), None, client.organization_id)


def _values(row: Row) -> Iterator[tuple[str, int | Decimal]]:
    """The numbers of a row; its estimates of money, strings of cents, as exact dollars."""
    yield from numbers(row)
    for name in ("estimated_overage_spend", "attributed_list_price"):
        cents = row.get(name)
        if isinstance(cents, str):
            in_dollars(row.get("currency"))
            try:
                yield f"{name}_usd", usd(Decimal(cents))
            except InvalidOperation:
                raise odd("an amount that is not a number") from None


def _shared(row: Row) -> str | None:
    if not isinstance(row.get("artifact_type"), str):
        return None
    return f"{row['artifact_type']}|{'shared' if row.get('is_shared') else 'private'}"


SKILLS = Things(
    "/skills", lambda row: row.get("skill_name"), lambda row: row.get("skill_display_name")
)
CONNECTORS = Things(
    "/connectors",
    lambda row: row.get("connector_name"),
    lambda row: row.get("connector_display_name"),
)
PLUGINS = Things(
    "/plugins",
    lambda row: row.get("plugin_id") or row.get("plugin_name"),
    lambda row: row.get("plugin_name"),
)
ARTIFACTS = Things("/artifacts", _shared, lambda row: row.get("artifact_type"))
PROJECTS = Things(
    "/apps/chat/projects", lambda row: row.get("project_id"), lambda row: row.get("project_name")
)


# --- Days and spans ------------------------------------------------------------------------


def _only(day: date) -> Window:
    return Window(day, day + timedelta(days=1))


def _by_span(window: Window, pages: Callable[[Window], Iterator[Page]]) -> Iterator[Page]:
    """Read the spans that end with the newest day of the window, as far as data goes back."""
    end = published(window).end
    for days in SPANS:
        start = end - timedelta(days=days)
        if start < OLDEST_DAY:
            return
        try:
            yield from pages(Window(start, end))
        except NotAvailable:
            if days == SPANS[0]:
                raise
            return  # it does not reach back so far: longer spans stay unknown
