"""Links from a row of a report to what the row is made of.

A row filters the report by its groups, and the report is grouped by what was below it or, at the
end, by model and then by person. With nothing left to group by, it shows the days alone.
"""

from collections.abc import Sequence
from dataclasses import replace

from integrations.models import Connection
from reports import limits
from reports.catalog.metrics import DIMENSIONS, FILE_TEXTS, in_sentence
from reports.engine.spec import Filter, Operator, ReportSpec, SpecError, to_query
from reports.explore.controls import check
from reports.render.pivot import Pivot, PivotRow

CHAIN = ("sku", "user_email")


def with_links(
    pivot: Pivot,
    spec: ReportSpec,
    connections: Sequence[Connection],
    *,
    also: Sequence[tuple[str, str]] = (),
) -> Pivot:
    """Return the table with the query and the words of what each row opens.

    `also` are further parameters of every query, such as the saved report that is open.
    """
    if not spec.group_by:
        return pivot
    below = {size: _below(spec, connections, size) for size in range(1, len(spec.group_by) + 1)}
    pairs = [*replace(_plain(spec, spec.group_by), group_by=()).pairs(), *also]
    lines = tuple(_linked(line, spec, pairs, below[len(line.keys)]) for line in pivot.lines)
    return replace(pivot, lines=lines)


def _linked(
    line: PivotRow, spec: ReportSpec, pairs: Sequence[tuple[str, str]], below: tuple[str, ...]
) -> PivotRow:
    """Return the row with its link; none for rows that no filter stands for, such as *Other*."""
    if not FILE_TEXTS.keys().isdisjoint(line.keys):
        return line
    chosen = [(name, str(key)) for name, key in zip(spec.group_by, line.keys, strict=False)]
    grouped = [("group_by", ",".join(below))] if below else []
    words = f"by {in_sentence(DIMENSIONS[below[0]].label)}" if below else "alone, over time"
    return replace(line, opens=to_query([*pairs, *grouped, *chosen]), opens_label=words)


def _plain(spec: ReportSpec, names: Sequence[str]) -> ReportSpec:
    """Return the report without filters of these dimensions, and without what concerns its rows."""
    filters = tuple(it for it in spec.filters if it.dimension not in names)
    return replace(spec, filters=filters, limit=0, smallest=False, sort="", chart="")


def _below(spec: ReportSpec, connections: Sequence[Connection], size: int) -> tuple[str, ...]:
    """Return what a row of so many groups is grouped by when it is opened; () if by nothing."""
    if rest := spec.group_by[size:]:
        return rest
    single = {
        it.dimension for it in spec.filters if it.operator is Operator.IS and len(it.values) == 1
    }
    for name in CHAIN:
        if name not in spec.group_by and name not in single and _combines(spec, connections, name):
            return (name,)
    return ()


def _combines(spec: ReportSpec, connections: Sequence[Connection], name: str) -> bool:
    """Return whether the report of a row can be grouped by `name`, whatever the row's values."""
    groups = tuple(Filter(group, ("any",)) for group in spec.group_by)
    plain = _plain(spec, spec.group_by)
    try:
        wanted = check(replace(plain, group_by=(name,), filters=(*plain.filters, *groups)))
    except SpecError:
        return False
    return limits.is_answered(connections, wanted)
