"""Actors to whom Anthropic's reports attribute usage."""

import msgspec

from integrations.connectors.ids import canonical_id
from integrations.connectors.records import PersonRef


class Actor(msgspec.Struct):
    """One identity. Legacy reports of Claude Enterprise send users only, beta reports four types.

    `subject` is the name used by the provider of a federated identity.
    """

    type: str | None = "user_actor"
    user_id: str | None = None
    service_account_id: str | None = None
    api_key_id: str | None = None
    subject: str | None = None
    email: str | None = None  # version 2023-06-01
    email_address: str | None = None  # newer versions; some answers carry both
    name: str | None = None
    deleted: bool | None = None


def to_person(actor: Actor | None) -> PersonRef | None:
    """Convert an actor to a person, or None without an id: then usage is unattributed."""
    if actor is None:
        return None
    email = actor.email_address or actor.email or ""
    name = actor.name or ""
    if actor.user_id:
        deleted = bool(actor.deleted)
        # A live account without an address is a service identity such as Claude Security.
        kind = "user" if email or deleted else "service"
        state = "deleted" if deleted else "active"
        return PersonRef(canonical_id(actor.user_id), email, name, kind, state)
    others = (
        (actor.service_account_id, "service"),
        (actor.api_key_id, "api_key"),
        (actor.subject, "federated"),
    )
    named = ((canonical_id(id), kind) for id, kind in others if id)
    return next((PersonRef(id, email, name, kind, "active") for id, kind in named), None)
