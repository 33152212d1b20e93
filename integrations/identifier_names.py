"""Give names to identifiers that a provider reports without a name, such as Slack channels.

A connector declares such a dimension as an `Attribute` with `is_named_by_members`. A member who may
manage connections names its values, and reports, filters and files show the names.
"""

from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from accounts.models import User
from integrations.connections import OperationError
from integrations.connectors.base import Attribute
from integrations.models import Connection, EngagementFact, Resource
from integrations.service_accounts import checked_name


@dataclass(frozen=True)
class NamedIdentifier:
    """A value of a dimension and the name that a member gave it, or ""."""

    dimension: str
    external_id: str
    name: str


@dataclass(frozen=True)
class NamedDimension:
    """A dimension whose values members name. `label` is singular: “Slack channel”."""

    name: str
    label: str
    identifiers: tuple[NamedIdentifier, ...]


def named_dimensions(connection: Connection) -> list[NamedDimension]:
    """Return the dimensions of a connection that members name, if it reported values of them."""
    dimensions = [
        NamedDimension(attribute.name, attribute.label, _identifiers(connection, attribute))
        for attribute in connection.connector.catalog.attributes
        if attribute.is_named_by_members
    ]
    return [dimension for dimension in dimensions if dimension.identifiers]


def name_identifier(
    connection: Connection, *, actor: User | None, dimension: str, external_id: str, name: str
) -> NamedIdentifier:
    """Name an identifier everywhere; "" removes the name.

    Only identifiers that `named_dimensions` lists can be named; others raise `OperationError`.
    """
    name = checked_name(name)
    with transaction.atomic():
        # Locked, so that two members who name one identifier at once do so one after the other.
        Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
        listed = (
            identifier
            for each in named_dimensions(connection)
            for identifier in each.identifiers
            if (each.name, identifier.external_id) == (dimension, external_id)
        )
        before = next(listed, None)
        if before is None:
            raise OperationError(f"{connection.label} does not report this id.", code="not_found")
        if before.name != name:
            kind = _attribute(connection, dimension).resource
            Resource.objects.update_or_create(
                connection=connection, kind=kind, external_id=external_id, defaults={"name": name}
            )
            audit.record(
                connection.organization,
                actor,
                "identifier.named",
                external_id,
                connection=connection.label,
                dimension=dimension,
                before=before.name,
                after=name,
            )
    return NamedIdentifier(dimension, external_id, name)


def _attribute(connection: Connection, dimension: str) -> Attribute:
    return next(it for it in connection.connector.catalog.attributes if it.name == dimension)


def _identifiers(connection: Connection, attribute: Attribute) -> tuple[NamedIdentifier, ...]:
    """Return the values in stored documents and those with a name, ordered by id."""
    declared = [
        it
        for it in connection.connector.catalog.document_dimensions
        if it.subject == attribute.name
    ]
    facts = EngagementFact.objects.filter(
        connection=connection, feed__in=[it.feed for it in declared], days=1
    )
    names = dict(
        Resource.objects.filter(connection=connection, kind=attribute.resource).values_list(
            "external_id", "name"
        )
    )
    without_name = {"", *attribute.values, *(it.absent for it in declared)}
    reported = {*facts.order_by().values_list("subject", flat=True).distinct()} - without_name
    return tuple(
        NamedIdentifier(attribute.name, external_id, names.get(external_id, ""))
        for external_id in sorted({*reported, *names})
    )
