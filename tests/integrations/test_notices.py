"""Notices: once, to the right people, and only while they are true."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from integrations import connections, notices, sync
from integrations.encryption import Secret
from integrations.models import Connection, Notice, SyncWindow
from tests.factories import make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db

KEY = "sk-ant-api01-sandbox-my-org"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HTMX = {"HX-Request": "true"}


@pytest.fixture
def organization(sandbox):
    return make_organization()


@pytest.fixture
def ines(organization):
    return make_member(organization, Role.BILLING_ADMIN, "ines@example.com")


@pytest.fixture
def connection(organization):
    return make_connection(organization, credential=Secret(KEY), key_hint="-org")


def texts():
    return [notice.text for notice in Notice.objects.order_by("pk")]


def finished_import(connection, actor=None, failed=0):
    run = sync.plan_import(connection, today=NOON.date(), days=9, actor=actor)
    run.windows.update(state=SyncWindow.State.DONE)
    run.windows.filter(position__lt=failed).update(state=SyncWindow.State.FAILED)
    sync.close_if_done(run)
    return run


def broken(connection):
    Connection.objects.filter(pk=connection.pk).update(
        state="action_needed",
        problem="Anthropic rejected the key. It may be revoked.",
        problem_repair="Paste a new one.",
        problem_since=NOON,
    )


# --- Events ------------------------------------------------------------------------------
def test_a_finished_import_is_notified_once(connection):
    finished_import(connection)

    notices.detect(timezone.now())
    notices.detect(timezone.now())

    assert texts() == ["The import of my-org is finished: 9 days, 14 Nov 2026 to 22 Nov 2026."]


def test_an_import_with_holes_is_not_called_finished(connection):
    run = finished_import(connection, failed=2)

    notices.detect(timezone.now())

    assert texts() == [
        f"The import of my-org has ended, but 2 of its {run.windows.count()} parts failed."
    ]


def test_an_import_with_holes_does_not_look_like_good_news(client, connection, ines):
    finished_import(connection, failed=2)
    notices.detect(timezone.now())
    client.force_login(ines)

    text = client.get(address("notices")).content.decode().partition("<main")[2]

    assert '<li class="warn">' in text
    assert '<li class="good">' not in text


def test_a_refresh_is_no_news(connection):
    run = sync.plan_refresh(connection, today=NOON.date())
    run.windows.update(state=SyncWindow.State.DONE)
    sync.close_if_done(run)

    notices.detect(timezone.now())

    assert texts() == []


def test_a_connection_that_needs_action_is_notified_with_its_repair(connection):
    broken(connection)

    notices.detect(NOON)
    notices.detect(NOON)

    notice = Notice.objects.get()
    assert notice.text == "my-org stopped: Anthropic rejected the key. It may be revoked."
    assert notice.repair == "Paste a new one."


def test_the_same_trouble_another_day_is_another_event(connection):
    broken(connection)
    notices.detect(NOON)
    Connection.objects.update(problem_since=NOON + timedelta(days=1))

    notices.detect(NOON + timedelta(days=1))

    assert len(texts()) == 2
    assert Notice.objects.filter(settled_at__isnull=True).count() == 1


@pytest.mark.parametrize(
    ("days_left", "said"),
    [
        (15, []),
        (14, ["The key of my-org expires on 6 Dec 2026."]),
        (4, ["The key of my-org expires on 26 Nov 2026."]),
        (0, ["The key of my-org expires today, 22 Nov 2026."]),
        (-1, ["The key of my-org expired on 21 Nov 2026."]),
    ],
)
def test_a_key_about_to_expire_is_notified(connection, days_left, said):
    Connection.objects.update(key_expires_on=NOON.date() + timedelta(days=days_left))

    notices.detect(NOON)

    assert texts() == said


def test_an_expiry_is_notified_three_times_and_only_the_last_is_open(connection):
    Connection.objects.update(key_expires_on=NOON.date() + timedelta(days=20))

    for day in range(25):
        notices.detect(NOON + timedelta(days=day))

    assert len(texts()) == 3  # 14 and 3 days before, and on the day
    assert Notice.objects.filter(settled_at__isnull=True).count() == 1


def test_what_is_disconnected_expires_no_more(connection):
    Connection.objects.update(key_expires_on=NOON.date(), state="disconnected", credential=None)

    notices.detect(NOON)

    assert texts() == []


# --- When it is over ---------------------------------------------------------------------
def test_a_new_key_settles_the_call_at_once(connection, ines):
    broken(connection)
    notices.detect(NOON)

    connections.replace_key(connection, actor=ines, key=KEY)

    assert not Notice.objects.open_for(connection.organization, ines).exists()


def test_what_mended_itself_is_settled_by_the_next_look(connection, ines):
    broken(connection)
    notices.detect(NOON)
    Connection.objects.update(state="active", problem="", problem_since=None)

    notices.detect(NOON)

    assert not Notice.objects.open_for(connection.organization, ines).exists()


def test_dismissing_is_for_oneself(connection, ines):
    other = make_member(connection.organization, Role.ADMIN)
    finished_import(connection)
    notices.detect(timezone.now())

    notices.dismiss(connection.organization, ines)
    notices.dismiss(connection.organization, ines)

    assert not Notice.objects.open_for(connection.organization, ines).exists()
    assert Notice.objects.open_for(connection.organization, other).count() == 1


# --- By email ---------------------------------------------------------------------------
@pytest.fixture
def mailed(mails, django_capture_on_commit_callbacks):
    """Look, let the workers send, and return (address, subject) of what went out."""

    def look(now=NOON):
        with django_capture_on_commit_callbacks(execute=True):
            notices.detect(now)
        return sorted((mail.to[0], mail.subject) for mail in mails)

    return look


def test_members_who_can_act_get_one_mail(connection, ines, mailed, mails):
    make_member(connection.organization, Role.ADMIN, "ada@example.com")
    make_member(connection.organization, Role.VIEWER, "vera@example.com")
    make_member(make_organization("other"), Role.ADMIN, "they@example.com")
    broken(connection)

    mailed()

    assert mailed() == [
        ("ada@example.com", "Action needed: my-org"),
        ("ines@example.com", "Action needed: my-org"),
    ]
    body = mails[0].body
    assert "my-org stopped: Anthropic rejected the key. It may be revoked." in body
    assert "To fix it: Paste a new one." in body
    assert "https://spendglass.example.com/o/demo/integrations/claude-enterprise/" in body


def test_who_started_an_import_gets_the_mail(connection, ines, mailed):
    make_member(connection.organization, Role.ADMIN, "ada@example.com")
    finished_import(connection, actor=ines)

    assert mailed(timezone.now()) == [("ines@example.com", "Import finished: my-org")]


# --- In the app --------------------------------------------------------------------------
def test_who_started_an_import_and_is_let_in_no_longer_gets_no_mail(
    connection, organization, ines, mailed
):
    left = make_member(organization, Role.BILLING_ADMIN, "left@example.com")
    finished_import(connection, actor=left)
    left.memberships.update(is_active=False)

    assert mailed(timezone.now()) == [("ines@example.com", "Import finished: my-org")]


def address(name, *arguments):
    return reverse(f"integrations:{name}", args=["demo", *arguments])


def test_the_bell_counts_and_lists_them_for_who_manages(client, connection, ines):
    broken(connection)
    finished_import(connection)
    notices.detect(timezone.now())
    client.force_login(ines)

    text = client.get(address("index")).content.decode()

    assert "Notices, 2 new" in text
    assert "my-org stopped: Anthropic rejected the key." in text

    client.force_login(make_member(connection.organization, Role.VIEWER))
    assert "Notices" not in client.get(address("index")).content.decode()


def test_dismissing_one_by_htmx_leaves_the_others(client, connection, ines):
    broken(connection)
    finished_import(connection)
    notices.detect(timezone.now())
    client.force_login(ines)
    notice = Notice.objects.get(kind="action_needed")

    response = client.post(address("dismiss", notice.pk), headers=HTMX)

    text = response.content.decode()
    assert "my-org stopped" not in text
    assert "The import of my-org is finished" in text
    assert "Notices, 1 new" in text


def test_the_page_keeps_what_is_over(client, connection, ines):
    finished_import(connection)
    notices.detect(timezone.now())
    client.force_login(ines)

    response = client.post(address("dismiss_all"), follow=True)

    text = response.content.decode()
    assert "Nothing new" in text
    past = text.partition("Dismissed and settled")[2]
    assert "The import of my-org is finished" in past
