"""A worker makes a file too large for a request, visible to the requesting member only."""

import io
from datetime import timedelta

import pytest
from django.utils import timezone
from openpyxl import load_workbook

from accounts.deadlines import TooSlow
from accounts.models import AuditEvent, Membership, Role
from reports import engine, exports
from reports.models import FilePiece, ReportFile
from reports.tasks import make_file, tick
from tests.factories import cost, make_member, make_organization, make_report_file
from tests.reports.conftest import know

QUERY = "metrics=cost&from=2026-11-20&to=2026-11-21&interval=day"
# Worked out by hand: 1.50 on the first day, 2.25 on the second, behind a byte order mark.
CSV = b"\xef\xbb\xbfday,cost\r\n2026-11-20,1.50\r\n2026-11-21,2.25\r\n"


@pytest.fixture
def company(organization, connection, monkeypatch):
    """Two days of cost, and files of more than one row are large."""
    know(connection, "2026-11-20", "2026-11-21")
    cost(connection, "2026-11-20", "1.50")
    cost(connection, "2026-11-21", "2.25")
    monkeypatch.setattr(exports, "DIRECT_ROWS", 1)
    return organization


@pytest.fixture
def viewer(client, company):
    viewer = make_member(company, Role.VIEWER)
    client.force_login(viewer)
    return viewer


def path(organization, end=""):
    return f"/o/{organization.slug}/reports/{end}"


def ordered(client, company, kind="csv"):
    """Ask for a file and return it."""
    response = client.get(path(company, f"explore.{kind}?{QUERY}"))
    file = ReportFile.objects.get()
    assert (response.status_code, response["Location"]) == (302, path(company, f"files/{file.pk}/"))
    return file


def test_large_file_is_ordered_made_and_fetched(client, company, viewer):
    file = ordered(client, company)
    page = path(company, f"files/{file.pk}/")

    waiting = client.get(page).content.decode()
    assert "Waiting for a worker." in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in waiting
    assert client.get(f"{page}download/").status_code == 302

    make_file(file_id=file.pk)

    ready = client.get(page).content.decode()
    assert "Your file is ready" in ready
    assert 'http-equiv="refresh"' not in ready
    assert "hx-trigger" not in ready.partition('id="file"')[2].partition("</main>")[0]
    download = client.get(f"{page}download/")
    assert b"".join(download.streaming_content) == CSV
    assert download["Content-Length"] == f"{len(CSV)}"
    assert download["Content-Disposition"] == (
        f'attachment; filename="{company.slug}-cost-2026-11-20-to-2026-11-21.csv"'
    )
    assert f"{file.name}" in client.get(path(company, "files/")).content.decode()
    actions = AuditEvent.objects.order_by("pk").values_list("verb", "actor")
    assert [*actions] == [
        ("report.exported", viewer.pk),
        ("report.file_downloaded", viewer.pk),
    ]


def test_small_file_comes_at_once_and_says_how_long_it_is(client, company, viewer, monkeypatch):
    monkeypatch.setattr(exports, "DIRECT_ROWS", 2)

    response = client.get(path(company, f"explore.csv?{QUERY}"))

    assert response["Content-Length"] == f"{len(CSV)}"
    assert b"".join(response.streaming_content) == CSV
    assert not ReportFile.objects.exists()


def test_workbook_is_made_by_a_worker_too(client, company, viewer):
    file = ordered(client, company, "xlsx")

    make_file(file_id=file.pk)

    content = b"".join(piece.content for piece in FilePiece.objects.order_by("number"))
    rows = [*load_workbook(io.BytesIO(content))["Report"].values]
    assert [row[1] for row in rows] == ["cost", 1.5, 2.25]


def test_file_that_takes_too_long_is_ordered(client, company, viewer, monkeypatch):
    def slow(*args, **options):
        raise TooSlow

    monkeypatch.setattr(engine, "stream", slow)

    assert ordered(client, company).state == ReportFile.State.WAITING


def test_content_in_several_pieces_stays_in_order(client, company, viewer, monkeypatch):
    monkeypatch.setattr(exports, "PIECE_BYTES", 7)
    file = ordered(client, company)

    make_file(file_id=file.pk)

    file.refresh_from_db()
    assert next(exports.content(file)) == CSV[:7]
    assert b"".join(exports.content(file)) == CSV


@pytest.mark.parametrize("end", ["", "download/"])
def test_files_of_others_do_not_exist(client, company, viewer, end):
    colleague = make_report_file(company, make_member(company, Role.ADMIN))
    there = make_organization("there", "There Inc.")
    Membership.objects.create(organization=there, user=viewer, role=Role.VIEWER)
    elsewhere = make_report_file(there, viewer)

    for file in (colleague, elsewhere):
        assert client.get(path(company, f"files/{file.pk}/{end}")).status_code == 404
        assert client.post(path(company, f"files/{file.pk}/delete/")).status_code == 404
        assert file.name not in client.get(path(company, "files/")).content.decode()


def test_same_question_is_one_file(client, company, viewer):
    first = ordered(client, company)

    assert ordered(client, company) == first


def test_files_under_way_are_limited_per_member(client, company, viewer):
    for number in range(3):
        make_report_file(company, viewer, query=f"metrics=cost&range={number}")

    response = client.get(path(company, f"explore.csv?{QUERY}"))

    assert response.status_code == 429
    assert response["Retry-After"] == "30"
    assert "3 of your files are being created." in response.content.decode()


def test_files_under_way_are_limited_per_organization(client, company, viewer):
    for number in range(12):
        make_report_file(company, make_member(company, email=f"{number}@example.com"))

    response = client.get(path(company, f"explore.csv?{QUERY}"))

    assert response.status_code == 429
    assert "12 files of your organization are being created." in response.content.decode()


def test_file_of_a_worker_that_vanished_is_made_again(client, company, viewer):
    file = ordered(client, company)
    long_ago = timezone.now() - timedelta(minutes=3)
    ReportFile.objects.update(state="working", attempts=1, touched_at=long_ago)

    assert exports.due(timezone.now()) == [file.pk]
    make_file(file_id=file.pk)

    assert ReportFile.objects.get().state == ReportFile.State.READY


def test_file_that_takes_its_workers_with_it_fails_with_a_sentence(client, company, viewer):
    ordered(client, company)
    long_ago = timezone.now() - timedelta(minutes=3)
    ReportFile.objects.update(state="working", attempts=3, touched_at=long_ago)

    assert exports.due(timezone.now()) == []

    file = ReportFile.objects.get()
    assert file.state == ReportFile.State.FAILED
    page = client.get(path(company, f"files/{file.pk}/")).content.decode()
    assert "Its workers stopped, often because of too little memory. Choose fewer rows." in page


def test_two_workers_make_a_file_once(client, company, viewer):
    file = ordered(client, company)
    ReportFile.objects.update(state="working", attempts=1)

    make_file(file_id=file.pk)

    assert ReportFile.objects.get().state == ReportFile.State.WORKING
    assert not FilePiece.objects.exists()


def test_worker_stops_when_its_file_is_deleted(company, viewer, monkeypatch):
    file = make_report_file(company, viewer, query=QUERY)
    making = exports._Making(file, until=timezone.now() + timedelta(minutes=1))
    file.delete()

    with pytest.raises(exports._Stopped):
        list(making.counted(range(3)))


def test_file_has_a_bound_on_rows_and_says_so(client, company, viewer, monkeypatch):
    file = ordered(client, company)
    spec_most = engine.stream.__kwdefaults__
    monkeypatch.setitem(spec_most, "most", 1)

    make_file(file_id=file.pk)

    failed = ReportFile.objects.get()
    assert failed.state == ReportFile.State.FAILED
    assert failed.error.startswith("This report has more than 1 rows. Choose fewer days")


def test_file_of_a_deactivated_member_is_not_made(client, company, viewer):
    file = ordered(client, company)
    viewer.memberships.update(is_active=False)

    make_file(file_id=file.pk)

    assert ReportFile.objects.get().state == ReportFile.State.FAILED


def test_files_go_after_a_day(company, viewer):
    make_report_file(company, viewer, requested_at=timezone.now() - timedelta(hours=25))
    kept = make_report_file(company, viewer, requested_at=timezone.now() - timedelta(hours=23))

    tick()

    assert [*ReportFile.objects.all()] == [kept]


def test_member_keeps_so_many_finished_files(client, company, viewer, monkeypatch):
    monkeypatch.setattr(exports, "KEPT_OF_USER", 1)
    make_report_file(company, viewer, state="ready", finished_at=timezone.now())
    file = make_report_file(company, viewer, query=QUERY)

    make_file(file_id=file.pk)

    assert [*ReportFile.objects.values_list("pk", "state")] == [(file.pk, "ready")]


def test_member_deletes_a_file(client, company, viewer):
    file = make_report_file(company, viewer, state="ready")

    response = client.post(path(company, f"files/{file.pk}/delete/"))

    assert response["Location"] == path(company, "files/")
    assert not ReportFile.objects.exists()


def test_organizations_take_turns(client, company, viewer):
    """Twelve files of one organization delay that of another by one."""
    there = make_organization("there", "There Inc.")
    start = timezone.now() - timedelta(minutes=10)
    mine = [
        make_report_file(company, viewer, query=QUERY, requested_at=start + timedelta(seconds=n))
        for n in range(12)
    ]
    later = start + timedelta(minutes=1)
    other = make_report_file(there, make_member(there), query=QUERY, requested_at=later)

    for file in mine[:3]:  # messages come in the order in which files were ordered
        make_file(file_id=file.pk)

    unfinished = ReportFile.objects.unfinished().order_by("pk").values_list("pk", flat=True)
    assert [*unfinished] == [file.pk for file in mine[2:]]
    assert other.pk not in unfinished
