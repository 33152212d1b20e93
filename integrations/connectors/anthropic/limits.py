"""Limits of reports: documented ones, and those learned and kept in a connection's options."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from integrations.connectors.base import NOTE, PAGE_SIZE

# The cap that the API states where it states one, and the most that any report is known to take.
MOST_DIMENSIONS = 5
LEGACY_REPORTS = "reports"  # the older endpoints, which every organization has
BETA_REPORTS = "successors"  # `/analytics/cost` and `/analytics/usage`, in beta
PARENT = "parent"  # the option of an organization whose child organizations are reported separately
_REFUSALS = ("most.", PAGE_SIZE, "not_read.", "refused.")  # how options that were learned begin
_BY_TABLE = ("not_read.", "refused.")
_NOT_READ_OF_ENDPOINT = "not_read./"  # an endpoint that is no report has no table but its path
ALL = "*"  # stands for every value of a dimension
VERSIONS_NOTE = f"{NOTE}versions"  # the option that says how the two versions of a report differ

Filters = Mapping[str, Sequence[str]]  # parameter without its brackets to the values to keep


@dataclass(frozen=True)
class Report:
    """Dimensions, filters and sizes that one report accepts.

    `table` is "cost" or "usage": all reports of a table use the same dimensions, so that rows of
    people can be subtracted from those of the organization. `optional` are the dimensions that may
    be left out, those with most values first. `most` caps the dimensions of a query, not counting
    those in `free`; None: no cap is known. `limit` is the largest page. `filters` maps the
    dimensions that can be read value by value, in this order, to the parameter that filters by
    them; `nulls` holds the word by which a filter selects null, if any. `discover_by` are the
    dimensions of people in a report that also holds use without a person. `group_cap` is the number
    of groups of a day that are returned; None is all.
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
    """Rejections learned for a connection, and the smaller queries used instead.

    Kept as plain text in the options of the connection. `tell` is called with what is new, and
    with the table whose stored rows have other dimensions than those to come ("": none).
    """

    def __init__(
        self, options: Mapping[str, str], tell: Callable[[str, str, str], None] | None = None
    ) -> None:
        self.options = dict(options)
        self._tell = tell
        self._former: dict[str, str] = {}
        self._tested: set[tuple[str, str, str]] = set()

    @property
    def is_starting_over(self) -> bool:
        """Return True if something that was rejected before is requested again."""
        return bool(self._former)

    def start_over(self) -> None:
        """Forget every refusal, so that all of it is asked for again."""
        self._former = {
            name: text for name, text in self.options.items() if name.startswith(_REFUSALS)
        }
        self.options = {
            name: text for name, text in self.options.items() if name not in self._former
        }

    def left_out_before(self, table: str) -> tuple[str, ...]:
        """Return the dimensions that were not read before all of it is asked for again."""
        return Learned(self._former).not_read(table)

    def restore(self) -> None:
        """Keep the refusals of before: what was asked again did not show that they are gone."""
        self.options |= self._former

    def untested(self, report: Report) -> Iterator[tuple[str, str]]:
        """Dimensions and values that were refused before, each once for a report; null is ""."""
        for name, values in Learned(self._former).refused(report.table).items():
            for value in sorted(values - self.refused(report.table).get(name, frozenset())):
                if name in report.filters and (report.name, name, value) not in self._tested:
                    self._tested.add((report.name, name, value))
                    yield name, value

    def most(self, report: Report) -> int | None:
        known = self.options.get(f"most.{report.name}")
        return int(known) if known else report.most

    def limit(self, name: str, largest: int) -> int:
        """Return the page size for the endpoint `name`."""
        return int(self.options.get(f"{PAGE_SIZE}{name}", largest))

    def not_read(self, table: str) -> tuple[str, ...]:
        return tuple(filter(None, self.options.get(f"not_read.{table}", "").split(",")))

    def refused(self, table: str) -> dict[str, frozenset[str]]:
        """Values by dimension that the API returned, but refuses as a filter; null is ""."""
        known: dict[str, list[str]] = json.loads(self.options.get(f"refused.{table}", "{}"))
        return {dimension: frozenset(values) for dimension, values in known.items()}

    def cap(self, report: Report, most: int) -> None:
        self._keep(f"most.{report.name}", str(most))

    def shrink(self, name: str, limit: int) -> None:
        self._keep(f"{PAGE_SIZE}{name}", str(limit))

    def leave_out(self, table: str, names: Iterable[str]) -> None:
        kept = sorted({*self.not_read(table), *names})
        self._keep(f"not_read.{table}", ",".join(kept), table)

    def refuse(self, table: str, dimension: str, value: str) -> None:
        known = {name: sorted(values) for name, values in self.refused(table).items()}
        known[dimension] = sorted({*known.get(dimension, ()), value})
        self._keep(f"refused.{table}", json.dumps(known, sort_keys=True), table)

    def note_versions(self, text: str) -> None:
        """Say on the pages of the connection how two versions of a report differ; "": no more."""
        if self.options.get(VERSIONS_NOTE, "") != text:
            self._keep(VERSIONS_NOTE, text)

    def _keep(self, name: str, value: str, table: str = "") -> None:
        if self.options.get(name) != value:
            self.options[name] = value
            if not value:
                del self.options[name]
            if self._tell:
                self._tell(name, value, table)


def older_way(options: Mapping[str, str]) -> Mapping[str, str] | None:
    """Ask the older endpoints instead; None if they are asked already.

    The beta reports may leave out data silently. Only the older reports show it.
    """
    if options.get("dialect") != BETA_REPORTS:
        return None
    return {**options, "dialect": LEGACY_REPORTS}


# --- In words ------------------------------------------------------------------------------

_WORDS = {
    "api_key_id": "API key",
    "context_window": "context window",
    "cost_type": "kind of cost",
    "description": "model, tier, kind of cost and region",
    "inference_geo": "region",
    "model": "model",
    "product": "product",
    "service_tier": "service tier",
    "speed": "speed",
    "token_type": "kind of token",
    "organization_id": "child organization",
    "workspace_id": "workspace",
}
# What the descriptions of the Console's legacy cost report say.
_DESCRIBED = {
    *("model", "service_tier", "context_window", "inference_geo", "cost_type", "token_type"),
}
_TABLES = {"cost": "Cost", "usage": "Token", "beta_cost": "Beta cost", "beta_usage": "Beta token"}


def refused_dimensions(options: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the dimensions of each table that are left out or have rejected values."""
    learned = Learned(options)
    refused = {}
    for table in _TABLES:
        names = {*learned.not_read(table), *learned.refused(table)}
        refused[table] = frozenset(names | (_DESCRIBED if "description" in names else set()))
    return refused


def answered_again(
    before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, dict[str, frozenset[str]]]:
    """Return what was refused with the options `before`, and is not with those `after`.

    Values by dimension, by table or endpoint; of a dimension that was not read at all, `ALL`.
    """
    was, now = Learned(before), Learned(after)
    tables = {name.partition(".")[2] for name in before if name.startswith(_BY_TABLE)}
    answered: dict[str, dict[str, frozenset[str]]] = {}
    for table in tables:
        left_out, refused = now.not_read(table), now.refused(table)
        dimensions = {
            name: values - refused.get(name, frozenset())
            for name, values in was.refused(table).items()
        } | {name: frozenset({ALL}) for name in was.not_read(table)}
        answered[table] = {
            name: values for name, values in dimensions.items() if values and name not in left_out
        }
    return {table: dimensions for table, dimensions in answered.items() if dimensions}


def missing(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return sentences for people about data that is not read because the API rejects it."""
    learned = Learned(options)
    sentences = []
    for table, title in _TABLES.items():
        names = learned.not_read(table)
        if names:
            words = listed([_WORDS.get(name, name) for name in names])
            sentences.append(
                f"{title} lines are not read by {words}: Anthropic refuses answers in that detail. "
                "Totals are complete."
            )
        for name, values in learned.refused(table).items():
            sentences.append(
                f"{title} lines of {_WORDS.get(name, name)} "
                f"{listed([value or 'none' for value in sorted(values)])} are not separated: "
                "Anthropic reports the value, but refuses queries for it alone. Totals are "
                "complete."
            )
    for name in sorted(options):
        if name.startswith(_NOT_READ_OF_ENDPOINT):
            items = name.rpartition("/")[2].capitalize()
            words = listed([_WORDS.get(one, one) for one in options[name].split(",")])
            sentences.append(
                f"{items} by person are not read by {words}: Anthropic refuses answers in that "
                "detail. Totals are complete."
            )
    note = options.get(VERSIONS_NOTE, "")
    return (*sentences, note) if note else tuple(sentences)


def listed(words: Sequence[str]) -> str:
    """Join words as in "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
