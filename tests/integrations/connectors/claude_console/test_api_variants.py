"""Cost and usage are the same facts in both API variants."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal

import httpx
import pytest
import time_machine
from msgspec.structs import replace

from integrations.connectors import get_connector
from integrations.connectors.base import Access, SnapshotMoved
from integrations.connectors.records import PersonRef, TotalRecord
from integrations.window import Window
from sandbox.claude_console import Sandbox
from tests.integrations.connectors.wire import Script, access, ok

CONNECTOR = get_connector("claude-console")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # the instant of an export
DAYS = Window(date(2026, 11, 16), date(2026, 11, 19))  # Monday to Wednesday
DAY = Window(date(2026, 11, 18), date(2026, 11, 19))
METERED = [feed for feed in CONNECTOR.feeds if feed.is_metered]
every_metered_feed = pytest.mark.parametrize("feed", METERED, ids=lambda feed: feed.name)


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOON, tick=False):
        yield


def read(feed, api_variant, requests=None):
    reach = Access(
        key=Sandbox.keys[0],
        base_url="http://sandbox",
        transport=httpx.WSGITransport(app=Sandbox()),
        observe=(requests if requests is not None else []).append,
        options={"dialect": api_variant} if api_variant else {},
    )
    with CONNECTOR.open(reach) as client:
        return [record for page in feed.read(client, DAYS) for record in page.records]


def facts(records):
    """Return records as a multiset, without people's names."""
    return Counter(
        replace(r, person=PersonRef(r.person.external_id, kind=r.person.kind))
        if getattr(r, "person", None)
        else r
        for r in records
    )


@every_metered_feed
def test_both_api_variants_bring_the_same_facts(feed):
    reports, beta_reports = read(feed, "reports"), read(feed, "successors")

    assert reports
    assert facts(reports) == facts(beta_reports)


@every_metered_feed
@pytest.mark.parametrize(
    ("api_variant", "spoken"),
    [
        ("", {"cost_report", "messages"}),
        ("reports", {"cost_report", "messages"}),
        ("successors", {"cost", "usage", "workspaces"}),
    ],
)
def test_only_the_detected_api_variant_is_used(feed, api_variant, spoken):
    requests = []
    read(feed, api_variant, requests)

    assert {request.path.rsplit("/", 1)[1] for request in requests} <= spoken


# --- The traps of the newer one, on answers written by hand ----------------------------------
def newer(*rows, refreshed="2026-11-20T08:00:00Z"):
    body = {"data": list(rows), "has_more": False, "next_page": None}
    return ok({**body, "data_refreshed_at": refreshed})


def priced(amount, **group):
    return {
        "starting_at": "2026-11-18T00:00:00Z",
        "group": group,
        "cost": {"amount": amount, "list_amount": "999", "currency": "USD", "requests": 3},
    }


def used(tokens, **group):
    usage = {"output_tokens": tokens, "requests": 3}
    return {"starting_at": "2026-11-18T00:00:00Z", "group": group, "usage": usage}


WORKSPACES = ok({"data": [{"id": "wrkspc_listed", "name": "Production"}], "has_more": False})


def records_of(name, *answers):
    """Return the records of a feed from responses in turn; the workspace list is separate."""
    script = Script(*answers)

    def answer(request):
        if request.url.path.endswith("/workspaces"):
            return httpx.Response(200, content=WORKSPACES.content)
        return script.handle_request(request)

    with CONNECTOR.open(access(Script(answer), options={"dialect": "successors"})) as client:
        return [r for page in CONNECTOR.feed(name).read(client, DAY) for r in page.records]


def test_the_workspace_on_no_list_is_the_default_one():
    total, mine, default = records_of(
        "cost",
        newer(priced("30")),
        newer(
            priced("10", workspace_id="wrkspc_listed", cost_type="tokens"),
            priced("20", workspace_id="wrkspc_nowhere", cost_type="tokens"),
        ),
    )

    assert total.value == Decimal("0.30")
    assert (mine.meter.workspace_id, mine.effective_cost) == ("wrkspc_listed", Decimal("0.10"))
    assert (default.meter.workspace_id, default.effective_cost) == ("default", Decimal("0.20"))


def test_two_workspaces_on_no_list_are_not_guessed_at():
    with pytest.raises(SnapshotMoved):
        records_of(
            "cost",
            newer(priced("30")),
            newer(
                priced("10", workspace_id="wrkspc_new", cost_type="tokens"),
                priced("20", workspace_id="wrkspc_nowhere", cost_type="tokens"),
            ),
        )


def test_what_the_reports_do_not_tell_is_left_out():
    """List prices, requests, the model of a search, combinations that cost nothing."""
    _, tokens, search = records_of(
        "cost",
        newer(priced("15")),
        newer(
            priced("10", workspace_id="wrkspc_listed", cost_type="tokens", model="opus"),
            priced("2", workspace_id="wrkspc_listed", cost_type="web_search", model="opus"),
            priced("3", workspace_id="wrkspc_listed", cost_type="web_search", model="haiku"),
            priced("0", workspace_id="wrkspc_listed", cost_type="tokens", service_tier="priority"),
        ),
    )

    assert (tokens.meter.model, tokens.list_cost) == ("opus", None)
    assert (search.meter.model, search.effective_cost) == ("", Decimal("0.05"))

    records = records_of(
        "usage", newer(used(7)), newer(used(7)), newer(used(7, workspace_id="wrkspc_listed"))
    )
    (line,) = [record for record in records if not isinstance(record, TotalRecord)]
    assert (line.output_tokens, line.requests) == (7, None)


def test_a_region_that_is_not_available_is_asked_for_by_its_word_and_kept_as_none():
    asked = []

    def answer(request):
        asked.append(request.url.params.get_list("inference_geos[]"))
        return newer(used(7, workspace_id="wrkspc_listed"))

    records = records_of("usage", newer(used(7)), newer(used(7, inference_geo=None)), answer)

    assert asked == [["not_available"]]
    assert "inference_geo" not in dict(records[-1].meter.attributes)


def test_what_the_total_holds_beyond_the_lines_is_a_line_of_its_own():
    """An export is a snapshot: asking again would say the same."""
    _, line, rest = records_of(
        "cost",
        newer(priced("10")),
        newer(priced("7", workspace_id="wrkspc_listed", cost_type="tokens")),
    )

    assert (line.effective_cost, rest.effective_cost) == (Decimal("0.07"), Decimal("0.03"))
    assert rest.meter.cost_type == "not_itemized"


def test_a_new_export_between_two_answers_means_reading_again():
    with pytest.raises(SnapshotMoved):
        records_of("cost", newer(priced("10")), newer(refreshed="2026-11-20T12:00:00Z"))


def test_a_former_member_is_named_as_in_the_beta_reports():
    gone = {
        "type": "user_actor", "user_id": "user_1", "name": "Bo", "email_address": "bo@example.com",
        "deleted": True,
    }  # fmt: skip
    service = {"type": "service_account_actor", "service_account_id": "svac_1"}
    records = records_of(
        "people_usage",
        newer(used(7)),
        newer(used(7, actor=gone, workspace_id="wrkspc_listed")),
        newer(used(5, api_key_id="apikey_1")),
        newer(used(5, actor=service, workspace_id="wrkspc_listed", api_key_id="apikey_1")),
    )

    assert [(r.person, r.meter.api_key_id, r.output_tokens) for r in records] == [
        (PersonRef("user_1", "bo@example.com", "Bo", "user", "deleted"), "", 7),
        (PersonRef("svac_1", kind="service", state="active"), "apikey_1", 5),
    ]
