"""`manage.py verify` finds every stored day that is not the provider's."""

import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations import sync
from integrations.encryption import Secret
from integrations.models import CostFact, SyncRun
from integrations.window import Window
from tests.factories import make_connection, make_organization

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection(sandbox):
    connection = make_connection(
        make_organization(), "labs", credential=Secret("sk-ant-api01-sandbox-my-org")
    )
    yesterday = timezone.now().date() - timedelta(days=1)
    window = Window(yesterday - timedelta(days=3), yesterday)
    run = sync.plan(connection, SyncRun.Kind.MANUAL, window)
    list(sync.work(run, wait=lambda seconds: None))
    return connection


def verify(*arguments):
    output = io.StringIO()
    call_command("verify", *arguments, "--organization=demo", stdout=output)
    return output.getvalue()


def test_what_was_just_read_agrees(connection):
    assert verify("labs") == "labs: 12 totals compared, no differences.\n"


def test_a_changed_fact_is_found_and_named(connection):
    fact = CostFact.objects.filter(person=None).first()
    fact.amount_usd += Decimal("0.00000001")
    fact.save()

    output = io.StringIO()
    with pytest.raises(CommandError, match="1 of 1 connections do not agree") as failed:
        call_command("verify", "--organization=demo", stdout=output)

    assert failed.value.returncode == 1
    assert f"labs: {fact.day} amount_usd: reported" in output.getvalue()
    assert "12 totals compared, 1 difference." in output.getvalue()


def test_a_day_lost_on_our_side_is_found(connection):
    day = CostFact.objects.first().day
    CostFact.objects.filter(day=day).delete()

    with pytest.raises(CommandError):
        verify("labs")


def test_nothing_to_verify_is_said(connection):
    with pytest.raises(CommandError, match="no connection nobody") as refused:
        verify("nobody")
    assert refused.value.returncode == 2
