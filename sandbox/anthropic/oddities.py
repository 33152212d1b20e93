"""Answers of an organization that differ from the documentation on purpose.

Everything that a live API may send beside what it documents, in one place: readers have to survive
it, and people can try it with the key `…-sandbox-oddities` of either product. This company breaks:

    names           NUL, half of a surrogate pair, control characters, 400 letters, only blanks,
                    and several people and objects called "Other"
    models          one has a name of 300 letters, in the ledger and as a filter, too
    amounts         more than twenty decimals: each is larger by its own 10^-18th part, so that
                    sums of rows stay sums
    currency        "usd" in small letters
    next_page       "" on the last page
    instants        without a zone
    maps and lists  null where every number in them is zero, or the list is empty
    equal keys      two rows of one key where the API does not group by what we ask (`doubled`)
    broken rows     on the 13th of a month, the first row of some reports makes no sense (`broken`)

Apart from that it is a company like the others: without `spoil`, its answers are as documented.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any
from urllib.parse import parse_qs

from sandbox.anthropic.dice import seed

BROKEN_DAY = 13  # of every month
MODEL = f"claude-haiku-{'of-very-many-letters-' * 13}2026-10-01-xyz"  # 300 letters
OTHER = "Other"

Row = dict[str, Any]
_EXACT = Context(prec=200)
_MORE = Decimal("1.000000000000000001")  # what every amount is multiplied by
_NAMES = {
    *("name", "api_key_name", "rbac_group_name"),
    *("skill_display_name", "connector_display_name", "project_name"),
}
_UNNAMED = {"Deleted User"}
_AMOUNTS = {"amount", "list_amount", "estimated_overage_spend", "attributed_list_price"}
_INSTANTS = {"starting_at", "ending_at", "data_refreshed_at", "date"}
_MAPS = {"cache_creation", "server_tool_use", "multi_edit_tool", "tags"}
# Of two rows with one key, the second lacks what cannot be divided.
_UNDIVIDED = {
    *("model_breakdown", "tool_actions"),
    *("estimated_overage_spend", "attributed_list_price"),
}
# Both rows count the same people, projects or conversations.
_DISTINCT = ("_user_count", "install_count", "enable_count")


@dataclass(frozen=True)
class Broken:
    """A value that makes no sense, at a path of a row, in rows that have a value at `where`."""

    path: tuple[str, ...]
    value: Any
    where: tuple[str, ...]


@dataclass(frozen=True)
class Oddities:
    """Oddities of the rows of one product's endpoints. A row of one user is never doubled."""

    doubled: frozenset[str]
    broken: Mapping[str, Broken]

    def spoil(self, body: Row, endpoint: str, query_string: str) -> Row:
        """Return a copy of an answer as this company gets it."""
        query = parse_qs(query_string)
        copied: Row = _copied(body)
        lists = list(_lists(copied))
        broken = self.broken.get(endpoint)
        broken_row = None
        if broken is not None and "page" not in query:
            asked_on = query.get("date", query.get("starting_at", [""]))[0]
            broken_row = _first_to_break(lists, broken, asked_on)
        if endpoint in self.doubled:
            for rows, _ in lists:
                rows[:] = [
                    part
                    for row in rows
                    for part in ([row] if row is broken_row or row.get("user") else _halves(row))
                ]
        if broken is not None and broken_row is not None:
            _at(broken_row, broken.path[:-1])[broken.path[-1]] = broken.value
        spoiled: Row = _respelled(copied, has_export=bool(body.get("data_refreshed_at")))
        return spoiled


def odd_name(name: str) -> str:
    """Return the spoiled form of a name; the same name is always spoiled alike."""
    return (
        f"{name}\0",
        f"{name} \ud83d",
        f"\x1b[31m{name}\t\r\n",
        f"{name} {'of many letters ' * 25}",
        OTHER,
        "   ",
        name,
    )[seed("called", name) % 7]


def _lists(body: Row) -> Iterator[tuple[list[Row], str]]:
    """Return the lists of rows, each with the day of its bucket or ""."""
    for name in ("data", "summaries"):
        rows = body.get(name) or []
        if rows and "results" in rows[0]:
            yield from ((bucket["results"], bucket["starting_at"]) for bucket in rows)
        else:
            yield rows, ""


def _first_to_break(
    lists: list[tuple[list[Row], str]], broken: Broken, asked_on: str
) -> Row | None:
    for rows, bucket in lists:
        for row in rows:
            day = (bucket or row.get("starting_at") or asked_on)[:10]
            if day.endswith(f"-{BROKEN_DAY}") and _at(row, broken.where):
                return row
    return None


def _at(row: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        row = row[name] if isinstance(row, dict) and row.get(name) else None
    return row


def _copied(value: Any) -> Any:
    """Rows are shared by answers, so none may be changed in place."""
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list | tuple) else value


def _halves(row: Row) -> tuple[Row, Row]:
    """Two rows of one key that sum to the row."""
    first, second = {}, {}
    for name, value in row.items():
        first[name] = second[name] = value
        if name in _UNDIVIDED:
            second[name] = None
        elif isinstance(value, dict):
            first[name], second[name] = _halves(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            is_distinct = name.startswith("distinct_") and "created" not in name
            if not (is_distinct or name.endswith(_DISTINCT)):
                first[name], second[name] = value - value // 2, value // 2
    return first, second


def _respelled(value: Any, name: str = "", *, has_export: bool) -> Any:
    """Return the rows in words and shapes that the documentation does not name."""
    if isinstance(value, dict):
        if name in _MAPS and not any(value.values()):
            return None
        return {at: _respelled(inner, at, has_export=has_export) for at, inner in value.items()}
    if isinstance(value, list):
        if name == "results" and not value and has_export:
            return None  # the export covers the day: nothing was used
        return [_respelled(inner, has_export=has_export) for inner in value]
    if name == "next_page" and value is None:
        return ""
    if not isinstance(value, str):
        return value
    if name in _NAMES and value not in _UNNAMED:
        return odd_name(value)
    if name in _AMOUNTS and value.replace(".", "").isdecimal():
        return f"{_EXACT.multiply(Decimal(value), _MORE):f}"
    if name == "currency":
        return value.lower()
    return value.removesuffix("Z") if name in _INSTANTS else value
