"""Run the same report in several ways, compare the results, and time each."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any
from unittest import mock

import duckdb
from django.db import connection as database

from benchmarks.ledger import Ledger
from reports import engine
from reports.dashboard.scope import Scope
from reports.dashboard.widgets import WIDGET_LIST
from reports.engine import query
from reports.engine.spec import ReportSpec

Statement = tuple[str, tuple[Any, ...]]


class Disagreement(Exception):
    """Two ways to query gave different results."""


@dataclass(frozen=True)
class Timing:
    """Medians in milliseconds. `facts` and `duck` are None where that was not asked."""

    question: str
    queries: int
    planner: float
    facts: float | None = None
    duck: float | None = None


def report(ledger: Ledger, name: str, address: str, *, times: int) -> Timing:
    """Time one report: from the tables the planner chooses, from facts only, and by DuckDB."""
    spec = ReportSpec.from_query(address, today=ledger.today)
    spec = spec.by_interval() if spec.interval else spec

    def ask() -> Any:
        report = engine.run(ledger.organization, spec)
        return report.rows, report.totals

    with recorded() as statements:
        chosen = ask()
    planner = timed(ask, times)
    with facts_alone():
        with recorded() as from_facts:
            _agree(name, chosen, ask())
        facts = timed(ask, times)
    sums = [one for one in from_facts if "_costfact" in one[0] or "_usagefact" in one[0]]
    duck = _duck(ledger, name, sums, times)
    return Timing(name, len(statements), planner, facts, duck)


def dashboard(ledger: Ledger, address: str, *, times: int) -> Iterator[Timing]:
    """Time each widget of GenAI Intelligence, which a page requests in parallel."""
    query = ReportSpec.from_query(address, today=ledger.today)
    scope = Scope(ledger.organization, query, ledger.today)
    for widget in WIDGET_LIST:
        with recorded() as statements:
            widget.ask(scope)
        took = timed(lambda widget=widget: widget.ask(scope), times)  # type: ignore[misc]
        yield Timing(f"{widget.title} ({address})", len(statements), took)


def timed(ask: Callable[[], object], times: int) -> float:
    """Return the median in milliseconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        ask()
        took.append((time.perf_counter() - start) * 1000)
    return median(took)


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Record the SQL statements of the block."""
    statements: list[Statement] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, tuple(params or ())))
        return execute(sql, params, many, context)

    with database.execute_wrapper(note):
        yield statements


def facts_alone() -> Any:
    """Let reports read only facts, as if there were no rollups."""
    return mock.patch.object(query, "_smallest", lambda source, spec: engine.tables_of(source)[-1])


def _duck(ledger: Ledger, name: str, statements: list[Statement], times: int) -> float | None:
    """Run Django's own statements in DuckDB; return None if it does not support one."""
    translated = [(sql.replace("%s", "?"), params) for sql, params in statements]

    def ask() -> list[list[Any]]:
        return [ledger.duck.execute(sql, params).fetchall() for sql, params in translated]

    try:
        theirs = ask()
    except duckdb.Error:
        return None
    with database.cursor() as cursor:
        for (sql, params), rows in zip(statements, theirs, strict=True):
            cursor.execute(sql, params)
            _agree(name, _plain(rows), _plain(cursor.fetchall()))
    return timed(ask, times)


def _plain(rows: Any) -> list[str]:
    """Return rows in one order and spelling, whichever database sent them."""
    return sorted(repr([_value(value) for value in row]) for row in rows)


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(_value(item) for item in value if item is not None)
    if isinstance(value, Decimal | int):
        return f"{Decimal(value).normalize():f}"
    return str(value)[:10] if hasattr(value, "isoformat") else value


def _agree(name: str, one: Any, other: Any) -> None:
    if one != other:
        raise Disagreement(f"{name}: {str(one)[:200]} … is not {str(other)[:200]} …")
