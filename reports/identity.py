"""Identities of people: which rows are one person, and how people without email are named.

Providers spell one email in several ways and name one person in several connections. Their
spelling is stored; what is compared is the id as it is, and the email in small letters.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import (
    Case,
    CharField,
    F,
    Func,
    JSONField,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import Expression
from django.db.models.functions import Cast, Coalesce, Concat, Lower

from integrations.models import Connection, Person

# What stands for the email of who has none. No email is written without an @.
DELETED = "deleted account"
SERVICE = "service identity"
UNKNOWN = "user without email"
MISSING: Mapping[str, str] = {
    DELETED: "Deleted accounts",
    SERVICE: "Service identities",
    UNKNOWN: "Users without an email",
}


def email_of(prefix: str = "") -> Expression:
    """Return the email in small letters, which kind of person lacks one, or "" for no person.

    `prefix` leads to the person: "" for people themselves, `person__` for facts.
    """
    return _case(prefix, *_by_email(prefix))


def name_of(prefix: str = "", names_of_several: Iterable[str] = ()) -> Expression:
    """Return the name, or what `email_of` returns where there is none.

    A name of several people has their emails, or ids, behind it: two of one name stay two.
    """
    several = When(Q(**{f"{prefix}name__in": list(names_of_several)}), then=_qualified(prefix))
    return _case(prefix, several, *_by_name(prefix, F(f"{prefix}name")))


def full_name_of(prefix: str = "") -> Expression:
    """Return the name as `name_of` writes one that several people have."""
    return _case(prefix, *_by_name(prefix, _qualified(prefix)))


@dataclass(frozen=True)
class Identities:
    """Identities of some connections. A person is listed under the oldest of their rows.

    `same` leads from each row of a person whom an earlier row names already to that earlier row.
    `names_of_several` are the names that different people have. `ids` and `addresses` lead from
    the other ids and emails of a person to those they are listed under. `emails`, `names`,
    `short_names` and `full_names` hold, by row, what the row itself lacks or calls otherwise.
    """

    same: Mapping[int, int]
    names_of_several: tuple[str, ...]
    ids: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    emails: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    short_names: Mapping[int, str] = field(default_factory=dict)
    full_names: Mapping[int, str] = field(default_factory=dict)

    def listed(self, dimension: str, value: Any, row: str = "person_id") -> Any:
        """Return the expression of a dimension in which one person has one value.

        `row` leads to the person's row: `person_id` for facts, `pk` for people themselves.
        """
        if dimension in _IDS:
            return _replaced(self.ids, value, value)
        by_row = {"user_email": self.emails, "user_name": self.names}
        return _replaced(by_row.get(dimension, {}), F(row), value)

    def short_name(self) -> Any:
        """Return the name of a fact's person without what tells namesakes apart."""
        return _replaced(self.short_names, F("person_id"), name_of("person__"))

    def full_name(self) -> Any:
        """Return the name of a fact's person as a report writes one that several people have."""
        return _replaced(self.full_names, F("person_id"), full_name_of("person__"))

    def value(self, dimension: str, value: str) -> str:
        """Return the value a person is listed under, of any of theirs."""
        if dimension == "user_email":
            return self.addresses.get(value.lower(), value.lower())
        return self.ids.get(value, value) if dimension in _IDS else value

    def rows_listed(self, dimension: str, values: Collection[str]) -> set[int]:
        """Return the rows that are listed under one of these emails or names, not their own."""
        names = (self.short_names, self.full_names)
        by_row = {"user_email": (self.emails,), "user_name": names}
        held = by_row.get(dimension, ())
        return {pk for rows in held for pk, value in rows.items() if value in values}

    def rows_of(self, rows: Collection[int]) -> set[int]:
        """Return these rows and all others of the same people."""
        roots = {self.same.get(pk, pk) for pk in rows}
        return {*rows, *roots, *(pk for pk, first in self.same.items() if first in roots)}


# Dimensions that hold the id of a person, or else something that no person is called.
_IDS = frozenset({"user_id", "project_id"})


@dataclass(frozen=True)
class _Row:
    pk: int
    external_id: str
    email: str
    name: str
    kind: str


def identities(connections: Sequence[Connection] | QuerySet[Connection]) -> Identities:
    """Find out in one query which rows are one person.

    Rows of one id are one person, and users of one email. What a federated subject is called says
    nothing across connections.
    """
    first: dict[tuple[str, str], int] = {}
    leads_to: dict[int, int] = {}

    def root(pk: int) -> int:
        while pk in leads_to:
            pk = leads_to[pk]
        return pk

    people = Person.objects.filter(connection__in=connections).order_by("pk")
    rows = [
        _Row(*values) for values in people.values_list("pk", "external_id", "email", "name", "kind")
    ]
    for row in rows:
        keys = [("id", row.external_id)] if row.kind != Person.Kind.FEDERATED else []
        if row.kind == Person.Kind.USER and row.email:
            keys.append(("email", row.email.lower()))
        for key in keys:
            one, other = sorted((root(first.setdefault(key, row.pk)), root(row.pk)))
            if one != other:
                leads_to[other] = one
    same = {pk: root(pk) for pk in leads_to}
    rows_of: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        rows_of[same.get(row.pk, row.pk)].append(row)
    called = Counter(_first(each.name for each in every) for every in rows_of.values())
    several = {name for name, count in called.items() if name and count > 1}
    return _listed(Identities(same, tuple(sorted(several))), rows_of.values())


def _listed(known: Identities, people: Iterable[Sequence[_Row]]) -> Identities:
    """Add what the other rows of people with several rows are listed under."""
    ids: dict[str, str] = {}
    addresses: dict[str, str] = {}
    emails: dict[int, str] = {}
    names: dict[int, str] = {}
    short_names: dict[int, str] = {}
    full_names: dict[int, str] = {}
    for rows in people:
        if len(rows) == 1:
            continue
        email = _first(row.email for row in rows).lower()
        name = _first(row.name for row in rows)
        full_name = f"{name} ({email or rows[0].external_id})" if name else email
        shown = full_name if name in known.names_of_several else name or email
        for row in rows:
            if row.external_id != rows[0].external_id:
                ids[row.external_id] = rows[0].external_id
            if row.email.lower() != email:
                emails[row.pk] = email
                if row.email:
                    addresses[row.email.lower()] = email
            if shown and (row.name != name or shown != name):
                names[row.pk] = shown
            if shown and row.name != name:
                short_names[row.pk] = name or email
            if full_name:
                full_names[row.pk] = full_name
    return replace(
        known,
        ids=ids,
        addresses=addresses,
        emails=emails,
        names=names,
        short_names=short_names,
        full_names=full_names,
    )


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def _replaced(values: Mapping[Any, str], key: Any, otherwise: Any) -> Any:
    """Look a key up in a constant map: a lookup a row, however many people have several rows."""
    if not values:
        return otherwise
    text = TextField()
    looked_up = Func(
        Value({str(known): value for known, value in values.items()}, JSONField()),
        Cast(key, text),
        template="(%(expressions)s)",
        arg_joiner=" ->> ",
        output_field=text,
    )
    return Coalesce(looked_up, otherwise, output_field=CharField())


def _case(prefix: str, *cases: When) -> Expression:
    without_person = [When(**{f"{prefix.removesuffix('__')}__isnull": True}, then=Value(""))]
    return Case(
        *(without_person if prefix else ()),
        *cases,
        default=Value(UNKNOWN),
        output_field=CharField(),
    )


def _by_email(prefix: str) -> list[When]:
    return [
        When(~Q(**{f"{prefix}email": ""}), then=Lower(f"{prefix}email")),
        When(**{f"{prefix}state": Person.State.DELETED}, then=Value(DELETED)),
        When(~Q(**{f"{prefix}kind": Person.Kind.USER}), then=Value(SERVICE)),
    ]


def _by_name(prefix: str, name: Expression | F) -> list[When]:
    return [When(~Q(**{f"{prefix}name": ""}), then=name), *_by_email(prefix)]


def _qualified(prefix: str) -> Expression:
    handle = Case(
        When(~Q(**{f"{prefix}email": ""}), then=Lower(f"{prefix}email")),
        default=F(f"{prefix}external_id"),
        output_field=CharField(),
    )
    return Concat(F(f"{prefix}name"), Value(" ("), handle, Value(")"), output_field=CharField())
