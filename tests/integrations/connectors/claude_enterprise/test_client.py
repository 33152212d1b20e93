from datetime import UTC, date, datetime, timedelta
from itertools import count

import httpx
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.anthropic.client import VERSION
from integrations.connectors.base import (
    ActionNeeded,
    ConnectorError,
    NotAvailable,
    PayloadError,
    SnapshotMoved,
    TransientError,
)
from integrations.connectors.claude_enterprise.client import AnalyticsClient
from integrations.window import Window
from tests.integrations.connectors.wire import KEY, Script, access, error, everything_about, ok

NOON = "Fri, 20 Nov 2026 12:00:00 GMT"
AUGUST = Window(date(2026, 8, 1), date(2026, 9, 1))


def report(*rows, more=None, **fields):
    """Return a page of a report; `more` is the cursor of the next one."""
    return {
        "data": list(rows),
        "has_more": more is not None,
        "next_page": more,
        "data_refreshed_at": "2026-09-02T08:00:00Z",
        "organization_id": "org_1",
        **fields,
    }


EMPTY = ok(report())


def pages(script, **options):
    with AnalyticsClient(access(script, **options)) as client:
        return list(client.cost_report(AUGUST))


def failure(script, **options):
    with pytest.raises(ConnectorError) as caught:
        pages(script, **options)
    return caught.value


# --- Asking --------------------------------------------------------------------------------


def test_a_request_says_who_asks_in_which_version():
    script = Script(EMPTY)

    pages(script)

    headers = script.requests[0].headers
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["user-agent"] == (
        f"Spendglass/{VERSION} (https://github.com/spendglass/spendglass)"
    )


def test_the_version_named_to_anthropic_is_ours(settings):
    project = (settings.BASE_DIR / "pyproject.toml").read_text()

    assert f'\nversion = "{VERSION}"\n' in project


def test_a_report_is_asked_for_whole_utc_days_with_explicit_width_and_limit():
    script = Script(EMPTY)

    with AnalyticsClient(access(script)) as client:
        list(
            client.cost_report(
                AUGUST, group_by=["product", "model"], filters={"products": ["chat", "cowork"]}
            )
        )

    url = script.requests[0].url
    assert url.path == "/v1/organizations/analytics/cost_report"
    assert url.params.multi_items() == [
        ("starting_at", "2026-08-01T00:00:00Z"),
        ("ending_at", "2026-09-01T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", "31"),
        ("group_by[]", "product"),
        ("group_by[]", "model"),
        ("products[]", "chat"),
        ("products[]", "cowork"),
    ]


def test_every_request_waits_its_turn_and_is_observed_retries_too():
    happened = []
    script = Script(error(503, request_id="req_1"), ok(report(), **{"request-id": "req_2"}))

    pages(
        script,
        acquire=lambda: happened.append("turn"),
        observe=lambda request: happened.append((request.status, request.request_id)),
    )

    assert happened == ["turn", (503, "req_1"), "turn", (200, "req_2")]


def test_a_request_without_an_answer_is_observed_as_well():
    seen = []

    failure(Script(httpx.ReadTimeout("slow")), attempts=1, observe=seen.append)

    assert [(request.method, request.status, request.request_id) for request in seen] == [
        ("GET", None, "")
    ]
    assert seen[0].path == "/v1/organizations/analytics/cost_report"
    assert "starting_at=2026-08-01" in seen[0].query


# --- Trying again --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_passing_trouble_is_tried_again(status):
    script = Script(error(status), EMPTY)

    assert len(pages(script)) == 1
    assert len(script.requests) == 2


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 410, 413, 422])
def test_lasting_trouble_is_not(status, pauses):
    script = Script(error(status))

    failure(script)

    assert len(script.requests) == 1
    assert pauses == []


def test_the_provider_may_overrule_both():
    willing, unwilling = (
        Script(error(400, x_should_retry="true"), EMPTY),
        Script(error(503, x_should_retry="false")),
    )

    assert len(pages(willing)) == 1
    assert isinstance(failure(unwilling), TransientError)
    assert len(unwilling.requests) == 1


def test_it_stops_after_the_attempts_it_was_given():
    script = Script(error(529, "overloaded_error"))

    assert isinstance(failure(script, attempts=3), TransientError)
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "25"}, 25),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
        ({"retry_after_ms": "-1", "retry_after": "9"}, 9),
        ({"retry_after": "Fri, 20 Nov 2026 12:00:40 GMT", "date": NOON}, 40),
        ({"retry_after": "Fri, 20 Nov 2026 12:00:40 -0000", "date": NOON}, 40),
    ],
)
@pytest.mark.parametrize("our_clock_is_off_by", [-3, 0, 3])
def test_it_waits_as_long_as_asked_by_the_clock_of_the_answer(
    headers, seconds, our_clock_is_off_by, pauses
):
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    with time_machine.travel(noon + timedelta(hours=our_clock_is_off_by), tick=False):
        pages(Script(error(429, **headers), EMPTY))

    assert pauses == [seconds]


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "Fri, 20 Nov 2026 12:00:40 GMT"},
        {"retry_after": "Fri, 20 Nov 2026 12:00:40 GMT", "date": "today"},
        {"retry_after": "Fri, 20 Nov 2026 11:59:00 GMT", "date": NOON},
        {"retry_after": "Fri, 20 Nov 2099 12:00:00 GMT", "date": NOON},
    ],
)
def test_a_date_that_cannot_be_read_against_the_answers_own_is_no_wish(headers, pauses):
    with time_machine.travel(datetime(2026, 11, 20, 12, tzinfo=UTC), tick=False):
        pages(Script(error(429, **headers), EMPTY))

    assert 0.375 <= pauses[0] <= 0.5


def test_the_longest_wait_is_a_day():
    assert failure(Script(error(429, retry_after="200000"))).retry_after_seconds == 86_400


def test_a_longer_wish_is_handed_to_the_caller(pauses):
    script = Script(error(429, retry_after="61"))

    problem = failure(script)

    assert isinstance(problem, TransientError)
    assert problem.code == "rate_limited"
    assert problem.retry_after_seconds == 61
    assert len(script.requests) == 1
    assert pauses == []


@pytest.mark.parametrize("nonsense", ["soon", "-5", "nan", "inf", "", "99999999999"])
def test_a_wish_without_sense_is_no_wish(nonsense, pauses):
    pages(Script(error(429, retry_after=nonsense), EMPTY))

    assert len(pauses) == 1
    assert 0.375 <= pauses[0] <= 0.5


def test_without_a_wish_the_pauses_double_up_to_half_a_minute(pauses):
    failure(Script(error(429)), attempts=10)

    # 0.5 s doubled each time, at most 30 s, up to a quarter less.
    longest = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert len(pauses) == len(longest)
    for pause, limit in zip(pauses, longest, strict=True):
        assert limit * 0.75 <= pause <= limit


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx.Response(200, content=b'{"data": [{"starting_at": "2026-08'),
    ],
)
def test_a_broken_connection_or_body_is_tried_again(fault):
    script = Script(fault, EMPTY)

    assert len(pages(script)) == 1


# --- What is wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, PayloadError, "unexpected_answer"),
        (401, ActionNeeded, "key_rejected"),
        (402, ActionNeeded, "billing"),
        (403, ActionNeeded, "access_denied"),
        (404, ActionNeeded, "not_found"),
        (408, TransientError, "outage"),
        (410, SnapshotMoved, "snapshot_moved"),
        (413, PayloadError, "unexpected_answer"),
        (429, TransientError, "rate_limited"),
        (500, TransientError, "outage"),
        (503, TransientError, "outage"),
        (529, TransientError, "outage"),
    ],
)
def test_a_status_becomes_what_to_do_about_it(status, kind, code):
    problem = failure(Script(error(status, request_id="req_9")), attempts=1)

    assert type(problem) is kind
    assert problem.code == code
    assert problem.status == status
    assert problem.request_id == "req_9"
    assert problem.provider_message == "Human text."
    assert problem.repair.endswith(".")


def test_a_missing_scope_names_what_the_key_has_and_lacks():
    message = (
        "Missing required scopes. Got: ['read:members', 'read:spend_limits'] "
        "Needed: ['read:analytics']"
    )

    problem = failure(Script(error(403, "permission_error", message)))

    assert problem.code == "scope_missing"
    assert str(problem) == (
        "The key lacks read:analytics. It has: read:members, read:spend_limits."
    )
    assert "create a new key" in problem.repair


def test_a_key_without_any_scope_is_worded_too():
    message = "Missing required scopes. Got: [] Needed: ['read:analytics']"

    problem = failure(Script(error(403, "permission_error", message)))

    assert str(problem) == "The key lacks read:analytics. It has: no scopes."


def test_the_request_id_of_the_body_serves_where_the_header_is_missing():
    assert failure(Script(error(401))).request_id == "req_of_the_body"


def test_an_error_that_is_not_json_is_classified_by_its_status():
    problem = failure(Script(httpx.Response(502, text="<html>Bad gateway</html>")), attempts=1)

    assert problem.code == "outage"
    assert problem.provider_message == ""


def test_no_connection_names_the_host_to_open():
    problem = failure(Script(httpx.ConnectTimeout("slow")), attempts=1)

    assert isinstance(problem, TransientError)
    assert "cannot reach api.test" in str(problem)
    assert "api.test" in problem.repair


def test_activity_days_that_are_refused_are_not_available():
    message = "Data is not yet available for 2026-08-21. The most recent available day is …"
    script = Script(error(400, "invalid_request_error", message))
    with AnalyticsClient(access(script)) as client:
        with pytest.raises(NotAvailable):
            client.summaries(date(2026, 8, 21))
        with pytest.raises(NotAvailable):
            list(client.activity("/users", Window(date(2026, 8, 21), date(2026, 8, 22))))


@pytest.mark.parametrize("status", [400, 410])
def test_a_dead_cursor_means_new_data(status):
    script = Script(ok(report(more="page_2")), error(status))

    assert isinstance(failure(script), SnapshotMoved)


def test_a_redirect_is_not_followed():
    script = Script(httpx.Response(302, headers={"location": "https://elsewhere.test/"}))

    assert isinstance(failure(script), PayloadError)
    assert [request.url.host for request in script.requests] == ["api.test"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"starting_at": {}, "results": []}],
        [{"starting_at": "2026-08-01T00:00:00Z", "results": [{"list_amount": "1"}]}],
    ],
)
def test_a_row_of_another_shape_is_kept_out(rows):
    script = Script(ok(report(*rows)))

    with AnalyticsClient(access(script)) as client:
        list(client.cost_report(AUGUST))
        assert [row.rows for row in client.kept_out.take()] == [1]


def test_no_rows_and_no_export_are_not_known():
    (page,) = pages(Script(ok({"data": None, "data_refreshed_at": None})))

    assert (page.data, page.data_refreshed_at) == ([], None)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html>Sign in to the hotel network</html>"),
        ok([]),
        ok(report(data_refreshed_at="yesterday")),
    ],
)
def test_another_shape_is_ours_to_repair_and_not_tried_again(answer):
    script = Script(answer)

    assert isinstance(failure(script), PayloadError)
    assert len(script.requests) == 1


def test_json_that_stays_broken_is_ours_to_repair():
    script = Script(httpx.Response(200, content=b'{"data": ['))

    assert isinstance(failure(script, attempts=3), PayloadError)
    assert len(script.requests) == 3


# --- The key -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        httpx.DecodingError("gzip"),
        httpx.Response(302, headers={"location": "https://elsewhere.test/"}),
        httpx.Response(200, html="<html></html>"),
        *(error(status) for status in (400, 401, 403, 404, 410, 429, 500)),
    ],
)
def test_no_error_leads_back_to_the_key(fault):
    def answer(request):
        if isinstance(fault, Exception):
            fault.request = request
            raise fault
        return fault

    assert KEY not in everything_about(failure(Script(answer), attempts=2))


@pytest.mark.parametrize("key", ["sk-ant-api01-schlüssel", "sk-ant-api01-a\nb", "sk-ant-api01-a b"])
def test_a_key_no_header_can_carry_is_refused_without_repeating_it(key):
    script = Script(EMPTY)

    problem = failure(script, key=key)

    assert isinstance(problem, ActionNeeded)
    assert key not in everything_about(problem)
    assert script.requests == []


# --- Pages ---------------------------------------------------------------------------------


def test_the_end_is_where_the_api_says_so_not_where_rows_run_short():
    script = Script(
        ok(report(more="page_2")), ok(report(more="page_3")), ok(report(next_page="ignored"))
    )

    assert len(pages(script)) == 3
    assert [request.url.params.get("page") for request in script.requests] == [
        None,
        "page_2",
        "page_3",
    ]


def test_a_cursor_changes_nothing_else_of_the_query():
    script = Script(ok(report(more="page_2")), EMPTY)

    pages(script)

    first, second = (request.url.params.multi_items() for request in script.requests)
    assert second == [*first, ("page", "page_2")]


@pytest.mark.parametrize("cursor", [None, ""])
def test_more_without_a_cursor_is_the_end_and_no_day_is_whole(cursor):
    script = Script(ok(report(has_more=True, next_page=cursor)))

    with AnalyticsClient(access(script)) as client:
        assert len(list(client.cost_report(AUGUST))) == 1
        assert client.kept_out.spoils(date(2026, 8, 1))


@pytest.mark.parametrize("has_more", [False, None])
def test_an_empty_cursor_is_the_end(has_more):
    assert len(pages(Script(ok(report(has_more=has_more, next_page=""))))) == 1


def test_pages_without_rows_do_not_go_on_for_ever():
    numbers = count()
    script = Script(lambda request: ok(report(more=f"page_{next(numbers)}")))

    assert isinstance(failure(script), PayloadError)
    assert len(script.requests) < 200


def test_a_cursor_that_comes_back_is_refused():
    script = Script(ok(report(more="page_2")))

    assert isinstance(failure(script), PayloadError)
    assert len(script.requests) == 2


def test_without_has_more_the_cursor_decides():
    script = Script(ok(report(has_more=None, next_page="page_2")), ok(report(has_more=None)))

    assert len(pages(script)) == 2


def test_activity_ends_with_a_null_cursor():
    script = Script(ok({"data": [], "next_page": "page_2"}), ok({"data": [], "next_page": None}))

    with AnalyticsClient(access(script)) as client:
        assert len(list(client.activity("/users", AUGUST))) == 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_every_row_of_every_page_arrives_once_and_in_order(sizes):
    days = iter(f"2026-08-{number:02}T00:00:00Z" for number in range(1, 32))
    answers = [
        ok(
            report(
                *({"starting_at": next(days), "results": []} for _ in range(size)),
                more=f"page_{number}" if number < len(sizes) else None,
            )
        )
        for number, size in enumerate(sizes, start=1)
    ]

    instants = [bucket.starting_at for page in pages(Script(*answers)) for bucket in page.data]

    assert instants == [f"2026-08-{number:02}T00:00:00Z" for number in range(1, sum(sizes) + 1)]


# --- Tolerance -----------------------------------------------------------------------------


def test_unknown_fields_nulls_and_new_words_are_fine():
    row = {
        "amount": "1.5",
        "list_amount": None,
        "currency": "USD",
        "product": "claude_on_mars",
        "model": None,
        "speed": "warp",
        "rbac_group_id": None,
        "invented_next_month": {"a": [1]},
    }
    bucket = {"starting_at": "2026-08-01T00:00:00Z", "ending_at": None, "results": [row], "x": 1}

    (page,) = pages(Script(ok(report(bucket, organization_id=None, brand_new=True))))

    assert page.data[0].results[0].product == "claude_on_mars"
    assert page.data[0].results[0].list_amount is None


@pytest.mark.parametrize("envelope", ["summaries", "data"])
def test_summaries_come_in_either_envelope(envelope):
    script = Script(ok({envelope: [{"daily_active_user_count": 1}], "next_page": None}))

    with AnalyticsClient(access(script)) as client:
        assert client.summaries(date(2026, 8, 1)) == [{"daily_active_user_count": 1}]
