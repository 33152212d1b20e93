"""Activity of developers with Claude Code, by day and person."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from integrations.connectors.anthropic.parsing import in_dollars, numbers, payload_error, usd
from integrations.connectors.base import NotAvailable
from integrations.connectors.claude_console.client import (
    ActivityRow,
    AdminClient,
    DeveloperActivity,
)
from integrations.connectors.records import EngagementRecord, Page, PersonRef
from integrations.exact import add
from integrations.window import Window, midnight

Values = dict[str, int | Decimal]

_LAG = timedelta(hours=1)  # younger activity is held back, so that pages stay stable
_ROOT = "claude_code_metrics"

# Claude Enterprise reports the same acts under these names: one question fits both.
_KNOWN_AS = {
    "core_metrics.num_sessions": "core_metrics.distinct_session_count",
    "core_metrics.lines_of_code.added": "core_metrics.lines_of_code.added_count",
    "core_metrics.lines_of_code.removed": "core_metrics.lines_of_code.removed_count",
    "core_metrics.commits_by_claude_code": "core_metrics.commit_count",
    "core_metrics.pull_requests_by_claude_code": "core_metrics.pull_request_count",
}
_DECISIONS = {"accepted": "accepted_count", "rejected": "rejected_count"}


BY_MODEL = "claude_code_by_model"

_Key = tuple[str, tuple[tuple[str, str], ...]]  # who, and how: the labels of a document


def read_claude_code(client: AdminClient, window: Window) -> Iterator[Page]:
    """Read one document per day, person, terminal and subscription, and those by model.

    Estimated cost is in both, and never in the cost.
    """
    yield from _pages(client, window)


def read_claude_code_by_model(client: AdminClient, window: Window) -> Iterator[Page]:
    """Tokens and estimated cost of each model: a document per day, person, terminal and model."""
    for page in _pages(client, window):
        if page.feed == BY_MODEL:
            yield replace(page, feed="")


def _pages(client: AdminClient, window: Window) -> Iterator[Page]:
    known_to = datetime.now(UTC).replace(microsecond=0) - _LAG
    for day in window:
        if midnight(day) >= known_to:
            raise NotAvailable(
                f"Claude Code activity of {day} is not there yet.",
                code="not_available",
                repair="Anthropic publishes it an hour after use.",
            )
        whole: dict[_Key, Values] = defaultdict(dict)
        by_model: dict[_Key, Values] = defaultdict(dict)
        people: dict[str, PersonRef] = {}  # an address is one person in any case of its letters
        for page in client.claude_code(day):
            for row in page.data:
                with client.kept_out.guard(day):
                    person, models, values = _translated(row, day)
                    who, labels = person.external_id, _labels(row)
                    people.setdefault(who, person)
                    _add_all(whole[who, labels], values)
                    for model, used in models:
                        _add_all(by_model[who, (*labels, ("sku", model))], used)
        for feed, documents in ((BY_MODEL, by_model), ("", whole)):
            records = tuple(
                EngagementRecord(
                    day, _subject(who, labels), people[who], values, labels=dict(labels)
                )
                for (who, labels), values in documents.items()
            )
            yield Page(records, known_to, client.organization_id, feed=feed)


def _labels(row: ActivityRow) -> tuple[tuple[str, str], ...]:
    """Return how Claude Code was used; "" for what the report does not have."""
    remote = {True: "remote", False: "local"}
    return (
        ("terminal_type", row.terminal_type or ""),
        ("customer_type", row.customer_type or ""),
        ("subscription_type", row.subscription_type or ""),
        ("environment", remote.get(row.is_remote, "") if row.is_remote is not None else ""),
    )


def _subject(external_id: str, labels: tuple[tuple[str, str], ...]) -> str:
    return "|".join((external_id, *(value for _, value in labels)))


def _translated(
    row: ActivityRow, day: date
) -> tuple[PersonRef, Sequence[tuple[str, Values]], Values]:
    """Return the person, the numbers of each model, and all numbers of a row.

    No key of the report is promised to be unique: rows of one are parts of one document.
    """
    if row.date[:10] != day.isoformat():
        raise payload_error(f"{row.date}, which was not asked for")
    person = _person(row.actor)
    if person is None:
        raise payload_error("a row that does not say whose it is")
    models = tuple(_models(row))
    return person, models, _values(row, models)


def _person(actor: DeveloperActivity | None) -> PersonRef | None:
    """Return the person by address or the key by name, since the report has no ids.

    The address is an id in small letters, so that one person in two spellings is one.
    """
    if actor is None:
        return None
    if actor.email_address:
        return PersonRef(actor.email_address.lower(), actor.email_address, kind="user")
    if actor.api_key_name:
        return PersonRef(f"api_key/{actor.api_key_name}", name=actor.api_key_name, kind="api_key")
    return None


def _values(row: ActivityRow, models: Iterable[tuple[str, Values]]) -> Values:
    """Every number of a row under its path; those Claude Enterprise has, too, under its names."""
    values: Values = {}
    for path, number in numbers({"core_metrics": row.core_metrics}, all_count=True):
        values[f"{_ROOT}.{_KNOWN_AS.get(path, path)}"] = number
    for path, number in numbers({"tool_actions": row.tool_actions}, all_count=True):
        tool, _, decision = path.rpartition(".")
        values[f"{_ROOT}.{tool}.{_DECISIONS.get(decision, decision)}"] = number
    for _, used in models:
        _add_all(values, used)
    return values


def _models(row: ActivityRow) -> Iterator[tuple[str, Values]]:
    """Return the usage of a row by model. A model may occur twice."""
    for use in row.model_breakdown:
        tokens = numbers(use.tokens, all_count=True)
        used: Values = {f"{_ROOT}.tokens.{path}": number for path, number in tokens}
        if use.estimated_cost is not None:
            in_dollars(use.estimated_cost.currency)
            used[f"{_ROOT}.estimated_cost_usd"] = usd(use.estimated_cost.amount)
        yield use.model, used


def _add_all(values: Values, more: Values) -> None:
    for path, number in more.items():
        values[path] = add(values.get(path, 0), number)
