"""Find the names of identifiers: workspaces, API keys and items that people use.

Pages show the names; data, filters, URLs and files keep the identifiers.
"""

from collections.abc import Collection, Mapping, Sequence

from integrations.models import Connection, EngagementFact, Person, Resource
from reports.catalog.metrics import catalogs

Names = Mapping[tuple[str, str], str]  # by dimension and value
NONE: Names = {}

# The dimensions of every provider that hold identifiers of resources, and the kind they name.
_KINDS = {
    "workspace_id": "workspace_id",
    "api_key_id": "api_key_id",
    "project_id": "workspace_id",
}


def of(connections: Sequence[Connection], dimensions: Collection[str]) -> Names:
    """Return the names of all values of those dimensions; no query if none has names."""
    names = _of_resources(connections, {name: kind for name in dimensions if (kind := _kind(name))})
    if "api_key_owner" in dimensions:
        names |= _of_owners(connections)
    if "item" in dimensions:
        names |= {("item", item): name for item, name in items(connections).items() if name}
    return names


def has_names(dimension: str) -> bool:
    """Return whether values of a dimension have names: a file has them in a column of their own."""
    return dimension in {"item", "api_key_owner"} or _kind(dimension) != ""


def _kind(dimension: str) -> str:
    """Return the kind of resource that names the values of a dimension; "" if none does."""
    attribute = catalogs().attributes.get(dimension)
    return attribute.resource if attribute else _KINDS.get(dimension, "")


def items(connections: Sequence[Connection]) -> dict[str, str]:
    """Every skill, connector, plugin and project there is a fact of, by its newest name or ""."""
    facts = EngagementFact.objects.filter(
        connection__in=connections, feed__in=_item_feeds(), days=1
    )
    newest = facts.order_by("subject", "-day").distinct("subject")
    return dict(newest.values_list("subject", "name"))


def _of_owners(connections: Sequence[Connection]) -> dict[tuple[str, str], str]:
    """People by their ids; a service account keeps its id until a member names it."""
    people = Person.objects.filter(connection__in=connections).exclude(name="", email="")
    return {
        ("api_key_owner", external_id): name or email
        for external_id, name, email in people.values_list("external_id", "name", "email")
    }


def _of_resources(
    connections: Sequence[Connection], kinds: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    if not kinds:
        return {}
    values: dict[str, list[tuple[str, str]]] = {}
    for kind, external_id, name in (
        Resource.objects.filter(connection__in=connections, kind__in={*kinds.values()})
        .exclude(name="")
        .values_list("kind", "external_id", "name")
    ):
        values.setdefault(kind, []).append((external_id, name))
    return {
        (dimension, external_id): name
        for dimension, kind in kinds.items()
        for external_id, name in values.get(kind, ())
    }


def _item_feeds() -> list[str]:
    """Return the feeds whose documents are each about one named item."""
    declared = catalogs().document_dimensions.values()
    return sorted(it.feed for it in declared if it.subject == "item")
