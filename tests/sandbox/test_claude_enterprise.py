"""The sandbox keeps the rules of the API it stands in for."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from sandbox.claude_enterprise import Sandbox

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
MY_ORG, LABS, CAMPUS, *_ = Sandbox.keys
EVERYTHING = [
    *("product", "model", "context_window", "inference_geo", "speed"),
    *("cost_type", "token_type"),
]


def client(*, now=NOON, key=MY_ORG, version="2023-06-01", app=None):
    return httpx.Client(
        base_url="http://sandbox/v1/organizations/analytics",
        headers={"x-api-key": key, "anthropic-version": version},
        transport=httpx.WSGITransport(app=app or Sandbox(now=lambda: now)),
    )


def get(path, *, group_by=(), now=NOON, key=MY_ORG, version="2023-06-01", app=None, **params):
    params |= {"group_by[]": list(group_by)} if group_by else {}
    with client(now=now, key=key, version=version, app=app) as http:
        return http.get(path, params=params)


def days(start, end):
    return {"starting_at": f"{start}T00:00:00Z", "ending_at": f"{end}T00:00:00Z"}


MONDAY = days("2026-11-16", "2026-11-17")
WEEK = days("2026-11-09", "2026-11-16")


def all_rows(path, **params):
    rows, page = [], {}
    while True:
        body = get(path, **params, **page).json()
        rows += body["data"]
        if not body.get("has_more", body.get("next_page")):
            return rows
        page = {"page": body["next_page"]}


def total(rows, name="amount"):
    return sum((Decimal(row[name]) for row in rows), Decimal())


# --- One ledger ----------------------------------------------------------------------------


def test_users_and_what_nobody_is_behind_sum_to_the_organization():
    (bucket,) = get("/cost_report", **MONDAY, bucket_width="1d").json()["data"]
    users = all_rows("/user_cost_report", **MONDAY, limit=1000)
    products = get("/cost_report", group_by=["product"], **MONDAY).json()["data"][0]["results"]

    (organization,) = bucket["results"]
    for measure in ("amount", "list_amount"):
        assert total(products, measure) == Decimal(organization[measure])
        assert 0 < total(users, measure) < Decimal(organization[measure])


@pytest.mark.parametrize("cut", [[], ["product"], ["model", "speed"], EVERYTHING])
def test_a_cut_changes_no_sum_of_the_users(cut):
    whole = total(all_rows("/user_cost_report", **WEEK, limit=1000))

    assert total(all_rows("/user_cost_report", group_by=cut, **WEEK, limit=1000)) == whole


def test_hours_sum_to_the_day():
    by_hour = get("/cost_report", **MONDAY, bucket_width="1h", limit=24).json()["data"]
    by_day = get("/cost_report", **MONDAY, bucket_width="1d").json()["data"]

    assert len(by_hour) == 24
    hours = [row for bucket in by_hour for row in bucket["results"]]
    assert total(hours) == total(by_day[0]["results"])


def test_usage_of_users_is_part_of_the_usage_of_the_organization():
    (bucket,) = get("/usage_report", **MONDAY, bucket_width="1d").json()["data"]
    users = all_rows("/user_usage_report", **MONDAY, limit=1000)

    assert "total_tokens" not in bucket["results"][0]
    for row in users:
        cached = row["cache_creation"]
        assert row["total_tokens"] == (
            row["uncached_input_tokens"]
            + row["cache_read_input_tokens"]
            + cached["ephemeral_5m_input_tokens"]
            + cached["ephemeral_1h_input_tokens"]
            + row["output_tokens"]
        )
    tokens = sum(row["output_tokens"] for row in users)
    assert 0 < tokens < bucket["results"][0]["output_tokens"]


def test_the_same_day_is_the_same_on_every_machine():
    response = get("/user_cost_report", group_by=EVERYTHING, **MONDAY, limit=1000)

    # Computed once and written down here. Another digest: the invented past has changed, and
    # every stored sandbox connection will show restatements.
    assert hashlib.sha256(response.content).hexdigest()[:16] == "5d42e28398b0c440"


def test_it_is_a_company_one_can_believe_in():
    entries = get("/summaries", starting_date="2026-11-09").json()["summaries"]
    active = [entry["daily_active_user_count"] for entry in entries]
    people = {
        row["actor"]["user_id"]
        for row in all_rows("/user_cost_report", **days("2026-10-20", "2026-11-20"), limit=1000)
    }

    assert all(225 <= count <= 285 for count in active[:5])  # Monday to Friday
    assert all(count < 60 for count in active[5:7])
    assert len(people) >= 320
    spring = get("/summaries", starting_date="2026-02-02", ending_date="2026-02-03").json()
    assert spring["summaries"][0]["daily_active_user_count"] < active[0]


def test_it_has_the_odd_cases_too():
    rows = all_rows(
        "/user_cost_report", group_by=["product"], **days("2026-08-01", "2026-09-01"), limit=1000
    )
    actors = {row["actor"]["user_id"]: row["actor"] for row in rows}.values()

    assert any(row["product"] is None for row in rows)  # running code
    assert any(row["product"] == "claude-in-slack" for row in rows)  # direct messages
    assert any(actor["name"] == "Claude Security" and actor["email"] is None for actor in actors)
    assert any(actor["deleted"] and actor["name"] == "Deleted User" for actor in actors)
    assert any(actor["deleted"] and actor["email"] for actor in actors)


def test_on_seats_only_extra_usage_is_charged():
    entries = get("/summaries", key=LABS, starting_date="2026-11-16").json()["summaries"]
    charged = all_rows("/user_cost_report", key=LABS, **MONDAY, limit=1000)

    assert 0 < len(charged) < entries[0]["daily_active_user_count"]


def test_every_organization_is_another():
    ids = {get("/cost_report", key=key, **MONDAY).json()["organization_id"] for key in Sandbox.keys}

    assert len(ids) == len(Sandbox.keys) == 6


# --- What is known when --------------------------------------------------------------------


def test_an_export_lands_every_four_hours():
    for hour, export in ((11, "08"), (12, "12"), (15, "12"), (16, "16")):
        body = get("/cost_report", now=NOON.replace(hour=hour), **MONDAY).json()
        assert body["data_refreshed_at"] == f"2026-11-20T{export}:00:00Z"


def test_today_fills_up_and_never_shrinks():
    today = days("2026-11-20", "2026-11-21")
    sums = [
        total(
            get("/cost_report", now=NOON.replace(hour=hour), **today).json()["data"][0]["results"]
        )
        for hour in (1, 5, 9, 13, 17, 21)
    ]

    assert sums == sorted(sums)
    assert sums[0] == 0
    assert sums[-1] > sums[2] > 0


def test_before_the_first_export_of_a_day_nothing_is_known():
    midnight = datetime(2026, 11, 20, 0, 5, tzinfo=UTC)
    today = days("2026-11-20", "2026-11-21")

    for path in ("/cost_report", "/user_cost_report"):
        body = get(path, now=midnight, **today).json()
        assert body["data_refreshed_at"] is None
        assert not any(bucket["results"] for bucket in body["data"] if "results" in bucket)


def test_some_days_of_a_month_are_restated_once():
    def seen(day, *, after):
        now = datetime(2026, 10, day, 4, 5, tzinfo=UTC) + timedelta(days=after)
        one_day = days(f"2026-10-{day:02}", f"2026-10-{day + 1:02}")
        return total(get("/cost_report", now=now, **one_day).json()["data"][0]["results"])

    histories = [[seen(day, after=after) for after in (1, 2, 9, 18, 40)] for day in range(1, 31)]
    moved = [amounts for amounts in histories if len(set(amounts)) > 1]

    assert 2 <= len(moved) <= 8
    for amounts in moved:
        assert len(set(amounts)) == 2
        assert amounts[0] < amounts[-1] < amounts[0] * Decimal("1.25")


def test_activity_of_a_day_comes_at_ten_the_next_day():
    ten = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    before = get("/users", now=ten - timedelta(minutes=1), date="2026-11-19")

    assert before.status_code == 400
    assert before.json()["error"]["message"] == (
        "Data is not yet available for 2026-11-19. The most recent available day is 2026-11-18."
    )
    assert get("/users", now=ten, date="2026-11-19").status_code == 200


def test_a_range_of_summaries_ends_with_the_newest_day_there_is():
    entries = get("/summaries", now=NOON.replace(hour=9), starting_date="2026-11-17").json()[
        "summaries"
    ]

    assert [entry["starting_at"][:10] for entry in entries] == ["2026-11-17", "2026-11-18"]


# --- Rows and pages ------------------------------------------------------------------------


def test_a_bucket_holds_the_hundred_dearest_groups():
    (bucket,) = get("/cost_report", group_by=EVERYTHING, **MONDAY).json()["data"]
    (whole,) = get("/cost_report", **MONDAY).json()["data"]
    amounts = [Decimal(row["amount"]) for row in bucket["results"]]

    assert len(amounts) == 100
    assert amounts == sorted(amounts, reverse=True)
    assert sum(amounts) < total(whole["results"])


def test_by_token_type_alone_searches_and_code_are_left_out():
    def parts(*group_by):
        (bucket,) = get("/cost_report", group_by=group_by, **MONDAY).json()["data"]
        return {(row["cost_type"], row["token_type"]) for row in bucket["results"]}, total(
            bucket["results"]
        )

    by_token_type, tokens = parts("token_type")
    by_both, everything = parts("cost_type", "token_type")

    assert {cost_type for cost_type, _ in by_token_type} == {"tokens"}
    assert len(by_token_type) == 5
    assert by_both == by_token_type | {("web_search", None), ("code_execution", None)}
    assert tokens < everything == parts()[1]


def test_requests_are_null_where_cost_is_split_into_components():
    (bucket,) = get("/cost_report", group_by=["cost_type"], **MONDAY).json()["data"]
    (whole,) = get("/cost_report", **MONDAY).json()["data"]

    assert {row["requests"] for row in bucket["results"]} == {None}
    assert whole["results"][0]["requests"] > 0


def test_components_of_a_row_do_not_count_against_the_limit():
    body = get("/user_cost_report", group_by=["token_type"], **MONDAY, limit=3).json()

    assert len({row["actor"]["user_id"] for row in body["data"]}) == 3
    assert len(body["data"]) > 3
    assert body["has_more"] is True


@pytest.mark.parametrize("limit", [7, 50, 1000])
def test_pages_bring_every_row_once(limit):
    rows = all_rows("/user_cost_report", **MONDAY, limit=limit)
    whole = get("/user_cost_report", **MONDAY, limit=1000).json()["data"]

    assert rows == whole
    assert len({row["actor"]["user_id"] for row in rows}) == len(rows)


def test_buckets_are_paged_with_the_empty_ones():
    future = days("2026-11-15", "2026-11-25")
    body = get("/cost_report", **future, bucket_width="1d", limit=8).json()

    assert len(body["data"]) == 8
    assert body["data"][-1]["results"] == []
    rest = get("/cost_report", **future, bucket_width="1d", limit=8, page=body["next_page"]).json()
    assert [bucket["starting_at"][:10] for bucket in rest["data"]] == ["2026-11-23", "2026-11-24"]


@pytest.mark.parametrize("order_by", ["amount", "list_amount"])
def test_users_are_ranked_as_asked(order_by):
    falling = get("/user_cost_report", **MONDAY, limit=1000, order_by=order_by).json()["data"]
    rising = get("/user_cost_report", **MONDAY, limit=1000, order_by=order_by, order="asc").json()[
        "data"
    ]

    values = [Decimal(row[order_by]) for row in falling]
    assert values == sorted(values, reverse=True)
    assert [Decimal(row[order_by]) for row in rising] == values[::-1]


def test_filters_narrow_and_leave_the_shape_alone():
    (chat,) = get("/cost_report", **MONDAY, **{"products[]": "chat"}).json()["data"]
    (by_product,) = get("/cost_report", group_by=["product"], **MONDAY).json()["data"]

    (row,) = chat["results"]
    expected = next(r for r in by_product["results"] if r["product"] == "chat")
    assert row["product"] is None
    assert row["amount"] == expected["amount"]


def test_null_regions_have_a_filter_value():
    (bucket,) = get(
        "/cost_report",
        group_by=["inference_geo"],
        **MONDAY,
        **{"inference_geos[]": "not_available"},
    ).json()["data"]

    assert [row["inference_geo"] for row in bucket["results"]] == [None]


def test_deleted_users_can_be_left_out():
    june = days("2026-07-01", "2026-08-01")
    everyone = all_rows("/user_cost_report", **june, limit=1000)
    members = all_rows("/user_cost_report", **june, limit=1000, exclude_deleted_users="true")

    assert any(row["actor"]["deleted"] for row in everyone)
    assert members == [row for row in everyone if not row["actor"]["deleted"]]


def test_a_cursor_dies_with_the_export_that_served_it():
    now = [NOON]
    app = Sandbox(now=lambda: now[0])
    first = get("/user_cost_report", app=app, **MONDAY).json()

    now[0] = NOON.replace(hour=16)
    second = get("/user_cost_report", app=app, **MONDAY, page=first["next_page"])

    assert second.status_code == 410


@pytest.mark.parametrize("change", [{"limit": 21}, {"order": "asc"}, {"products[]": "chat"}])
def test_a_cursor_fits_its_own_query_only(change):
    cursor = get("/user_cost_report", **MONDAY).json()["next_page"]

    response = get("/user_cost_report", **MONDAY, **change, page=cursor)

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "cursor does not match current query parameters"


@pytest.mark.parametrize("cursor", ["page_nonsense", "", "page_W10=", "ünicode"])
def test_a_made_up_cursor_is_refused(cursor):
    assert get("/user_cost_report", **MONDAY, page=cursor).status_code == 400


def test_users_are_paged_by_their_address():
    rows = all_rows("/users", date="2026-11-16", limit=40)
    addresses = [row["user"]["email_address"] for row in rows]

    assert addresses == sorted(addresses)
    assert len(set(addresses)) == len(rows) > 200


def test_a_range_of_users_is_the_sum_of_its_days():
    def messages(**asked):
        return sum(
            r["chat_metrics"]["message_count"] for r in all_rows("/users", **asked, limit=1000)
        )

    assert messages(starting_date="2026-11-16", ending_date="2026-11-18") == (
        messages(date="2026-11-16") + messages(date="2026-11-17")
    )


# --- Refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"starting_at": "2026-11-16"},
        {"starting_at": "2026-11-16T00:00:00"},  # no zone
        {"starting_at": "yesterday"},
        days("2026-10-01", "2026-11-02"),  # 32 days
        days("2025-12-31", "2026-01-02"),
        days("2026-11-17", "2026-11-16"),
        {**MONDAY, "limit": 0},
        {**MONDAY, "limit": 32},
        {**MONDAY, "limit": "many"},
        {**MONDAY, "bucket_width": "1w"},
        {**MONDAY, "group_by[]": "user"},
        {**MONDAY, "group_by[]": "claude_tag_category"},  # newer versions only
        {**MONDAY, "bucket_widht": "1d"},
        {**MONDAY, "products[]": [f"product{number}" for number in range(101)]},
    ],
)
def test_a_question_the_api_does_not_know_is_refused(params):
    response = get("/cost_report", **params)

    assert response.status_code == 400
    body = response.json()
    assert body["error"]["type"] == "invalid_request_error"
    assert body["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/user_cost_report", {"starting_at": "2026-11-16T00:00:00Z", "bucket_width": "1d"}),
        ("/user_cost_report", {**WEEK, "bucket_width": "1m"}),
        ("/user_cost_report", {**WEEK, "limit": 1001}),
        ("/user_cost_report", {**WEEK, "order_by": "total_tokens"}),
        ("/user_usage_report", {**WEEK, "group_by[]": "token_type"}),
        ("/usage_report", {**WEEK, "group_by[]": "cost_type"}),
        ("/summaries", {}),
        ("/summaries", {"starting_date": "2025-12-31"}),
        ("/summaries", {"starting_date": "2026-11-20"}),  # today
        ("/summaries", {"starting_date": "2026-11-10", "ending_date": "2026-11-21"}),
        ("/summaries", {"starting_date": "16 Nov 2026"}),
        ("/summaries", {"starting_date": "2026-11-10", "limit": 10}),
        ("/users", {}),
        ("/users", {"date": "2026-11-16", "starting_date": "2026-11-16"}),
        ("/users", {"date": "2026-11-20"}),
        ("/users", {"date": "2026-11-16", "group_by[]": "product"}),
        ("/users", {"date": "2026-11-16", "filter[]": "product:chat"}),
        ("/users", {"date": "2026-11-16", "limit": 1001}),
    ],
)
def test_so_it_is_at_every_endpoint(path, params):
    assert get(path, **params).status_code == 400


@pytest.mark.parametrize(
    ("key", "status", "type_"),
    [
        ("sk-ant-api01-sandbox-revoked", 401, "authentication_error"),
        ("sk-ant-api01-sandbox-noscope", 403, "permission_error"),
        ("sk-ant-api01-sandbox-off", 403, "permission_error"),
        ("sk-ant-api01-sandbox-missing", 404, "not_found_error"),
        ("sk-ant-api01-sandbox-busy", 429, "rate_limit_error"),
        ("sk-ant-api01-sandbox-outage", 503, "overloaded_error"),
        ("sk-ant-api01-never-seen", 401, "authentication_error"),
        ("", 401, "authentication_error"),
    ],
)
def test_keys_fail_in_their_own_ways(key, status, type_):
    response = get("/summaries", key=key, starting_date="2026-11-16")

    assert response.status_code == status
    assert response.json()["error"]["type"] == type_
    assert ("retry-after" in response.headers) == (status == 429)


def test_the_version_is_required_and_other_paths_and_methods_do_not_exist():
    with client(version="") as http:
        assert http.get("/summaries", params={"starting_date": "2026-11-16"}).status_code == 400
    with client() as http:
        assert http.get("/spend").status_code == 404
        assert http.get("http://sandbox/v1/organizations/me").status_code == 404
        assert http.post("/summaries").status_code == 405


def test_an_answer_names_its_request_and_its_organization():
    first, second = (
        get("/cost_report", app=app, **MONDAY) for app in [Sandbox(now=lambda: NOON)] * 2
    )

    assert first.headers["request-id"] != second.headers["request-id"]
    assert first.headers["anthropic-organization-id"] == first.json()["organization_id"]


def test_sixty_requests_a_minute_and_not_one_more():
    seconds = [0.0]
    app = Sandbox(now=lambda: NOON, requests_per_minute=60, clock=lambda: seconds[0])

    def status(key=MY_ORG):
        response = get("/summaries", app=app, key=key, starting_date="2026-11-19")
        return response.status_code, response.headers.get("retry-after")

    for number in range(60):
        seconds[0] = number * 0.5
        assert status() == (200, None)
    assert status() == (429, "31")  # it is 29.5 s; the first leaves the minute at 60 s
    assert status(LABS) == (200, None)
    seconds[0] = 60
    assert status() == (200, None)
    assert status() == (429, "1")


# --- Cuts of what people use ---------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint", ["/connectors", "/plugins", "/artifacts", "/apps/chat/projects"]
)
def test_what_people_used_by_person_comes_to_the_whole(endpoint):
    """Counts add up; people are counted once each, however many products they used."""

    def name(row):
        return str([row.get(key) for key in ("connector_name", "plugin_name", "project_id")]) + (
            f"{row.get('artifact_type')}{row.get('is_shared')}"
        )

    added = {
        "read_call_count",
        "write_call_count",
        "unclassified_call_count",
        "message_count",
        "artifacts_created_count",
        "published_artifacts_created_count",
    } | ({"invocation_count"} if endpoint == "/plugins" else set())
    whole = {name(row): row for row in all_rows(endpoint, date="2026-11-16")}
    parts = all_rows(endpoint, date="2026-11-16", limit=1000, **{"group_by[]": "user_id"})

    assert len({row["user_id"] for row in parts}) > 20
    for key, row in whole.items():
        mine = [part for part in parts if name(part) == key]
        for path in added & row.keys():
            assert sum(part[path] for part in mine) == row[path]
        assert len(mine) == row["distinct_user_count"]


def test_people_with_both_products_in_one_are_counted_there_instead():
    before = all_rows("/users", date="2026-10-09", limit=1000)
    after = all_rows("/users", date="2026-11-16", limit=1000)

    def unified(rows):
        return [
            row
            for row in rows
            if row["chat_cowork_unified_metrics"]["chat"]["message_count"]
            or row["chat_cowork_unified_metrics"]["sessions"]["action_count"]
        ]

    assert unified(before) == []
    assert len(unified(after)) > 3
    assert {
        (row["chat_metrics"]["message_count"], row["cowork_metrics"]["action_count"])
        for row in unified(after)
    } == {(0, 0)}
    cost = get("/cost_report", **MONDAY, **{"group_by[]": "product"}).json()["data"][0]["results"]
    assert "chat_cowork_unified" in {row["product"] for row in cost}
    (day,) = get("/summaries", starting_date="2026-11-16", ending_date="2026-11-17").json()[
        "summaries"
    ]
    assert day["chat_cowork_unified_daily_active_user_count"] == len(unified(after))
    assert 0 < day["science_daily_active_user_count"] <= day["science_entitled_user_count"]
