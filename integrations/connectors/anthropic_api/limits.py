"""What a report accepts, and what it turned out to refuse: kept as options of the connection."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# The cap that the API states where it states one, and the most that any report is known to take.
MOST_DIMENSIONS = 5
NOT_READ = "not_read"

Filters = Mapping[str, Sequence[str]]  # parameter without its brackets to the values to keep


@dataclass(frozen=True)
class Report:
    """What one report accepts.

    `table` is "cost" or "usage": all reports of a table are cut alike, so that the lines of people
    can be subtracted from the organization's. `optional` are the dimensions that may be left out if
    need be, the dearest first. `most` caps the dimensions of a question, those in
    `free` not counted; None: no cap is known. `limit` is the largest page. `filters` maps the
    dimensions that can give way, the first first, to the parameter that filters by them; `nulls`
    holds the word by which a filter selects null, where there is one. `discover_by` are the
    dimensions of people in a report that also holds what nobody signed in for. `group_cap` is how
    many groups of a day come back; None is all.
    """

    name: str
    table: str
    limit: int
    filters: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    most: int | None = MOST_DIMENSIONS
    free: tuple[str, ...] = ()
    nulls: Mapping[str, str] = field(default_factory=dict)
    discover_by: tuple[str, ...] = ()
    group_cap: int | None = None


class Learned:
    """What the API refused this connection, and what it is asked instead.

    Kept as plain text in the options of the connection. `tell` is called with what is new, and
    with the table whose stored lines have another cut than those to come ("": none).
    """

    def __init__(
        self, options: Mapping[str, str], tell: Callable[[str, str, str], None] | None = None
    ) -> None:
        self.options = dict(options)
        self._tell = tell

    def most(self, report: Report) -> int | None:
        known = self.options.get(f"most.{report.name}")
        return int(known) if known else report.most

    def limit(self, report: Report) -> int:
        return int(self.options.get(f"limit.{report.name}", report.limit))

    def not_read(self, table: str) -> tuple[str, ...]:
        return tuple(filter(None, self.options.get(f"not_read.{table}", "").split(",")))

    def refused(self, table: str) -> dict[str, frozenset[str]]:
        """Values by dimension that the API returned, but refuses as a filter."""
        known: dict[str, list[str]] = json.loads(self.options.get(f"refused.{table}", "{}"))
        return {dimension: frozenset(values) for dimension, values in known.items()}

    def cap(self, report: Report, most: int) -> None:
        self._keep(f"most.{report.name}", str(most))

    def shrink(self, report: Report, limit: int) -> None:
        self._keep(f"limit.{report.name}", str(limit))

    def leave_out(self, table: str, names: Iterable[str]) -> None:
        kept = sorted({*self.not_read(table), *names})
        self._keep(f"not_read.{table}", ",".join(kept), table)

    def refuse(self, table: str, dimension: str, value: str) -> None:
        known = {name: sorted(values) for name, values in self.refused(table).items()}
        known[dimension] = sorted({*known.get(dimension, ()), value})
        self._keep(f"refused.{table}", json.dumps(known, sort_keys=True), table)

    def _keep(self, name: str, value: str, table: str = "") -> None:
        if self.options.get(name) != value:
            self.options[name] = value
            if self._tell:
                self._tell(name, value, table)
