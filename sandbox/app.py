"""One WSGI application for all emulated APIs, as providers that share an address need it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sandbox import claude_console, claude_enterprise
from sandbox.anthropic.server import Server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# By the slug of the connector that reads the API. The first one refuses unknown keys.
APIS: Mapping[str, type[Server]] = {
    "claude-enterprise": claude_enterprise.Sandbox,
    "claude-console": claude_console.Sandbox,
}


class Sandboxes:
    """Let the API whose key a request carries answer it, whatever header holds the key."""

    def __init__(self, slugs: Iterable[str] = APIS) -> None:
        self._apps = [APIS[slug]() for slug in slugs]
        self._by_key: Mapping[str, Server] = {
            key: app for app in self._apps for key in (*app.keys, *app.failing_keys)
        }

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        sent = (
            str(value).rpartition(" ")[2]  # a key may follow a scheme such as Bearer
            for name, value in environ.items()
            if name.startswith("HTTP_")
        )
        app = next((self._by_key[key] for key in sent if key in self._by_key), self._apps[0])
        return app(environ, start_response)
