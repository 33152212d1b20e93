"""All products together: what each costs, and which source reports what, without counting twice.

Connections bring different dollars, unless two of them read the same provider organization. Then
the one that was connected first counts, and the other is shown beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from accounts.models import Organization
from integrations.connectors.ids import canonical_id
from integrations.models import Connection, FeedDay, Person
from integrations.status.days import DayState
from integrations.window import Window
from reports import engine, identity, limits
from reports.catalog import labels
from reports.catalog.metrics import METRICS, Number, add_known
from reports.currency import write_in
from reports.engine import Report, provider_name
from reports.engine.spec import Filter, ReportSpec

ESTIMATE = "code_estimated_cost"


@dataclass(frozen=True)
class Column:
    """One connection. `same_as` is the label of the one that counts its dollars already."""

    label: str
    provider: str
    same_as: str = ""


@dataclass(frozen=True)
class Cell:
    """Numbers of one product from one connection, with a link."""

    value: Number
    query: str


@dataclass(frozen=True)
class ProductRow:
    """One product. `total` leaves out what another connection counts."""

    label: str
    cells: tuple[Cell, ...]
    total: Number


@dataclass(frozen=True)
class Surface:
    """Sources of the numbers of one product, per connection."""

    label: str
    sources: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Estimate:
    label: str
    amount: Number


@dataclass(frozen=True)
class IdFormatMismatch:
    """Labels whose organizations the provider names by UUID and by a tagged id (org_…)."""

    publisher: str
    by_uuid: tuple[str, ...]
    tagged: tuple[str, ...]


@dataclass(frozen=True)
class Gap:
    """Data that a provider does not report, in its connector's sentences."""

    provider: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Products:
    """The page. Lines and surfaces stand by name, their cells in the order of `columns`."""

    spec: ReportSpec
    columns: tuple[Column, ...]
    lines: tuple[ProductRow, ...]
    surfaces: tuple[Surface, ...]
    estimates: tuple[Estimate, ...]
    shared_people: int
    gaps: tuple[Gap, ...]
    unlike: tuple[IdFormatMismatch, ...]
    is_closed: bool
    currency_note: str

    @cached_property
    def foot(self) -> tuple[Number, ...]:
        """Sums of each connection; None where nothing is known."""
        return tuple(
            _known_sum(line.cells[at].value for line in self.lines)
            for at in range(len(self.columns))
        )

    @cached_property
    def total(self) -> Number:
        return _known_sum(line.total for line in self.lines)

    @property
    def twice(self) -> list[Column]:
        """The connections whose dollars another one counts, wholly or in part."""
        return [column for column in self.columns if column.same_as]

    @property
    def has_overlaps(self) -> bool:
        return bool(self.estimates or self.doubly_active or self.shared_people or self.unlike)

    @property
    def doubly_active(self) -> list[str]:
        """The products whose activity more than one connection counts."""
        return [
            surface.label
            for surface in self.surfaces
            if sum("Activity" in words for words in surface.sources) > 1
        ]


def _known_sum(numbers: Iterable[Number]) -> Number:
    known = [number for number in numbers if number is not None]
    return add_known(known) if known else None


def read(organization: Organization, spec: ReportSpec) -> Products:
    """Everything of the page for the window of `spec`. Eight queries at most."""
    metered = engine.run(
        organization,
        ReportSpec(
            metrics=("cost", "total_tokens"),
            window=spec.window,
            range=spec.range,
            group_by=("billing_account", "organization_id", "service"),
            single_currency=True,  # the page adds up its columns
        ),
    )
    write_in(metered.currency)
    connections = metered.connections
    counts = _counting_connection(connections, metered)
    return Products(
        spec=spec,
        columns=_columns(connections, counts),
        lines=tuple(_lines(metered, counts)),
        surfaces=tuple(_surfaces(connections, metered, spec.window)),
        estimates=tuple(_estimates(organization, connections, spec)),
        shared_people=_shared_people(connections),
        gaps=tuple(_gaps(connections)),
        unlike=tuple(_unlike(connections)),
        currency_note=limits.currency_note(
            engine.connections_of(organization, spec), metered.currency
        )
        if metered.spec.filters
        else "",
        is_closed=metered.coverage.count(DayState.FINAL) == len(spec.window),
    )


# --- Whose dollars -------------------------------------------------------------------------


def _counting_connection(
    connections: Sequence[Connection], metered: Report
) -> Mapping[tuple[str, str], str]:
    """By (label, organization of its lines), the label of the connection that counts them.

    The dollars of one provider organization belong to the connection that has read it longest.
    """
    owners: dict[str, str] = {}
    counts: dict[tuple[str, str], str] = {}
    within = defaultdict(set)
    for label, organization_id, _ in (row.keys for row in metered.rows):
        within[label].add(str(organization_id))
    for connection in sorted(connections, key=lambda one: one.created_at):
        for organization_id in sorted(within[connection.label] | {""}):
            provider_id = canonical_id(organization_id) or connection.organization_key
            counts[connection.label, organization_id] = (
                owners.setdefault(provider_id, connection.label)
                if provider_id
                else connection.label
            )
    return counts


def _unlike(connections: Iterable[Connection]) -> Iterable[IdFormatMismatch]:
    """Return connections whose organizations are spelled in two ways that cannot be matched."""
    labels_by_format: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for connection in connections:
        id = connection.organization_key
        by_uuid, tagged = labels_by_format[connection.connector.publisher]
        if id:
            (tagged if "_" in id else by_uuid).append(connection.label)
    for publisher, (by_uuid, tagged) in labels_by_format.items():
        if by_uuid and tagged:
            yield IdFormatMismatch(publisher, tuple(by_uuid), tuple(tagged))


def _columns(
    connections: Iterable[Connection], counts: Mapping[tuple[str, str], str]
) -> tuple[Column, ...]:
    others: dict[str, str] = {}
    for (label, _), owner in counts.items():
        if owner != label:
            others[label] = owner
    return tuple(
        Column(one.label, provider_name(one), others.get(one.label, "")) for one in connections
    )


def _lines(metered: Report, counts: Mapping[tuple[str, str], str]) -> Iterable[ProductRow]:
    by_cell = metered.by("billing_account", "service")
    own: dict[str, list[Number]] = defaultdict(list)
    for row in metered.rows:
        label, organization_id, service = map(str, row.keys)
        if counts[label, organization_id] == label and row.values[0] is not None:
            own[service].append(row.values[0])
    services = {str(row.keys[1]) for row in by_cell.rows}
    for service in sorted(services, key=_by_name):
        cells = tuple(
            Cell(by_cell.values((one.label, service))[0], _query(metered.spec, one, service))
            for one in metered.connections
        )
        yield ProductRow(
            labels.label("service", service),
            cells,
            add_known(own[service]) if own[service] else None,
        )


def _query(spec: ReportSpec, connection: Connection, service: str) -> str:
    """Return the URL of the report with the same number."""
    return replace(
        spec,
        metrics=("cost",),
        group_by=("sku",),
        filters=(
            Filter("billing_account", (connection.label,)),
            Filter("service", (service,)),
        ),
    ).to_query()


def _by_name(service: str) -> tuple[bool, str]:
    return not service, labels.label("service", service).casefold()


# --- Which source reports what -------------------------------------------------------------


def _surfaces(
    connections: Sequence[Connection], metered: Report, window: Window
) -> Iterable[Surface]:
    by_surface: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for side, word in zip(metered.sides, ("Cost", "Tokens"), strict=True):
        for label, _, service, _ in side.groups:
            if word not in by_surface[str(service)][str(label)]:
                by_surface[str(service)][str(label)].append(word)
    for connection, surfaces in _active(connections, window):
        for surface in surfaces:
            if "Activity" not in by_surface[surface][connection.label]:
                by_surface[surface][connection.label].append("Activity")
    for service in sorted(by_surface, key=_by_name):
        yield Surface(
            labels.label("service", service),
            tuple(tuple(by_surface[service][one.label]) for one in connections),
        )


def _active(
    connections: Sequence[Connection], window: Window
) -> Iterable[tuple[Connection, Iterable[str]]]:
    """Return the numbers of activity feeds that were read for one of the days."""
    by_id = {connection.pk: connection for connection in connections}
    read_feeds = (
        FeedDay.objects.filter(
            connection__in=connections, day__gte=window.start, day__lt=window.end, rows__gt=0
        )
        .order_by()
        .values_list("connection_id", "feed")
        .distinct()
    )
    for connection_id, name in read_feeds:
        connection = by_id[connection_id]
        feed = connection.connector.feed(name)
        if feed is not None and feed.surfaces:
            yield connection, feed.surfaces


# --- What must not be added up -------------------------------------------------------------


def _estimates(
    organization: Organization, connections: Iterable[Connection], spec: ReportSpec
) -> Iterable[Estimate]:
    if ESTIMATE not in METRICS:
        return  # no connector that estimates is installed
    report = engine.run(
        organization,
        ReportSpec(
            metrics=(ESTIMATE,),
            window=spec.window,
            range=spec.range,
            group_by=("billing_account",),
        ),
    )
    amounts = {row.keys[0]: row.values[0] for row in report.rows}
    for connection in connections:
        if amounts.get(connection.label):
            yield Estimate(connection.label, amounts[connection.label])


def _shared_people(connections: Sequence[Connection]) -> int:
    """Return the number of people in more than one connection."""
    places: dict[int, set[int]] = defaultdict(set)
    people = Person.objects.filter(connection__in=connections, kind=Person.Kind.USER)
    same = identity.identities(connections).same
    for pk, connection_id in people.values_list("pk", "connection_id"):
        places[same.get(pk, pk)].add(connection_id)
    return sum(len(connection_ids) > 1 for connection_ids in places.values())


def _gaps(connections: Iterable[Connection]) -> Iterable[Gap]:
    seen = set()
    for connection in connections:
        connector = connection.connector
        if connector.slug not in seen and connector.not_reported:
            seen.add(connector.slug)
            yield Gap(connector.name, connector.not_reported)
