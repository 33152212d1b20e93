"""How far several connections are complete together: as far as the one that is furthest behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Generic, Self, TypeVar

Moment = TypeVar("Moment", bound=date)  # an instant is a date to Python, too
MOST_NAMED = 2


@dataclass(frozen=True)
class Completeness(Generic[Moment]):
    """The earliest of what every connection reaches: an instant, or a day.

    `laggards` are the labels that reach no further while another one does. `unread` are the labels
    of which nothing is known: the others may be complete, all of them together are not.
    """

    to: Moment | None = None
    laggards: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @classmethod
    def of(cls, reached: Mapping[str, Moment | None]) -> Self:
        """`reached` holds for every label how far its connection reaches, None for not at all."""
        known = {label: moment for label, moment in reached.items() if moment is not None}
        earliest = min(known.values(), default=None)
        behind = tuple(label for label, moment in known.items() if moment == earliest)
        return cls(
            to=earliest,
            laggards=behind if len(behind) < len(known) else (),
            unread=tuple(label for label in reached if label not in known) if known else (),
        )

    @property
    def basis(self) -> str:
        """Which connections hold it back, for the line below it; "" if none does."""
        parts = [f"held back by {self.laggards_text}"] if self.laggards else []
        parts += [f"{self.unread_text} not read yet"] if self.unread else []
        return "; ".join(parts)

    @property
    def laggards_text(self) -> str:
        return _listed(self.laggards)

    @property
    def unread_text(self) -> str:
        return _listed(self.unread)


def _listed(labels: tuple[str, ...]) -> str:
    """Name the first labels and count the rest, because the text stands in small places."""
    shown, rest = labels[:MOST_NAMED], len(labels) - MOST_NAMED
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
