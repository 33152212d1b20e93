"""What developers did with Claude Code, by day and person."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from integrations.connectors.anthropic_api.rows import in_dollars, numbers, odd, usd
from integrations.connectors.base import NotAvailable
from integrations.connectors.claude_console.client import AdminClient, Developed, Developer
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


def read_claude_code(client: AdminClient, window: Window) -> Iterator[Page]:
    """One document per person and day. Estimated cost is in it, and never in the cost."""
    known_to = datetime.now(UTC).replace(microsecond=0) - _LAG
    for day in window:
        if midnight(day) >= known_to:
            raise NotAvailable(
                f"Claude Code activity of {day} is not there yet.",
                code="not_available",
                repair="Nothing to do. Anthropic publishes it an hour after use.",
            )
        values: dict[str, Values] = defaultdict(dict)
        people: dict[str, PersonRef] = {}
        for page in client.claude_code(day):
            for row in page.data:
                with client.kept_out.guard(day):
                    person, found = _translated(row, day)
                    people.setdefault(person.external_id, person)
                    for path, number in found.items():
                        _add(values[person.external_id], path, number)
        records = tuple(
            EngagementRecord(day, external_id, people[external_id], found)
            for external_id, found in values.items()
        )
        yield Page(records, known_to, client.organization_id)


def _translated(row: Developed, day: date) -> tuple[PersonRef, Values]:
    """Who it was, and every number; no key of the report is promised to be in one row alone."""
    if row.date[:10] != day.isoformat():
        raise odd(f"{row.date}, which was not asked for")
    person = _person(row.actor)
    if person is None:
        raise odd("a row that does not say whose it is")
    return person, _values(row)


def _person(actor: Developer | None) -> PersonRef | None:
    """The report sends no ids: a person is known by address, a key by its name.

    The address is an id in small letters, so that one person in two spellings is one.
    """
    if actor is None:
        return None
    if actor.email_address:
        return PersonRef(actor.email_address.lower(), actor.email_address, kind="user")
    if actor.api_key_name:
        return PersonRef(f"api_key/{actor.api_key_name}", name=actor.api_key_name, kind="api_key")
    return None


def _values(row: Developed) -> Values:
    """Every number of a row under its path; those Claude Enterprise has, too, under its names."""
    found: Values = {}
    for path, number in numbers({"core_metrics": row.core_metrics}, all_count=True):
        found[f"{_ROOT}.{_KNOWN_AS.get(path, path)}"] = number
    for path, number in numbers({"tool_actions": row.tool_actions}, all_count=True):
        tool, _, decision = path.rpartition(".")
        found[f"{_ROOT}.{tool}.{_DECISIONS.get(decision, decision)}"] = number
    for use in row.model_breakdown:
        for path, number in numbers(use.tokens, all_count=True):
            _add(found, f"{_ROOT}.models.{use.model}.tokens.{path}", number)
        if use.estimated_cost is not None:
            in_dollars(use.estimated_cost.currency)
            estimate = usd(use.estimated_cost.amount)
            _add(found, f"{_ROOT}.estimated_cost_usd", estimate)
            _add(found, f"{_ROOT}.{row.customer_type or 'unknown'}.estimated_cost_usd", estimate)
    return found


def _add(values: Values, path: str, number: int | Decimal) -> None:
    values[path] = add(values.get(path, 0), number)
