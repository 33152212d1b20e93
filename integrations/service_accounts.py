"""Give names to service accounts, which providers only number.

Admin keys of the Claude Console may not read the names of service accounts, so a member who may
manage connections labels them here. Imports keep such a name.
"""

from collections import defaultdict
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.models import User
from integrations import text
from integrations.connections import OperationError
from integrations.models import Connection, Person, Resource

LONGEST_NAME = 100
_SERVICE = Person.Kind.SERVICE


@dataclass(frozen=True)
class ServiceAccount:
    """A service account that the provider does not name. `name` is the one given here, or "".

    `keys` are the names of the API keys that act as it or were created by it.
    """

    external_id: str
    name: str
    keys: tuple[str, ...]


def service_accounts(connection: Connection) -> list[ServiceAccount]:
    """Return those that used something or own a key, ordered by id."""
    keys: dict[str, list[str]] = defaultdict(list)
    owned = Resource.objects.filter(
        connection=connection, kind="api_key_id", attributes__owner_type="service"
    )
    for key in owned.order_by("name", "external_id"):
        keys[key.attributes["owner"]].append(str(key))
    services = Person.objects.filter(connection=connection, kind=_SERVICE)
    names = dict(
        services.filter(Q(name="") | Q(is_named_here=True)).values_list("external_id", "name")
    )
    named_by_provider = set(
        services.filter(is_named_here=False).exclude(name="").values_list("external_id", flat=True)
    )
    return [
        ServiceAccount(external_id, names.get(external_id, ""), tuple(keys.get(external_id, ())))
        for external_id in sorted({*names, *keys} - named_by_provider)
    ]


def checked_name(name: str) -> str:
    """Return a name as it is stored; raise `OperationError` if it is too long."""
    name = text.label(name)
    if len(name) > LONGEST_NAME:
        raise OperationError(f"A name has at most {LONGEST_NAME} characters.", field="name")
    return name


def name_service_account(
    connection: Connection, *, actor: User | None, external_id: str, name: str
) -> ServiceAccount:
    """Name a service account everywhere; "" takes the name away.

    Only accounts that `service_accounts` lists can be named; others raise `OperationError`.
    """
    name = checked_name(name)
    with transaction.atomic():
        # Held, so that two members who name one account at once do so one after the other.
        Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        account = next(
            (one for one in service_accounts(connection) if one.external_id == external_id), None
        )
        if account is None:
            raise OperationError(
                f"{connection.label} has no service account with this id.", code="not_found"
            )
        if account.name == name:
            return account
        Person.objects.update_or_create(
            connection=connection,
            external_id=external_id,
            defaults={"name": name, "is_named_here": bool(name)},
            create_defaults={"name": name, "is_named_here": bool(name), "kind": _SERVICE},
        )
        audit.record(
            connection.organization,
            actor,
            "service_account.named",
            external_id,
            connection=connection.label,
            before=account.name,
            after=name,
        )
    return ServiceAccount(external_id, name, account.keys)
