"""One question, one answer: page, dashboard, files, picture, API and command say the same."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection as database
from django.urls import reverse
from django.utils.html import escape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from accounts.models import AuditEvent, User
from integrations.connectors.base import Table
from integrations.connectors.claude_enterprise import ClaudeEnterprise
from integrations.window import Window
from reports import engine
from reports.catalog import metrics
from reports.catalog.metrics import DIMENSIONS, METRICS, OTHER_KEY, UNKNOWN_USER, Source
from reports.dashboard.scope import Scope
from reports.dashboard.widgets import WIDGET_LIST
from reports.engine import PARTIAL
from reports.engine.spec import CHARTS, FILTERABLE, Filter, Operator, ReportSpec
from reports.explore.controls import ReportControls
from reports.render import charts, pivot
from reports.render.exports import xlsx
from reports.render.exports.png import png
from reports.render.exports.text import as_csv, as_json
from reports.templatetags import figures
from tests.factories import (
    activity,
    cost,
    make_connection,
    make_member,
    make_person,
    make_token,
    usage,
)
from tests.reports.conftest import a_feed, know

FIRST, LAST = date(2026, 10, 26), date(2026, 11, 8)
ITEM_FEEDS = ("skills", "connectors", "plugins", "artifacts", "projects")
FEEDS = ("all_cost", "person_cost", "person_usage", "summaries", "users", *ITEM_FEEDS)


@pytest.fixture
def company(organization, monkeypatch):
    """Two connections, three people, five products, an unread day and an unreported price."""
    items = tuple(a_feed(feed, Table.ENGAGEMENT, "total") for feed in ITEM_FEEDS)
    monkeypatch.setattr(ClaudeEnterprise, "feeds", (*ClaudeEnterprise.feeds, *items))
    for label in ("my-org", "labs"):
        connection = make_connection(organization, label)
        ann = make_person(connection, f"user_ann_{label}", email="ann@example.com", name="Ann, Ito")
        zoe = make_person(connection, f"user_zoe_{label}", email="Zoë@example.com", state="deleted")
        know(connection, "2026-10-26", "2026-11-03", feeds=FEEDS)
        know(connection, "2026-11-05", "2026-11-07", "provisional", feeds=FEEDS)
        products = ("chat", "claude_code", "cowork", "Zebra", "")
        for number, day in enumerate(Window(FIRST, LAST + timedelta(days=1))):
            if day == date(2026, 11, 4):
                continue
            for place, product in enumerate(products):
                person = (ann, zoe, None)[(number + place) % 3]
                amount = Decimal(number * 7 + place * 13 + 1) / 8
                meter = {"product": product, "model": f"model-{place % 2}"}
                listed = None if (number, place) == (3, 1) else amount * 2
                cost(connection, day, amount, list_amount=listed, person=person, **meter)
                if person:
                    counts = {"requests": place, "output_tokens": number * 1000 + place}
                    usage(connection, day, person=person, cache_read_tokens=5, **counts, **meter)
            commits = {"claude_code_metrics__core_metrics__commit_count": number}
            activity(connection, day, person=ann, chat_metrics__message_count=3, **commits)
            activity(connection, day, weekly_active_user_count=20 + number, assigned_seat_count=40)
            activity(connection, day, feed="skills", invocation_count=number)
    return organization


@st.composite
def specs(draw) -> ReportSpec:
    """Generate reports that the page shows."""
    metrics = draw(st.lists(st.sampled_from(list(METRICS)), min_size=1, max_size=3, unique=True))
    sources = {source for name in metrics for source in METRICS[name].sources}
    allowed = [n for n, d in DIMENSIONS.items() if sources <= d.sources and n in FILTERABLE]
    start = draw(st.dates(FIRST, LAST))
    window = Window(start, start + timedelta(days=draw(st.integers(1, 16))))
    groups = draw(st.lists(st.sampled_from(allowed), max_size=2, unique=True))
    filters = []
    if draw(st.booleans()):
        operator = draw(st.sampled_from(Operator))
        values = st.sampled_from(["chat", "claude", "ann", "user", "labs", "o", "active"])
        name = draw(st.sampled_from(allowed))
        filters = [Filter(name, (draw(values),), operator)]
    return ReportSpec(
        metrics=tuple(metrics),
        window=window,
        group_by=tuple(groups),
        filters=tuple(filters),
        interval=draw(st.sampled_from(["day", "week", "month", "quarter"])),
        limit=draw(st.sampled_from([0, 0, 1, 2])),
        cumulative=draw(st.booleans()),
        compare=draw(st.sampled_from(["", "", "previous", "month"])),
        chart=draw(st.sampled_from(CHARTS)),
    )


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spec=specs())
def test_every_output_says_the_same(company, client, spec):
    asked = spec.by_interval()
    report = engine.run(company, asked)
    truth = [[*report.columns], *report.text_rows()]

    # The files, written row by row.
    streamed = engine.stream(company, asked)
    assert [[*streamed.columns], *streamed.text_rows()] == truth
    client.force_login(_member(company))
    address = reverse("reports:explore_csv", args=[company.slug])
    response = client.get(f"{address}?{spec.to_query()}")
    assert list(csv.reader(io.StringIO(_text(response)))) == truth
    assert _cells(streamed=engine.stream(company, asked)) == _numbers(report)

    # The command.
    command = io.StringIO()
    call_command("report", f"--organization={company.slug}", *_options(spec), stdout=command)
    assert list(csv.reader(io.StringIO(command.getvalue()))) == truth

    # The API.
    document = _document(client, spec)
    assert document["columns"] == [*report.columns]
    assert document["rows"] == json.loads("".join(as_json(report)))
    assert document["totals"] == json.loads("".join(as_json(report.by())))[0]

    # The page.
    page = client.get(f"{reverse('reports:explore', args=[company.slug])}?{spec.to_query()}")
    html = page.content.decode()
    for metric, total in zip(spec.metric_objects, report.by().totals, strict=True):
        # Filters that leave no connection, and metrics none of them reports, get a sentence
        # instead of a total.
        is_empty = total is None and page.context["result"].empty
        is_shown = escape(figures.figure(total, metric.unit)) in html
        assert is_shown or is_empty or not report.connections
    pivot_table = pivot.build(report)
    assert (
        tuple(total.value for total in pivot_table.totals)
        == engine.run(company, _ungrouped(spec)).totals
    )
    shown = {
        (cell.column.start, line.label): cell.value
        for line in pivot_table.lines
        if not line.is_part
        for cell in line.cells
    }
    if len(spec.group_by) == 1:
        for row in report.rows:
            label = next(
                line for (day, line) in shown if day == row.keys[0] and _is(row.keys[1], line)
            )
            assert shown[row.keys[0], label] == row.values[0]
    charts.draw(pivot_table)


SPENDS = ("spend", "spend-over-time", "models", "price-drivers", "top-users")


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spec=specs())
def test_every_widget_says_what_the_report_says(company, client, spec):
    cost_dimensions = {name for name, d in DIMENSIONS.items() if d.sources >= {Source.COST}}
    filters = tuple(f for f in spec.filters if f.dimension in cost_dimensions)
    days = ReportSpec(("cost",), spec.window, filters=filters)
    truth = engine.run(company, days).totals[0]
    scope = Scope(company, days, today=LAST + timedelta(days=1))

    answers = {widget.name: widget.ask(scope) for widget in WIDGET_LIST}

    assert {name: answers[name].figure for name in SPENDS} == dict.fromkeys(SPENDS, truth)
    for answer in answers.values():
        if answer.spec is not None and answer.figure is not None:
            assert engine.run(company, answer.spec).totals[0] == answer.figure
    over_time = answers["spend-over-time"].table
    total = [column.name for column in over_time.columns].index("total")
    if truth is not None:  # it is not known as soon as one of several empty days is not
        assert metrics.add_known(r[total] for r in over_time.rows if r[total] is not None) == truth


def _document(client, spec: ReportSpec):
    client.logout()  # a token is enough
    headers = {"Authorization": "Bearer sgt_everything"}
    response = client.get(f"/api/v1/report?{spec.to_query()}", headers=headers)
    assert response.status_code == 200
    document = json.loads(_text(response))
    client.force_login(User.objects.get())
    return document


def _is(key, label: str) -> bool:
    """Return True if this key belongs under this label, which may be another word for it."""
    words = {
        "": ("Not", "No "),
        OTHER_KEY: ("Other",),
        UNKNOWN_USER: ("Unknown user",),
        "claude_code": ("Claude Code",),
    }.get(key, (str(key).replace("_", " "), str(key)))
    return label.casefold().startswith(tuple(word.casefold() for word in words))


def _ungrouped(spec: ReportSpec) -> ReportSpec:
    return ReportSpec(spec.metrics, spec.window, filters=spec.filters)


def _member(organization):
    """Create the only member, with an API token."""
    user = organization.members.first()
    if user is None:
        user = make_member(organization)
        make_token(user, "sgt_everything")
    return user


def _text(response) -> str:
    return b"".join(response.streaming_content).decode("utf-8-sig")


def _options(spec: ReportSpec) -> list[str]:
    options = [
        f"--metrics={','.join(spec.metrics)}",
        f"--group-by={','.join(spec.by_interval().group_by)}",
        f"--since={spec.window.start}",
        f"--until={spec.window.end}",
        "--format=csv",
    ]
    options += [f"--where={f.parameter}={value}" for f in spec.filters for value in f.values]
    options += [f"--show=top-{spec.limit}"] if spec.limit else []
    options += ["--cumulative"] if spec.cumulative else []
    return options + ([f"--compare={spec.compare}"] if spec.compare else [])


def _cells(streamed) -> list[list[object]]:
    """Return the rows of a workbook as another library reads them."""
    file = io.BytesIO()
    xlsx.write(streamed, file, address="x", now=datetime(2026, 11, 25, tzinfo=UTC))
    sheet = load_workbook(file)["Report"]
    return [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)]


def _numbers(report) -> list[list[object]]:
    """Return a report's numbers as Excel stores them: 15 digits, days as instants."""
    numbers = []
    for row, texts in zip(report.rows, report.text_rows(), strict=True):
        keys: list[object] = [*texts[: len(engine.key_columns(report.spec))]]
        if isinstance(first := row.keys[0], date) and keys[0] == str(first):
            keys[0] = datetime(first.year, first.month, first.day)  # noqa: DTZ001
        values = [
            None if v is None else float(f"{float(v):.16G}")
            for v in (*row.values, *row.alike, *row.before)
        ]
        lacking = texts[-len(PARTIAL) :] if report.columns[-len(PARTIAL) :] == PARTIAL else []
        numbers.append(keys + values + [*lacking])
    return numbers


def test_the_picture_is_a_png_of_the_chart(company, client):
    client.force_login(_member(company))
    address = reverse("reports:explore_png", args=[company.slug])
    query = "from=2026-10-26&to=2026-11-08&group_by=service"

    response = client.get(f"{address}?{query}")

    assert response["Content-Type"] == "image/png"
    assert response["Content-Disposition"].endswith('.png"')
    assert b"".join(response).startswith(b"\x89PNG\r\n")
    table = client.get(f"{address}?{query}&chart=table")
    assert (table.status_code, table.content.decode()) == (
        422,
        "A report without a chart has no image. Choose a chart first.\n",
    )


@pytest.mark.parametrize("kind", [kind for kind in CHARTS if kind != "table"])
def test_every_chart_can_be_a_picture_with_letters_in_it(company, kind):
    window = Window(FIRST, LAST + timedelta(days=1))
    spec = ReportSpec(("cost",), window, ("service",), chart=kind, compare="previous")
    pivot_table = pivot.build(engine.run(company, spec.by_interval()))

    with_words = png(charts.draw(pivot_table), pivot_table, ReportControls(spec))

    assert len(with_words) > 15_000


def test_text_in_a_workbook_is_never_a_formula_or_a_link(organization):
    connection = make_connection(organization)
    for product in ("=1+1", "https://example.com", "-5"):
        cost(connection, "2026-11-02", "1", product=product)
    spec = ReportSpec(("cost",), Window(FIRST, LAST), ("service",))

    file = io.BytesIO()
    report = engine.stream(organization, spec)
    xlsx.write(report, file, address="x", now=datetime(2026, 11, 25, tzinfo=UTC))
    sheet = load_workbook(file)["Report"]

    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert [(cell.value, cell.data_type) for cell in cells] == [
        ("-5", "s"),
        ("=1+1", "s"),
        ("https://example.com", "s"),
    ]
    assert all(cell.hyperlink is None for cell in cells)


def test_a_workbook_says_what_was_asked_and_goes_on_in_another_sheet(organization, monkeypatch):
    monkeypatch.setattr(xlsx, "ROWS", 2)
    connection = make_connection(organization)
    for number in range(5):
        cost(connection, "2026-11-02", number, product=f"p{number}")
    filters = (Filter("service", ("p",), Operator.STARTS_WITH),)
    spec = ReportSpec(("cost",), Window(FIRST, LAST), ("service",), filters)

    file = io.BytesIO()
    report = engine.stream(organization, spec)
    xlsx.write(report, file, address="x", now=datetime(2026, 11, 25, 4, 5, tzinfo=UTC))
    book = load_workbook(file)

    assert book.sheetnames == ["Report", "Report 2", "Report 3", "About"]
    assert [row[0].value for row in book["Report 3"].iter_rows()] == ["service", "p4"]
    about = dict(book["About"].iter_rows(values_only=True))
    assert about["Filter"] == "Service starts with p"
    assert about["Rows"] == "5, on 3 sheets: Excel has room for 3 lines on one."
    assert about["As of"] == "2026-11-25 04:05 UTC"


def test_a_stream_reads_its_rows_through_a_server_side_cursor(company, monkeypatch):
    chunks = []
    iterator = engine.query.QuerySet.iterator
    monkeypatch.setattr(
        engine.query.QuerySet,
        "iterator",
        lambda self, size: chunks.append(size) or iterator(self, size),
    )
    spec = ReportSpec(("cost", "requests"), Window(FIRST, LAST), ("day", "service"))

    rows = iter(engine.stream(company, spec).rows)

    assert next(rows).keys == (FIRST, "")
    assert chunks == [engine.CHUNK] * 2


@pytest.mark.parametrize(
    ("more", "cursors"), [("", 2), ("&cumulative=yes", 2), ("&compare=previous", 4)]
)
def test_a_reader_who_goes_away_leaves_no_cursor_open(company, monkeypatch, more, cursors):
    monkeypatch.setattr(engine.query, "CHUNK", 2)
    query = "metrics=cost,requests&group_by=user_id&from=2026-11-02&to=2026-11-08"
    spec = ReportSpec.from_query(query + more, today=date(2026, 11, 25))
    lines = as_csv(engine.stream(company, spec.by_interval()))
    assert next(lines).startswith("day,user_id,cost,requests")
    next(lines)
    assert _open_cursors() == cursors

    lines.close()  # as Django does with what it streams, once the browser has gone

    assert _open_cursors() == 0


def _open_cursors() -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '_django_curs_%'")
        return cursor.fetchone()[0]


def test_who_takes_a_file_away_is_in_the_audit_log(company, client):
    member = _member(company)
    client.force_login(member)
    query = "from=2026-10-26&to=2026-11-08&group_by=service"
    for name in ("explore_csv", "explore_xlsx", "explore_json", "explore_png"):
        response = client.get(f"{reverse(f'reports:{name}', args=[company.slug])}?{query}")
        b"".join(response) if response.streaming else response.content
    client.get(f"{reverse('reports:explore_csv', args=[company.slug])}?metrics=nonsense")
    widget = reverse("dashboards:widget_csv", args=[company.slug, "models"])
    client.get(f"{widget}?from=2026-10-26&to=2026-11-08")

    events = AuditEvent.objects.order_by("pk").values_list("actor", "verb", "target", "details")
    address = f"metrics=cost&{query}"
    title = "Cost by service, daily"
    assert list(events) == [
        *(
            (member.pk, "report.exported", title, {"file": kind, "query": address})
            for kind in ("csv", "xlsx", "json", "png")
        ),
        (member.pk, "dashboard.exported", "Spend by model", {"query": query.partition("&g")[0]}),
    ]
