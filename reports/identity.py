"""Who is who: when two rows of people are one person, and what a person without an email is.

Providers spell one email in several ways and name one person in several connections. Their
spelling is stored; what is compared is the id as it is, and the email in small letters.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Case, CharField, F, Q, Value, When
from django.db.models.expressions import Expression
from django.db.models.functions import Concat, Lower

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
    """Who of some connections is who.

    `same` leads from each row of a person whom an earlier row names already to that earlier row.
    `names_of_several` are the names that different people have.
    """

    same: Mapping[int, int]
    names_of_several: tuple[str, ...]


def identities(connections: Sequence[Connection]) -> Identities:
    """Find out in one query which rows are one person.

    Rows of one id are one person, and users of one email. What a federated subject is called says
    nothing across connections.
    """
    first: dict[tuple[str, str], int] = {}
    leads_to: dict[int, int] = {}
    named: dict[str, list[int]] = defaultdict(list)

    def root(pk: int) -> int:
        while pk in leads_to:
            pk = leads_to[pk]
        return pk

    people = Person.objects.filter(connection__in=connections).order_by("pk")
    for pk, external_id, email, name, kind in people.values_list(
        "pk", "external_id", "email", "name", "kind"
    ):
        named[name].append(pk)
        keys = [("id", external_id)] if kind != Person.Kind.FEDERATED else []
        if kind == Person.Kind.USER and email:
            keys.append(("email", email.lower()))
        for key in keys:
            one, other = sorted((root(first.setdefault(key, pk)), root(pk)))
            if one != other:
                leads_to[other] = one
    several = (name for name, pks in named.items() if name and len({*map(root, pks)}) > 1)
    return Identities({pk: root(pk) for pk in leads_to}, tuple(sorted(several)))


def _case(prefix: str, *cases: When) -> Expression:
    nobody = [When(**{f"{prefix.removesuffix('__')}__isnull": True}, then=Value(""))]
    return Case(
        *(nobody if prefix else ()),
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
