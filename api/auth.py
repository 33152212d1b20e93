"""The door of the API: a token that is in force, has the scope, and does not ask too often."""

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
    """Lets a token in and sets `request.organization` and `request.membership`.

    Raises `Problem`. Secrets that open nothing are not counted: they have 256 bits to guess.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def __call__(self, request: HttpRequest) -> Token:
        found: Token | None = super().__call__(request)
        if found is None:
            raise MissingToken
        return found

    @method_decorator(sensitive_variables("token"))
    def authenticate(self, request: Any, token: str) -> Token | None:
        found = tokens.authenticate(token.strip(), timezone.now())
        if found is None:
            return None
        if settings.API_REQUESTS > 0 and (wait := _throttle().wait_seconds(f"{found.pk}")):
            raise TooManyRequests(wait)
        if self._scope not in found.scopes:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"This token was made without the scope {self._scope}. Make one that has it.",
            )
        request.membership = found.membership
        request.organization = found.membership.organization
        return found


def _throttle() -> RateLimit:
    return RateLimit("api", settings.API_REQUESTS, survives_redis=False)
