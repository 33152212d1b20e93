"""What an API may send besides what it documents, tried on every feed of every connector.

A read is recorded once from the sandbox and then played back with something changed.
"""

import json
from datetime import UTC, date, datetime

import httpx
import pytest
import time_machine

from integrations.connectors import connectors
from integrations.connectors.base import (
    Access,
    ConnectorError,
    PayloadError,
    SnapshotMoved,
)
from integrations.connectors.records import CostRecord, TotalRecord
from integrations.loading.spool import Spool, decode
from integrations.window import Window
from sandbox.app import APIS
from tests.integrations.connectors.emulators import emulator
from tests.integrations.connectors.wire import everything_about
from tests.waiting import replace_sleep

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
DAYS = Window(date(2026, 11, 17), date(2026, 11, 18))
MY_ORG, LABS, CAMPUS, *_ = APIS["claude-enterprise"].keys
CONSOLE = APIS["claude-console"].keys[0]
LEGACY_REPORTS, BETA_REPORTS = {"dialect": "reports"}, {"dialect": "successors"}
WAYS = [
    ("claude-enterprise", LABS, LEGACY_REPORTS),
    ("claude-enterprise", CAMPUS, BETA_REPORTS),
    ("claude-console", CONSOLE, LEGACY_REPORTS),
    ("claude-console", CONSOLE, BETA_REPORTS),
]


class Recorder(httpx.BaseTransport):
    """Passes on to an application and keeps what it answered, by address."""

    def __init__(self, app):
        self._inner = httpx.WSGITransport(app=app)
        self.bodies = {}

    def handle_request(self, request):
        answer = self._inner.handle_request(request)
        content = answer.read()
        if answer.status_code == 200:
            self.bodies[str(request.url)] = content
            self.organization = {
                name: value for name, value in answer.headers.items() if "organization" in name
            }
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)


class Recording:
    """One read of a feed. `play` reads it again, with each body changed by a function first."""

    def __init__(self, slug, feed, key, options):
        self.feed = feed
        self._connector = connectors()[slug]
        self._access = {"key": key, "options": options, "base_url": "http://sandbox", "attempts": 2}
        self._recorder = Recorder(emulator(self._connector))
        self.clean = self._read(self._recorder)
        self.slug, self.options = slug, options
        self.last = list(self._recorder.bodies)[-1]
        self.requests = len(self._recorder.bodies)

    def body(self, url):
        return json.loads(self._recorder.bodies[url])

    def play(self, change):
        def answer(request):
            url = str(request.url)
            if url not in self._recorder.bodies:  # what was changed made it ask for more
                return self._recorder.handle_request(request)
            changed = change(json.loads(self._recorder.bodies[url]), url)
            if not isinstance(changed, httpx.Response):
                changed = httpx.Response(200, json=changed)
            changed.headers.update(self._recorder.organization)
            return changed

        return self._read(httpx.MockTransport(answer))

    def places(self):
        """Every path to a value, through lists by their first item."""
        return sorted(
            {path for body in self._recorder.bodies.values() for path in paths(json.loads(body))}
        )

    def _read(self, transport):
        access = Access(**self._access, transport=transport)
        with self._connector.open(access) as client:
            windows = self.feed.windows(DAYS)
            return [page for window in windows for page in self.feed.read(client, window)]


def paths(value, path=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from paths(inner, (*path, name))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


def stored(recording, pages):
    """Return the lines loading makes of the records, and the names."""
    window = recording.feed.windows(DAYS)[0] if recording.feed.has_days else DAYS
    with Spool(Window(min(window.start, DAYS.start), max(window.end, DAYS.end))) as spool:
        for page in pages:
            spool.add(page)
        lines = [line for day in spool.window for line in spool.day(day)]
        return lines, spool.people, spool.resources


@pytest.fixture(autouse=True)
def _a_friday_noon_on_which_nobody_waits(monkeypatch):
    replace_sleep(monkeypatch, lambda seconds: None)
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((slug, feed, key, options), id=f"{slug}-{feed.name}-{options['dialect']}")
        for slug, key, options in WAYS
        for feed in connectors()[slug].feeds
        if options is LEGACY_REPORTS or feed.is_metered or feed.exported
    ],
)
def recording(request):
    slug, feed, key, options = request.param
    if feed.name == "groups":
        key = MY_ORG  # may list them
    with time_machine.travel(NOW, tick=False):
        return Recording(slug, feed, key, options)


def rows_of(body):
    """Return the lists of rows of a response: those of each bucket, or its own."""
    rows = body.get("data", body.get("summaries"))
    if rows and isinstance(rows[0].get("results"), list):
        return [bucket["results"] for bucket in rows]
    return [rows]


def test_unknown_fields_change_nothing(recording):
    def add_fields(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name != "tags":  # a map of the customer's own words: more of them are more tags
                    add_fields(inner)
            value |= {"of_next_year": "text", "list_of_next_year": [1, {"a": None}]}
        if isinstance(value, list):
            for inner in value:
                add_fields(inner)

    def change(body, url):
        add_fields(body)
        return body

    assert recording.play(change) == recording.clean


def kept_out(pages):
    return sum(row.rows for page in pages for row in page.kept_out)


def without_totals(recording, pages):
    """Return what is stored; a total that lacks a row is none."""
    lines, *names = stored(recording, pages)
    return [line for line in lines if not isinstance(decode(line), TotalRecord)], names


@pytest.mark.parametrize("broken", ["a word", None])
def test_a_row_that_makes_no_sense_costs_no_other_its_numbers(recording, broken):
    def add(body, url):
        for rows in rows_of(body):
            if rows:
                rows.append(broken)
        return body

    pages = recording.play(add)

    assert without_totals(recording, pages) == without_totals(recording, recording.clean)
    if any(page.records or page.people or page.resources for page in recording.clean):
        assert kept_out(pages)
    assert not kept_out(recording.clean)


def test_the_same_said_otherwise_is_the_same(recording):
    """Instants without zone, counts as text with a fraction, usd, an empty cursor, a mark."""

    def respell(value):
        if isinstance(value, list):
            for inner in value:
                respell(inner)
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in INSTANTS and isinstance(inner, str):
                    value[name] = inner.removesuffix("Z")
                elif name == "currency" and inner:
                    value[name] = "usd"
                elif name == "next_page" and inner is None:
                    value[name] = ""
                elif name.endswith(("_count", "_tokens", "requests")) and type(inner) is int:
                    value[name] = f"{inner}.0"
                respell(inner)

    def change(body, url):
        respell(body)
        return httpx.Response(200, content=b"\xef\xbb\xbf" + json.dumps(body).encode())

    assert stored(recording, recording.play(change)) == stored(recording, recording.clean)


INSTANTS = {"starting_at", "ending_at", "data_refreshed_at"}


def test_names_no_database_takes_cost_nothing_else(recording):
    """Half of a surrogate pair and NUL, in every name."""

    def spoil(value):
        if isinstance(value, list):
            for inner in value:
                spoil(inner)
        if isinstance(value, dict):
            for name, inner in value.items():
                if (name == "name" or name.endswith("_name")) and isinstance(inner, str):
                    value[name] = f"{inner}\x00\ud800"
                spoil(inner)

    def change(body, url):
        spoil(body)
        return httpx.Response(200, content=json.dumps(body).encode())

    lines, people, resources = stored(recording, recording.play(change))
    clean_lines, clean_people, clean_resources = stored(recording, recording.clean)

    assert len(lines) == len(clean_lines)
    assert len(people) == len(clean_people)
    assert len(resources) == len(clean_resources)


def test_a_web_page_instead_of_an_answer_is_refused_and_quotes_nothing(recording):
    def log_in(body, url):
        return httpx.Response(200, html="<p>Please log in to proxy.example</p>")

    with pytest.raises(PayloadError, match="answered with a web page") as refused:
        recording.play(log_in)

    assert "proxy.example" not in everything_about(refused.value)


def test_a_body_cut_in_the_middle_is_asked_for_again(recording):
    seen = set()

    def cut_once(body, url):
        if url in seen:
            return body
        seen.add(url)
        content = json.dumps(body).encode()
        return httpx.Response(200, content=content[: len(content) // 2])

    assert recording.play(cut_once) == recording.clean


def test_a_body_that_stays_cut_is_refused(recording):
    def cut(body, url):
        if url != recording.last:
            return body
        return httpx.Response(200, content=json.dumps(body).encode()[:-10])

    with pytest.raises(PayloadError, match="not complete JSON"):
        recording.play(cut)


def test_a_cursor_that_dies_means_new_data(recording):
    def gone(body, url):
        return httpx.Response(410) if url == recording.last else body

    with pytest.raises(SnapshotMoved):
        recording.play(gone)


def test_two_exports_are_never_mixed(recording):
    def newer(body, url):
        if url == recording.last and body.get("data_refreshed_at"):
            body["data_refreshed_at"] = "2026-11-20T16:00:00Z"
        return body

    if recording.requests > 1 and recording.body(recording.last).get("data_refreshed_at"):
        with pytest.raises(SnapshotMoved):
            recording.play(newer)
    else:
        assert len(recording.play(newer)) == len(recording.clean)


ENUMERATED = {
    *("product", "model", "context_window", "inference_geo", "speed", "cost_type", "token_type"),
    *("service_tier", "share_status", "artifact_type", "source_type", "terminal_type"),
}


def test_values_nobody_has_heard_of_are_values(recording):
    """Each enumerated string gets a new ending: the rows are as many, and sum to the same.

    Not where values are asked for one by one: the recording answers for those it has.
    """
    kept = {"inference_geo"} if "successors" in str(recording.options) else set()
    if recording.slug == "claude-console" and recording.feed.name in {"usage", "people_usage"}:
        kept = {"inference_geo", "context_window", "service_tier"}

    def rename(value):
        if isinstance(value, list):
            for inner in value:
                rename(inner)
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in ENUMERATED - kept and isinstance(inner, str):
                    value[name] = f"{inner}-next"
                rename(inner)

    def change(body, url):
        rename(body)
        return body

    records = [record for page in recording.play(change) for record in page.records]
    before = [record for page in recording.clean for record in page.records]

    assert dollars(records) == dollars(before)
    assert {record.day for record in records} == {record.day for record in before}


def dollars(records):
    return sum(record.effective_cost for record in records if isinstance(record, CostRecord))


# What a row cannot do without: what it is about, whose it is, and how much.
NEEDED = {
    *("data", "summaries", "results", "starting_at", "amount", "actor", "group", "cost", "usage"),
    *("skill_name", "connector_name", "plugin_name", "project_id", "artifact_type"),
}


@pytest.mark.parametrize("how", ["null", "absent"])
def test_null_or_absent_anything_is_unknown_or_refused_and_never_a_crash(recording, how):
    refused = set()
    for place in recording.places():
        try:
            recording.play(without(place, how))
        except SnapshotMoved:
            pass  # days do not sum to what they did
        except ConnectorError:
            refused.add(place[-1])

    if recording.slug == "claude-enterprise":
        assert refused <= NEEDED


def without(place, how):
    """Remove the value at a path from the first row of every response that has one."""

    def change(body, url):
        value = body
        for step in place[:-1]:
            value = value[step] if _has(value, step) else None
        if _has(value, place[-1]):
            if how == "null":
                value[place[-1]] = None
            else:
                del value[place[-1]]
        return body

    return change


def _has(value, step):
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value
