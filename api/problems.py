"""Errors as problem documents (RFC 9457), always with the same fields."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

MEDIA_TYPE = "application/problem+json"
ROOT = "/api/"
_DETAILS = {
    HTTPStatus.NOT_FOUND: "This address does not exist, or this token may not read it.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The API is read-only. Use GET.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Spendglass failed. The error was logged.",
}


class Problem(Exception):
    """Error response. `members` are further fields of the document."""

    def __init__(self, status: HTTPStatus, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.members = members
        self.headers: dict[str, str] = {}


class MissingToken(Problem):
    def __init__(self) -> None:
        super().__init__(
            HTTPStatus.UNAUTHORIZED,
            "This needs a valid token. Send it as “Authorization: Bearer sgt_…”.",
        )
        self.headers["WWW-Authenticate"] = "Bearer"


class TooManyRequests(Problem):
    def __init__(self, wait_seconds: int) -> None:
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"This token has sent too many requests. Try again in {wait_seconds} s.",
        )
        self.headers["Retry-After"] = f"{wait_seconds}"


def answer(problem: Problem) -> HttpResponse:
    """Render a problem as a response."""
    document = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        **problem.members,
    }
    text = json.dumps(document, ensure_ascii=False)
    return HttpResponse(
        text, status=problem.status, content_type=MEDIA_TYPE, headers=problem.headers
    )


def problem_documents(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Convert Django's error pages below /api/ into problem documents, uncached (middleware).

    Unknown URLs, refused methods and crashes do not reach the exception handlers of the API.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not request.path.startswith(ROOT):
            return response
        if response.status_code >= 400 and response.headers.get("Content-Type") != MEDIA_TYPE:
            status = HTTPStatus(response.status_code)
            problem = Problem(status, _DETAILS.get(status, status.description))
            if "Allow" in response.headers:
                problem.headers["Allow"] = response.headers["Allow"]
            response = answer(problem)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return middleware
