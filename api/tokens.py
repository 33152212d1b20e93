"""Token operations of pages, API and admin: create, authenticate, revoke."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from accounts import audit, quotas
from accounts.models import Membership, User
from accounts.permissions import Permission
from api.models import Token

PREFIX = "sgt_"  # recognizable by people and secret scanners
_LAST_USED_INTERVAL = timedelta(minutes=1)


class NameTaken(Exception):
    """The member has a token of this name already."""


@sensitive_variables("secret")
def create(
    membership: Membership,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None,
) -> tuple[Token, str]:
    """Create a token and return it with its secret, which is not stored. Raise `NameTaken`."""
    secret = PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            organization = membership.organization
            existing = Token.objects.filter(membership__organization=organization)
            quotas.check(organization, "tokens", existing)
            token = Token.objects.create(
                membership=membership,
                name=name,
                digest=_digest(secret),
                hint=secret[-4:],
                scopes=sorted(scopes),
                expires_at=expires_at,
            )
            audit.record(
                membership.organization,
                membership.user,
                "token.created",
                name,
                scopes=", ".join(token.scopes),
                expires=f"{expires_at:%Y-%m-%d}" if expires_at else "never",
            )
    except IntegrityError as exc:
        raise NameTaken(name) from exc
    return token, secret


@sensitive_variables("secret")
def authenticate(secret: str, now: datetime) -> Token | None:
    """Return the usable token with this secret and store its last use, to the minute."""
    token = (
        Token.objects.usable(now)
        .select_related("membership__organization", "membership__user")
        .filter(digest=_digest(secret))
        .first()
    )
    if token and (token.last_used_at is None or now - token.last_used_at >= _LAST_USED_INTERVAL):
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def visible_to(membership: Membership) -> QuerySet[Token]:
    """Return the member's tokens, or all of the organization for those who manage members."""
    rows = Token.objects.select_related("membership__user").order_by("-created_at", "-pk")
    if membership.may(Permission.MANAGE_MEMBERS):
        return rows.filter(membership__organization=membership.organization)
    return rows.filter(membership=membership)


def revoke(token: Token, actor: User) -> None:
    """Delete the token and record it in the audit log."""
    with transaction.atomic():
        owner = token.membership
        audit.record(owner.organization, actor, "token.revoked", token.name, owner=owner.user.email)
        token.delete()


def _digest(secret: str) -> bytes:
    # 256 random bits: nothing to guess, so a quick hash without salt is as good as a slow one.
    return hashlib.sha256(secret.encode()).digest()
