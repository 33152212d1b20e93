"""A connection gets another label, and the reports that name it go along."""

from datetime import date

import pytest

from accounts.models import AuditEvent, Role
from integrations import connections
from integrations.signals import connection_renamed
from reports.engine.spec import ReportSpec
from reports.models import ReportSchedule, SavedReport
from reports.saved.receivers import replace_label
from tests.factories import (
    cost,
    make_connection,
    make_member,
    make_organization,
    make_report,
    make_schedule,
)

DAYS = "metrics=cost&from=2026-11-01&to=2026-11-08"


@pytest.fixture
def admin(organization):
    return make_member(organization, Role.ADMIN)


@pytest.fixture
def connection(organization):
    return make_connection(organization, "my-org")


def query_of(report: SavedReport) -> str:
    return SavedReport.objects.get(pk=report.pk).query


def test_saved_reports_of_everybody_follow_a_new_label(organization, connection, admin):
    ann = make_member(organization, Role.ANALYST)
    only = make_report(organization, "Only", f"{DAYS}&billing_account=my-org")
    hers = make_report(
        organization, "Hers", f"{DAYS}&billing_account.not=my-org", ann, SavedReport.Sharing.PRIVATE
    )
    all_of_it = make_report(organization, "All", DAYS)
    theirs = make_report(make_organization("theirs"), "Theirs", f"{DAYS}&billing_account=my-org")
    changed = {report.pk: report.updated_at for report in (only, hers, all_of_it, theirs)}

    connections.rename(connection, actor=admin, label="acme")

    assert query_of(only) == f"{DAYS}&billing_account=acme"
    assert query_of(hers) == f"{DAYS}&billing_account.not=acme"
    assert query_of(all_of_it) == DAYS
    assert query_of(theirs) == f"{DAYS}&billing_account=my-org"
    assert dict(SavedReport.objects.values_list("pk", "updated_at")) == changed
    events = AuditEvent.objects.filter(verb="report.relabeled").order_by("pk")
    assert [(event.actor, event.target, event.details) for event in events] == [
        (admin, name, {"before": "my-org", "after": "acme"}) for name in ("Only", "Hers")
    ]


def test_a_report_shows_the_same_numbers_after_a_rename(organization, connection, admin, client):
    cost(connection, "2026-11-02", "12.34")
    cost(make_connection(organization, "labs"), "2026-11-02", "100")
    report = make_report(organization, query=f"{DAYS}&billing_account=my-org")
    client.force_login(admin)
    before = client.get(report.address).content.decode()

    connections.rename(connection, actor=admin, label="acme")

    report.refresh_from_db()
    after = client.get(report.address).content.decode()
    assert "$12.34" in before
    assert "$12.34" in after
    assert "Edited, not saved" not in after


def test_what_goes_out_by_mail_goes_on_under_the_new_label(organization, connection, admin):
    report = make_report(organization, query=f"{DAYS}&billing_account=my-org")
    plan = make_schedule(report, admin)

    connections.rename(connection, actor=admin, label="acme")

    mailed = ReportSchedule.objects.get(pk=plan.pk).report
    assert mailed.query == f"{DAYS}&billing_account=acme"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The same word in another filter is a different value.
        (
            f"{DAYS}&chart=line&service=my-org&billing_account=my-org",
            f"{DAYS}&chart=line&service=my-org&billing_account=acme",
        ),
        # A piece of a label may mean any number of connections.
        (f"{DAYS}&billing_account.contains=my-org", f"{DAYS}&billing_account.contains=my-org"),
        (f"{DAYS}&billing_account.starts=my-org", f"{DAYS}&billing_account.starts=my-org"),
        # One of several, and one that named the new label before there was one.
        (
            f"{DAYS}&billing_account=my-org&billing_account=labs&billing_account=acme",
            f"{DAYS}&billing_account=acme&billing_account=labs",
        ),
        # What is empty stays, and so does what has to be escaped.
        (
            f"{DAYS}&sku=&user_name=Zo%C3%AB%26Co&billing_account=my-org",
            f"{DAYS}&sku=&user_name=Zo%C3%AB%26Co&billing_account=acme",
        ),
    ],
)
def test_only_whole_labels_are_put_in_place(query, expected):
    assert replace_label(query, "my-org", "acme") == expected


@pytest.mark.parametrize("asked", ["billing_account=my-org", "sku=&billing_account.not=my-org"])
def test_what_is_put_in_place_is_written_as_the_page_writes_it(asked):
    def written(query: str) -> str:
        return ReportSpec.from_query(query, today=date(2026, 11, 25)).to_query()

    after = replace_label(written(f"{DAYS}&group_by=service,sku&{asked}"), "my-org", "acme")

    assert written(after) == after


def test_a_rename_that_a_listener_cannot_follow_does_not_happen(organization, connection, admin):
    def refuse(**_):
        raise RuntimeError("no")

    connection_renamed.connect(refuse)
    try:
        with pytest.raises(RuntimeError):
            connections.rename(connection, actor=admin, label="acme")
    finally:
        connection_renamed.disconnect(refuse)

    connection.refresh_from_db()
    assert connection.label == "my-org"
    assert not AuditEvent.objects.filter(verb="connection.renamed").exists()
