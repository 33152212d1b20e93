"""Ratios over both products equal what the ledgers of their sandboxes say."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import time_machine
from django.http import QueryDict

from integrations import sync
from integrations.encryption import Secret
from integrations.models import SyncRun
from integrations.window import Window
from reports import engine
from reports.dashboard.scope import Scope
from reports.dashboard.widgets import WIDGETS
from reports.engine.spec import ReportSpec
from sandbox.claude_console import company as console_company
from sandbox.claude_console import ledger as console_ledger
from sandbox.claude_enterprise import ledger as enterprise_ledger
from tests.factories import make_connection, make_organization

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
DAYS = Window(date(2026, 10, 6), date(2026, 10, 8))  # a Tuesday and a Wednesday, both final
MICROCENTS = Decimal(10) ** 8  # a dollar, as both ledgers count
SOURCES = (
    (
        *("my-org", "claude-enterprise", "sk-ant-api01-sandbox-my-org"),
        ("organization_cost", "user_cost", "organization_usage", "user_usage", "users"),
    ),
    (
        *("platform", "claude-console", "sk-ant-admin01-sandbox-my-org"),
        ("members", "cost", "usage", "people_usage", "claude_code"),
    ),
)


@pytest.fixture(scope="module")
def ledgers():
    """Read both ledgers by hand: what was paid, who used tokens, and what Claude Code did."""
    company, platform = (
        enterprise_ledger.by_slug("my-org"),
        console_company.by_slug("console-my-org"),
    )
    enterprise, console = Ledger(), Ledger()
    for day in DAYS:
        requests = {}  # of Claude Code by person
        for line in enterprise_ledger.known_lines(company, day, NOW):
            enterprise.cost += line.amount
            if line.product == "claude_code":
                enterprise.code_cost += line.amount
            if line.member and any(line.tokens):
                enterprise.people.add(line.member.email or line.member.user_id)
            if line.member and line.product == "claude_code":
                who = line.member.user_id
                requests[who] = requests.get(who, 0) + line.requests
        enterprise.work(requests)
        requests, cents = {}, {}  # of Claude Code by person and terminal, and by model besides
        for line in console_ledger.known_lines(platform, day, NOW):
            amount = sum(charge.amount for charge in line.charges)
            console.cost += amount
            who = line.account.email if line.account else line.service_account_id
            if who and line.model and any(line.tokens):
                console.people.add(who)
            is_runner = line.key is not None and line.key.name == "ci-runner"
            if line.terminal or is_runner:
                at = (who, line.terminal)
                requests[at] = requests.get(at, 0) + line.requests
                cents[at, line.model] = cents.get((at, line.model), 0) + amount
        console.work(requests)
        # The provider estimates each model of a developer in whole cents.
        console.code_cost += sum(amount // 10**6 * 10**6 for amount in cents.values())
    return enterprise, console


class Ledger:
    """Sums of one sandbox; money in millionths of a cent."""

    def __init__(self):
        self.cost = self.code_cost = self.commits = self.sessions = 0
        self.people = set()

    def work(self, requests):
        """Add what the sandboxes say came of a day's requests: a commit for each whole 28."""
        self.commits += sum(count // 28 for count in requests.values())
        self.sessions += sum(-(-count // 35) for count in requests.values())


@pytest.fixture
def both(db, sandbox):
    organization = make_organization()
    with time_machine.travel(NOW):
        for label, connector, key, feeds in SOURCES:
            connection = make_connection(
                organization,
                label,
                connector,
                credential=Secret(key),
                options={"dialect": "reports"},
            )
            run = sync.plan(connection, SyncRun.Kind.MANUAL, DAYS)
            run.windows.exclude(feed__in=feeds).delete()
            list(sync.run_inline(run, wait=lambda seconds: None))
    return organization


def test_ratios_of_both_products_are_those_of_the_ledgers(both, ledgers):
    enterprise, console = ledgers
    scope = Scope.from_query(
        both, QueryDict(f"from={DAYS.start}&to={DAYS.last_day}"), today=NOW.date()
    )
    with time_machine.travel(NOW):
        rows = {row.label: row.value for row in WIDGETS["claude-code"].ask(scope).shown.rows}
        by_connection = engine.run(
            both, ReportSpec(("cost_per_active_user",), DAYS, group_by=("billing_account",))
        )

    dollars = {one: Decimal(one.code_cost) / MICROCENTS for one in ledgers}
    assert rows["Commits"] == enterprise.commits + console.commits > 500
    assert rows["Claude Code sessions"] == enterprise.sessions + console.sessions
    # Claude Enterprise bills Claude Code, so its commits alone divide its cost.
    assert rows["Cost per commit"] == dollars[enterprise] / enterprise.commits
    assert rows["Cost per session"] == dollars[enterprise] / enterprise.sessions
    assert rows["Estimated cost"] == dollars[console]
    assert rows["Estimated cost per commit"] == dollars[console] / console.commits
    assert rows["Estimated cost per session"] == dollars[console] / console.sessions

    def each(cost, people):
        return (Decimal(cost) / MICROCENTS / len(people)).quantize(Decimal("1e-12"))

    ratios = {row.keys[0]: row.values[0] for row in by_connection.rows}
    assert ratios == {
        "my-org": each(enterprise.cost, enterprise.people),
        "platform": each(console.cost, console.people),
    }
    # Who is in both counts once.
    everybody = enterprise.people | console.people
    assert len(everybody) < len(enterprise.people) + len(console.people)
    assert by_connection.totals == (each(enterprise.cost + console.cost, everybody),)
