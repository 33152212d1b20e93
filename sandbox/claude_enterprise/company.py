"""Six organizations with their people and the habits of those."""

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Literal

from sandbox.anthropic.dice import dice, identifier, seed


@dataclass(frozen=True)
class Group:
    """A group of people. A deleted one keeps its history and loses its name."""

    id: str
    name: str
    source: Literal["direct", "scim"] = "scim"
    deleted: bool = False


@dataclass(frozen=True)
class Member:
    """One account. `left_on` is the day it was removed; `erased` also took name and address."""

    user_id: str
    name: str
    email: str
    department: str
    diligence: float  # chance of being active on a working day
    appetite: float  # 1 is the usual amount of work given to Claude
    joined_on: date
    left_on: date | None = None
    erased: bool = False
    is_service: bool = False
    groups: tuple[tuple[date, str], ...] = ()  # since when, and the group's id
    child_id: str = ""  # of the child organization, under a parent
    unified_since: date | None = None  # Chat and Cowork are one for them from then on
    does_science: bool = False

    def groups_on(self, day: date) -> tuple[str, ...]:
        return tuple(id for since, id in self.groups if since <= day)

    def is_member(self, day: date) -> bool:
        return self.joined_on <= day and (self.left_on is None or day < self.left_on)

    def is_unified(self, day: date) -> bool:
        return self.unified_since is not None and self.unified_since <= day

    def is_deleted(self, day: date) -> bool:
        return self.left_on is not None and self.left_on <= day


@dataclass(frozen=True)
class Child:
    """An organization under a parent. One with HIPAA readiness is hidden by newer endpoints."""

    id: str
    name: str
    is_hipaa_ready: bool = False


@dataclass(frozen=True)
class Company:
    """One Claude Enterprise organization. On plan "seats" only extra usage is charged.

    `in_beta` opens the newer cost and usage endpoints; `names_groups` is whether its key has
    read:rbac_groups. `children` make it a parent, whose key reads all of them.
    """

    slug: str
    plan: Literal["usage", "seats"]
    discount_percent: int
    spare_seats: int
    members: tuple[Member, ...]
    services: tuple[Member, ...] = ()
    groups: tuple[Group, ...] = ()
    in_beta: bool = False
    names_groups: bool = False
    children: tuple[Child, ...] = ()
    is_odd: bool = False  # answers as `oddities` describes

    @property
    def hidden_ids(self) -> frozenset[str]:
        """Child organizations that the beta reports leave out without notice."""
        return frozenset(child.id for child in self.children if child.is_hipaa_ready)

    @property
    def cuts_artifacts(self) -> bool:
        """Return True if artifacts may be requested by product."""
        return not self.in_beta

    @property
    def organization_id(self) -> str:
        return identifier("org_01", self.slug)


@cache
def companies() -> dict[str, Company]:
    """Return the organizations by their key."""
    return {
        "sk-ant-api01-sandbox-my-org": make_company(
            "my-org",
            "brightwater.example",
            people=344,
            plan="usage",
            discount_percent=12,
            groups=_teams("my-org"),
            names_groups=True,
        ),
        "sk-ant-api01-sandbox-labs": make_company(
            "labs",
            "labs.example",
            people=40,
            plan="seats",
            discount_percent=0,
            groups=_teams("labs"),
        ),
        "sk-ant-api01-sandbox-campus": make_company(
            "campus",
            "campus.example",
            people=240,
            plan="usage",
            discount_percent=5,
            groups=_courses("campus"),
            in_beta=True,
        ),
        # Parents: of one, the newer endpoints hide a child.
        "sk-ant-api01-sandbox-holding": make_company(
            "holding",
            "holding.example",
            people=45,
            plan="usage",
            discount_percent=0,
            groups=_teams("holding"),
            in_beta=True,
            children=_children("holding", "Retail", "Clinics"),
        ),
        "sk-ant-api01-sandbox-group": make_company(
            "group",
            "group.example",
            people=45,
            plan="usage",
            discount_percent=10,
            groups=_teams("group"),
            in_beta=True,
            children=_children("group", "North", "South"),
        ),
        # In the beta too, so that either version of the reports can be tried.
        "sk-ant-api01-sandbox-oddities": make_company(
            "oddities",
            "oddities.example",
            people=40,
            plan="usage",
            discount_percent=5,
            groups=_teams("oddities"),
            in_beta=True,
            names_groups=True,
            is_odd=True,
        ),
    }


def _children(slug: str, *names: str) -> tuple[Child, ...]:
    """Clinics work with health data."""
    return tuple(
        Child(
            str(uuid.UUID(int=seed("child", slug, name) << 64 | seed(slug, name))),
            name,
            is_hipaa_ready=name == "Clinics",
        )
        for name in names
    )


_FIRST_NAMES = """
    Ada Amir Anna Ben Carla Chen Dana Diego Elif Emma Farid Femi Grace Hana Hugo Ines Ivan
    Jane Jonas Kai Kofi Lena Liam Lucia Maya Mei Milan Nadia Noah Olga Omar Petra Priya Quinn
    Ravi Rosa Sam Sofia Tariq Tom Uma Vera Wim Yara Yuki Zoe
"""
_LAST_NAMES = """
    Abebe Adler Baker Berg Costa Cruz Dietz Doyle Evans Fischer Fontana Garcia Haddad Hansen
    Ito Jansen Kaya Keller Kim Kowalski Larsen Lopez Meyer Moreau Nakamura Novak Okafor Olsen
    Patel Petrov Quist Rossi Sato Schmidt Silva Singh Smith Tanaka Thomas Ueda Varga Walker
    Weber Wolf Young Zhang
"""
_DEPARTMENTS = {"engineering": 38, "business": 40, "legal": 8, "design": 6, "support": 8}


def make_company(
    slug: str,
    domain: str,
    *,
    people: int,
    plan: Literal["usage", "seats"],
    discount_percent: int,
    groups: tuple[Group, ...],
    in_beta: bool = False,
    names_groups: bool = False,
    children: tuple[Child, ...] = (),
    is_odd: bool = False,
) -> Company:
    """Create an organization of this many people, always the same for one slug."""
    service = Member(
        user_id=identifier("user_01", slug, "security"),
        name="Claude Security",
        email="",
        department="service",
        diligence=1.0,
        appetite=1.0,
        joined_on=date(2026, 5, 4),
        is_service=True,
    )
    return Company(
        slug=slug,
        plan=plan,
        discount_percent=discount_percent,
        spare_seats=people // 12,
        members=tuple(_member(slug, domain, number, groups, children) for number in range(people)),
        services=(service,) if plan == "usage" else (),
        groups=groups,
        in_beta=in_beta,
        names_groups=names_groups,
        children=children,
        is_odd=is_odd,
    )


def _member(
    slug: str, domain: str, number: int, groups: tuple[Group, ...], children: tuple[Child, ...]
) -> Member:
    rolls = dice("member", slug, number)
    # Stepping through both lists at different paces, no full name comes twice.
    first_names, last_names = _FIRST_NAMES.split(), _LAST_NAMES.split()
    first = first_names[number % len(first_names)]
    last = last_names[(number + number // len(first_names)) % len(last_names)]
    department = rolls.choices(list(_DEPARTMENTS), weights=list(_DEPARTMENTS.values()))[0]
    diligence = rolls.choices((0.96, 0.86, 0.45), weights=(35, 45, 20))[0]
    skew = rolls.random()
    joined_on = date(2025, 9, 1)
    if rolls.random() < 0.35:  # the others were there from the start
        joined_on = date(2026, 1, 1) + timedelta(days=int(rolls.random() * 280))
    left_on = None
    if number % 23 == 7:
        left_on = joined_on + timedelta(days=200 + int(rolls.random() * 240))
    return Member(
        user_id=identifier("user_01", slug, number),
        name=f"{first} {last}",
        email=f"{first}.{last}@{domain}".lower(),
        department=department,
        diligence=diligence,
        appetite=0.25 + 4 * skew * skew * skew,
        joined_on=joined_on,
        left_on=left_on,
        erased=left_on is not None and number % 2 == 0,
        groups=_memberships(slug, number, department, groups),
        child_id=children[number % len(children)].id if children else "",
        unified_since=_UNIFIED_SINCE if number % 29 == 3 else None,
        does_science=number % 37 == 5,
    )


_UNIFIED_SINCE = date(2026, 10, 12)


# --- Groups --------------------------------------------------------------------------------

_DEPARTMENT_NAMES = {
    "engineering": "Platform engineering",
    "business": "Business",
    "legal": "Legal",
    "design": "Design",
    "support": "Customer support",
}
_OFFICES = ("Berlin office", "Boston office")
_CHAMPIONS_SINCE = date(2026, 8, 3)


def _teams(slug: str) -> tuple[Group, ...]:
    """Return departments, offices, two teams across them, and an empty one."""
    names = (*_DEPARTMENT_NAMES.values(), *_OFFICES, "AI champions", "Interns", "Board")
    return tuple(
        Group(
            identifier("rbac_group_01", slug, name),
            name,
            "direct" if name in {"AI champions", "Board"} else "scim",
            deleted=name == "Interns",
        )
        for name in names
    )


def _courses(slug: str) -> tuple[Group, ...]:
    """More groups than one answer of the older reports holds."""
    return tuple(
        Group(identifier("rbac_group_01", slug, number), f"Course {number:03}")
        for number in range(130)
    )


def _memberships(
    slug: str, number: int, department: str, groups: tuple[Group, ...]
) -> tuple[tuple[date, str], ...]:
    """Several for some, none for a few. Champions were chosen on one day of August."""
    rolls = dice("groups", slug, number)
    start = date(2025, 9, 1)
    by_name = {group.name: group.id for group in groups}
    if _OFFICES[0] not in by_name:
        first = number % len(groups)
        return tuple((start, groups[(first + step * 7) % len(groups)].id) for step in range(2))
    if rolls.random() < 0.06:
        return ()
    memberships = [(start, by_name[_DEPARTMENT_NAMES[department]])]
    office = rolls.random()
    if office < 0.6:
        memberships.append((start, by_name[_OFFICES[office < 0.25]]))
    if rolls.random() < 0.08:
        memberships.append((_CHAMPIONS_SINCE, by_name["AI champions"]))
    if rolls.random() < 0.05:
        memberships.append((start, by_name["Interns"]))
    return tuple(memberships)
