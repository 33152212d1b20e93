"""API authentication: a usable token with the scope, within its rate limit."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_variables
from ninja.security import HttpBearer

from accounts.throttling import RateLimit
from api import tokens
from api.models import Scope, Token
from api.problems import MissingToken, Problem, TooManyRequests


class Bearer(HttpBearer):
    """Authenticate a token and set `request.organization` and `request.membership`.

    Raise `Problem`. Unknown secrets are not counted: they have 256 bits to guess.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def __call__(self, request: HttpRequest) -> Token:
        token: Token | None = super().__call__(request)
        if token is None:
            raise MissingToken
        return token

    @method_decorator(sensitive_variables("token"))
    def authenticate(self, request: Any, token: str) -> Token | None:
        usable = tokens.authenticate(token.strip(), timezone.now())
        if usable is None:
            return None
        if settings.API_REQUESTS > 0 and (wait := _throttle().wait_seconds(f"{usable.pk}")):
            raise TooManyRequests(wait)
        if self._scope not in usable.scopes:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"This token does not have the scope {self._scope}."
                " Create a token with this scope.",
            )
        request.membership = usable.membership
        request.organization = usable.membership.organization
        return usable


def _throttle() -> RateLimit:
    return RateLimit("api", settings.API_REQUESTS, survives_redis=False)
