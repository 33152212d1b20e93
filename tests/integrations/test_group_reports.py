"""Reports by group and by Slack channel over an import from the sandbox equal its ledger."""

import csv
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command

from integrations import sync
from integrations.encryption import Secret
from integrations.models import SyncRun
from integrations.window import Window
from sandbox.claude_enterprise.ledger import by_slug, known_lines
from tests.factories import make_connection, make_organization

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
DAYS = Window(date(2026, 10, 6), date(2026, 10, 8))  # a Tuesday and a Wednesday, both final
MICROCENTS = Decimal(10) ** 8  # a dollar, as the ledger counts
FEEDS = ("organization_cost", "group_cost", "group_usage", "slack_channel_cost")


@pytest.fixture
def company():
    return by_slug("my-org")


@pytest.fixture
def imported(db, sandbox):
    """Two days of the feeds that these reports are made of."""
    credential = Secret("sk-ant-api01-sandbox-my-org")
    connection = make_connection(
        make_organization(), credential=credential, options={"dialect": "reports"}
    )
    with time_machine.travel(NOW):
        run = sync.plan(connection, SyncRun.Kind.MANUAL, DAYS)
        run.windows.exclude(feed__in=FEEDS).delete()
        list(sync.run_inline(run, wait=lambda seconds: None))
    return connection


def report(metrics, group_by):
    out, err = StringIO(), StringIO()
    with time_machine.travel(NOW):
        call_command(
            "report",
            organization="demo",
            metrics=metrics,
            group_by=group_by,
            since=str(DAYS.start),
            until=str(DAYS.end),
            format="csv",
            stdout=out,
            stderr=err,
        )
    _, *rows = csv.reader(StringIO(out.getvalue()))
    return {row[0]: row[-1] for row in rows}, err.getvalue()


def ledger(company, keys, number):
    """Return the sandbox's ledger, in which a line counts for each of its keys."""
    sums = defaultdict(Decimal)
    for day in DAYS:
        for line in known_lines(company, day, NOW):
            for key in keys(line, day):
                sums[key] += number(line)
    return sums


def groups_of(line, day):
    return (line.member.groups_on(day) if line.member else ()) or ("",)


def dollars(line):
    return line.amount / MICROCENTS


def requests(line):
    """Return requests of models; runs of code cost money but are not in usage."""
    return Decimal(line.requests if line.model else 0)


@pytest.mark.parametrize(("metric", "number"), [("cost", dollars), ("requests", requests)])
def test_groups_equal_the_ledger(imported, company, metric, number):
    rows, notes = report(metric, "rbac_group_id")

    expected = ledger(company, groups_of, number)
    assert len(expected) > 3
    assert {key: Decimal(value) for key, value in rows.items()} == expected
    assert "Groups overlap" in notes


def test_slack_channels_equal_the_ledger(imported, company):
    rows, notes = report("cost", "slack_channel_id")

    expected = ledger(
        company,
        lambda line, day: [line.slack_channel_id] if line.slack_channel_id else [],
        dollars,
    )
    assert len(expected) > 1
    assert {key: Decimal(value) for key, value in rows.items()} == expected
    assert "Slack channels are a part" in notes
