"""A Console organization from its key to a report, through everything that is not its folder."""

import csv
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from math import ceil

import pytest
import time_machine
from django.core.management import call_command
from django.db.models import Sum

from integrations import sync
from integrations.connectors import get_connector
from integrations.data_quality.verification import verify
from integrations.encryption import Secret
from integrations.models import (
    CostFact,
    CostTotal,
    DayCheck,
    EngagementFact,
    FeedDay,
    Person,
    Resource,
    Restatement,
    SyncRun,
    SyncWindow,
    UsageFact,
)
from integrations.status.connections import status_of
from integrations.window import Window
from sandbox.claude_console import Sandbox
from sandbox.claude_console.company import by_slug
from sandbox.claude_console.ledger import known_lines
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday
DAYS = Window(date(2026, 11, 18), date(2026, 11, 21))  # Wednesday to today
CONNECTOR = get_connector("claude-console")


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture(params=["reports", "successors"])
def connection(request, sandbox, clock):
    return make_connection(
        make_organization(),
        "platform",
        "claude-console",
        credential=Secret(Sandbox.keys[0]),  # in the beta: may use both
        options={"dialect": request.param},
    )


def read(connection, window=DAYS, **days):
    """Read the window; `days` gives feeds by name the only days they are to read."""
    every = {feed.name: list(window) for feed in CONNECTOR.feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=every | days)
    list(sync.run_inline(run, wait=lambda seconds: pytest.fail("had to wait")))
    problems = run.windows.exclude(error="").values_list("feed", "error")
    assert not list(problems)
    return run


def ledger(day, now=NOON):
    return list(known_lines(by_slug("console-my-org"), day, now))


def test_every_day_sums_to_the_ledger_to_the_last_digit(connection):
    read(connection)

    for day in DAYS:
        cents = sum(charge.amount for line in ledger(day) for charge in line.charges)
        stored = CostFact.objects.filter(day=day).aggregate(sum=Sum("effective_cost"))["sum"]
        assert stored == Decimal(cents) / 10**8 > 0


# A kind of token as we store it, and where a line of the sandbox's ledger counts it.
TOKENS = {
    "uncached_input_tokens": 0,
    "cache_read_tokens": 1,
    "cache_write_5m_tokens": 2,
    "cache_write_1h_tokens": 3,
    "output_tokens": 4,
}


def test_tokens_of_every_kind_equal_the_ledger_although_questions_are_capped(connection):
    """By model and workspace on each day, and by person: whatever the questions were split by."""
    read(connection)

    def stored(*names):
        rows = UsageFact.objects.values("day", *names).annotate(
            **{f"sum_{kind}": Sum(kind) for kind in TOKENS}, searches=Sum("web_searches")
        )
        return {
            (row["day"], *(row[name] or "" for name in names)): (
                *(row[f"sum_{kind}"] for kind in TOKENS),
                row["searches"],
            )
            for row in rows
        }

    def known(*values_of):
        sums = defaultdict(lambda: [0] * (len(TOKENS) + 1))
        for day in DAYS:
            for line in ledger(day):
                if line.model is not None:
                    key = (day, *(value_of(line) or "" for value_of in values_of))
                    numbers = (*(line.tokens[at] for at in TOKENS.values()), line.web_searches)
                    sums[key] = [was + is_ for was, is_ in zip(sums[key], numbers, strict=True)]
        return {key: tuple(numbers) for key, numbers in sums.items() if any(numbers)}

    whole = known()
    assert {day for (day,) in whole} == set(DAYS)
    assert all(all(numbers[:5]) for numbers in whole.values())
    assert stored() == whole
    assert stored(
        "meter__model", "meter__attributes__service_tier", "meter__attributes__context_window"
    ) == known(
        lambda line: line.model, lambda line: line.service_tier, lambda line: line.context_window
    )
    assert stored("meter__api_key_id", "meter__workspace_id") == known(
        lambda line: line.api_key_id, lambda line: line.workspace_id or "default"
    )
    assert stored("person__external_id") == known(
        lambda line: line.account_id or line.service_account_id
    )


def test_what_no_account_used_is_the_line_without_a_person(connection):
    read(connection, Window(date(2026, 11, 16), date(2026, 11, 17)))

    of_people = defaultdict(int)
    for line in ledger(date(2026, 11, 16)):
        of_people[line.account_id or line.service_account_id] += line.tokens[4]
    stored = UsageFact.objects.values("person__external_id").annotate(sum=Sum("output_tokens"))
    assert {row["person__external_id"]: row["sum"] for row in stored} == of_people
    assert Person.objects.get(external_id__startswith="svac_").kind == Person.Kind.SERVICE
    assert not CostFact.objects.filter(person__isnull=False).exists()
    assert CostFact.objects.count() == CostTotal.objects.count()


def test_every_day_is_checked_with_the_totals_and_verifies(connection):
    read(connection)

    checks = DayCheck.objects.filter(measure="effective_cost")
    assert set(checks.values_list("day", flat=True)) == set(DAYS)
    assert all(check.reported == check.stored for check in DayCheck.objects.all())
    verified = verify(connection)
    assert verified.differences == ()
    # Dollars and five kinds of tokens of two days that have ended; an export is a snapshot, so
    # there today can be compared, too.
    days = {"reports": 2, "successors": 3}[connection.options["dialect"]]
    assert verified.compared == days * 6
    # The beta reports say the same of the two days that have ended.
    ended = [ledger(day) for day in list(DAYS)[:2]]
    cents = sum(charge.amount for lines in ended for line in lines for charge in line.charges)
    tokens = sum(sum(line.tokens) for lines in ended for line in lines)
    assert [(one.days, one.total, one.second, one.differences) for one in verified.variants] == [
        (2, Decimal(cents) / 10**8, Decimal(cents) / 10**8, ()),
        (2, tokens, tokens, ()),
    ]


def test_days_are_as_sure_as_the_time_of_reading_allows(connection):
    read(
        connection,
        Window(date(2026, 10, 10), date(2026, 11, 21)),
        claude_code=[date(2026, 11, 19), date(2026, 11, 20)],
    )

    def state(feed, day):
        return FeedDay.objects.get(feed=feed, day=day).state

    assert state("cost", date(2026, 10, 10)) == FeedDay.State.FINAL  # 41 days ago
    assert state("cost", date(2026, 10, 20)) == FeedDay.State.PROVISIONAL
    assert state("cost", date(2026, 11, 20)) == FeedDay.State.INCOMPLETE
    assert state("usage", date(2026, 11, 19)) == FeedDay.State.PROVISIONAL
    assert state("claude_code", date(2026, 11, 19)) == FeedDay.State.PROVISIONAL
    assert state("claude_code", date(2026, 11, 20)) == FeedDay.State.INCOMPLETE
    shown = status_of(connection)
    assert shown.cost_complete_to == FeedDay.objects.filter(feed="cost").latest("day").watermark
    assert shown.engagement_complete_to == date(2026, 11, 19)  # only people are counted


def test_reading_again_writes_nothing_and_late_use_is_a_restatement(connection, clock):
    read(connection)
    again = read(connection)
    dated = again.windows.exclude(feed__in=("workspaces", "api_keys", "members"))
    assert set(dated.values_list("state", flat=True)) == {SyncWindow.State.UNCHANGED}
    assert not Restatement.objects.exists()

    later = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    clock.move_to(later)
    read(connection)

    changed = set(Restatement.objects.filter(feed="cost").values_list("day", flat=True))
    assert changed == {
        day
        for day in DAYS
        if day < date(2026, 11, 20)
        and {line for line in ledger(day, later) if line.charges}
        != {line for line in ledger(day) if line.charges}
    }
    assert changed


def test_ids_have_names(connection):
    read(connection)

    names = dict(Resource.objects.values_list("external_id", "name"))
    assert names["default"] == "Default workspace"
    company = by_slug("console-my-org")
    for workspace in company.workspaces[1:]:
        assert names[workspace.id] == workspace.name
    for key in company.keys:
        assert names[key.id] == key.name
    hackathon = next(w for w in company.workspaces if w.name == "Hackathon")
    assert Resource.objects.get(external_id=hackathon.id).state == Resource.State.ARCHIVED
    used = set(UsageFact.objects.values_list("meter__workspace_id", flat=True))
    assert "default" in used
    assert used <= set(names)


def test_claude_code_belongs_to_the_person_with_that_address_and_its_estimate_to_no_cost(
    connection,
):
    read(connection)

    by_key, by_person = [], []
    for fact in EngagementFact.objects.filter(feed="claude_code").select_related("person"):
        (by_key if fact.person.kind == Person.Kind.API_KEY else by_person).append(fact)
    assert {fact.person.external_id for fact in by_key} == {"api_key/ci-runner"}
    assert all(fact.person.external_id.startswith("user_") for fact in by_person)
    assert all(fact.subject.startswith(f"{fact.person.email}|") for fact in by_person)
    by_model = sum(
        fact.values["claude_code_metrics.estimated_cost_usd"]
        for fact in EngagementFact.objects.filter(feed="claude_code_by_model")
    )
    estimate = sum(
        fact.values["claude_code_metrics.estimated_cost_usd"] for fact in (*by_key, *by_person)
    )
    assert estimate == by_model > 0
    everything = CostFact.objects.aggregate(sum=Sum("effective_cost"))["sum"]
    assert everything == sum(
        Decimal(charge.amount) / 10**8
        for day in DAYS
        for line in ledger(day)
        for charge in line.charges
    )


def test_the_report_cuts_cost_by_workspace_surface_and_model(connection):
    read(connection, Window(date(2026, 11, 16), date(2026, 11, 17)))
    out = StringIO()

    call_command(
        "report",
        organization="demo",
        metrics="cost",
        group_by="project_id,service,sku",
        since="2026-11-16",
        until="2026-11-17",
        format="csv",
        stdout=out,
    )

    expected = defaultdict(int)
    for line in ledger(date(2026, 11, 16)):
        for charge in line.charges:
            batch = charge.cost_type == "tokens" and line.service_tier == "batch"
            surface = (
                "managed_agents_api"
                if charge.cost_type == "session_usage"
                else "message_batches_api"
                if batch
                else "messages_api"
            )
            model = line.model if charge.cost_type == "tokens" else ""
            expected[line.workspace_id or "default", surface, model] += charge.amount
    _, *rows = csv.reader(out.getvalue().splitlines())
    assert {(place, *cut): Decimal(value) for place, _, *cut, value in rows} == {
        key: Decimal(amount) / 10**8 for key, amount in expected.items()
    }


def combinations(kind, days):
    """Return the combinations of beta rows: day, person, product, model, key and workspace."""
    return {
        (
            day,
            line.account_id or line.service_account_id or line.api_key_id,
            *(line.product, line.model, line.api_key_id, line.workspace),
        )
        for day in days
        for line in ledger(day)
        if (line.charges if kind == "cost" else line.model)
    }


def test_an_import_asks_each_report_as_seldom_as_its_pages_allow(connection):
    window = Window(date(2026, 10, 1), date(2026, 11, 21))  # 51 days
    run = read(connection, window, claude_code=list(window)[:3])

    requests = defaultdict(int)
    for window in run.windows.all():
        requests[window.feed] += window.requests
    # Workspaces once more with the default one. The beta names every combination, a thousand on a
    # page, and asks for the workspaces to know the default one by its id.
    every = {"workspaces": 2, "api_keys": 1, "members": 1, "claude_code": 3}
    every |= {
        f"beta_{kind}": sum(
            1 + ceil(len(combinations(kind, days)) / 1000)
            for days in (
                Window(date(2026, 10, 1), date(2026, 10, 21)),
                Window(date(2026, 10, 21), date(2026, 11, 21)),
            )
        )
        for kind in ("cost", "usage")
    }
    # Two windows of 31 days at most, each read once ungrouped and once itemized. Tokens, which have
    # more dimensions than a query may name, are itemized region by region, of three, and those of
    # people also by context window, of two; before, the values are read. The beta reports read the
    # workspaces too.
    assert (
        requests
        == every
        | {
            "reports": {
                "cost": 2 * 2,
                "usage": 2 * (2 + 3),
                "people_usage": 2 * (1 + 2 * 2),
            },
            "successors": {
                "cost": 2 * (2 + 1),
                "usage": 2 * (2 + 3 + 1),
                # Of accounts in two regions and two context windows; of service accounts in three
                # of these four: the sandbox has none with a long context in the United States.
                "people_usage": 2 * ((1 + 4) + (1 + 3) + 1),
            },
        }[connection.options["dialect"]]
    )


def test_cost_by_key_and_person_stands_beside_the_total_and_enters_no_sum(connection):
    day = date(2026, 11, 18)
    read(connection, Window(day, date(2026, 11, 19)))

    by_key, by_person = defaultdict(int), defaultdict(int)
    for line in ledger(day):
        cents = sum(charge.amount for charge in line.charges)
        if cents:
            by_key[line.api_key_id or ""] += cents
            by_person[line.account_id or line.service_account_id] += cents
    documents = EngagementFact.objects.filter(feed="beta_cost", day=day)
    stored_by_key, stored_by_person, listed = defaultdict(Decimal), defaultdict(Decimal), Decimal()
    for document in documents.select_related("person"):
        amount = document.values["effective_cost"]
        stored_by_key[document.labels["api_key_id"]] += amount
        stored_by_person[document.person and document.person.external_id] += amount
        listed += document.values["list_cost"]
    assert stored_by_key == {key: Decimal(c) / 10**8 for key, c in by_key.items()}
    assert stored_by_person == {who: Decimal(c) / 10**8 for who, c in by_person.items()}
    total = CostTotal.objects.filter(day=day).aggregate(sum=Sum("effective_cost"))["sum"]
    assert listed * 80 / 100 == total == sum(stored_by_key.values())
    # The authoritative total is unchanged and unattributed.
    assert not CostFact.objects.filter(person__isnull=False).exists()


def test_an_organization_outside_the_beta_lacks_the_extra_and_nothing_else(sandbox, clock):
    labs = make_connection(
        make_organization(),
        "labs",
        "claude-console",
        credential=Secret(Sandbox.keys[1]),
    )
    run = sync.plan(labs, SyncRun.Kind.MANUAL, DAYS)
    list(sync.run_inline(run, wait=lambda seconds: pytest.fail("had to wait")))

    run.refresh_from_db()
    assert run.state == SyncRun.State.DONE
    refused = run.windows.exclude(error="").values_list("feed", "state", "error_code")
    assert {*refused} == {
        (feed, SyncWindow.State.UNAVAILABLE, "not_enrolled") for feed in ("beta_cost", "beta_usage")
    }


def test_lists_bring_owners_tags_and_roles(connection):
    read(connection, Window(date(2026, 11, 18), date(2026, 11, 19)))

    company = by_slug("console-my-org")
    for key in company.keys:
        stored = Resource.objects.get(kind="api_key_id", external_id=key.id).attributes
        assert stored["owner"] == (key.service_account_id or key.created_by.id)
        assert stored.get("expires_at", "")[:10] == str(key.expires_on or "")
        where = key.workspace
        assert stored["workspace_id"] == ("default" if where.is_default else where.id)
    production = Resource.objects.get(name="Production")
    assert production.attributes["tag:cost-center"] == "4100"
    default = Resource.objects.get(kind="workspace_id", external_id="default")
    assert default.attributes["provider_id"] == company.workspaces[0].id
    admin = company.members[0]
    assert Person.objects.get(external_id=admin.id).role == "admin"
