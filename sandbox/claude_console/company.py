"""Four Console organizations with their workspaces, keys and members."""

import uuid
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Literal

from sandbox.anthropic.dice import dice, identifier, seed


@dataclass(frozen=True)
class Workspace:
    """`is_default`: lists leave it out, and older reports say null for it."""

    id: str
    name: str
    color: str
    created_on: date
    archived_on: date | None = None
    is_default: bool = False
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Member:
    """`appetite` 1 is the usual amount of Claude Code; 0 is none."""

    id: str
    name: str
    email: str
    role: str
    appetite: float
    left_on: date | None = None


@dataclass(frozen=True)
class Key:
    """API key of a program. `models` are kinds, `batch` is the share of batches."""

    id: str
    name: str
    workspace: Workspace
    created_by: Member
    created_on: date
    status: Literal["active", "inactive", "archived", "expired"]
    requests: int  # on a usual day
    models: tuple[str, ...]
    batch: float = 0.0
    priority: float = 0.0
    ended_on: date | None = None
    service_account_id: str = ""
    expires_on: date | None = None


@dataclass(frozen=True)
class Company:
    """One organization. `enrolled`: it may use the beta reports.

    `has_committed_cost`: the beta reports include the cost of Priority Tier.
    """

    slug: str
    name: str
    enrolled: bool
    workspaces: tuple[Workspace, ...]
    members: tuple[Member, ...]
    keys: tuple[Key, ...]
    has_agents: bool
    discount_percent: int = 0
    has_committed_cost: bool = False
    is_odd: bool = False  # answers as `oddities` describes

    @property
    def tagged_id(self) -> str:
        """As the header of every answer spells it, of both products; bodies have the UUID."""
        return identifier("org_01", self.slug)

    @property
    def organization_id(self) -> str:
        return str(uuid.UUID(int=seed("organization", self.slug) << 64 | seed(self.slug)))


@cache
def companies() -> dict[str, Company]:
    """Return the organizations by their key."""
    return {
        "sk-ant-admin01-sandbox-my-org": _brightwater(),
        "sk-ant-admin01-sandbox-labs": _labs(),
        "sk-ant-admin01-sandbox-priority": _priority(),
        "sk-ant-admin01-sandbox-oddities": _oddities(),
    }


def by_slug(slug: str) -> Company:
    return next(company for company in companies().values() if company.slug == slug)


_START = date(2025, 10, 1)
# The first of them are members of the sandbox of Claude Enterprise, too.
_PEOPLE = """
    Ada Abebe|Amir Adler|Anna Baker|Ben Berg|Carla Costa|Chen Cruz|Dana Dietz|Diego Doyle|
    Ines Vidal|Jo Archer|Kim Lindqvist|Lars Ohm|Mara Quint|Nils Tal|Oona Reyes|Pavel Stern|
    Rita Vance|Sven Wills|Tess Yates|Udo Zorn
"""
_MODELS_BY_SIZE = ("sonnet", "opus", "haiku")


def _members(slug: str, domain: str, count: int) -> tuple[Member, ...]:
    members = []
    for number, name in enumerate(_PEOPLE.replace("\n", "").split("|")[:count]):
        rolls = dice("console member", slug, number)
        name = name.strip()
        role = "admin" if number == 0 else rolls.choices(("developer", "user"), (4, 1))[0]
        members.append(
            Member(
                id=identifier("user_01", slug, "console", number),
                name=name,
                email=f"{name.replace(' ', '.')}@{domain}".lower(),
                role=role,
                appetite=0.0 if role == "user" else 0.4 + 2 * rolls.random(),
                left_on=date(2026, 10, 12) if number == 7 else None,
            )
        )
    return tuple(members)


def _workspace(slug: str, name: str, color: str, **more: object) -> Workspace:
    return Workspace(
        id=identifier("wrkspc_01", slug, name),
        name=name,
        color=color,
        created_on=_START,
        **more,  # type: ignore[arg-type]  # the remaining fields, by name
    )


def _brightwater() -> Company:
    slug = "console-my-org"
    members = _members(slug, "brightwater.example", 20)
    default = _workspace(slug, "Default", "#6C5BB9", is_default=True)
    production = _workspace(
        slug, "Production", "#2E8B6B", tags=(("team", "platform"), ("cost-center", "4100"))
    )
    research = _workspace(slug, "Research", "#3C6FB4", tags=(("team", "research"),))
    hackathon = _workspace(slug, "Hackathon", "#B4643C", archived_on=date(2026, 9, 30))
    code = _workspace(slug, "Claude Code", "#8A8F3C")

    def key(
        name: str,
        workspace: Workspace,
        requests: int,
        models: tuple[str, ...] = _MODELS_BY_SIZE,
        status: Literal["active", "inactive", "archived", "expired"] = "active",
        **more: object,
    ) -> Key:
        return Key(
            id=identifier("apikey_01", slug, name),
            name=name,
            workspace=workspace,
            created_by=members[seed(name) % 4],
            created_on=_START,
            status=status,
            requests=requests,
            models=models,
            **more,  # type: ignore[arg-type]  # the remaining fields, by name
        )

    return Company(
        slug=slug,
        name="Brightwater Platform",
        enrolled=True,
        workspaces=(default, production, research, hackathon, code),
        members=members,
        keys=(
            key("checkout-assistant", production, 5200, ("sonnet", "haiku"), priority=0.3),
            key("support-triage", production, 3100, ("haiku",)),
            key("search-rerank", production, 8800, ("haiku",)),
            key("nightly-summaries", production, 1400, ("sonnet",), batch=1.0),
            key("evals", research, 900, ("opus", "sonnet"), batch=0.6),
            key("notebooks", research, 420, ("opus",), expires_on=date(2027, 3, 31)),
            key(
                "ci-runner",
                default,
                650,
                ("sonnet",),
                service_account_id=identifier("svac_01", slug, "ci"),
            ),
            key("old-prototype", default, 60, ("haiku",), "inactive", ended_on=date(2026, 10, 5)),
            key(
                "hackathon-2026", hackathon, 700, ("opus",), "archived", ended_on=date(2026, 9, 28)
            ),
        ),
        has_agents=True,
        discount_percent=20,
    )


def _labs() -> Company:
    slug = "console-labs"
    members = _members(slug, "labs.example", 3)
    default = _workspace(slug, "Default", "#6C5BB9", is_default=True)
    return Company(
        slug=slug,
        name="Labs",
        enrolled=False,
        workspaces=(default,),
        members=members,
        keys=tuple(
            Key(
                id=identifier("apikey_01", slug, name),
                name=name,
                workspace=default,
                created_by=members[0],
                created_on=_START,
                status="active",
                requests=requests,
                models=("sonnet", "haiku"),
            )
            for name, requests in (("demo", 140), ("website", 380))
        ),
        has_agents=False,
    )


def _priority() -> Company:
    """Half of what one of its two keys does is Priority Tier."""
    slug = "console-priority"
    members = _members(slug, "priority.example", 1)
    default = _workspace(slug, "Default", "#6C5BB9", is_default=True)
    return Company(
        slug=slug,
        name="Priority",
        enrolled=True,
        workspaces=(default,),
        members=members,
        keys=tuple(
            Key(
                id=identifier("apikey_01", slug, name),
                name=name,
                workspace=default,
                created_by=members[0],
                created_on=_START,
                status="active",
                requests=requests,
                models=("sonnet",),
                priority=priority,
            )
            for name, requests, priority in (("assistant", 800, 0.5), ("nightly", 200, 0.0))
        ),
        has_agents=False,
        has_committed_cost=True,
    )


def _oddities() -> Company:
    """In the beta, so that either version of the reports can be tried."""
    slug = "console-oddities"
    members = _members(slug, "oddities.example", 12)
    default = _workspace(slug, "Default", "#6C5BB9", is_default=True)
    research = _workspace(slug, "Research", "#3C6FB4", tags=(("team", "research"),))
    return Company(
        slug=slug,
        name="Oddities",
        enrolled=True,
        workspaces=(default, research),
        members=members,
        keys=tuple(
            Key(
                id=identifier("apikey_01", slug, name),
                name=name,
                workspace=workspace,
                created_by=members[0],
                created_on=_START,
                status="active",
                requests=requests,
                models=("sonnet", "haiku"),
            )
            for name, workspace, requests in (
                ("ci-runner", default, 140),
                ("notebooks", research, 90),
                ("evals", research, 380),
            )
        ),
        has_agents=True,
        is_odd=True,
    )
