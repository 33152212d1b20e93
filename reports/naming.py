"""What identifiers are called by people: workspaces and API keys, by the names the provider has.

Pages show the names; data, filters, addresses and files keep the identifiers.
"""

from collections.abc import Iterable, Mapping

from integrations.models import Connection, Resource

Names = Mapping[tuple[str, str], str]  # by dimension and value
NONE: Names = {}

# The dimensions that hold identifiers of resources, and the kind of resource they name.
KINDS = {"workspace_id": "workspace_id", "api_key_id": "api_key_id", "project_id": "workspace_id"}


def of(connections: Iterable[Connection], dimensions: Iterable[str]) -> Names:
    """The names of everything those dimensions may hold; no query if none holds any."""
    wanted = [name for name in dimensions if name in KINDS]
    if not wanted:
        return NONE
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, external_id, name in (
        Resource.objects.filter(connection__in=connections, kind__in={KINDS[n] for n in wanted})
        .exclude(name="")
        .values_list("kind", "external_id", "name")
    ):
        found.setdefault(kind, []).append((external_id, name))
    return {
        (dimension, external_id): name
        for dimension in wanted
        for external_id, name in found.get(KINDS[dimension], ())
    }
