"""Replace the stored rows of one day, and keep the earlier sums of a complete day."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
from django.db import connection as database
from django.db.models import F
from django.db.models.functions import Lower
from django.utils import timezone
from msgspec import structs

from integrations.connectors.base import Feed, Table
from integrations.connectors.records import (
    COST_MEASURES,
    METER_FIELDS,
    USAGE_MEASURES,
    CostRecord,
    EngagementRecord,
    MeterKey,
    PersonRef,
    Record,
    ResourceRef,
    TotalRecord,
    UsageRecord,
)
from integrations.loading.adding import Documents, sum_measures
from integrations.loading.restatements import (
    Change,
    DayTotals,
    Numbers,
    activity,
    changed_activity,
    diff,
)
from integrations.loading.spool import Spool, merge_person
from integrations.models import (
    Connection,
    CostFact,
    CostTotal,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    Person,
    Resource,
    ResourceVersion,
    Restatement,
    UsageFact,
    UsageTotal,
)


class Meters:
    """Ids of a connection's meters by key; unseen ones are added."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids = self._stored()

    def _stored(self) -> dict[MeterKey, int]:
        rows = Meter.objects.filter(connection=self._connection).values_list(
            "id", "attributes", *METER_FIELDS
        )
        return {
            structs.replace(
                MeterKey(),
                attributes=tuple(sorted(attributes.items())),
                **dict(zip(METER_FIELDS, values, strict=True)),
            ): pk
            for pk, attributes, *values in rows
        }

    def __getitem__(self, key: MeterKey) -> int:
        return self._ids[key]

    def add(self, keys: Iterable[MeterKey]) -> None:
        """Store the unseen ones of these, all in one statement."""
        unseen = {*keys}.difference(self._ids)
        if not unseen:
            return
        # Two feeds may meet the same meter at once: the second takes the row of the first.
        Meter.objects.bulk_create(map(self._meter, unseen), ignore_conflicts=True, batch_size=1000)
        self._ids = self._stored()

    def _meter(self, key: MeterKey) -> Meter:
        values = {name: getattr(key, name) for name in METER_FIELDS}
        return Meter(connection=self._connection, attributes=dict(key.attributes), **values)

    def names(self) -> dict[int, str]:
        """Return what the meters are called, by id."""
        return {
            pk: " · ".join(
                value
                for value in (
                    *(getattr(key, name) for name in METER_FIELDS),
                    *(value for _, value in key.attributes),
                )
                if value
            )
            or "everything"
            for key, pk in self._ids.items()
        }


_SEEN = ("email", "name", "kind", "state", "role")  # what a sighting may tell of a person


def people_ids(connection: Connection, people: dict[str, PersonRef]) -> dict[str, int]:
    """Add the unseen, update the changed, and return every id by external id."""
    met_before = _known_by_address(connection, people)
    people = {key: person for key, person in people.items() if key not in met_before}
    stored = {
        person.external_id: person
        for person in Person.objects.filter(connection=connection, external_id__in=people)
    }
    new, moved = [], []
    for external_id, ref in people.items():
        person = stored.get(external_id)
        if person is None:
            new.append(
                Person(
                    connection=connection,
                    external_id=external_id,
                    email=ref.email,
                    name=ref.name,
                    kind=ref.kind or Person.Kind.USER,
                    state=ref.state or Person.State.ACTIVE,
                    role=ref.role,
                )
            )
            continue
        seen = PersonRef(external_id, *(getattr(person, name) for name in _SEEN))
        now = merge_person(seen, structs.replace(ref, name="") if person.is_named_here else ref)
        if now != seen:
            for name in _SEEN:
                setattr(person, name, getattr(now, name))
            moved.append(person)
    # Two feeds may meet the same new person at once: the second takes the first one's row.
    Person.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    Person.objects.bulk_update(moved, _SEEN, batch_size=1000)
    return met_before | dict(
        Person.objects.filter(connection=connection, external_id__in=people).values_list(
            "external_id", "id"
        )
    )


def _known_by_address(connection: Connection, people: dict[str, PersonRef]) -> dict[str, int]:
    """Those given by address alone whom other feeds have named by id, if it is one person."""
    addresses = {
        key.lower(): key
        for key, person in people.items()
        if key and key.lower() == person.email.lower()
    }
    if not addresses:
        return {}
    ids: dict[str, list[int]] = defaultdict(list)
    for pk, address in (
        Person.objects.filter(connection=connection)
        .alias(address=Lower("email"))
        .filter(address__in=addresses)
        .exclude(external_id__iexact=F("email"))
        .values_list("pk", Lower("email"))
    ):
        ids[addresses[address]].append(pk)
    return {key: pks[0] for key, pks in ids.items() if len(pks) == 1}


def store_resources(connection: Connection, resources: dict[tuple[str, str], ResourceRef]) -> int:
    """Add the unseen, change the changed; what a list no longer holds stays as it was.

    Attributes that are new or have changed are kept as a version from today on.
    """
    stored = {
        (resource.kind, resource.external_id): resource
        for resource in Resource.objects.filter(
            connection=connection, external_id__in=[external_id for _, external_id in resources]
        )
    }
    new, moved, versions = [], [], []
    for key, ref in resources.items():
        resource = stored.get(key)
        before = resource and _described(resource)
        if resource is None:
            resource = Resource(connection=connection, kind=ref.kind, external_id=ref.external_id)
            new.append(resource)
        resource.name = ref.name or resource.name
        resource.state = ref.state or resource.state
        if ref.attributes is not None and dict(ref.attributes) != resource.attributes:
            resource.attributes = dict(ref.attributes)
            versions.append(resource)
        if before is not None and before != _described(resource):
            moved.append(resource)
    Resource.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    Resource.objects.bulk_update(moved, ["name", "state", "attributes"], batch_size=1000)
    _keep_versions(connection, versions)
    return len(new) + len(moved)


def _described(resource: Resource) -> tuple[Any, ...]:
    return resource.name, resource.state, resource.attributes


def _keep_versions(connection: Connection, changed: Iterable[Resource]) -> None:
    """Write down what resources are like from today on. Another version of today is replaced."""
    attributes = {(it.kind, it.external_id): it.attributes for it in changed}
    if not attributes:
        return
    kept = Resource.objects.filter(
        connection=connection, external_id__in=[external_id for _, external_id in attributes]
    )
    today = timezone.now().date()
    ResourceVersion.objects.bulk_create(
        (
            ResourceVersion(resource=it, since=today, attributes=attributes[key])
            for it in kept
            if (key := (it.kind, it.external_id)) in attributes
        ),
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["resource", "since"],
        update_fields=["attributes"],
    )


class DayWriter:
    """Replaces days of one feed of one connection, inside the caller's transaction."""

    def __init__(self, connection: Connection, feed: Feed, spool: Spool) -> None:
        self._connection = connection
        self._feed = feed
        self._watermark = spool.watermark
        self._people = people_ids(connection, spool.people)
        self._meters = Meters(connection)
        self._documents = Documents(connection.connector, feed)

    def replace(self, day: date, records: Sequence[Record], before: FeedDay | None) -> int:
        """Make the stored rows of `day` equal to `records`; return the rows written."""
        if self._feed.table is Table.ENGAGEMENT:
            return self._replace_engagement(day, records, before)
        return self._replace_metered(day, records, before)

    def _replace_engagement(
        self, day: date, records: Sequence[Record], before: FeedDay | None
    ) -> int:
        stored = EngagementFact.objects.filter(
            connection=self._connection, feed=self._feed.name, day=day
        )
        restated = _was_complete(before)
        earlier = activity(stored.values_list("days", "values")) if restated else {}
        stored._raw_delete(stored.db)  # nothing points at facts: no need to collect
        merged: dict[tuple[str, int], _Document] = {}
        for record in records:
            if not isinstance(record, EngagementRecord):
                continue  # no other is sent by feeds of activity
            document = _document(record)
            known = merged.setdefault((document.subject, document.days), document)
            if known is not document:
                self._documents.merge(known.numbers, document.numbers)
                known.name = known.name or document.name
        values = [(document.days, document.numbers) for document in merged.values()]
        rows = [
            (
                *(self._connection.pk, self._feed.name, day, document.subject, document.days),
                *(document.name, self._people.get(document.person)),
                *(_json(document.numbers).decode(), _json(document.labels).decode()),
            )
            for document in merged.values()
        ]
        keys = ["connection_id", "feed", "day", "subject", "days"]
        columns = [*keys, "name", "person_id", "values", "labels"]
        _copy(EngagementFact._meta.db_table, columns, rows)
        if before is not None and restated:
            self._record_restatement(day, before, changed_activity(earlier, activity(values)))
        return len(rows)

    def _replace_metered(self, day: date, records: Sequence[Record], before: FeedDay | None) -> int:
        model, measures = _metered(self._feed)
        by_person = self._feed.grain == "person"
        stored = model.objects.filter(connection=self._connection, day=day)
        columns = ["connection_id", "day", "meter_id"]
        if by_person:
            stored = stored.filter(person__isnull=False)
            columns.append("person_id")
        earlier = DayTotals.before(stored, measures, by_person) if _was_complete(before) else None
        stored._raw_delete(stored.db)  # nothing points at facts: no need to collect

        metered = [it for it in records if isinstance(it, CostRecord | UsageRecord)]
        self._meters.add(record.meter for record in metered)
        merged: dict[tuple[int, ...], Numbers] = {}
        now = DayTotals(measures)
        numbers_of = attrgetter(*measures)
        for record in metered:
            meter, numbers = self._meters[record.meter], numbers_of(record)
            person = self._people[record.person.external_id] if record.person else None
            key = (meter,) if person is None else (meter, person)
            known = merged.get(key)
            merged[key] = numbers if known is None else sum_measures(known, numbers)
            if earlier is not None:
                now.add(meter, person, numbers)
        rows = ((self._connection.pk, day, *key, *numbers) for key, numbers in merged.items())
        _copy(model._meta.db_table, [*columns, *measures], rows)
        if before is not None and earlier is not None:
            self._record_restatement(day, before, diff(earlier, now, self._meters.names()))
        if not by_person:
            totals = {it.measure: it.value for it in records if isinstance(it, TotalRecord)}
            self._replace_totals(day, totals)
        return len(merged)

    def _replace_totals(self, day: date, totals: dict[str, Decimal]) -> None:
        """Keep what the provider says the day sums to; `check_days` adds what we stored."""
        checks = {
            check.measure: check
            for check in DayCheck.objects.filter(
                connection=self._connection, feed=self._feed.name, day=day
            )
        }
        for measure, check in checks.items():
            if measure not in totals:
                check.delete()
        for measure, value in totals.items():
            stored_check = checks.get(measure) or DayCheck(
                connection=self._connection,
                feed=self._feed.name,
                day=day,
                measure=measure,
                stored=0,
            )
            if stored_check.reported != value:
                stored_check.reported, stored_check.reread_at = value, None
            stored_check.watermark = self._watermark
            stored_check.save()

    def _record_restatement(self, day: date, before: FeedDay, changes: Iterable[Change]) -> None:
        """Record a restatement of a complete day: the old sums, the new ones and the difference."""
        Restatement.objects.bulk_create(
            Restatement(
                connection=self._connection,
                feed=self._feed.name,
                day=day,
                old_watermark=before.watermark,
                new_watermark=self._watermark,
                **asdict(change),
            )
            for change in changes
        )


def _was_complete(before: FeedDay | None) -> bool:
    """Return True if the day was complete when stored, so that a change is a restatement."""
    return before is not None and before.state != FeedDay.State.INCOMPLETE


@dataclass
class _Document:
    """A row of an engagement feed, or several of one subject and span merged."""

    subject: str
    days: int
    name: str
    labels: dict[str, str]
    person: str
    numbers: dict[str, Decimal]


def _document(record: EngagementRecord) -> _Document:
    numbers = {path: Decimal(number) for path, number in record.values.items()}
    person = record.person.external_id if record.person else ""
    labels = dict(record.labels)
    return _Document(record.subject, record.days, record.name, labels, person, numbers)


def _metered(feed: Feed) -> tuple[Any, Sequence[str]]:
    """Return the model that a feed fills, and its measures."""
    by_person = feed.grain == "person"
    if feed.table is Table.COST:
        return CostFact if by_person else CostTotal, COST_MEASURES
    return UsageFact if by_person else UsageTotal, USAGE_MEASURES


def _copy(table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Send rows by COPY. Raises Django's database errors: `copy` by itself passes psycopg's."""
    names = ", ".join(f'"{name}"' for name in columns)
    with (
        database.wrap_database_errors,
        database.cursor() as cursor,
        cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(row)


_json = msgspec.json.Encoder(decimal_format="number").encode
