"""Every connector's sandbox at one address, as providers that share an address need it."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from integrations.connectors.base import Connector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Sandboxes:
    """WSGI application that passes a request to the sandbox of its key.

    An unknown key goes to the first sandbox, which rejects it.
    """

    def __init__(self, connectors: Iterable[Connector]) -> None:
        self._apps = [connector.sandbox() for connector in connectors]
        self._by_key: Mapping[str, Any] = {
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
        answer: Iterable[bytes] = app(environ, start_response)
        return answer
