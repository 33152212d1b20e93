"""Labels for the provider's own words. Data, filters and files keep the words.

A word that is not listed is shown as it is: a product of next month needs no release of ours.
"""

import unicodedata

from integrations.connectors.records import NOT_READ
from reports import identity
from reports.catalog.metrics import SPECIAL, catalogs
from reports.catalog.resource_names import NONE, Names

# Words for values that are ours. Connectors declare those of their own values.
VALUE_LABELS = {
    "user_email": identity.MISSING,
    "user_name": identity.MISSING,
    "user_state": {"active": "Active", "deleted": "Deleted"},
}
EMPTY_LABELS = {
    "project_id": "Not attributed to a user",
    "service": "No product",
    "sku": "No model",
    "user_id": "Not attributed to a user",
    "user_email": "Not attributed to a user",
    "user_name": "Not attributed to a user",
    "user_state": "Not attributed to a user",
    "user_role": "No role known",
    "workspace_tags": "No tags",
    "api_key_owner": "No owner known",
    "api_key_expiry": "No expiry",
    "workspace_id": "No workspace",
    "api_key_id": "Not tied to an API key",
    "cost_type": "No cost type",
    "token_type": "Not tokens",
}
# Dimensions of cost and tokens: what the provider refuses to be asked by is no value of theirs.
_METERED = frozenset(
    {
        *("service", "sku", "cost_type", "token_type"),
        *("organization_id", "workspace_id", "api_key_id"),
    }
)
# An item that is called like what is no item is quoted.
_QUOTED = frozenset(text.casefold() for text in SPECIAL.values())
_NOT_SHOWN = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")
# Identifiers: set in the monospaced face and never translated.
_IDENTIFIERS = frozenset(
    {
        *("project_id", "user_id", "sku", "organization_id", "workspace_id", "api_key_id"),
        "api_key_owner",
    }
)
# A product keeps its color for life; the seventh is grey, for what is left over.
_SERIES = range(1, 7)
GREY = 7


def label(dimension: str, value: str, names: Names = NONE) -> str:
    """Return a dimension's value for people; an absent value has a name too.

    `names` are those of identifiers.
    """
    attribute = catalogs().attributes.get(dimension)
    if not value:
        return attribute.empty if attribute else EMPTY_LABELS.get(dimension, "Not set")
    if value in SPECIAL:
        return SPECIAL[value]
    if value == NOT_READ and (attribute.tables if attribute else dimension in _METERED):
        return "Not read"
    shown = visible(_word(dimension, value) or names.get((dimension, value), value))
    return f"\u201c{shown}\u201d" if shown.casefold() in _QUOTED else shown


def _word(dimension: str, value: str) -> str:
    """Return the declared word for a value; "" if there is none."""
    known = catalogs()
    if dimension == "service":
        return known.products[value].label if value in known.products else ""
    attribute = known.attributes.get(dimension)
    declared = attribute.values if attribute else known.values.get(dimension, {})
    return declared.get(value) or VALUE_LABELS.get(dimension, {}).get(value, "")


def is_identifier(dimension: str) -> bool:
    """Return True if the values of this dimension are ids."""
    attribute = catalogs().attributes.get(dimension)
    return attribute.is_identifier if attribute else dimension in _IDENTIFIERS


def visible(name: str) -> str:
    """Return a name of a provider as a page and an SVG can show it, one that is blank in words.

    XML has no place for control characters, and those that turn the direction of text would turn
    what stands beside the name.
    """
    shown = "".join("\ufffd" if _is_hidden(sign) else sign for sign in name)
    return shown if shown.strip() else "Blank name"


def _is_hidden(sign: str) -> bool:
    """Control characters, half pairs, what XML lacks, and what turns the direction of text."""
    return unicodedata.category(sign) in {"Cc", "Cs"} or sign in _NOT_SHOWN


def colors(dimension: str, values: list[str]) -> dict[str, int]:
    """Return a series color for up to six values, the largest first; grey for no value.

    Known products take their own; the others take what is left, in order.
    """
    products = catalogs().products if dimension == "service" else {}
    by_value: dict[str, int] = {}
    takes: dict[int, str] = {}  # the product that has a color: of two providers, the larger one
    for value in values:
        product = products.get(value)
        is_first = product and takes.setdefault(product.color, product.label) == product.label
        by_value[value] = product.color if product and is_first else 0
    free = [color for color in _SERIES if color not in by_value.values()]
    for value, color in by_value.items():
        if not value:
            by_value[value] = GREY
        elif not color:
            by_value[value] = free.pop(0) if free else GREY
    return by_value
