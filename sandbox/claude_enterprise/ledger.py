"""Ledger of all work of a day with prices, from which each endpoint is computed.

Money is counted in millionths of a cent, as integers, so that every sum is exact: the sum over
users plus what no user accounts for is the organization's total by construction.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from random import Random
from typing import NamedTuple

from sandbox.anthropic.dice import dice, identifier
from sandbox.anthropic.oddities import MODEL as ODD_MODEL
from sandbox.anthropic.reporting import EXPORT_HOURS
from sandbox.claude_enterprise.company import Company, Member, companies

TOKEN_TYPES = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "output_tokens",
)
CLAUDE_TAG = "claude-tag"  # the API spells it by version, see `reports`

# Cents per million tokens are millionths of a cent per token. Input and output; reading a cache
# costs a tenth of input, writing one 1.25 (5 minutes) or 2 times (1 hour) as much.
_PRICES = {
    "claude-opus-4-6": (500, 2500),
    "claude-opus-4-8": (500, 2500),
    "claude-opus-5-5": (500, 2500),
    "claude-sonnet-4-6": (300, 1500),
    "claude-haiku-4-5": (100, 500),
}
_PLAIN_MODEL = "claude-haiku-4-5"  # called otherwise where answers are odd
_WEB_SEARCH = 1_000_000  # one cent each
_CODE_EXECUTION = 416_667  # five minutes at five cents an hour


class Charge(NamedTuple):
    """One component of a price. `token_type` is None unless `cost_type` is "tokens"."""

    cost_type: str
    token_type: str | None
    amount: int
    list_amount: int


UNIFIED = "chat_cowork_unified"
HALVES = ("chat", "cowork")


class Line(NamedTuple):
    """One piece of work: who, with what, when, how much. `member` None: no user account.

    `half` is what it would be without `UNIFIED`: chat or cowork.
    """

    minute: int  # of the UTC day
    member: Member | None
    product: str | None
    model: str | None
    context_window: str | None
    inference_geo: str | None
    speed: str | None
    slack_channel_id: str | None
    claude_tag_category: str | None
    claude_tag_user_id: str | None
    requests: int
    tokens: tuple[int, ...]  # in the order of TOKEN_TYPES
    web_searches: int
    charges: tuple[Charge, ...]  # empty: covered by the seat
    is_late: bool  # among the first to be missing where a day is restated
    organization_id: str | None = None  # the child of a parent
    half: str | None = None

    @property
    def amount(self) -> int:
        return sum(charge.amount for charge in self.charges)


class _Habit(NamedTuple):
    """Typical work with one product: requests a day, tokens a request, choices of how."""

    requests: int
    tokens: tuple[int, int, int, int, int]
    models: tuple[str, ...]  # kinds, the usual one first
    long_context: float = 0.0
    fast: float = 0.0
    web_search: float = 0.0
    code_execution: float = 0.0


_HABITS = {
    "chat": _Habit(16, (1500, 6000, 800, 0, 600), ("sonnet", "opus", "haiku"), 0.02, 0, 0.25, 0.08),
    "claude_code": _Habit(
        110, (900, 58_000, 3600, 500, 700), ("opus", "sonnet", "haiku"), 0.12, 0.05, 0.03
    ),
    "cowork": _Habit(35, (2500, 20_000, 2800, 0, 900), ("opus", "sonnet"), 0.06, 0, 0.2, 0.15),
    "office_agent": _Habit(12, (3000, 9000, 1500, 0, 800), ("sonnet", "opus"), 0.04),
    "claude_in_chrome": _Habit(22, (5000, 12_000, 2000, 0, 300), ("sonnet", "haiku"), 0, 0, 0.1),
    "claude_design": _Habit(14, (2000, 15_000, 2500, 0, 2500), ("opus", "sonnet")),
    CLAUDE_TAG: _Habit(8, (1800, 7000, 900, 0, 500), ("sonnet",), 0, 0, 0.1),
    "cc_security_autopatch": _Habit(90, (1200, 40_000, 3000, 800, 900), ("opus",)),
    "other": _Habit(40, (1500, 3000, 500, 0, 400), ("haiku", "sonnet")),
}
_INTERFACE = _Habit(180, (2200, 5000, 900, 0, 450), ("sonnet", "haiku", "opus"))  # API keys
_INCLINATION = {  # chance per active day to use a product
    "engineering": {"claude_code": 0.9, "chat": 0.6, "cowork": 0.1, CLAUDE_TAG: 0.06},
    "business": {"chat": 0.9, "cowork": 0.3, "office_agent": 0.35, "claude_in_chrome": 0.08},
    "legal": {"chat": 0.85, "office_agent": 0.6, "cowork": 0.2},
    "design": {"claude_design": 0.8, "chat": 0.7, "claude_code": 0.15},
    "support": {"chat": 0.8, "claude_in_chrome": 0.6, CLAUDE_TAG: 0.15},
    "service": {"cc_security_autopatch": 1.0},
}
_CHANNELS = ("C0BUGS42", "C0DATA17", "C0HELP01", "C0PLAN33", "C0SHIP08")
_OPUS_SINCE = (
    (date(2026, 10, 20), "claude-opus-5-5"),
    (date(2026, 6, 9), "claude-opus-4-8"),
    (date.min, "claude-opus-4-6"),
)


# --- What is known when --------------------------------------------------------------------


def known_lines(company: Company, day: date, export: datetime) -> tuple[Line, ...]:
    """Return the lines of a day as of that export.

    Some days are restated once: a part of their lines only comes with a later export.
    """
    start = datetime.combine(day, time.min, tzinfo=UTC)
    minutes = int((export - start).total_seconds() // 60)
    if minutes <= 0:
        return ()
    restated = restated_at(company, day)
    whole = minutes >= 24 * 60 and (restated is None or restated <= export)
    return day_lines(company.slug, day) if whole else _part(company.slug, day, export)


def restated_at(company: Company, day: date) -> datetime | None:
    """Return the export that restates the day; None for most days."""
    rolls = dice(company.slug, day, "restatement")
    if rolls.random() > 0.15:
        return None
    start = datetime.combine(day, time.min, tzinfo=UTC)
    return start + timedelta(days=2 + int(rolls.random() * 15), hours=EXPORT_HOURS)


@lru_cache(maxsize=256)
def _part(slug: str, day: date, export: datetime) -> tuple[Line, ...]:
    company = by_slug(slug)
    start = datetime.combine(day, time.min, tzinfo=UTC)
    minutes = int((export - start).total_seconds() // 60)
    restated = restated_at(company, day)
    waits = restated is not None and export < restated
    return tuple(
        line
        for line in day_lines(slug, day)
        if line.minute < minutes and not (waits and line.is_late)
    )


def by_slug(slug: str) -> Company:
    return next(company for company in companies().values() if company.slug == slug)


# --- Inventing a day -----------------------------------------------------------------------


@lru_cache(maxsize=800)
def day_lines(slug: str, day: date) -> tuple[Line, ...]:
    """Everything that happens in an organization on one day, in no particular order."""
    return tuple(_Day(by_slug(slug), day).lines())


class _Day:
    def __init__(self, company: Company, day: date) -> None:
        self.company = company
        self.day = day
        self.rolls: Random = dice(company.slug, day, "work")
        is_weekend = day.weekday() >= 5
        self.busyness = 0.13 if is_weekend else 0.93 if day.weekday() == 4 else 1.0
        months = (day - date(2026, 1, 1)).days / 30
        # Grows for a year and a half, then stays.
        self.growth = 0.75 + 0.05 * min(max(months, 0), 18)

    def lines(self) -> Iterator[Line]:
        children = self.company.children
        for line in self._lines():
            if self.company.is_odd and line.model == _PLAIN_MODEL:
                line = line._replace(model=ODD_MODEL)
            if children:  # use without a person belongs to the first child
                child_id = (line.member and line.member.child_id) or children[0].id
                line = line._replace(organization_id=child_id)
            yield line

    def _lines(self) -> Iterator[Line]:
        for member in self.company.members:
            if member.is_member(self.day) and self._chance(member.diligence * self.busyness):
                yield from self._work(member)
        for service in self.company.services:
            if service.joined_on <= self.day:
                yield from self._work(service)
        if self.company.plan == "usage":
            yield from self._unattributed()

    def _work(self, member: Member) -> Iterator[Line]:
        for product, inclination in _INCLINATION[member.department].items():
            if not self._chance(inclination):
                continue
            habit = _HABITS[product]
            # Who does much does it in several ways on one day.
            for _ in range(2 if self._chance(0.35) else 1):
                line = self._line(product, habit, member)
                if product in HALVES and member.is_unified(self.day):
                    line = line._replace(product=UNIFIED, half=product)
                if product == CLAUDE_TAG:  # attributed to a user: a direct message
                    line = line._replace(
                        claude_tag_category="dm",
                        claude_tag_user_id=_slack_id(member.user_id),
                    )
                yield line
            if self._chance(habit.code_execution):
                yield self._code_execution(member)

    def _unattributed(self) -> Iterator[Line]:
        """Return cost without a user account: API keys, automation, Claude Tag in channels."""
        for _ in range(6):
            yield self._line(None, _INTERFACE, None)
        for _ in range(2):
            yield self._line("other", _HABITS["other"], None)
        for _ in range(3):  # code review
            yield self._line("claude_code", _HABITS["claude_code"], None)
        for _ in range(int(14 * self.busyness)):
            line = self._line(CLAUDE_TAG, _HABITS[CLAUDE_TAG], None)
            asker = int(self.rolls.random() * 60)
            category = self.rolls.choices(
                ("engaged", "proactive", "scheduled", "monitoring"), weights=(7, 1, 1, 1)
            )[0]
            yield line._replace(
                slack_channel_id=self.rolls.choices(_CHANNELS, weights=(4, 3, 6, 2, 5))[0],
                claude_tag_category=category,
                claude_tag_user_id=_slack_id(asker) if category == "engaged" else None,
            )

    def _line(self, product: str | None, habit: _Habit, member: Member | None) -> Line:
        rolls = self.rolls
        kind = rolls.choices(habit.models, weights=(70, 25, 5)[: len(habit.models)])[0]
        model = self._model(kind)
        long_context = kind != "haiku" and self._chance(habit.long_context)
        fast = kind == "opus" and self._chance(habit.fast)
        in_us = (member is not None and member.department == "legal") or self._chance(0.1)
        skew = rolls.random()
        size = (0.15 + 2.6 * skew * skew) * self.growth * (member.appetite if member else 1)
        requests = 1 + int(habit.requests * size * 0.55)
        scale = 4 if long_context else 1
        tokens = tuple(
            int(requests * count * scale * (0.6 + 0.8 * rolls.random())) for count in habit.tokens
        )
        searches = int(requests * 0.3 * rolls.random()) if self._chance(habit.web_search) else 0
        charges = _charges(
            model, tokens, searches, self.company.discount_percent, long_context, fast, in_us
        )
        if self.company.plan == "seats" and not (size > 1.5 and self._chance(0.3)):
            charges = ()
        return Line(
            minute=self._minute(around_the_clock=member is None or member.is_service),
            member=member,
            product=product,
            model=model,
            context_window="200k-1M" if long_context else "0-200k",
            inference_geo=None if kind == "haiku" else "us" if in_us else "global",
            speed=None if kind == "haiku" else "fast" if fast else "standard",
            slack_channel_id=None,
            claude_tag_category=None,
            claude_tag_user_id=None,
            requests=requests,
            tokens=tokens,
            web_searches=searches,
            charges=charges,
            is_late=self._chance(0.04),
        )

    def _code_execution(self, member: Member) -> Line:
        """Return code runs, without product, model or tokens; `requests` counts the runs."""
        runs = 1 + int(self.rolls.random() * 9)
        price = runs * _CODE_EXECUTION
        charge = Charge("code_execution", None, _discounted(price, self.company), price)
        return Line(
            minute=self._minute(around_the_clock=False),
            member=member,
            product=None,
            model=None,
            context_window=None,
            inference_geo=None,
            speed=None,
            slack_channel_id=None,
            claude_tag_category=None,
            claude_tag_user_id=None,
            requests=runs,
            tokens=(0,) * len(TOKEN_TYPES),
            web_searches=0,
            charges=() if self.company.plan == "seats" else (charge,),
            is_late=False,
        )

    def _model(self, kind: str) -> str:
        if kind == "opus":
            return next(model for since, model in _OPUS_SINCE if since <= self.day)
        return {"sonnet": "claude-sonnet-4-6", "haiku": _PLAIN_MODEL}[kind]

    def _minute(self, *, around_the_clock: bool) -> int:
        rolls = self.rolls
        if around_the_clock:
            return int(rolls.random() * 1440)
        # The mean of three is bell-shaped: 6:00 to 20:00 UTC, most around 13:00.
        return 360 + int((rolls.random() + rolls.random() + rolls.random()) / 3 * 840)

    def _chance(self, probability: float) -> bool:
        return self.rolls.random() < probability


def _charges(
    model: str,
    tokens: tuple[int, ...],
    searches: int,
    discount_percent: int,
    long_context: bool,
    fast: bool,
    in_us: bool,
) -> tuple[Charge, ...]:
    into, out = _PRICES[model]
    prices = (into, into // 10, into * 5 // 4, into * 2, out)
    percent = (200 if long_context else 100) * (6 if fast else 1) * (110 if in_us else 100)
    charges = []
    for token_type, count, price in zip(TOKEN_TYPES, tokens, prices, strict=True):
        if count:
            listed = count * price * percent // 10_000
            charges.append(
                Charge("tokens", token_type, listed * (100 - discount_percent) // 100, listed)
            )
    if searches:
        listed = searches * _WEB_SEARCH
        charges.append(Charge("web_search", None, listed * (100 - discount_percent) // 100, listed))
    return tuple(charges)


def _discounted(price: int, company: Company) -> int:
    return price * (100 - company.discount_percent) // 100


@lru_cache(maxsize=1024)
def _slack_id(who: object) -> str:
    return identifier("U0", "slack", who)[:11].upper()
