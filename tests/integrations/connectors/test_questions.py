"""What the API refuses to be asked, and what is asked instead: the numbers stay the same."""

from datetime import UTC, date, datetime
from urllib.parse import parse_qsl

import httpx
import pytest
import time_machine

from integrations.connectors import connectors
from integrations.connectors.base import Access
from integrations.window import Window
from tests.integrations.connectors.emulators import emulator

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # the instant of an export
DAYS = Window(date(2026, 11, 16), date(2026, 11, 18))
KEYS = {
    "claude-enterprise": "sk-ant-api01-sandbox-campus",
    "claude-console": "sk-ant-admin01-sandbox-my-org",
}
METERED = [
    pytest.param(slug, feed.name, api_variant, id=f"{slug}-{feed.name}-{api_variant}")
    for slug in KEYS
    for feed in connectors()[slug].feeds
    if feed.is_metered
    for api_variant in ("reports", "successors")
]


@pytest.fixture(autouse=True)
def _a_friday_noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.mark.parametrize(("slug", "name", "api_variant"), METERED)
def test_no_question_names_more_than_five_dimensions_where_that_is_the_cap(slug, name, api_variant):
    connector, asked = connectors()[slug], []
    access = Access(
        key=KEYS[slug],
        base_url="http://sandbox",
        transport=httpx.WSGITransport(app=emulator(connector)),
        observe=asked.append,
        options={"dialect": api_variant},
    )
    with connector.open(access) as client:
        records = [r for page in connector.feed(name).read(client, DAYS) for r in page.records]

    assert records
    assert {request.status for request in asked} == {200}
    # The four reports of Claude Enterprise are not known to have a cap.
    if (slug, api_variant) != ("claude-enterprise", "reports"):
        counted = [
            [
                value
                for parameter, value in parse_qsl(request.query)
                if parameter == "group_by[]"
                and (api_variant == "reports" or value not in {"cost_type", "token_type"})
            ]
            for request in asked
        ]
        assert max(map(len, counted)) == 5 or name == "cost"
        assert all(len(names) <= 5 for names in counted)
