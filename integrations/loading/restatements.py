"""Detect changes of complete days by comparing sums before and after."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, Sum

from integrations.connectors.records import COST_MEASURES, TOKEN_MEASURES, USAGE_MEASURES
from integrations.exact import EXACT
from integrations.loading.adding import Number, sum_measures
from integrations.loading.spool import plain_or_none

# The measures of restatements, and the numbers of a fact that each one sums.
_MEASURES: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {
    COST_MEASURES: {name: (name,) for name in COST_MEASURES},
    USAGE_MEASURES: {
        "total_tokens": TOKEN_MEASURES,
        "requests": ("requests",),
        "web_searches": ("web_searches",),
    },
}

Numbers = tuple[Number, ...]  # in the order of a fact's measures


class DayTotals:
    """Numbers of a day by meter and by person."""

    def __init__(self, measures: Sequence[str]) -> None:
        self.measures = measures
        self._meters: dict[int, Numbers] = {}
        self.people: dict[int, Numbers] = {}

    @classmethod
    def before(cls, rows: Any, measures: Sequence[str], by_person: bool) -> "DayTotals":
        """From the stored rows of the day."""
        totals = cls(measures)
        totals._meters = _sums(rows, "meter_id", measures)
        if by_person:
            totals.people = _sums(rows, "person_id", measures)
        return totals

    def add(self, meter: int, person: int | None, numbers: Numbers) -> None:
        known = self._meters.get(meter)
        self._meters[meter] = sum_measures(known, numbers) if known else numbers
        if person is not None:
            known = self.people.get(person)
            self.people[person] = sum_measures(known, numbers) if known else numbers

    def by_meter(self, parts: Sequence[str]) -> dict[int, Numbers]:
        """Return the measures of each meter that has any; all zeros count as none."""
        places = [self.measures.index(part) for part in parts]
        measures = {
            meter: tuple(numbers[place] for place in places)
            for meter, numbers in self._meters.items()
        }
        return {
            meter: numbers for meter, numbers in measures.items() if any(n != 0 for n in numbers)
        }

    def total(self, parts: Sequence[str]) -> Decimal | None:
        return _sum(number for numbers in self.by_meter(parts).values() for number in numbers)


def _sums(rows: Any, key: str, measures: Sequence[str]) -> dict[int, Numbers]:
    """Sum stored rows by a column; None where a row does not know the measure."""
    grouped = rows.values(key).annotate(
        lines=Count("pk"),
        **{f"sum_{name}": Sum(name) for name in measures},
        **{f"known_{name}": Count(name) for name in measures},
    )
    return {
        row[key]: tuple(
            Decimal(row[f"sum_{name}"]) if row[f"known_{name}"] == row["lines"] else None
            for name in measures
        )
        for row in grouped
    }


def _sum(numbers: Iterable[Number]) -> Decimal | None:
    total = Decimal()
    for number in numbers:
        if number is None:
            return None
        total = EXACT.add(total, number)
    return total


@dataclass(frozen=True)
class Change:
    """Change of one measure of a day; the fields of a `Restatement`."""

    measure: str
    old: Decimal | None = None
    new: Decimal | None = None
    meters: list[dict[str, str | None]] = field(default_factory=list)
    people: int = 0


def diff(earlier: DayTotals, now: DayTotals, names: Mapping[int, str]) -> Iterator[Change]:
    """Return a change per measure that moved; without meters if only attribution changed."""
    people = sum(
        earlier.people.get(person) != now.people.get(person)
        for person in earlier.people.keys() | now.people.keys()
    )
    measures = _MEASURES[tuple(earlier.measures)]
    moved = {
        name: parts
        for name, parts in measures.items()
        if earlier.by_meter(parts) != now.by_meter(parts)
    }
    if not moved and people:
        moved = dict([next(iter(measures.items()))])
    for measure, parts in moved.items():
        meters = _differing(
            _summed(earlier.by_meter(parts), names), _summed(now.by_meter(parts), names)
        )
        yield Change(measure, earlier.total(parts), now.total(parts), meters, people)


def activity(documents: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, Decimal]:
    """Numbers of (days, values) added up by path: a fingerprint to find what moved, no metric."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for days, values in documents:
        for path, number in values.items():
            name = path if days == 1 else f"{path} · {days} days"
            sums[name] = EXACT.add(sums[name], number)
    return sums


def changed_activity(
    earlier: Mapping[str, Decimal], now: Mapping[str, Decimal]
) -> Iterator[Change]:
    """One change that names the paths; what they count is too different to have a sum."""
    moved = _differing(earlier, now)
    if moved:
        yield Change("activity", meters=moved)


def _summed(by_meter: Mapping[int, Numbers], names: Mapping[int, str]) -> dict[str, Decimal | None]:
    return {names[meter]: _sum(numbers) for meter, numbers in by_meter.items()}


def _differing(
    old: Mapping[str, Decimal | None], new: Mapping[str, Decimal | None]
) -> list[dict[str, str | None]]:
    """Return the changed values by name. Absent is zero, None is unknown."""
    zero = Decimal()
    return [
        {
            "meter": name,
            "old": plain_or_none(old.get(name, zero)),
            "new": plain_or_none(new.get(name, zero)),
        }
        for name in sorted({*old, *new})
        if old.get(name, zero) != new.get(name, zero)
    ]
