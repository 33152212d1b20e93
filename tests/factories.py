"""Factories of rows, with defaults for everything a test does not set."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import count
from typing import Any

from django.utils import timezone

from accounts.models import Invitation, Membership, Organization, Role, User
from api.models import Scope, Token
from integrations.connectors.base import Table
from integrations.connectors.records import METER_FIELDS
from integrations.loading.rollups import roll_up, roll_up_activity
from integrations.models import (
    Connection,
    CostFact,
    CostTotal,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    Person,
    UsageFact,
)
from reports.models import ReportFile, ReportSchedule, SavedReport

_numbers = count(1)
PASSWORD = "correct horse battery"
USAGE_FIELDS = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "web_searches",
)


def make_organization(slug: str = "demo", name: str = "Demo Inc.") -> Organization:
    return Organization.objects.create(slug=slug, name=name)


def make_user(email: str = "", password: str = PASSWORD, **fields: Any) -> User:
    return User.objects.create_user(
        email or f"user{next(_numbers)}@example.com", password, **fields
    )


def make_member(
    organization: Organization,
    role: str = Role.VIEWER,
    email: str = "",
    *,
    membership_pk: int | None = None,
    **fields: Any,
) -> User:
    """Create a user who belongs to the organization. `role` is a value of `Role`."""
    member = make_user(email, **fields)
    Membership.objects.create(pk=membership_pk, organization=organization, user=member, role=role)
    return member


def make_invitation(
    organization: Organization, email: str = "", role: str = Role.VIEWER, **fields: Any
) -> Invitation:
    """Create an invitation that is valid for a week unless `expires_at` is given."""
    fields.setdefault("expires_at", timezone.now() + timedelta(days=7))
    return Invitation.objects.create(
        organization=organization,
        email=email or f"invited{next(_numbers)}@example.com",
        role=role,
        **fields,
    )


def make_token(member: User, secret: str = "", **fields: Any) -> Token:
    """Create a token of the member's only organization, by default with every scope."""
    values = {"scopes": Scope.values, "name": f"token {next(_numbers)}", "hint": secret[-4:]}
    return Token.objects.create(
        membership=Membership.objects.get(user=member),
        digest=sha256((secret or f"sgt_{next(_numbers)}").encode()).digest(),
        **{**values, **fields},
    )


def make_connection(
    organization: Organization,
    label: str = "my-org",
    connector_slug: str = "claude-enterprise",
    **fields: Any,
) -> Connection:
    return Connection.objects.create(
        organization=organization, label=label, connector_slug=connector_slug, **fields
    )


def make_person(connection: Connection, external_id: str = "", **fields: Any) -> Person:
    return Person.objects.create(
        connection=connection, external_id=external_id or f"user_{next(_numbers)}", **fields
    )


def make_meter(connection: Connection, **fields: str) -> Meter:
    """Return the meter with these values, the existing one if there is one.

    Names that are no column are attributes.
    """
    attributes = {name: fields.pop(name) for name in {*fields}.difference(METER_FIELDS)}
    values: dict[str, Any] = {
        **dict.fromkeys(METER_FIELDS, ""),
        **fields,
        "attributes": attributes,
    }
    return Meter.objects.get_or_create(connection=connection, **values)[0]


def cost(
    connection: Connection,
    day: date | str,
    amount: Decimal | str,
    *,
    list_amount: Decimal | str | None = "",
    person: Person | None = None,
    **meter: str,
) -> CostFact:
    """Store one priced row in USD. The list price is the amount unless given; None is unknown."""
    listed = amount if list_amount == "" else list_amount
    fact = CostFact.objects.create(
        connection=connection,
        day=_day(day),
        meter=make_meter(connection, **meter),
        person=person,
        effective_cost=Decimal(amount),
        list_cost=None if listed is None else Decimal(listed),
    )
    roll_up(connection, Table.COST, [fact.day])  # reports read these, as loading leaves them
    return fact


def total(
    connection: Connection, day: date | str, amount: Decimal | str, **meter: str
) -> CostTotal:
    """Store the provider's own row for the whole organization, in USD."""
    return CostTotal.objects.create(
        connection=connection,
        day=_day(day),
        meter=make_meter(connection, **meter),
        effective_cost=Decimal(amount),
    )


def usage(
    connection: Connection,
    day: date | str,
    *,
    requests: int | None = 0,
    person: Person | None = None,
    **values: Any,
) -> UsageFact:
    """Store usage. Counts that are not named are 0, other names belong to the meter."""
    counts = {name: values.pop(name, 0) for name in USAGE_FIELDS}
    fact = UsageFact.objects.create(
        connection=connection,
        day=_day(day),
        meter=make_meter(connection, **values),
        person=person,
        requests=requests,
        **counts,
    )
    roll_up(connection, Table.USAGE, [fact.day])
    return fact


def activity(
    connection: Connection,
    day: date | str,
    *,
    person: Person | None = None,
    feed: str = "",
    **values: float | None,
) -> EngagementFact:
    """Store the activity of one person and day or, without a person, of the organization.

    Names of `values` have two underscores for the dots of a path.
    """
    fact = EngagementFact.objects.create(
        connection=connection,
        feed=feed or ("users" if person else "summaries"),
        day=_day(day),
        subject=person.external_id if person else "",
        person=person,
        values={name.replace("__", "."): value for name, value in values.items()},
    )
    if person and (source := connection.connector.feed(fact.feed)):
        roll_up_activity(connection, source, [fact.day])
    return fact


def feed_day(
    connection: Connection,
    feed: str,
    day: date | str,
    state: str = FeedDay.State.FINAL,
    rows: int = 1,
) -> FeedDay:
    return FeedDay.objects.create(
        connection=connection,
        feed=feed,
        day=_day(day),
        state=state,
        content_hash=b"\0" * 32,
        rows=rows,
        read_at=datetime(2026, 11, 22, 16, 5, tzinfo=UTC),
    )


def day_check(
    connection: Connection,
    feed: str,
    day: date | str,
    reported: Decimal | str,
    measure: str = "effective_cost",
) -> DayCheck:
    """Store the provider's own total of one day."""
    return DayCheck.objects.create(
        connection=connection,
        feed=feed,
        day=_day(day),
        measure=measure,
        reported=Decimal(reported),
        stored=Decimal(reported),
    )


def make_report(
    organization: Organization,
    name: str = "Spend",
    query: str = "metrics=cost&range=30d",
    owner: User | None = None,
    sharing: str = SavedReport.Sharing.ORGANIZATION,
    **fields: Any,
) -> SavedReport:
    return SavedReport.objects.create(
        organization=organization, name=name, query=query, owner=owner, sharing=sharing, **fields
    )


def make_schedule(report: SavedReport, *recipients: User, **fields: Any) -> ReportSchedule:
    """Create a schedule for Mondays at 08:00 UTC that is due on 23 November 2026."""
    author = recipients[0] if recipients else None
    values = {"next_at": datetime(2026, 11, 23, 8, tzinfo=UTC), "created_by": author, **fields}
    plan = ReportSchedule.objects.create(report=report, **values)
    plan.recipients.set(recipients)
    return plan


def make_report_file(organization: Organization, owner: User, **fields: Any) -> ReportFile:
    known = {"kind": "csv", "query": "metrics=cost&range=30d", "title": "Cost", **fields}
    file = ReportFile.objects.create(organization=organization, owner=owner, **known)
    if "name" not in fields:
        ReportFile.objects.filter(pk=file.pk).update(name=f"file-{file.pk}.csv")
        file.refresh_from_db()
    return file


def _day(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day
