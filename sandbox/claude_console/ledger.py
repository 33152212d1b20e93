"""Ledger of all work of a day with prices, from which each report is computed.

Money is counted in millionths of a cent, as integers, so that every sum is exact.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from sandbox.anthropic.dice import dice
from sandbox.anthropic.oddities import MODEL as ODD_MODEL
from sandbox.claude_console.company import (
    Company,
    Key,
    Member,
    Workspace,
    by_slug,
)

TOKEN_TYPES = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens",
)
_TOKEN_WORDS = (
    "Input Tokens",
    "Input Tokens, Cache Read",
    "Input Tokens, Cache Write 5m",
    "Input Tokens, Cache Write 1h",
    "Output Tokens",
)
# Cents per million tokens, which are millionths of a cent per token: input and output.
_PRICES = {
    "claude-opus-5-5": ("Claude Opus 5.5", 500, 2500),
    "claude-sonnet-4-6": ("Claude Sonnet 4.6", 300, 1500),
    "claude-haiku-4-5": ("Claude Haiku 4.5", 100, 500),
}
_MODELS = {
    "opus": "claude-opus-5-5",
    "sonnet": "claude-sonnet-4-6",
    "haiku": "claude-haiku-4-5",
}
_WEB_SEARCH = 1_000_000  # one cent each
_CODE_EXECUTION = 416_667  # five minutes at five cents an hour
_SESSION_HOUR = 8_000_000  # eight cents
_TERMINALS = ("vscode", "iTerm.app", "tmux", "cursor")
USUAL_LAG = timedelta(minutes=5)
_LATE = timedelta(hours=30)  # a few lines arrive this much later: days are restated


class Charge(NamedTuple):
    """One component of a price. `token_type` is None unless `cost_type` is "tokens"."""

    description: str
    cost_type: str
    token_type: str | None
    amount: int


class Line(NamedTuple):
    """One piece of work. Without a key it came from the Console or from a signed-in program."""

    minute: int  # of the UTC day
    workspace: Workspace
    key: Key | None
    account: Member | None
    service_account_id: str | None
    product: str
    model: str | None
    service_tier: str | None
    context_window: str | None
    inference_geo: str | None
    requests: int
    tokens: tuple[int, ...]  # in the order of TOKEN_TYPES
    web_searches: int
    charges: tuple[Charge, ...]  # empty: Priority Tier, which is committed spend
    terminal: str | None  # of Claude Code
    is_late: bool
    committed: tuple[Charge, ...] = ()  # what Priority Tier took of the committed spend

    @property
    def workspace_id(self) -> str | None:
        """As the older reports have it: null is the default workspace."""
        return None if self.workspace.is_default else self.workspace.id

    @property
    def api_key_id(self) -> str | None:
        return self.key.id if self.key else None

    @property
    def account_id(self) -> str | None:
        return self.account.id if self.account else None


def known_lines(company: Company, day: date, now: datetime) -> Iterator[Line]:
    """Return the lines of a day that have arrived by then."""
    start = datetime.combine(day, time.min, tzinfo=UTC)
    if start > now:
        return
    for line in _day_lines(company.slug, day):
        lag = _LATE if line.is_late else USUAL_LAG
        if start + timedelta(minutes=line.minute) + lag <= now:
            yield line


@lru_cache(maxsize=800)
def _day_lines(slug: str, day: date) -> tuple[Line, ...]:
    company = by_slug(slug)
    lines = _Day(company, day).lines()
    if company.is_odd:
        lines = (_with_odd_model(line) for line in lines)
    return tuple(lines)


def _with_odd_model(line: Line) -> Line:
    return line._replace(model=ODD_MODEL) if line.model == _MODELS["haiku"] else line


class _Day:
    def __init__(self, company: Company, day: date) -> None:
        self.company = company
        self.day = day
        self.rolls = dice(company.slug, day, "console work")
        self.is_weekend = day.weekday() >= 5
        months = (day - date(2025, 12, 1)).days / 30
        self.growth = 0.8 + 0.04 * min(max(months, 0), 18)  # then it stays

    def lines(self) -> Iterator[Line]:
        for key in self.company.keys:
            if key.created_on <= self.day and (key.ended_on is None or self.day < key.ended_on):
                yield from self._program(key)
        if not self.is_weekend:
            for member in self.company.members:
                if member.appetite and (member.left_on is None or self.day < member.left_on):
                    yield from self._developer(member)
            yield self._playground()
        if self.company.has_agents:
            yield self._agents()

    def _program(self, key: Key) -> Iterator[Line]:
        """Return the use of a key over a day: a few lines of several kinds."""
        quiet = 0.55 if self.is_weekend else 1.0
        for part in range(4):
            kind = self.rolls.choices(key.models, [3, 2, 1][: len(key.models)])[0]
            requests = 1 + int(
                key.requests / 4 * quiet * self.growth * (0.7 + 0.6 * self.rolls.random())
            )
            in_batch = part / 4 < key.batch
            has_priority = not in_batch and self._chance(key.priority)
            yield self._line(
                workspace=key.workspace,
                key=key,
                service_account_id=key.service_account_id or None,
                product="message_batches_api" if in_batch else "messages_api",
                model=_MODELS[kind],
                tier="batch" if in_batch else "priority" if has_priority else "standard",
                requests=requests,
                sizes=(1400, 2600, 500, 60, 380),
                searches=0.04 if kind == "sonnet" else 0.0,
            )

    def _developer(self, member: Member) -> Iterator[Line]:
        if not self._chance(0.8):
            return
        code = next((w for w in self.company.workspaces if w.name == "Claude Code"), None)
        for _ in range(2 if self._chance(0.4) else 1):
            kind = self.rolls.choices(("opus", "sonnet"), (2, 1))[0]
            yield self._line(
                workspace=code or self.company.workspaces[0],
                account=member,
                product="claude_code",
                model=_MODELS[kind],
                tier="standard",
                requests=1 + int(45 * member.appetite * self.rolls.random()),
                sizes=(900, 41_000, 3200, 400, 700),
                terminal=self.rolls.choices(_TERMINALS)[0],
            )

    def _playground(self) -> Line:
        return self._line(
            workspace=self.company.workspaces[0],
            product="claude_console",
            model=_MODELS["sonnet"],
            tier="standard",
            requests=3 + int(20 * self.rolls.random()),
            sizes=(800, 0, 0, 0, 600),
        )

    def _agents(self) -> Line:
        """Return managed agents, billed by session time, with their code by running time."""
        hours = 2 + int(30 * self.rolls.random())
        runs = 1 + int(12 * self.rolls.random())
        line = self._line(
            workspace=self.company.workspaces[1],
            product="managed_agents_api",
            model=None,
            tier=None,
            requests=hours,
            sizes=(0, 0, 0, 0, 0),
        )
        return line._replace(
            context_window=None,
            inference_geo=None,
            charges=(
                Charge("Managed Agents Session Time", "session_usage", None, hours * _SESSION_HOUR),
                Charge("Code Execution Usage", "code_execution", None, runs * _CODE_EXECUTION),
            ),
        )

    def _line(
        self,
        *,
        workspace: Workspace,
        product: str,
        model: str | None,
        tier: str | None,
        requests: int,
        sizes: tuple[int, ...],
        key: Key | None = None,
        account: Member | None = None,
        service_account_id: str | None = None,
        searches: float = 0.0,
        terminal: str | None = None,
    ) -> Line:
        rolls = self.rolls
        is_long = model is not None and "sonnet" in model and self._chance(0.1)
        tokens = tuple(
            int(requests * size * (4 if is_long else 1) * (0.6 + 0.8 * rolls.random()))
            for size in sizes
        )
        in_us = self._chance(0.15)
        web_searches = int(requests * searches * rolls.random())
        charges = _charges(model, tier, tokens, web_searches, is_long, in_us)
        has_priority = tier == "priority"
        return Line(
            minute=int(rolls.random() * 1440),
            workspace=workspace,
            key=key,
            account=account,
            service_account_id=service_account_id,
            product=product,
            model=model,
            service_tier=tier,
            context_window="200k-1M" if is_long else "0-200k",
            # What this model reports, as models from before February 2026 do.
            inference_geo="not_available"
            if model is not None and "haiku" in model
            else "us"
            if in_us
            else "global",
            requests=requests,
            tokens=tokens,
            web_searches=web_searches,
            charges=() if has_priority else charges,
            committed=charges if has_priority else (),
            terminal=terminal,
            is_late=self._chance(0.02),
        )

    def _chance(self, probability: float) -> bool:
        return self.rolls.random() < probability


def _charges(
    model: str | None,
    tier: str | None,
    tokens: tuple[int, ...],
    searches: int,
    is_long: bool,
    in_us: bool,
) -> tuple[Charge, ...]:
    charges = []
    if model is not None:
        name, into, out = _PRICES[model]
        prices = (into, into // 10, into * 5 // 4, into * 2, out)
        percent = (
            (200 if is_long else 100)
            * (110 if in_us and "haiku" not in model else 100)
            * (50 if tier == "batch" else 100)
        )
        batch = ", Batch" if tier == "batch" else ""
        for token_type, word, count, price in zip(
            TOKEN_TYPES, _TOKEN_WORDS, tokens, prices, strict=True
        ):
            if count:
                amount = count * price * percent // 1_000_000
                description = f"{name} Usage - {word}{batch}"
                charges.append(Charge(description, "tokens", token_type, amount))
    if searches:
        charges.append(Charge("Web Search Usage", "web_search", None, searches * _WEB_SEARCH))
    return tuple(charges)
