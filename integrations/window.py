"""Half-open ranges of UTC days: the one way this project speaks about time spans."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self


@dataclass(frozen=True, order=True)
class Window:
    """The UTC days from `start` up to, and without, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"A window needs at least one day: {self.start} … {self.end}")

    @classmethod
    def last(cls, days: int, *, today: date) -> Self:
        """Return the `days` newest days, today included."""
        end = today + timedelta(days=1)
        return cls(end - timedelta(days=days), end)

    @classmethod
    def since(cls, day: date, *, today: date) -> Self:
        """From `day` to today, both included."""
        return cls(day, today + timedelta(days=1))

    def __len__(self) -> int:
        return (self.end - self.start).days

    def __iter__(self) -> Iterator[date]:
        for offset in range(len(self)):
            yield self.start + timedelta(days=offset)

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def __str__(self) -> str:
        last = self.end - timedelta(days=1)
        return f"{self.start}" if len(self) == 1 else f"{self.start} to {last}"

    @property
    def last_day(self) -> date:
        return self.end - timedelta(days=1)

    def split(self, days: int) -> list["Window"]:
        """DocumentDimensions into windows of at most `days` days, newest first."""
        windows = []
        end = self.end
        while end > self.start:
            start = max(self.start, end - timedelta(days=days))
            windows.append(Window(start, end))
            end = start
        return windows

    def not_before(self, day: date) -> "Window | None":
        """Return the part from `day` on, or None if it is empty."""
        start = max(self.start, day)
        return Window(start, self.end) if start < self.end else None


def midnight(day: date) -> datetime:
    """Return the instant at which the UTC day begins."""
    return datetime.combine(day, time.min, tzinfo=UTC)
