"""Records that every connector makes of its provider's responses.

Plain frozen values, no database. Money is `Decimal` units of the connection's one currency, see
`base.Probe`. An absent dimension is "" and never None, so that keys compare; an unknown number is
None and never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import msgspec

# The value of a dimension that the provider refuses to be asked by. "" is a known absence.
NOT_READ = "not_read"


class MeterKey(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Meter: one combination of the provider's own dimension values.

    The only list of dimensions: stored columns, the unique key and reports follow from it. Open
    strings: a new product or model is a new combination, not an error.
    A dimension is a field if several providers have it or our own code reads it. All others are
    `attributes`, (name, value) sorted by name, that the catalog of the connector declares
    (`base.Attribute`). "" and absent are the same, so leave those out.
    """

    product: str = ""
    model: str = ""
    cost_type: str = ""
    token_type: str = ""
    organization_id: str = ""
    workspace_id: str = ""
    api_key_id: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


# The dimensions that have a column of their own.
METER_FIELDS = tuple(name for name in MeterKey.__struct_fields__ if name != "attributes")


def meter_key(values: Mapping[str, str]) -> MeterKey:
    """Return the meter with these dimensions; those without a column become attributes."""
    fields = {name: value for name, value in values.items() if name in METER_FIELDS}
    attributes = sorted((name, it) for name, it in values.items() if it and name not in fields)
    return MeterKey(**fields, attributes=tuple(attributes))


class PersonRef(msgspec.Struct, frozen=True, array_like=True):
    """Person: `external_id` is the key, the other attributes can change.

    A feed that only knows an address gives it as the key too; it stands for the person with that
    address in the same connection. `kind` is user, service, api_key or federated; `state` is active
    or deleted; `role` is the provider's role. "" means not reported, and changes nothing.
    """

    external_id: str
    email: str = ""
    name: str = ""
    kind: str = ""
    state: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """Name of an id of a dimension: a workspace, an API key, a group of people.

    `kind` is the dimension, such as workspace_id. `state` is active or archived; "" means not
    reported, and changes nothing. `attributes` are further texts such as the owner, the expiry or a
    tag (`tag:<name>`); None: not reported.
    """

    kind: str
    external_id: str
    name: str = ""
    state: str = ""
    attributes: Mapping[str, str] | None = None


# The numbers of the two metered records, by field name.
COST_MEASURES = ("effective_cost", "list_cost")
USAGE_MEASURES = (
    "requests",
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "web_searches",
)
TOKEN_MEASURES = USAGE_MEASURES[1:6]


class CostRecord(msgspec.Struct, frozen=True, array_like=True, tag="cost"):
    """One priced line of one UTC day. `person` None: a line of the whole organization.

    Several records of one day, meter and person within one read are parts of one fact.
    """

    day: date
    meter: MeterKey
    person: PersonRef | None
    effective_cost: Decimal
    list_cost: Decimal | None


class UsageRecord(msgspec.Struct, frozen=True, array_like=True, tag="usage"):
    """Counted tokens and requests of one UTC day; `person` as above."""

    day: date
    meter: MeterKey
    person: PersonRef | None
    requests: int | None
    uncached_input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    web_searches: int


class EngagementRecord(msgspec.Struct, frozen=True, array_like=True, tag="activity"):
    """Activity of one subject on one UTC day, or over the `days` days that end with it.

    Only the provider can count distinct people over several days, so such a span is read as a whole
    and never summed. `subject` is the item within its feed: a user id, a skill; "" is the whole
    organization. `values` maps the provider's dotted field path to its number; null and absent are
    left out, zero is kept.

    `labels` are further dimensions of a document by the names of reports (`item`, `service`,
    `rbac_group_id`), see `base.DocumentDimensions`. They do not identify documents: `subject` has
    to include them too.
    """

    day: date
    subject: str
    person: PersonRef | None
    values: Mapping[str, int | Decimal]
    name: str = ""
    days: int = 1
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class TotalRecord(msgspec.Struct, frozen=True, array_like=True, tag="total"):
    """The provider's own ungrouped total of one UTC day, to check our lines against.

    `measure` is a field name of the fact it checks, such as `effective_cost`.
    """

    day: date
    measure: str
    value: Decimal


Record = CostRecord | UsageRecord | EngagementRecord | TotalRecord


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Rows of the provider that make no sense and are in no record. Their day is incomplete.

    `day` None: they do not say, so no day of the window is complete. `reason` is fit for the page.
    """

    day: date | None
    reason: str
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the provider, translated. `people` and `resources` are names, without numbers.

    `watermark` is the instant of the export that served it: days that end after it are
    incomplete. None: the provider does not say (engagement) or knows nothing yet (cost).
    `feed` names the feed that the page belongs to, if it is not the one that is read: one answer
    may fill two, see `Feed.filled_by`.
    """

    records: tuple[Record, ...]
    watermark: datetime | None = None
    organization_id: str = ""
    people: tuple[PersonRef, ...] = ()
    resources: tuple[ResourceRef, ...] = ()
    kept_out: tuple[KeptOut, ...] = ()
    feed: str = ""


# Endings of field names that count distinct people or tell a state: no sum of parts.
_NO_SUM = ("_user_count", "_rate", "_seat_count", "_invite_count", "install_count", "enable_count")


def is_sum(path: str) -> bool:
    """Return whether parts of one document add up in this field, judged by its name."""
    name = path.rpartition(".")[2]
    return not (name.endswith(_NO_SUM) or ("distinct" in name and "created" not in name))
