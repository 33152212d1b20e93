"""The registry: which providers this installation knows, in the order of the settings."""

from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from integrations.connectors.base import Connector
from integrations.connectors.unknown import UnknownConnector


@cache
def connectors() -> dict[str, Connector]:
    """Every connector by its slug, in the order of `settings.CONNECTORS`."""
    instances: list[Connector] = [import_string(path)() for path in settings.CONNECTORS]
    return {connector.slug: connector for connector in instances}


def get_connector(slug: str) -> Connector:
    """Return the connector of this slug; raise `KeyError` if the settings do not name it."""
    return connectors()[slug]


def connector_of(slug: str) -> Connector:
    """Return the connector that stored data belongs to, or an `UnknownConnector`."""
    return connectors().get(slug) or UnknownConnector(slug)


def choices() -> list[tuple[str, str]]:
    """(slug, name) pairs for a model field: a callable, so a new provider needs no migration."""
    return [(slug, connector.name) for slug, connector in connectors().items()]
