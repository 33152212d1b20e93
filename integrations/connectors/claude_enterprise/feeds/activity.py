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
    records = []
    for entry in _summaries(client, asked):
        with client.kept_out.guard():
            day = day_in(asked, entry.get("starting_at"))
            with client.kept_out.guard(day):
                records.append(EngagementRecord(day, "", None, dict(numbers(entry))))
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
    for day in published(window):
        for listing in client.activity("/users", _only(day)):
            records = []
            for row in listing.data:
                with client.kept_out.guard(day):
                    person = _engaged(row.pop("user", None))
                    if person is None:
                        raise odd("a row of /users that does not say whose it is")
                    values = dict(numbers(row))
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
    active: dict[str, set[str]] = {"distinct_user_count": set()}
    for listing in client.activity("/users", span):
        for row in listing.data:
            person = _engaged(row.pop("user", None))
            if person is None:
                continue
            with client.kept_out.guard(span.last_day):
                used = [name for name, block in row.items() if _is_active(block)]
                if used:
                    active["distinct_user_count"].add(person.external_id)
                for name in used:
                    if name.endswith("_metrics"):
                        path = f"{name}.distinct_user_count"
                        active.setdefault(path, set()).add(person.external_id)
    counts = {path: len(people) for path, people in active.items()}
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
        for day in published(window):
            yield from self._pages(client, _only(day))

    def read_spans(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """What a span of days comes to, its distinct people counted by the provider."""
        return _by_span(window, lambda span: self._pages(client, span))

    def _pages(self, client: AnalyticsClient, days: Window) -> Iterator[Page]:
        for listing in client.activity(self.endpoint, days):
            records = []
            for row in listing.data:
                with client.kept_out.guard(days.last_day):
                    records.append(self._record(row, days))
            yield Page(tuple(records), None, client.organization_id)

    def _record(self, row: Row, days: Window) -> EngagementRecord:
        subject, name = self.subject(row), self.name(row)
        if not isinstance(subject, str):
            raise odd(f"a row of {self.endpoint} that does not say what it is about")
        return EngagementRecord(
            days.last_day,
            subject,
            None,
            dict(_values(row)),
            name=name if isinstance(name, str) else "",
            days=len(days),
        )


def _values(row: Row) -> Iterator[tuple[str, int | Decimal]]:
    """The numbers of a row; its estimates of money, strings of cents, as exact dollars."""
    money = ("estimated_overage_spend", "attributed_list_price")
    yield from numbers({name: value for name, value in row.items() if name not in money})
    for name in money:
        cents = row.get(name)
        if isinstance(cents, str | int | Decimal):
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
