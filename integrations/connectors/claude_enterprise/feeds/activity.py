"""Read activity: active users and seats, each user, and the items they use.

Activity is computed once a day, without a watermark. Distinct counts of several days are no sums of
days, so spans are read as a whole.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.connectors.anthropic.parsing import (
    in_dollars,
    numbers,
    payload_error,
    requested_day,
    usd,
    yesterday,
)
from integrations.connectors.anthropic.reports import product_of
from integrations.connectors.base import ConnectorError, NotAvailable
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.connectors.claude_enterprise.feeds.days import OLDEST_DAY, published_days
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import (
    NOT_READ,
    EngagementRecord,
    Page,
    PersonRef,
    ResourceRef,
    is_sum,
)
from integrations.exact import add
from integrations.window import Window

SPANS = (7, 30, 90)  # the days of a span, the shortest first
USER, PRODUCT, GROUP = "user_id", "product", "rbac_group_id"
ITEM = "item"  # the label of what was used
UNIFIED = "chat_cowork_unified_metrics"  # counts instead of Chat and Cowork, for some people
Row = dict[str, Any]


# --- The whole organization ----------------------------------------------------------------


def read_summaries(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Active users and seats of the whole organization, all days in one request."""
    asked = published_days(window)
    records = []
    for entry in _summaries(client, asked):
        with client.kept_out.guard():
            day = requested_day(asked, entry.get("starting_at"))
            with client.kept_out.guard(day):
                records.append(EngagementRecord(day, "", None, dict(numbers(entry))))
    yield Page(tuple(records), None, client.organization_id)


def _summaries(client: AnalyticsClient, window: Window) -> list[Row]:
    """Return the entries of the window, without the newest days if they are not published yet."""
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
    for day in published_days(window):
        for listing in client.activity("/users", _only(day)):
            records = []
            for row in listing.data:
                with client.kept_out.guard(day):
                    person = _engaged(row.pop("user", None))
                    if person is None:
                        raise payload_error("a row of /users that does not say whose it is")
                    values = dict(numbers(row))
                    records.append(EngagementRecord(day, person.external_id, person, values))
            yield Page(tuple(records), None, client.organization_id)


def _engaged(user: Any) -> PersonRef | None:
    if not isinstance(user, dict) or not isinstance(user.get("id"), str):
        return None
    email = user.get("email_address") or user.get("email")
    return PersonRef(canonical_id(user["id"]), email if isinstance(email, str) else "")


def read_user_spans(client: AnalyticsClient, window: Window) -> Iterator[Page]:
    """Read the number of people active over a span, in total and by product.

    The counts come from the provider's row per person, so each person counts once.
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


# --- Items that people use -----------------------------------------------------------------


@dataclass(frozen=True)
class UsageListing:
    """An endpoint with a row per item. `subject` is its stable key, `name` what it is called.

    `feed` is the name of its feed; its feeds with dimensions are called `<feed>_by_person` and
    `<feed>_by_group`. `dimensions` are those by person, `optional` those among them
    that may be refused: by a cap, or because older organizations do not have them. `distinct` are
    the paths that count people.
    """

    feed: str
    endpoint: str
    subject: Callable[[Row], Any]
    name: Callable[[Row], Any]
    dimensions: tuple[str, ...] = (USER, PRODUCT)
    optional: tuple[str, ...] = (PRODUCT,)
    distinct: tuple[str, ...] = ("distinct_user_count",)

    def read(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """Day by day, not grouped by product: blocks of a row tell products apart already."""
        for day in published_days(window):
            yield from self._pages(client, _only(day))

    def read_spans(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """Read the totals of a span of days, whose distinct people the provider counts."""
        return _by_span(window, lambda span: self._pages(client, span))

    def read_by_person(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """Read the users of each item by product."""
        for day in published_days(window):
            for rows in self._rows_by_person(client, day):
                records = []
                for row in rows:
                    with client.kept_out.guard(day):
                        records.append(self._used(row, day))
                yield Page(tuple(records), None, client.organization_id)

    def read_with_people(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """Read the users of each item, and derive its totals without another request."""
        for day in published_days(window):
            sums: dict[str, _Sum] = {}
            for rows in self._rows_by_person(client, day):
                records = []
                for row in rows:
                    with client.kept_out.guard(day):
                        record = self._used(row, day)
                        records.append(record)
                        item = record.labels[ITEM]
                        sums.setdefault(item, _Sum(self.distinct)).add(record)
                yield Page(
                    tuple(records), None, client.organization_id, feed=f"{self.feed}_by_person"
                )
            whole = (EngagementRecord(day, item, None, *sums[item].whole()) for item in sums)
            yield Page(tuple(whole), None, client.organization_id)

    def read_by_group(self, client: AnalyticsClient, window: Window) -> Iterator[Page]:
        """Read the usage of each group; groups overlap, as people may be in several."""
        for day in published_days(window):
            for listing in client.activity(self.endpoint, _only(day), group_by=(GROUP,)):
                records, names = [], {}
                for row in listing.data:
                    with client.kept_out.guard(day):
                        record, called = self._used_by_group(row, day)
                        records.append(record)
                        group = record.labels[GROUP]
                        if group and called:
                            names[group] = ResourceRef(GROUP, group, called)
                yield Page(
                    tuple(records), None, client.organization_id, resources=tuple(names.values())
                )

    def _used_by_group(self, row: Row, day: date) -> tuple[EngagementRecord, str]:
        """Return the usage of an item by one group, and the name of the group."""
        group, called = _text(row.pop(GROUP, None)), _text(row.pop("rbac_group_name", None))
        item, name = self._item(row)
        labels = {ITEM: item, GROUP: group}
        values = dict(_values(row))
        return EngagementRecord(
            day, _joined(item, group), None, values, name=name, labels=labels
        ), called

    def _rows_by_person(self, client: AnalyticsClient, day: date) -> Iterator[list[Row]]:
        """Rows by person and product, page by page; less finely where that is refused."""
        refused = client.learned.not_read(self.endpoint)
        dimensions = tuple(name for name in self.dimensions if name not in refused)
        listings = client.activity(self.endpoint, _only(day), group_by=dimensions)
        try:
            first = next(listings, None)
        except NotAvailable:
            smaller = tuple(name for name in dimensions if name not in self.optional)
            if smaller == dimensions:
                raise
            yield []
            listings = client.activity(self.endpoint, _only(day), group_by=smaller)
            first = next(listings, None)
            client.learned.leave_out(self.endpoint, self.optional)
        if first is not None:
            yield first.data
        for listing in listings:
            yield listing.data

    def _used(self, row: Row, day: date) -> EngagementRecord:
        """Return the usage of an item by one person, or None where the provider names no one."""
        user = canonical_id(_text(row.pop(USER, None)))
        product = product_of(_text(row.pop(PRODUCT, NOT_READ)))
        item, name = self._item(row)
        labels = {ITEM: item, "service": product} if PRODUCT in self.dimensions else {ITEM: item}
        return EngagementRecord(
            day,
            _joined(item, user, product),
            PersonRef(user) if user else None,
            dict(_values(row)),
            name=name,
            labels=labels,
        )

    def _item(self, row: Row) -> tuple[str, str]:
        subject = self.subject(row)
        if not isinstance(subject, str):
            raise payload_error(f"a row of {self.endpoint} that does not say what it is about")
        return subject, _text(self.name(row))

    def _pages(self, client: AnalyticsClient, days: Window) -> Iterator[Page]:
        for listing in client.activity(self.endpoint, days):
            records = []
            for row in listing.data:
                with client.kept_out.guard(days.last_day):
                    subject, name = self._item(row)
                    values = dict(_values(row))
                    records.append(
                        EngagementRecord(
                            days.last_day, subject, None, values, name=name, days=len(days)
                        )
                    )
            yield Page(tuple(records), None, client.organization_id)


class _Sum:
    """Sum of the documents of one item by person and product.

    A number is known where every document has it. Blocks that only some people have are added
    where they are. People are counted once each, wherever one of them was observed.
    """

    def __init__(self, distinct: Sequence[str]) -> None:
        self._distinct = distinct
        self._documents: dict[str, tuple[PersonRef | None, dict[str, int | Decimal]]] = {}
        self._name = ""

    def add(self, record: EngagementRecord) -> None:
        """Add a row. Rows of one person and product are parts of one document."""
        self._name = self._name or record.name
        _, known = self._documents.setdefault(record.subject, (record.person, {}))
        for path, number in record.values.items():
            if path not in known:
                known[path] = number
            else:
                before = known[path]
                known[path] = add(before, number) if is_sum(path) else max(before, number)

    def whole(self) -> tuple[dict[str, int | Decimal], str]:
        """Return the values and the name of the document of the whole organization."""
        sums: dict[str, int | Decimal] = defaultdict(int)
        counts: dict[str, int] = defaultdict(int)
        people: dict[str, set[str]] = defaultdict(set)
        for person, numbers_of in self._documents.values():
            for path, number in numbers_of.items():
                counts[path] += 1
                if path not in self._distinct or person is None:
                    sums[path] = add(sums[path], number)
                elif number:
                    people[path].add(person.external_id)
        values = {
            path: sums[path] + len(people[path])
            for path, count in counts.items()
            if count == len(self._documents) or path in self._distinct or path.startswith(UNIFIED)
        }
        return values, self._name


def _joined(*parts: str) -> str:
    """Return the item of a document that is identified by several values."""
    return "|".join(parts)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _values(row: Row) -> Iterator[tuple[str, int | Decimal]]:
    """Return the numbers of a row, with estimates in cents converted to dollars."""
    money = ("estimated_overage_spend", "attributed_list_price")
    yield from numbers({name: value for name, value in row.items() if name not in money})
    for name in money:
        cents = row.get(name)
        if isinstance(cents, str | int | Decimal):
            in_dollars(row.get("currency"))
            try:
                yield f"{name}_usd", usd(Decimal(cents))
            except InvalidOperation:
                raise payload_error("an amount that is not a number") from None


def _shared(row: Row) -> str | None:
    if not isinstance(row.get("artifact_type"), str):
        return None
    return f"{row['artifact_type']}|{'shared' if row.get('is_shared') else 'private'}"


SKILLS = UsageListing(
    "skills",
    "/skills",
    lambda row: row.get("skill_name"),
    lambda row: row.get("skill_display_name"),
)
CONNECTORS = UsageListing(
    "connectors",
    "/connectors",
    lambda row: row.get("connector_name"),
    lambda row: row.get("connector_display_name"),
    distinct=(
        "distinct_user_count",
        "managed_auth_distinct_user_count",
        "individual_auth_distinct_user_count",
    ),
)
PLUGINS = UsageListing(
    "plugins",
    "/plugins",
    lambda row: row.get("plugin_id") or row.get("plugin_name"),
    lambda row: row.get("plugin_name"),
    distinct=("distinct_user_count", "install_count"),
)
ARTIFACTS = UsageListing(
    "artifacts",
    "/artifacts",
    _shared,
    lambda row: row.get("artifact_type"),
)
PROJECTS = UsageListing(
    "projects",
    "/apps/chat/projects",
    lambda row: row.get("project_id"),
    lambda row: row.get("project_name"),
    dimensions=(USER,),  # they belong to Chat: a product is refused
    optional=(),
)
ITEM_KINDS = (SKILLS, CONNECTORS, PLUGINS, ARTIFACTS, PROJECTS)


def recheck_left_out(client: AnalyticsClient, today: date) -> None:
    """Learn which items still cannot be grouped as finely, if all is asked for again."""
    day = today - timedelta(days=1) - _LONGEST_LAG  # recent, and published for certain
    for kind in ITEM_KINDS:
        if client.learned.left_out_before(kind.endpoint):
            try:
                next(client.activity(kind.endpoint, _only(day), group_by=kind.dimensions), None)
            except ConnectorError:
                client.learned.leave_out(kind.endpoint, kind.optional)


# --- Days and spans ------------------------------------------------------------------------


def _only(day: date) -> Window:
    return Window(day, day + timedelta(days=1))


def _by_span(window: Window, pages: Callable[[Window], Iterator[Page]]) -> Iterator[Page]:
    """Read the spans that end with the newest day of the window, as far as data goes back."""
    end = published_days(window).end
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
