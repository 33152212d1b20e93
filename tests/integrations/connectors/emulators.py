"""Emulator of each connector's API, for the tests that run over all connectors.

A new connector adds its line to `sandbox.app.APIS`, or here if its emulator is only for tests.
"""

from collections.abc import Mapping
from typing import Any

from sandbox.anthropic.server import Server
from sandbox.app import APIS

EMULATORS: Mapping[str, type[Server]] = {**APIS}


def emulator(connector: Any) -> Server:
    """Return a new WSGI application that answers as the provider of `connector` does."""
    return EMULATORS[connector.slug]()
