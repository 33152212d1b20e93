"""API version 1: the data of the pages for programs, read-only."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from http import HTTPStatus
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Query
from ninja.errors import ValidationError
from ninja.openapi.schema import OpenAPISchema

from accounts import deadlines
from accounts.deadlines import TooSlow
from accounts.limits import REPORT, TooMany, slot
from api import parameters, problems, schemas
from api.auth import Bearer
from api.models import Scope
from api.problems import Problem
from integrations.models import Connection, DayCheck, FeedDay
from integrations.status.connections import ConnectionStatus, retained, status_of, statuses
from integrations.window import Window
from reports import engine, limits
from reports.catalog.metrics import DIMENSIONS, METRICS, exact_usd
from reports.engine import Report
from reports.engine.spec import FILTERABLE, ReportSpec, SpecError, window_between
from reports.explore import controls
from reports.reconciliation import Reconciliation, reconcile
from reports.render.exports.text import as_json

DESCRIPTION = """\
The numbers of the pages, exact and read-only. A token stands for one member of one organization and
opens nothing else; the page *API tokens* in the account menu makes them. Dollars are strings,
counts are numbers, and `null` is *not known*, which is not zero. Days are UTC. Errors are problem
documents (RFC 9457).
"""
MAX_HEALTH_DAYS = 366  # days of health in one answer
_IN_MEMORY_BYTES = 1_000_000  # of a report; larger ones are spooled to disk
ERRORS = dict.fromkeys((401, 403, 404, 422, 429, 503), schemas.Problem)


class Api(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """Return the OpenAPI document with errors as problem documents."""
        schema = super().get_openapi_schema(**options)
        for operations in schema["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        (content,) = response["content"].values()
                        response["content"] = {problems.MEDIA_TYPE: content}
        return schema


api = Api(
    title="Spendglass",
    version="1.0.0",
    description=DESCRIPTION,
    urls_namespace="api",
)


# --- Errors ---------------------------------------------------------------------------------
@api.exception_handler(Problem)
def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return problems.answer(problem)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problems.answer(Problem(HTTPStatus.NOT_FOUND, str(error)))


@api.exception_handler(SpecError)
def _invalid_report(request: HttpRequest, error: SpecError) -> HttpResponse:
    more: dict[str, Any] = {"known": list(error.known)} if error.known else {}
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problems.answer(Problem(status, str(error), field=error.field, **more))


@api.exception_handler(TooMany)
def _too_many(request: HttpRequest, error: TooMany) -> HttpResponse:
    problem = Problem(error.status, str(error))
    problem.headers["Retry-After"] = f"{error.wait_seconds}"
    return problems.answer(problem)


@api.exception_handler(TooSlow)
def _too_slow(request: HttpRequest, error: TooSlow) -> HttpResponse:
    return problems.answer(Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Describe the first invalid parameter."""
    first = error.errors[0]
    name = str(first["loc"][-1])
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return problems.answer(Problem(status, f"{name}: {first['msg']}.", field=name))


# --- Connections ----------------------------------------------------------------------------
@api.get(
    "/connections",
    auth=Bearer(Scope.CONNECTIONS),
    response={200: list[schemas.ConnectionOut], **ERRORS},
    tags=["Connections"],
    summary="Every connection, by label",
)
def connections(request: Any) -> list[schemas.ConnectionOut]:
    return [_connection(overview) for overview in _overviews(request)]


@api.get(
    "/connections/{label}",
    auth=Bearer(Scope.CONNECTIONS),
    response={200: schemas.ConnectionOut, **ERRORS},
    tags=["Connections"],
    summary="One connection",
)
def connection(request: Any, label: str) -> schemas.ConnectionOut:
    for overview in _overviews(request):
        if overview.connection.label == label:
            return _connection(overview)
    raise _connection_not_found(label)


@api.get(
    "/connections/{label}/health",
    auth=Bearer(Scope.HEALTH),
    response={200: schemas.HealthOut, **ERRORS},
    tags=["Connections"],
    summary="Coverage and reconciliation of every day",
)
def health(
    request: Any,
    label: str,
    days: Query[schemas.HealthDaysOut],
) -> schemas.HealthOut:
    # Compared in Python: PostgreSQL refuses characters that a URL may hold, such as NUL.
    every = Connection.objects.filter(organization=request.organization)
    stored = next((each for each in every if each.label == label), None)
    if stored is None:
        raise _connection_not_found(label)
    return _health(stored, _window(days.since, days.until))


# --- Reports --------------------------------------------------------------------------------
@api.get(
    "/metrics",
    auth=Bearer(Scope.REPORTS),
    response={200: list[schemas.MetricOut], **ERRORS},
    tags=["Reports"],
    summary="Metrics",
)
def metrics(request: Any) -> list[schemas.MetricOut]:
    return [
        schemas.MetricOut(
            name=m.name, label=m.label, unit=m.unit, section=m.kind, definition=m.definition
        )
        for m in METRICS.values()
    ]


@api.get(
    "/dimensions",
    auth=Bearer(Scope.REPORTS),
    response={200: list[schemas.DimensionOut], **ERRORS},
    tags=["Reports"],
    summary="Dimensions",
)
def dimensions(request: Any) -> list[schemas.DimensionOut]:
    return [
        schemas.DimensionOut(
            name=d.name, label=d.label, section=d.section, is_overlapping=d.is_overlapping
        )
        for d in DIMENSIONS.values()
    ]


@api.get(
    "/dimensions/{name}/members",
    auth=Bearer(Scope.REPORTS),
    response={200: schemas.DimensionValues, **ERRORS},
    tags=["Reports"],
    summary="The values of a dimension that exist, as people look for them",
)
def members(
    request: Any,
    name: str,
    wanted: Query[schemas.DimensionValuesQuery],
) -> schemas.DimensionValues:
    if name not in FILTERABLE:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"There is no dimension “{name}” with members.",
            known=list(FILTERABLE),
        )
    piece = wanted.contains.casefold()
    everything = request.organization.connections.exclude(state=Connection.State.DELETING)
    matches = [
        schemas.Member(value=value, label=label)
        for value, label in controls.dimension_values(name, everything.order_by("label")).items()
        if piece in value.casefold() or piece in label.casefold()
    ]
    page = matches[wanted.offset : wanted.offset + wanted.limit]
    return schemas.DimensionValues(dimension=name, total=len(matches), members=page)


@api.get(
    "/report",
    auth=Bearer(Scope.REPORTS),
    response={200: schemas.ReportOut, **ERRORS},
    tags=["Reports"],
    summary="Any report: the same query as in the URL of the report page",
    openapi_extra={"parameters": parameters.report_parameters()},
)
def report(request: Any) -> FileResponse:
    today = datetime.now(UTC).date()
    spec = ReportSpec.from_query(request.GET, today=today)
    limits.refuse_unanswerable(request.organization, spec)
    asked = spec.by_interval() if spec.interval else spec
    user, organization = request.membership.user_id, request.organization
    # Written while the slot is held: a slow client holds a file and no report in memory, and a
    # failure is an error response, not a truncated document.
    content = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # the response closes it
    with slot(REPORT, user=user, organization=organization.pk):
        for count, piece in enumerate(_report(spec, engine.run(organization, asked))):
            if count % engine.CHUNK == 0:
                deadlines.check()
            content.write(piece.encode())
    content.seek(0)
    return FileResponse(content, content_type="application/json")


# --- Documents ------------------------------------------------------------------------------
def _connection_not_found(label: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"There is no connection “{label}” here.")


def _overviews(request: Any) -> list[ConnectionStatus]:
    """Return all connections by label, also archived ones, which reports still contain."""
    connections = [*statuses(request.organization), *retained(request.organization)]
    return sorted(connections, key=lambda overview: overview.connection.label)


def _connection(overview: ConnectionStatus) -> schemas.ConnectionOut:
    return schemas.ConnectionOut(
        label=overview.connection.label,
        provider=engine.provider_name(overview.connection),
        status=overview.status.word,
        sentence=overview.sentence,
        repair=overview.repair,
        cost_complete_to=overview.cost_complete_to,
        engagement_complete_to=overview.engagement_complete_to,
        first_day=overview.first_day,
        final_to=overview.final_to,
        last_sync_at=overview.last_sync_at,
        next_sync_at=overview.next_sync_at,
    )


def _window(since: date | None, until: date | None) -> Window:
    """Return the requested days, by default the last thirty including today."""
    last = until or datetime.now(UTC).date()
    try:
        window = window_between(since, last) if since else Window.last(30, today=last)
    except OverflowError as exc:
        raise SpecError("These days are out of range.", field="to") from exc
    if len(window) > MAX_HEALTH_DAYS:
        raise SpecError(f"At most {MAX_HEALTH_DAYS} days can be asked for at once.", field="range")
    return window


def _health(connection: Connection, window: Window) -> schemas.HealthOut:
    mine = {"connection": connection, "day__gte": window.start, "day__lt": window.end}
    days: dict[str, list[schemas.FeedDayOut]] = {}
    for day in FeedDay.objects.filter(**mine).order_by("day"):
        days.setdefault(day.feed, []).append(
            schemas.FeedDayOut(
                day=day.day,
                state=day.state,
                complete_to=day.watermark,
                confirmed_at=day.read_at,
                rows=day.rows,
            )
        )
    checks = DayCheck.objects.filter(**mine).order_by("day", "feed", "measure")
    return schemas.HealthOut(
        connection=connection.label,
        first_day=window.start,
        last_day=window.last_day,
        feeds=[
            schemas.FeedOut(
                name=feed.name,
                label=feed.label,
                fills=feed.feed.table,
                status=feed.status.word,
                error=feed.error,
                repair=feed.repair,
                kept_out=feed.kept_out,
                complete_to=feed.complete_to,
                complete_day=feed.complete_day,
                final_to=feed.final_to,
                last_success_at=feed.last_success_at,
                next_attempt_at=feed.next_attempt_at,
                days=days.get(feed.name, []),
            )
            for feed in status_of(connection).feeds
        ],
        checks=[
            schemas.CheckOut(
                feed=check.feed,
                day=check.day,
                measure=check.measure,
                reported=_plain(check.reported),
                stored=None if check.stored is None else _plain(check.stored),
                difference=None if check.difference is None else _plain(check.difference),
                agrees=check.agrees,
            )
            for check in checks
        ],
    )


def _plain(value: Decimal) -> str:
    """Format exactly, without trailing zeros or exponent."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _report(spec: ReportSpec, report: Report) -> Iterator[str]:
    """Yield the document in pieces. Its rows are those of `manage.py report --format json`."""
    known = report.coverage
    window = report.spec.window
    head = schemas.ReportOut(
        query=spec.to_query(),
        first_day=window.start,
        last_day=window.last_day,
        columns=list(report.columns),
        totals=json.loads("".join(as_json(report.by())))[0],
        days=schemas.Days(
            known_to=known.known_to,
            final_to=known.final_to,
            states={f"{day}": state.name.lower() for day, state in known.states.items()},
        ),
        partial=bool(report.missing),
        missing=[
            schemas.Missing(
                metric=one.metric.name, connection=one.connection.label, reason=one.reason
            )
            for one in report.missing
        ],
        comparison=_comparison(report),
        check=_check(reconcile(report)),
        notes=list(limits.notes(report)),
        rows=[],
    )
    return chain([head.model_dump_json().removesuffix("[]}")], as_json(report), ["}"])


def _comparison(report: Report) -> schemas.Comparison | None:
    if report.before is None or report.alike is None or not report.compared_days:
        return None
    now, before = report.alike.spec.window, report.before.spec.window
    return schemas.Comparison(
        first_day=now.start,
        last_day=now.last_day,
        before_first_day=before.start,
        before_last_day=before.last_day,
        days=report.compared_days,
    )


def _check(reconciliation: Reconciliation | None) -> schemas.ReportCheckOut | None:
    if reconciliation is None:
        return None
    if reconciliation.problem:
        return schemas.ReportCheckOut(
            problem=reconciliation.problem,
            agrees=None,
            reported=None,
            ours=None,
            difference=None,
            attributed=None,
            unattributed=None,
            unknown=None,
            unknown_days=0,
        )
    return schemas.ReportCheckOut(
        problem=(
            f"The cost per user is not known yet for {reconciliation.unknown_days} of these days."
            if reconciliation.unknown_days
            else ""
        ),
        # A match proves nothing while the person of some cost is unknown.
        agrees=reconciliation.agrees
        if reconciliation.is_proven or not reconciliation.agrees
        else None,
        attributed=exact_usd(reconciliation.attributed),
        unattributed=exact_usd(reconciliation.unattributed),
        unknown=exact_usd(reconciliation.unknown),
        unknown_days=reconciliation.unknown_days,
        reported=exact_usd(reconciliation.reported),
        ours=exact_usd(reconciliation.ours),
        difference=exact_usd(reconciliation.difference),
    )
