"""Names of what the reports only number: workspaces, API keys, members."""

from collections.abc import Iterator

from integrations.connectors.claude_console.client import AdminClient
from integrations.connectors.claude_console.feeds.meters import DEFAULT_WORKSPACE
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import Page, PersonRef, ResourceRef
from integrations.window import Window

_DEFAULT = ResourceRef("workspace_id", DEFAULT_WORKSPACE, "Default workspace", "active")


def read_workspaces(client: AdminClient, window: Window) -> Iterator[Page]:
    """Every workspace, and the default one, which no list holds."""
    for listing in client.workspaces():
        found = [
            ResourceRef(
                "workspace_id", one.id, one.name, "archived" if one.archived_at else "active"
            )
            for one in listing.data
        ]
        yield Page((), resources=(_DEFAULT, *found), organization_id=client.organization_id)


def read_api_keys(client: AdminClient, window: Window) -> Iterator[Page]:
    """Keys of every status: history names those that are gone, too."""
    for listing in client.api_keys():
        found = (
            ResourceRef(
                "api_key_id", one.id, one.name, "active" if one.status == "active" else "archived"
            )
            for one in listing.data
        )
        yield Page((), resources=tuple(found), organization_id=client.organization_id)


def read_members(client: AdminClient, window: Window) -> Iterator[Page]:
    """Who an account is."""
    for listing in client.members():
        people = (
            PersonRef(canonical_id(one.id), one.email, one.name, "user", "active")
            for one in listing.data
        )
        yield Page((), people=tuple(people), organization_id=client.organization_id)
