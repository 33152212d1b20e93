"""The lines of a connection test while it runs, and where a refusal leaves them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from integrations.connectors.anthropic import children
from integrations.connectors.anthropic.client import ApiClient
from integrations.connectors.anthropic.trial import try_out
from integrations.connectors.base import Check, ConnectorError, Feed, Probe, TransientError

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

    def conclude(
        self,
        client: ApiClient,
        *checks: Check,
        feeds: Iterable[Feed],
        today: date,
        **read: Any,
    ) -> Probe:
        """Fill in the last lines, send the questions of the import, and return the result.

        `read` are further fields of the result.
        """
        self.add(*checks, try_out(client, feeds, today), *children.checks(client))
        options = {**client.learned.options, "dialect": client.api_variant}
        return Probe(checks=self.checks, options=options, **read)

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
            self.add(_key_result(exc))
        if self._lines[KEY].state == "passed":
            waits = isinstance(exc, TransientError)
            self.add(Check(label, "waiting" if waits else "failed", _reason(exc)))


def _key_result(exc: ConnectorError) -> Check:
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
