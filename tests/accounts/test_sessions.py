"""Sessions expire, are purged, and are in no dump."""

import io
import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.tasks import purge_sessions
from config.celery import app as celery
from integrations.encryption import Secret
from tests.factories import (
    make_connection,
    make_invitation,
    make_member,
    make_organization,
    make_token,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in():
    client = Client()
    client.force_login(make_user())
    return client


def test_expired_sessions_are_purged_and_live_ones_stay(signed_in):
    expired = Client()
    expired.force_login(make_user())
    Session.objects.filter(pk=expired.session.session_key).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )

    purge_sessions()

    assert [session.pk for session in Session.objects.all()] == [signed_in.session.session_key]


def test_purging_is_on_the_schedule():
    tasks = {entry["task"] for entry in celery.conf.beat_schedule.values()}

    assert purge_sessions.name in tasks


@pytest.mark.parametrize("labels", [(), ("sessions",), ("sessions.session",)])
def test_a_dump_holds_no_live_session(signed_in, labels):
    output = io.StringIO()

    call_command("dumpdata", *labels, stdout=output)

    assert "sessions.session" not in {row["model"] for row in json.loads(output.getvalue())}
    assert signed_in.session.session_key not in output.getvalue()


def test_a_dump_holds_no_secret(signed_in):
    organization = make_organization()
    make_connection(organization, credential=Secret("sk-ant-api01-hunter2"), key_hint="ter2")
    make_token(make_member(organization), "sgt_hunter2")
    make_invitation(organization)
    output = io.StringIO()

    call_command("dumpdata", stdout=output)

    rows = json.loads(output.getvalue())
    assert {"integrations.connection", "api.token"} <= {row["model"] for row in rows}
    assert "hunter2" not in output.getvalue()
    credentials = [r["fields"]["credential"] for r in rows if "credential" in r["fields"]]
    assert credentials == [""]
