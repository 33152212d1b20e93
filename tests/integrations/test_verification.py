"""`manage.py verify` finds every stored day that is not the provider's."""

import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations import sync
from integrations.connectors import get_connector
from integrations.connectors.base import SnapshotMoved
from integrations.encryption import Secret
from integrations.models import CostFact, DayCheck, FeedDay, SyncRun, UsageFact
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db

CONNECTOR = get_connector("claude-enterprise")


MY_ORG, CAMPUS = "sk-ant-api01-sandbox-my-org", "sk-ant-api01-sandbox-campus"


def read_three_days(key, api_variant=""):
    options = {"dialect": api_variant} if api_variant else {}
    connection = make_connection(
        make_organization(), "labs", credential=Secret(key), options=options
    )
    end = timezone.now().date() - timedelta(days=60)  # nothing restates them any more
    window = Window(end - timedelta(days=3), end)
    days = {feed.name: list(window) if feed.is_metered else [] for feed in CONNECTOR.feeds}
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window, days=days)
    list(sync.run_inline(run, wait=lambda seconds: None))
    return connection


@pytest.fixture
def connection(sandbox):
    return read_three_days(MY_ORG)


@pytest.fixture
def requests(monkeypatch):
    """Return the requests of a verification."""
    asked = []
    access = sync.access

    def observed(connection, *, observe=asked.append, **more):
        return access(connection, observe=observe, **more)

    monkeypatch.setattr(sync, "access", observed)
    return asked


def verify(*arguments):
    output = io.StringIO()
    call_command("verify", *arguments, "--organization=demo", stdout=output)
    return output.getvalue()


def test_what_was_just_read_agrees(connection):
    assert verify("labs") == "labs: 12 totals compared, no differences.\n"


def test_a_changed_fact_is_detected_and_named(connection):
    fact = CostFact.objects.filter(person=None).first()
    fact.effective_cost += Decimal("0.00000001")
    fact.save()

    output = io.StringIO()
    with pytest.raises(CommandError, match="1 of 1 connections do not agree") as failed:
        call_command("verify", "--organization=demo", stdout=output)

    assert failed.value.returncode == 1
    assert f"labs: {fact.day} effective_cost: reported" in output.getvalue()
    assert "12 totals compared, 1 difference." in output.getvalue()


def test_usage_is_verified_by_requests_and_by_tokens(connection):
    fact = UsageFact.objects.filter(person__isnull=False, output_tokens__gt=0).first()
    UsageFact.objects.filter(pk=fact.pk).update(
        requests=fact.requests - 1, output_tokens=fact.output_tokens + 2
    )
    totals = {
        check.measure: int(check.reported)
        for check in DayCheck.objects.filter(day=fact.day, feed="organization_usage")
    }

    output = io.StringIO()
    with pytest.raises(CommandError):
        call_command("verify", "--organization=demo", stdout=output)

    requests, tokens = totals["requests"], totals["total_tokens"]
    assert output.getvalue().splitlines() == [
        f"labs: {fact.day} requests: reported {requests}, stored {requests - 1}",
        f"labs: {fact.day} total_tokens: reported {tokens}, stored {tokens + 2}",
        "labs: 12 totals compared, 2 differences.",
    ]


def test_only_totals_are_asked_for(connection, requests):
    verify("labs")

    assert [request.path.rsplit("/", 1)[1] for request in requests] == [
        "cost_report",
        "usage_report",
    ]
    assert not any("group_by" in request.query for request in requests)


def test_the_newer_endpoints_are_verified_alike(sandbox, requests):
    read_three_days(CAMPUS, api_variant="successors")

    # Twelve of the newer ones, and as many of the older ones: no report vouches for itself.
    assert verify("labs") == "labs: 24 totals compared, no differences.\n"
    assert [request.path.rsplit("/", 1)[1] for request in requests] == [
        *("cost", "usage"),
        *("cost_report", "usage_report"),
    ]

    CostFact.objects.filter(person=None).delete()
    with pytest.raises(CommandError):
        verify("labs")


def test_new_data_in_the_middle_is_no_difference(connection, monkeypatch):
    whole = CONNECTOR.feed("organization_cost")
    moves = [SnapshotMoved("Moved."), SnapshotMoved("Moved.")]

    def read(client, window):
        if moves:
            raise moves.pop()
        yield from whole.read(client, window)

    feeds = (replace(whole, read=read),)
    monkeypatch.setattr(type(CONNECTOR), "feeds", feeds)

    assert verify("labs") == "labs: 6 totals compared, no differences.\n"

    moves += [SnapshotMoved("Moved.")] * 3
    with pytest.raises(CommandError):
        verify("labs")


def test_a_day_missing_from_our_store_is_detected(connection):
    day = CostFact.objects.first().day
    CostFact.objects.filter(day=day).delete()

    with pytest.raises(CommandError):
        verify("labs")


def failing(*arguments):
    """Return the output before exit status 1."""
    output = io.StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("verify", *arguments, "--organization=demo", stdout=output)
    assert failed.value.returncode == 1
    return output.getvalue().splitlines()


def test_a_feed_that_was_never_read_is_not_compared_and_not_in_order(connection):
    FeedDay.objects.filter(feed__in=["organization_usage", "user_cost"]).delete()

    assert failing("labs") == [
        "labs: Cost per user: not compared. No day of it was ever read.",
        "labs: Organization tokens: not compared. No day of it was ever read.",
        "labs: 6 totals compared, no differences; not everything was compared.",
    ]


def test_days_that_were_asked_for_and_never_read_are_named(connection):
    first = FeedDay.objects.earliest("day").day
    FeedDay.objects.filter(feed="organization_cost", day=first).delete()

    assert failing("labs") == [
        f"labs: Organization cost {first}: not compared. Never read.",
        "labs: 10 totals compared, no differences; not everything was compared.",
    ]


def test_where_nothing_was_read_nothing_is_in_order(sandbox):
    make_connection(make_organization(), "labs", credential=Secret(MY_ORG))

    assert failing("labs")[-1] == "labs: nothing was compared."


def test_an_incomplete_report_is_detected_by_the_legacy_one(sandbox):
    """The newer endpoints of a parent hide a child: compared with themselves, all would agree."""
    read_three_days("sk-ant-api01-sandbox-holding", api_variant="successors")

    lines = failing("labs")

    assert "effective_cost: the other version reports" in lines[0]
    assert lines[-1] == "labs: 24 totals compared, 12 differences."


def test_nothing_to_verify_is_said(connection):
    with pytest.raises(CommandError, match="no connection nobody") as refused:
        verify("nobody")
    assert refused.value.returncode == 2


@pytest.mark.parametrize("keys", [[], [Fernet.generate_key().decode()]], ids=["none", "another"])
def test_without_the_keys_of_its_credentials_it_says_so_in_one_sentence(connection, settings, keys):
    settings.CREDENTIALS_KEYS = keys
    output, errors = io.StringIO(), io.StringIO()

    with pytest.raises(CommandError) as refused:
        call_command("verify", "--organization=demo", stdout=output, stderr=errors)

    assert str(refused.value) == (
        "CREDENTIALS_KEYS lacks the key that the credentials of labs were encrypted with."
    )
    assert refused.value.returncode == 2
    assert output.getvalue() + errors.getvalue() == ""
