"""Menus of the report page with hundreds of options, rendered once for each choice.

They took most of the time of a page, and depend on nothing but the catalog and what is chosen.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from reports.catalog.metrics import METRICS, Section
from reports.engine.spec import FILTERABLE

_KEPT = 256  # choices; up to 50 KB each
_PLACES = ("First", "Second", "Third")
MOST_GROUPS = len(_PLACES)


@dataclass(frozen=True)
class Option:
    value: str
    label: str
    is_chosen: bool
    hint: str = ""


@dataclass(frozen=True)
class Choices:
    """Options under a heading."""

    label: str
    options: tuple[Option, ...]

    @property
    def is_chosen(self) -> bool:
        return any(option.is_chosen for option in self.options)


@dataclass(frozen=True)
class GroupingSlot:
    """Menu of one grouping: the first, the second or the third."""

    label: str
    sections: tuple[Choices, ...]


def metrics(chosen: Collection[str]) -> SafeString:
    """Return the menu of metrics: every metric in its section, with a search field."""
    return _metrics(frozenset(chosen), tuple(METRICS))


def groupings(chosen: tuple[str, ...]) -> SafeString:
    """Return the menu of groupings: a list of dimensions for the first, second and third."""
    return _groupings(chosen, tuple(FILTERABLE))


def filters() -> SafeString:
    """Return the menu of dimensions to filter by. Its buttons submit the form around it."""
    return _filters(tuple(FILTERABLE))


# Each has the names of the catalog as an argument, so that another catalog makes other menus.
@lru_cache(_KEPT)
def _metrics(chosen: frozenset[str], _names: tuple[str, ...]) -> SafeString:
    kinds = dict.fromkeys(str(metric.kind) for metric in METRICS.values())
    sections = [
        Choices(
            kind,
            tuple(
                Option(m.name, m.label, m.name in chosen, m.definition)
                for m in METRICS.values()
                if m.kind == kind
            ),
        )
        for kind in kinds
    ]
    return render_to_string("reports/_metrics.html", {"sections": sections})


@lru_cache(_KEPT)
def _groupings(chosen: tuple[str, ...], _names: tuple[str, ...]) -> SafeString:
    values = [*chosen, "", "", ""][:MOST_GROUPS]
    places = [
        GroupingSlot(label, _dimensions({value}))
        for label, value in zip(_PLACES, values, strict=True)
    ]
    return render_to_string("reports/_groupings.html", {"places": places})


@lru_cache(1)
def _filters(_names: tuple[str, ...]) -> SafeString:
    return render_to_string("reports/_filter_menu.html", {"sections": _dimensions(())})


def _dimensions(chosen: Collection[str]) -> tuple[Choices, ...]:
    """Return the dimensions that facts can be cut by, under the headings of the page."""
    return tuple(
        Choices(
            section.value,
            tuple(
                Option(d.name, d.label, d.name in chosen)
                for d in FILTERABLE.values()
                if d.section is section
            ),
        )
        for section in (Section.STANDARD, Section.GENAI)
    )
