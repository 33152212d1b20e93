"""Erasing a history: all of it, nothing else, in pieces, and as often as one likes."""

import threading
from itertools import pairwise

import pytest
from django.apps import apps
from django.db import connection as database
from django.db import connections as databases
from django.db.models import CASCADE
from django.utils import timezone

from integrations import connections, deletion, notices, sync
from integrations.encryption import Secret
from integrations.models import (
    Connection,
    CostByPerson,
    CostFact,
    CostTotal,
    EngagementFact,
    Notice,
    Person,
    SyncRun,
    SyncWindow,
    UsageFact,
    UsageTotal,
)
from integrations.window import Window
from tests.factories import cost, make_connection, make_member, make_organization, make_person

KEY = "sk-ant-api01-sandbox-labs"


def fill(connection: Connection) -> None:
    """Read three days, so that every table has rows."""
    today = timezone.now().date()
    run = sync.plan(connection, SyncRun.Kind.IMPORT, Window.last(4, today=today))
    list(sync.run_inline(run, wait=lambda seconds: None))


def tables_with_rows_of(connection: Connection) -> set[str]:
    """By their own foreign keys, found without the code under test."""
    tables = set()
    for model in apps.get_app_config("integrations").get_models():
        for field in model._meta.fields:
            hangs_on_it = (
                field.related_model is Connection
                and getattr(field.remote_field, "on_delete", None) is CASCADE
            )
            if hangs_on_it and model._base_manager.filter(connection_id=connection.pk).exists():
                tables.add(model.__name__)
    if SyncWindow.objects.filter(run__connection_id=connection.pk).exists():
        tables.add("SyncWindow")
    return tables


@pytest.fixture
def two(db, sandbox):
    organization = make_organization()
    made = [
        make_connection(organization, label, credential=Secret(KEY)) for label in ("old", "other")
    ]
    for connection in made:
        fill(connection)
    return made


def test_everything_of_the_connection_goes_and_nothing_of_another(two):
    old, other = two
    before = tables_with_rows_of(other)
    assert {"CostFact", "UsageFact", "Person", "Meter", "FeedDay", "SyncWindow"} <= before
    connections.disconnect(old, actor=None)
    connections.delete(old, actor=None)

    deletion.delete_history(old.pk)

    assert tables_with_rows_of(old) == set()
    assert not Connection.objects.filter(pk=old.pk).exists()
    assert tables_with_rows_of(other) == before


def test_no_fact_looks_up_its_connection_as_it_is_written(db):
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint"
            " WHERE contype = 'f' AND confrelid = 'integrations_connection'::regclass"
        )
        constrained = {name for (name,) in cursor.fetchall()}

    facts = {
        model._meta.db_table
        for model in (CostFact, CostTotal, UsageFact, UsageTotal, EngagementFact, CostByPerson)
    }
    assert not constrained & facts
    assert "integrations_meter" in constrained


def test_it_goes_piece_by_piece_and_says_how_far_it_is(two, monkeypatch):
    monkeypatch.setattr(deletion, "_BATCH_SIZE", 7)
    old, _ = two
    total = deletion_total(old)
    connections.disconnect(old, actor=None)
    connections.delete(old, actor=None)
    seen = []
    original = deletion._delete_batch

    def watched(model, pk):
        current = Connection.objects.get(pk=pk)
        seen.append((current.rows_erased, current.rows_to_erase))
        return original(model, pk)

    monkeypatch.setattr(deletion, "_delete_batch", watched)

    deletion.delete_history(old.pk)

    done = [erased for erased, _ in seen]
    assert {of for _, of in seen} == {total}
    assert done[0] == 0
    assert all(0 <= after - before <= 7 for before, after in pairwise(done))
    assert f"{total:,} rows" in Notice.objects.get().text


def deletion_total(connection: Connection) -> int:
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'connection_id'"
            " AND table_schema = 'public' AND table_name <> 'integrations_notice'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        total = SyncWindow.objects.filter(run__connection=connection).count()
        for table in tables:
            cursor.execute(
                f"SELECT count(*) FROM {table} WHERE connection_id = %s", [connection.pk]
            )
            total += cursor.fetchone()[0]
    return total


def test_a_killed_worker_costs_no_row_and_no_count(two, monkeypatch):
    monkeypatch.setattr(deletion, "_BATCH_SIZE", 7)
    old, _ = two
    total = deletion_total(old)
    connections.disconnect(old, actor=None)
    connections.delete(old, actor=None)
    original, pieces = deletion._delete_batch, []

    def dies(model, pk):
        pieces.append(model)
        if len(pieces) == 3:
            raise KeyboardInterrupt
        return original(model, pk)

    monkeypatch.setattr(deletion, "_delete_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        deletion.delete_history(old.pk)
    monkeypatch.setattr(deletion, "_delete_batch", original)

    deletion.delete_history(old.pk)
    deletion.delete_history(old.pk)

    assert tables_with_rows_of(old) == set()
    assert f"{total:,} rows" in Notice.objects.get().text


def test_only_what_is_to_be_erased_is_erased(two):
    old, _ = two
    connections.disconnect(old, actor=None)
    connections.delete(old, actor=None, keep_history=True)

    deletion.delete_history(old.pk)

    assert Connection.objects.get(pk=old.pk).state == "archived"
    assert CostFact.objects.filter(connection=old).exists()


@pytest.mark.django_db(transaction=True)
def test_a_second_worker_leaves_it_to_the_first():
    connection = make_connection(make_organization(), state="deleting")
    cost(connection, "2026-11-20", "1")

    def second() -> None:
        deletion.delete_history(connection.pk)
        databases.close_all()

    with deletion._exclusive(connection.pk) as is_ours:
        assert is_ours
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(20)
        assert CostFact.objects.exists()

    deletion.delete_history(connection.pk)
    assert not CostFact.objects.exists()


@pytest.mark.django_db
def test_a_person_goes_without_a_look_through_every_fact_of_others():
    """No constraint points from the big tables to people and meters: each would be a long scan."""
    connection = make_connection(make_organization())
    person = make_person(connection)
    cost(connection, "2026-11-20", "1", person=person)
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
            " AND confrelid IN ('integrations_person'::regclass, 'integrations_meter'::regclass)"
        )
        assert cursor.fetchall() == []


@pytest.mark.django_db
def test_who_may_manage_reads_that_it_is_done():
    organization = make_organization()
    ines = make_member(organization, "billing_admin")
    connection = make_connection(organization, state="deleting")
    Person.objects.create(connection=connection, external_id="user_1")

    deletion.delete_history(connection.pk)

    (notice,) = Notice.objects.open_for(organization, ines)
    assert notice.text == "my-org and its history are erased: 1 rows."
    notices.dismiss(organization, ines)
    assert not Notice.objects.open_for(organization, ines).exists()
