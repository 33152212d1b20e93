"""Questions to engagement facts that are not sums: who was active in what, and how often.

Providers differ in what they tell. So a question starts with what exists: a connection whose
connector has no such feed has no such answer, and a path that is missing from a document is not
known. Paths are the provider's own words.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg, BoolOr
from django.db.models import (
    Case,
    Expression,
    IntegerField,
    Max,
    Q,
    Sum,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from integrations.models import ActivityByPerson, Connection, EngagementFact, FeedDay, Person
from integrations.models.fields import ExactField
from integrations.window import Window
from reports import identity

SUMMARIES, USERS = "summaries", "users"
HABIT_WEEKS = 4


def with_feed(connections: Iterable[Connection], feed: str) -> list[Connection]:
    """Those whose connector brings this feed."""
    return [one for one in connections if any(feed == its.name for its in one.connector.feeds)]


def with_surface(connections: Iterable[Connection], *surfaces: str) -> list[Connection]:
    """Those whose connector counts what people do in one of these products."""
    wanted = {*surfaces}
    return [
        one for one in connections if any(wanted & {*its.surfaces} for its in one.connector.feeds)
    ]


def last_days(connections: Sequence[Connection], feed: str, window: Window) -> dict[int, date]:
    """Return the newest day of the window that each connection has read of a feed."""
    days = FeedDay.objects.filter(
        connection__in=connections, feed=feed, day__gte=window.start, day__lt=window.end
    )
    return dict(days.values_list("connection_id").annotate(Max("day")).order_by())


def latest_documents(
    connections: Sequence[Connection], window: Window
) -> dict[int, tuple[date, Mapping[str, Any]]]:
    """Return the last document of each organization within the window, by connection."""
    facts = EngagementFact.objects.within(window).filter(
        connection__in=connections, feed=SUMMARIES, subject="", days=1
    )
    return {
        connection_id: (day, values)
        for connection_id, day, values in facts.order_by("connection", "-day")
        .distinct("connection")
        .values_list("connection_id", "day", "values")
    }


@dataclass(frozen=True)
class Activity:
    """Activity of the people of one connection in some days, each person counted once.

    `products` is how many were active in each product, `habit` how many in each of the last four
    weeks, `several` how many in two products or more.
    """

    products: Mapping[str, int]
    active: int
    habit: int
    several: int


def activity(
    connections: Sequence[Connection],
    window: Window,
    people: Sequence[str] = (),
    known: identity.Identities | None = None,
) -> dict[int, Activity]:
    """Distinct people by what they did, in one query. Weeks end with the last day of the window.

    `known` is who is who of these connections, where the caller has read it.
    A connection without a document in these days is left out: nothing is known of it.
    """
    facts = ActivityByPerson.objects.within(window).filter(connection__in=connections, feed=USERS)
    known = known or identity.identities(connections)
    if people:
        chosen = Person.objects.filter(connection__in=connections, external_id__in=people)
        facts = facts.filter(person__in=known.rows_of(chosen.values_list("pk", flat=True)))
    surfaces = sorted(
        {surface for c in connections for f in c.connector.feeds for surface in f.surfaces}
    )
    week = Case(
        *(
            When(day__gt=window.last_day - timedelta(days=7 * (number + 1)), then=Value(number))
            for number in range(HABIT_WEEKS)
        ),
        output_field=IntegerField(null=True),
    )
    rows = facts.values("connection_id", "person_id").annotate(
        weeks=ArrayAgg(Case(When(~Q(surfaces=[]), then=week)), distinct=True, default=[]),
        **{f"did_{name}": BoolOr(Q(surfaces__contains=[name])) for name in surfaces},
    )
    people_of: dict[int, dict[int, _Did]] = defaultdict(dict)
    for row in rows:
        person = known.same.get(row["person_id"], row["person_id"])
        products, weeks = people_of[row["connection_id"]].setdefault(person, (set(), set()))
        products.update(name for name in surfaces if row[f"did_{name}"])
        weeks.update(number for number in row["weeks"] if number is not None)
    return {pk: _activity([*each.values()]) for pk, each in people_of.items()}


_Did = tuple[set[str], set[int]]  # a person's products, and the weeks with any activity


def _activity(people: Sequence[_Did]) -> Activity:
    return Activity(
        products=Counter(product for products, _ in people for product in products),
        active=sum(bool(products) for products, _ in people),
        habit=sum(len(weeks) == HABIT_WEEKS for _, weeks in people),
        several=sum(len(products) > 1 for products, _ in people),
    )


def number(path: str) -> Expression:
    """Return a number of a document by its dotted path; NULL where unknown."""
    return Cast(KeyTextTransform(path, "values"), ExactField())


# --- Items that people use ---------------------------------------------------------------------
@dataclass(frozen=True)
class ItemUsage:
    """One skill, connector or the like over some days. None is not known.

    `people` are those of the whole span where the provider counted it (`is_span`), and otherwise
    the most on one day: distinct people of several days cannot be added up.
    """

    subject: str
    name: str
    uses: int | None
    people: int | None
    is_span: bool


def top_items(
    connections: Sequence[Connection], feed: str, uses: Sequence[str], window: Window
) -> list[ItemUsage]:
    """Return the items of a feed, the most used first, in one query.

    A use is counted by the sum of the paths `uses`, as far as they are known.
    """
    one_day = Q(days=1)
    whole_span = Q(days=len(window), day=window.last_day)
    people = number("distinct_user_count")
    rows = (
        EngagementFact.objects.within(window)
        .filter(one_day | whole_span, connection__in=connections, feed__in=[feed, f"{feed}_spans"])
        .exclude(subject="")
        .values("connection_id", "subject")
        .annotate(
            called=Max("name"),
            on_a_day=Max(people, filter=one_day),
            in_all=Max(people, filter=whole_span),
            **{f"uses_{at}": Sum(number(path), filter=one_day) for at, path in enumerate(uses)},
        )
    )
    usages = []
    for row in rows:
        counts = [row[f"uses_{at}"] for at in range(len(uses))]
        known = [count for count in counts if count is not None]
        whole = row["in_all"] is not None
        most = row["in_all"] if whole else row["on_a_day"]
        usages.append(
            ItemUsage(
                row["subject"],
                row["called"],
                uses=int(sum(known)) if known else None,
                people=None if most is None else int(most),
                is_span=whole,
            )
        )
    return sorted(usages, key=lambda it: (it.uses is None, -(it.uses or 0), it.subject))
