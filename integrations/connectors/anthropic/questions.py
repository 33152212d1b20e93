"""Ask a report by more dimensions than one question may name, and ask for less if refused.

The API caps the dimensions of a question, may cap the size of an answer, and may refuse a filter
value that it returned itself. Each refusal leads to a smaller question whose answers sum to the
same total. What was learned is kept with the connection (`Learned`), so that the next read asks
right at once. A dimension that cannot be read is `NOT_READ` in every line, which is not blank.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from typing import Any

import msgspec

from integrations.connectors.anthropic.actors import Actor
from integrations.connectors.anthropic.limits import (
    MOST_DIMENSIONS,
    Filters,
    Learned,
    Report,
)
from integrations.connectors.anthropic.page_sizes import shrinking
from integrations.connectors.anthropic.reports import (
    Numbers,
    ReportPage,
    ReportRow,
    Values,
    add_measures,
    subtract_measures,
)
from integrations.connectors.base import AskDifferently, ConnectorError, PayloadError
from integrations.connectors.records import NOT_READ
from integrations.window import Window

_REFUSED = 400

ReportReader = Callable[..., Iterator[ReportPage]]


class _Rest:
    """Stands for all values of a dimension that no filter selects."""

    def __repr__(self) -> str:
        return "the rest"


_REST = _Rest()
_Place = tuple[Any, ...]  # of a combination: a value or the rest, for each dimension split over
_Key = tuple[date, tuple[Any, ...], Values]


class Questions:
    """Asks one report.

    `read` sends one question: it takes a window, `group_by`, `filters` and `limit`, and its lines
    hold the values of `group_by`, without the dimensions of people, in that order.
    """

    def __init__(self, report: Report, learned: Learned, read: ReportReader) -> None:
        self._report = report
        self._learned = learned
        self._read = read

    def ask(
        self,
        window: Window,
        *,
        group_by: Sequence[str] = (),
        by: Sequence[str] = (),
        filters: Filters | None = None,
    ) -> Iterator[ReportPage]:
        """Yield lines by all of `group_by`, and by the dimensions of people in `by`.

        Raises `AskDifferently` where that takes another question than those already sent.
        """
        report, filters = self._report, filters or {}
        self._test_again(window)
        left_out = self._learned.not_read(report.table)
        names = tuple(name for name in group_by if name not in left_out)
        over = self._giving_way(names, by)
        refused = self._learned.refused(report.table)
        groupings = [(name,) for name in by] if self._is_apart(by) else [tuple(by)]
        parts = chain.from_iterable(
            self._split(window, names, grouping, filters, over, refused)
            if over
            else self._pages(window, (*grouping, *names), filters)
            for grouping in groupings
        )
        return self._named(parts, group_by, names, refused)

    def _is_apart(self, by: Sequence[str]) -> bool:
        """Return True if each query may name only one of the dimensions of people.

        A line has a person in one of them at most: no line is read twice.
        """
        most = self._learned.most(self._report)
        return most is not None and most < len(by)

    def _giving_way(self, names: Sequence[str], by: Sequence[str]) -> tuple[str, ...]:
        """Return the dimensions to read value by value; empty if one query holds all."""
        most = self._learned.most(self._report)
        if most is None:
            return ()
        people = 1 if self._is_apart(by) else len(by)
        excess = people + len(names) - most - sum(name in self._report.free for name in names)
        over = [name for name in self._report.filters if name in names][: max(excess, 0)]
        lacking = excess - len(over)
        if lacking > 0:
            others = [n for n in names if n in self._report.optional and n not in over]
            self._learned.leave_out(self._report.table, others[-lacking:])
            raise _again("more dimensions than a question may name")
        return tuple(over)

    # --- One question ----------------------------------------------------------------------

    def _pages(
        self, window: Window, group_by: Sequence[str], filters: Filters, only: Filters | None = None
    ) -> Iterator[ReportPage]:
        """Send one question, with a smaller page or a smaller question if it is refused.

        `only` are the filters of a split, beside those that were asked for.
        """
        asked = {**filters, **(only or {})}
        return shrinking(
            self._report.name,
            self._report.limit,
            self._learned,
            lambda limit: self._read(window, group_by=group_by, filters=asked, limit=limit),
            find_fault=lambda problem: self._find_fault(problem, window, group_by, asked),
            ask_for_less=lambda problem: self._ask_for_less(problem, group_by),
        )

    def _find_fault(
        self, problem: ConnectorError, window: Window, group_by: Sequence[str], asked: Filters
    ) -> None:
        """Raise what is wrong, unless it can only be the size of the answer."""
        if not self._answers(window, {}):
            raise problem  # the report is closed, whatever it is asked
        most, free = self._learned.most(self._report), len(self._report.free)
        if len(group_by) > MOST_DIMENSIONS and (most is None or most > MOST_DIMENSIONS):
            self._learned.cap(self._report, MOST_DIMENSIONS)
            raise _again("more than five dimensions") from problem
        if len(group_by) > MOST_DIMENSIONS and free and most == MOST_DIMENSIONS:
            # Dimensions that need not be counted are counted after all.
            self._learned.cap(self._report, MOST_DIMENSIONS - free)
            raise _again("more than five dimensions") from problem
        if asked and not self._answers(window, asked):
            self._refuse_values(problem, window, asked)

    def _refuse_values(self, problem: ConnectorError, window: Window, asked: Filters) -> None:
        """Learn which values of the filters are refused; raise the problem if none is."""
        dimensions = {parameter: name for name, parameter in self._report.filters.items()}
        refused = [
            (dimensions[parameter], value)
            for parameter, values in asked.items()
            if parameter in dimensions and not self._answers(window, {parameter: values})
            for value in values
            if not self._answers(window, {parameter: (value,)})
        ]
        if not refused:
            raise problem
        for name, value in refused:
            is_null = value == self._report.nulls.get(name)
            self._learned.refuse(self._report.table, name, "" if is_null else value)
        raise _again("a filter value") from problem

    def _test_again(self, window: Window) -> None:
        """Learn which filter values are refused still, if all is asked for again."""
        for name, value in self._learned.untested(self._report):
            word = value or self._report.nulls.get(name, "")
            only = {self._report.filters[name]: (word,)}
            # A report that is closed, whatever it is asked, says nothing about a value.
            if not self._answers(window, only) and self._answers(window, {}):
                self._learned.refuse(self._report.table, name, value)

    def _answers(self, window: Window, filters: Filters) -> bool:
        """Return True if the smallest query with these filters is answered."""
        try:
            next(self._read(window, group_by=(), filters=filters, limit=1), None)
        except PayloadError as exc:
            if exc.status != _REFUSED:
                raise
            return False
        return True

    def _ask_for_less(self, problem: ConnectorError, group_by: Sequence[str]) -> None:
        """Leave out the second half of the dimensions; raise the problem if none is left."""
        names = [name for name in self._report.optional if name in group_by]
        people = [name for name in self._report.discover_by if name in group_by]
        if not names and len(people) > 1:
            self._learned.cap(self._report, 1)
            raise _again("several dimensions of people") from problem
        if not names:
            raise problem
        self._learned.leave_out(self._report.table, names[len(names) // 2 :])
        raise _again("an answer that is too large") from problem

    # --- Value by value --------------------------------------------------------------------

    def _split(
        self,
        window: Window,
        names: Sequence[str],
        by: Sequence[str],
        filters: Filters,
        over: Sequence[str],
        refused: Mapping[str, frozenset[str]],
    ) -> Iterator[ReportPage]:
        """Ask once for each combination of the dimensions that gave way. The first part is empty.

        What no filter selects is the difference to the question without that filter.
        """
        places: set[_Place] = set()
        most = self._learned.most(self._report) or 0
        people = self._report.discover_by if by else ()
        if len(people) + len(over) > most:
            people = ()
        for part in self._pages(window, (*people, *over), filters):
            places |= {
                tuple(
                    self._place(name, value, refused)
                    for name, value in zip(over, line.values, strict=True)
                )
                for line in part.rows
                if line.actor or not people
            }
            yield part._replace(rows=())
        rest = tuple(name for name in names if name not in over)
        order = [[*rest, *over].index(name) for name in names]
        has_rest = any(_REST in place for place in places)
        sums: dict[_Place, dict[_Key, tuple[ReportRow, Numbers]]] = {}
        for place in sorted(places, key=_by_rest):
            only = {
                self._report.filters[name]: (self._report.nulls[name] if value is None else value,)
                for name, value in zip(over, place, strict=True)
                if value is not _REST
            }
            parts = self._pages(window, (*by, *rest), filters, only)
            if has_rest:
                sums[place] = {}
                parts = self._summed(parts, place, sums)
            for part in parts:
                yield part._replace(
                    rows=tuple(
                        line._replace(
                            values=tuple(
                                (*line.values, *_shown(place, over, refused))[at] for at in order
                            )
                        )
                        for line in part.rows
                    )
                )

    def _place(self, name: str, value: str | None, refused: Mapping[str, frozenset[str]]) -> Any:
        """Return the value if a filter selects it, otherwise the remainder."""
        known = refused.get(name, frozenset())
        if value is None:
            return None if name in self._report.nulls and "" not in known else _REST
        return _REST if value in known else value

    def _summed(
        self,
        parts: Iterable[ReportPage],
        place: _Place,
        sums: dict[_Place, dict[_Key, tuple[ReportRow, Numbers]]],
    ) -> Iterator[ReportPage]:
        """Keep what a combination holds; of a rest, subtract what is known of it."""
        mine, rows = sums[place], defaultdict[date, int](int)
        for part in parts:
            for line in part.rows:
                rows[line.day] += 1
                key = (line.day, _name(line.actor), line.values)
                known = mine.get(key)
                mine[key] = (line, add_measures(known[1], line.numbers) if known else line.numbers)
            yield part if _REST not in place else part._replace(rows=())
        if _REST not in place:
            return
        for other, lines in sums.items():
            if other is not place and _is_inside(other, place):
                for key in lines.keys() & mine.keys():
                    line, numbers = mine[key]
                    mine[key] = (line, subtract_measures(numbers, lines[key][1]))
        cap = self._report.group_cap
        sums[place] = mine = {
            key: (line, numbers)
            for key, (line, numbers) in mine.items()
            # Where rows were cut off, a difference says nothing.
            if any(numbers) and (cap is None or rows[line.day] < cap)
        }
        if mine:
            lines_of_rest = tuple(line._replace(numbers=them) for line, them in mine.values())
            yield part._replace(rows=lines_of_rest)

    # --- What it is called -----------------------------------------------------------------

    def _named(
        self,
        parts: Iterable[ReportPage],
        group_by: Sequence[str],
        names: Sequence[str],
        refused: Mapping[str, frozenset[str]],
    ) -> Iterator[ReportPage]:
        """Return the values in the order of `group_by`, with a marker for those not read."""
        wanted = tuple(name for name in group_by)
        mapped = any(name in refused for name in names)
        if not mapped and len(names) == len(wanted):
            yield from parts
            return
        places = {name: at for at, name in enumerate(names)}
        merged: dict[_Key, ReportRow] = {}
        for part in parts:
            lines = []
            for line in part.rows:
                values = tuple(
                    self._shown_value(name, line.values[places[name]], refused)
                    if name in places
                    else NOT_READ
                    for name in wanted
                )
                line = line._replace(values=values)
                if mapped:  # two values may have become one
                    key = (line.day, _name(line.actor), values)
                    known = merged.get(key)
                    merged[key] = (
                        known._replace(numbers=add_measures(known.numbers, line.numbers))
                        if known
                        else line
                    )
                else:
                    lines.append(line)
            yield part._replace(rows=tuple(lines))
        if merged:
            yield part._replace(rows=tuple(merged.values()))

    def _shown_value(
        self, name: str, value: str | None, refused: Mapping[str, frozenset[str]]
    ) -> str | None:
        """Every value that one reader cannot tell apart, no reader may."""
        if name in refused and self._place(name, value, refused) is _REST:
            return NOT_READ
        return value


def _shown(
    place: _Place, over: Sequence[str], refused: Mapping[str, frozenset[str]]
) -> tuple[str | None, ...]:
    return tuple(
        (NOT_READ if name in refused else None) if value is _REST else value
        for name, value in zip(over, place, strict=True)
    )


def _by_rest(place: _Place) -> tuple[int, list[str]]:
    """Order combinations without a remainder first, since the others are differences to them."""
    return sum(value is _REST for value in place), [
        "" if value is None else str(value) for value in place
    ]


def _is_inside(other: _Place, place: _Place) -> bool:
    """Return True if the query for `place`, which leaves its remainders open, includes `other`."""
    return all(wide is _REST or wide == narrow for wide, narrow in zip(place, other, strict=True))


def _name(actor: Actor | None) -> tuple[Any, ...]:
    return msgspec.structs.astuple(actor) if actor else ()


def _again(why: str) -> AskDifferently:
    return AskDifferently(
        f"Anthropic refused {why}.",
        code="asked_differently",
        repair="These days are read again automatically, in smaller queries.",
    )
