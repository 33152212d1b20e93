"""Files that are too large for a request: ordered by a member, made by a worker, fetched later.

The content is kept in the database, in pieces, so that web and worker processes need no shared
folder, and erasing an organization or a member erases their files. It expires after a day.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import Any, TypeVar

from celery import Task
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import audit, deadlines
from accounts.deadlines import TooSlow
from accounts.limits import TooMany
from accounts.models import Membership, Organization, User
from reports import engine
from reports.engine import StreamedReport
from reports.engine.spec import ReportSpec, SpecError
from reports.explore.controls import ReportControls
from reports.models import FilePiece, ReportFile
from reports.render.exports.registry import EXPORTS, ExportContext

logger = logging.getLogger(__name__)
T = TypeVar("T")

DIRECT_ROWS = 20_000  # of a file that is made while its reader waits
DIRECT_SECONDS = 8
LARGEST_BYTES = 250_000_000
PIECE_BYTES = 1_000_000
MOST_OF_USER, MOST_OF_ORGANIZATION = 3, 12  # files that are waiting or being made
KEPT_OF_USER = 10  # finished files; the oldest go first
KEPT_FOR = timedelta(days=1)
_MAKING_FOR = timedelta(minutes=15)
_GONE_AFTER = timedelta(minutes=2)  # without a sign of life, a worker is taken for dead
_MOST_ATTEMPTS = 3
_SIGN_ROWS = 5_000  # between signs of life


class _Stopped(Exception):
    """Making the file ends here. `str(error)` is fit for the page."""


@transaction.atomic
def order(
    organization: Organization, user: User, kind: str, spec: ReportSpec, *, address: str
) -> ReportFile:
    """Have a worker make a file. One that is on its way for the same question is that file.

    Raises `TooMany` if the member or the organization waits for too many.
    """
    # Orders of an organization one after the other, so that they are counted right.
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    unfinished = ReportFile.objects.unfinished().filter(organization=organization)
    query = spec.to_query()
    same = unfinished.filter(owner=user, kind=kind, query=query).first()
    if same is not None:
        return same
    if unfinished.filter(owner=user).count() >= MOST_OF_USER:
        raise TooMany(
            f"{MOST_OF_USER} of your files are being created. Wait until one is ready.", 30
        )
    if unfinished.count() >= MOST_OF_ORGANIZATION:
        raise TooMany(
            f"{MOST_OF_ORGANIZATION} files of your organization are being created. Wait until one "
            "is ready.",
            30,
        )
    file = ReportFile.objects.create(
        organization=organization,
        owner=user,
        kind=kind,
        query=query,
        address=address,
        title=ReportControls(spec).title[:200],
        name=EXPORTS[kind].file_name(organization, spec),
    )
    transaction.on_commit(lambda: wake(file.pk))
    return file


def wake(file_id: int) -> None:
    """Ask a worker to make the file now. Without a broker, `tick` will."""
    from reports.tasks import make_file

    task: Task[..., None] = make_file
    try:
        task.apply_async(kwargs={"file_id": file_id}, retry=False)
    except OperationalError:
        logger.warning("The broker does not answer; the file is made with the next tick")


def due(now: datetime) -> list[int]:
    """Files that wait, or whose worker has vanished. Gives up on those that took several."""
    lost = Q(state=ReportFile.State.WORKING, touched_at__lt=now - _GONE_AFTER)
    ReportFile.objects.filter(lost, attempts__gte=_MOST_ATTEMPTS).update(
        state=ReportFile.State.FAILED,
        error="Its workers stopped, often because of too little memory. Choose fewer rows.",
        finished_at=now,
    )
    waiting = Q(state=ReportFile.State.WAITING, touched_at__lt=now - timedelta(seconds=50))
    return list(ReportFile.objects.filter(waiting | lost).values_list("pk", flat=True))


def prune(now: datetime) -> None:
    """Remove files that are a day old, with their pieces."""
    ReportFile.objects.filter(requested_at__lt=now - KEPT_FOR).delete()


def make(file_id: int) -> None:
    """Make one file: that of the organization whose turn it is, which need not be `file_id`.

    A message says that a file waits. Organizations take turns, so that twelve large files of one
    delay a small one of another by one file.
    """
    now = timezone.now()
    file = _claim(now)
    if file is None:
        return
    try:
        # Also the statements: grouping 100 million facts takes long before the first row comes.
        with deadlines.limited(_MAKING_FOR.total_seconds()):
            _make(_Making(file, until=now + _MAKING_FOR))
    except (SpecError, TooSlow, _Stopped) as error:
        _finish(file, ReportFile.State.FAILED, error=f"{error}"[:300])
    except Exception:
        _finish(file, ReportFile.State.FAILED, error="Spendglass failed to create this file.")
        raise


def _claim(now: datetime) -> ReportFile | None:
    """Claim the next file, of the organization that has waited longest; None if none waits."""
    State = ReportFile.State
    waits = Q(state=State.WAITING) | Q(state=State.WORKING, touched_at__lt=now - _GONE_AFTER)
    waits &= Q(attempts__lt=_MOST_ATTEMPTS)
    others = ReportFile.objects.filter(organization=OuterRef("organization"))
    served = others.exclude(state=State.WAITING).order_by("-touched_at").values("touched_at")[:1]
    while True:
        waiting = ReportFile.objects.filter(waits).annotate(served_at=Subquery(served))
        in_turn = waiting.order_by(F("served_at").asc(nulls_first=True), "requested_at", "pk")
        file = in_turn.select_related("organization", "owner").first()
        if file is None:
            return None
        claim = {"state": State.WORKING, "touched_at": now, "rows_written": 0}
        if ReportFile.objects.filter(waits, pk=file.pk).update(attempts=F("attempts") + 1, **claim):
            file.refresh_from_db(fields=["state", "attempts", "touched_at", "rows_written"])
            return file


@dataclass(frozen=True)
class _Making:
    """One attempt to make a file; it ends when the file is taken over, deleted or late."""

    file: ReportFile
    until: datetime

    def counted(self, rows: Iterable[T]) -> Iterator[T]:
        """Hand the rows on with a sign of life now and then. Raises `_Stopped`."""
        for count, row in enumerate(rows):
            if count % _SIGN_ROWS == 0:
                self.sign(count)
            yield row

    def sign(self, rows: int) -> None:
        now = timezone.now()
        if now > self.until:
            raise _Stopped(
                "This file took longer than 15 minutes. Choose fewer days, a longer interval or"
                " fewer groupings."
            )
        mine = ReportFile.objects.filter(
            pk=self.file.pk, state=ReportFile.State.WORKING, attempts=self.file.attempts
        )
        if not mine.update(rows_written=rows, touched_at=now):
            raise _Stopped("Another worker makes this file.")


def _make(making: _Making) -> None:
    file = making.file
    is_member = Membership.objects.active().filter(organization=file.organization, user=file.owner)
    if not is_member.exists():
        raise _Stopped("The requesting member was removed.")
    spec = ReportSpec.from_query(file.query, today=file.requested_at.date())
    report = engine.stream(file.organization, spec.by_interval())
    if isinstance(report, StreamedReport):
        report = replace(report, rows=making.counted(report.rows))
    with TemporaryFile() as content:
        context = ExportContext(file.organization, report, file.address, timezone.now())
        EXPORTS[file.kind].write(context, content)
        if content.tell() > LARGEST_BYTES:
            raise _Stopped(
                f"This file has more than {LARGEST_BYTES // 1_000_000} MB. Choose fewer days, a"
                " longer interval or fewer groupings."
            )
        size = content.seek(0, 2)
        content.seek(0)
        _store(file, iter(lambda: content.read(PIECE_BYTES), b""), size)


@transaction.atomic
def _store(file: ReportFile, pieces: Iterator[bytes], size: int) -> None:
    """Keep the content, and only as many finished files of the member as allowed."""
    FilePiece.objects.filter(file=file).delete()
    for number, content in enumerate(pieces):
        FilePiece.objects.create(file=file, number=number, content=content)
    _finish(file, ReportFile.State.READY, size=size)
    finished = ReportFile.objects.filter(
        owner=file.owner, organization=file.organization, state=ReportFile.State.READY
    )
    kept = finished.order_by("-finished_at").values_list("pk", flat=True)[:KEPT_OF_USER]
    finished.exclude(pk__in=list(kept)).delete()


def _finish(file: ReportFile, state: str, **fields: Any) -> None:
    """Say how it ended, unless another worker has taken the file over."""
    ReportFile.objects.filter(
        pk=file.pk, state=ReportFile.State.WORKING, attempts=file.attempts
    ).update(state=state, finished_at=timezone.now(), **fields)


def content(file: ReportFile) -> Iterator[bytes]:
    """Yield the content piece by piece, so that memory does not grow with the file."""
    numbers = FilePiece.objects.filter(file=file).order_by("number")
    for number in list(numbers.values_list("number", flat=True)):
        piece = FilePiece.objects.filter(file=file, number=number).first()
        if piece is None:
            raise OSError("The file was deleted while it was read.")  # the reader sees it is short
        yield bytes(piece.content)


def record(organization: Organization, user: User, spec: ReportSpec, kind: str) -> None:
    """Note in the audit log who took which numbers away."""
    audit.record(
        organization,
        user,
        "report.exported",
        ReportControls(spec).title,
        file=kind,
        query=spec.to_query(),
    )
