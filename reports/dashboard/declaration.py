"""Declaration of widgets: each function that computes one says what it shows and how.

`widgets.py` gives the order of the page. Pages, CSV, the definitions page and `docs/metrics.md`
read these declarations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import cleandoc

from django.utils.text import slugify

from reports.dashboard.kinds import Breakdown, Listing, TimeSeries
from reports.dashboard.results import Figure, WidgetResult
from reports.dashboard.scope import Scope

Kind = Figure | Breakdown | TimeSeries | Listing
Compute = Callable[[Scope], WidgetResult]
DECLARED: "dict[str, Widget]" = {}


@dataclass(frozen=True)
class Widget:
    """One question of the page. `name` stands in addresses: never change it.

    `definition` says in two sentences what it shows, `details` how it is computed, in Markdown.
    `kind` is how its result is drawn, one of `kinds.KINDS`. `width` is how many of twelve columns
    it takes on a desk; a figure stands in the row on top and has none.
    """

    name: str
    title: str
    definition: str
    kind: type[Kind]
    ask: Compute
    details: str = ""
    width: int = 0

    @property
    def anchor(self) -> str:
        """Its heading in docs/metrics.md."""
        return slugify(self.title)

    @property
    def path(self) -> str:
        return f"dashboards/widgets/{self.kind.template}.html"

    @property
    def is_figure(self) -> bool:
        return self.kind is Figure


def widget(
    name: str,
    *,
    title: str,
    kind: type[Kind],
    definition: str,
    details: str = "",
    width: int = 0,
) -> Callable[[Compute], Compute]:
    """Declare the decorated function as a widget."""

    def declare(compute: Compute) -> Compute:
        if name in DECLARED:
            raise ValueError(f"Two widgets are named {name}.")
        DECLARED[name] = Widget(
            name=name,
            title=title,
            definition=" ".join(definition.split()),
            kind=kind,
            ask=compute,
            details=cleandoc(details),
            width=width,
        )
        return compute

    return declare
