"""The lines of a connection test while it runs, and where a refusal leaves them."""

from collections.abc import Iterator
from contextlib import contextmanager

from integrations.connectors.base import Check, ConnectorError, TransientError

KEY = "Key accepted"


class TestChecklist:
    """Checks of a connection test in the order of the page; the rest was not checked."""

    def __init__(self, *labels: str) -> None:
        self._lines = {label: Check(label, "skipped") for label in (KEY, *labels)}

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(self._lines.values())

    def add(self, *checks: Check) -> None:
        """Fill in lines by their labels; new ones stand at the end."""
        self._lines |= {check.label: check for check in checks}

    @contextmanager
    def asking(self, label: str) -> Iterator[None]:
        """Mark a rejection inside the block at `label`, or at the key if that is not proven yet."""
        try:
            yield
        except ConnectorError as exc:
            self._stop(label, exc)
            exc.checks = self.checks
            raise

    def _stop(self, label: str, exc: ConnectorError) -> None:
        if self._lines[KEY].state != "passed":
            self.add(_about_key(exc))
        if self._lines[KEY].state == "passed":
            waits = isinstance(exc, TransientError)
            self.add(Check(label, "waiting" if waits else "failed", _reason(exc)))


def _about_key(exc: ConnectorError) -> Check:
    """Return what the first rejection proves about the key: one that names it has recognized it."""
    match exc.status:
        case None:
            return Check(KEY, "waiting", "Not known: nothing answered.")
        case 401:
            return Check(KEY, "failed", "No (401).")
        case 402 | 403 | 429:
            return Check(KEY, "passed")
        case _ if isinstance(exc, TransientError):
            return Check(KEY, "waiting", f"Not known yet ({exc.status}).")
    return Check(KEY, "failed", f"Not clear ({exc.status}).")


def _reason(exc: ConnectorError) -> str:
    if exc.code == "scope_missing":
        return "Missing."
    word = "Waiting" if isinstance(exc, TransientError) else "Stopped"
    return f"{word} ({exc.status or 'no answer'})."
