"""Responses of API version 1. Unknown is null, never zero; money is a string."""

from datetime import date, datetime
from typing import Any

from ninja import Field, Schema

from integrations import models as stored
from integrations.status.days import DayState


class Problem(Schema):
    """Error with its reason and repair (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = Field(None, description="The parameter it is about.")
    known: list[str] | None = Field(None, description="What could stand there instead.")


class ConnectionOut(Schema):
    """One connection with the status that its card shows."""

    label: str = Field(description="The Organization Label: Billing Account in reports.")
    provider: str
    status: str
    sentence: str = Field(description="What the status means here; empty if all is well.")
    repair: str = Field(description="What to do about it; empty if nothing has to be done.")
    cost_complete_to: datetime | None
    engagement_complete_to: date | None
    first_day: date | None
    final_to: date | None = Field(description="The last day whose cost cannot change any more.")
    last_sync_at: datetime | None
    next_sync_at: datetime | None


class FeedDayOut(Schema):
    """State of one day of a feed. Days that are not listed are unknown."""

    day: date
    state: str = Field(json_schema_extra={"enum": [*stored.FeedDay.State.values]})
    complete_to: datetime | None = Field(description="The instant of the export it was read from.")
    confirmed_at: datetime = Field(description="When the provider last confirmed the numbers.")
    rows: int


class FeedOut(Schema):
    """One feed with the status that the pages show, and the days that were asked for."""

    name: str
    label: str
    fills: str = Field(description="cost, usage or engagement")
    status: str
    error: str = Field(description="What prevents reading; empty if nothing does.")
    repair: str = Field(description="What to do about it; empty if nothing has to be done.")
    kept_out: str = Field(description="Rows that could not be read; empty if there are none.")
    complete_to: datetime | None = Field(description="The instant of the newest export.")
    complete_day: date | None = Field(description="The last complete day.")
    final_to: date | None = Field(description="The last day that cannot change any more.")
    last_success_at: datetime | None
    next_attempt_at: datetime | None
    days: list[FeedDayOut]


class CheckOut(Schema):
    """Stored sum of one day and the provider's own ungrouped total."""

    feed: str
    day: date
    measure: str
    reported: str
    stored: str | None = Field(description="null where a part of it is not known.")
    difference: str | None = Field(description="stored − reported, exact")
    agrees: bool | None = Field(description="To the last digit; null if unknown.")


class HealthOut(Schema):
    connection: str
    first_day: date
    last_day: date
    feeds: list[FeedOut]
    checks: list[CheckOut]


class HealthDaysOut(Schema):
    since: date | None = Field(None, alias="from", description="The first day; 29 before `to`.")
    until: date | None = Field(None, alias="to", description="The last day; today.")


class MetricOut(Schema):
    name: str
    label: str
    unit: str
    section: str = Field(description="The heading it stands under.")
    definition: str


class DimensionOut(Schema):
    name: str
    label: str
    section: str
    is_overlapping: bool = Field(description="Groups share numbers: they are never added up.")


class Member(Schema):
    value: str = Field(description="What a filter takes; empty: not attributed, or absent.")
    label: str = Field(description="The name of the value.")


class DimensionValuesQuery(Schema):
    contains: str = Field("", description="Only values or labels with this text in them.")
    limit: int = Field(1000, ge=1, le=10_000)
    offset: int = Field(0, ge=0)


class DimensionValues(Schema):
    dimension: str
    total: int
    members: list[Member]


class Days(Schema):
    """Finality of a report's days."""

    known_to: date | None = Field(description="The last day that has ended and is known.")
    final_to: date | None
    states: dict[str, str] = Field(
        description=f"For each day, one of {', '.join(state.name.lower() for state in DayState)}."
    )


class ReportCheckOut(Schema):
    """Cost of the report and the provider's own total of the same days."""

    problem: str = Field(description="Why they cannot be compared; empty if they are.")
    agrees: bool | None = Field(description="To the cent.")
    reported: str | None
    ours: str | None
    difference: str | None
    attributed: str | None = Field(None, description="The part that belongs to users.")
    unattributed: str | None = Field(None, description="The part that belongs to no user.")
    unknown: str | None = Field(
        None, description="The part whose users are not known yet; neither of the two above."
    )
    unknown_days: int = Field(0, description="How many days lack the cost per user.")


class Missing(Schema):
    """Connection that the total of a metric does not include."""

    metric: str
    connection: str
    reason: str


class Comparison(Schema):
    """Days of a comparison: equally many on each side, all complete and known."""

    first_day: date
    last_day: date
    before_first_day: date
    before_last_day: date
    days: int = Field(description="On each side, by what is known of the first metric.")


class ReportOut(Schema):
    """Report. Rows have columns by name: dimensions and money are strings, counts numbers."""

    query: str = Field(description="The query as the report page and this API take it.")
    first_day: date
    last_day: date
    columns: list[str]
    totals: dict[str, bool | int | str | list[str] | None]
    days: Days
    partial: bool = Field(description="True if a total lacks a connection.")
    missing: list[Missing] = Field(description="Which connections the totals lack, and why.")
    comparison: Comparison | None = Field(description="null if nothing is compared.")
    check: ReportCheckOut | None = Field(description="null where the report has no cost.")
    notes: list[str] = Field(
        description="What has to be known of the numbers: groups that overlap, inferred values."
    )
    rows: list[dict[str, Any]]
