"""Names and attributes of ids in the reports: workspaces, API keys and members."""

from collections.abc import Iterator

from integrations.connectors.claude_console.client import (
    AdminClient,
    ApiKey,
    Member,
    Residency,
    Workspace,
)
from integrations.connectors.claude_console.feeds.meters import DEFAULT_WORKSPACE
from integrations.connectors.ids import canonical_id
from integrations.connectors.records import Page, PersonRef, ResourceRef
from integrations.window import Window

TAG = "tag:"  # what the attribute of a tag begins with
_WORKSPACE = "workspace_id"
_API_KEY = "api_key_id"


def read_workspaces(client: AdminClient, window: Window) -> Iterator[Page]:
    """Every workspace. The default one, which lists leave out, has one id of ours everywhere."""
    listed: set[str] = set()
    for listing in client.workspaces():
        listed |= {one.id for one in listing.data}
        yield _resources(client, *(_workspace(one, one.id) for one in listing.data))
    unlisted = client.default_workspace(listed)
    name = "Default workspace"
    yield _resources(
        client,
        _workspace(unlisted, DEFAULT_WORKSPACE, name)
        if unlisted
        else ResourceRef(_WORKSPACE, DEFAULT_WORKSPACE, name, "active"),
    )


def _workspace(one: Workspace, external_id: str, name: str = "") -> ResourceRef:
    residency = one.data_residency or Residency()
    tags = {k: value for k, value in (one.tags or {}).items() if isinstance(value, str)}
    return ResourceRef(
        _WORKSPACE,
        external_id,
        name or one.name,
        "archived" if one.archived_at else "active",
        _reported(
            provider_id=one.id if one.id != external_id else None,
            created_at=one.created_at,
            archived_at=one.archived_at,
            workspace_geo=residency.workspace_geo,
            default_inference_geo=residency.default_inference_geo,
            tags=", ".join(f"{key}={value}" for key, value in sorted(tags.items())),
            **{f"{TAG}{key}": value for key, value in tags.items()},
        ),
    )


def read_api_keys(client: AdminClient, window: Window) -> Iterator[Page]:
    """Keys of every status: history names those that are gone, too."""
    default: str | None = None
    for listing in client.api_keys():
        if default is None and any(one.scope for one in listing.data):
            default = _default_workspace_id(client)
        yield _resources(client, *(_api_key(one, default) for one in listing.data))


def _default_workspace_id(client: AdminClient) -> str:
    """Return the id of the default workspace in the key's scope, or "" if unknown."""
    listed = {one.id for listing in client.workspaces() for one in listing.data}
    unlisted = client.default_workspace(listed)
    return unlisted.id if unlisted else ""


def _api_key(one: ApiKey, default_workspace_id: str | None) -> ResourceRef:
    owner, owner_type = _owner(one)
    return ResourceRef(
        _API_KEY,
        one.id,
        one.name,
        "active" if one.status == "active" else "archived",
        _reported(
            owner=owner,
            owner_type=owner_type,
            workspace_id=_workspace_of(one, default_workspace_id),
            status=one.status,
            created_at=one.created_at,
            expires_at=one.expires_at,
            expires_on=(one.expires_at or "")[:10],
            hint=one.partial_key_hint,
        ),
    )


def _owner(key: ApiKey) -> tuple[str | None, str | None]:
    """Return (id, kind): the identity of the key, else its creator, else an unknown owner."""
    who = key.principal
    if who and (id := who.user_id or who.service_account_id or who.id):
        is_user = who.user_id or who.type in {"user", "user_actor"}
        return canonical_id(id), "user" if is_user else "service"
    if key.created_by and key.created_by.id:
        kind = "service" if key.created_by.type == "service_account" else "user"
        return canonical_id(key.created_by.id), kind
    return None, None


def _workspace_of(key: ApiKey, default_workspace_id: str | None) -> str | None:
    """One id for the default workspace, however it is sent; None for a key of all workspaces."""
    if key.scope is None:
        return key.workspace_id or DEFAULT_WORKSPACE
    if key.scope.workspace_id == default_workspace_id:
        return DEFAULT_WORKSPACE
    return key.scope.workspace_id


def read_members(client: AdminClient, window: Window) -> Iterator[Page]:
    """Read the names and roles of accounts."""
    for listing in client.members():
        people = tuple(_person(one) for one in listing.data)
        yield Page((), people=people, organization_id=client.organization_id)


def _person(one: Member) -> PersonRef:
    return PersonRef(canonical_id(one.id), one.email, one.name, "user", "active", one.role)


def _resources(client: AdminClient, *resources: ResourceRef) -> Page:
    return Page((), resources=resources, organization_id=client.organization_id)


def _reported(**attributes: str | None) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value}
