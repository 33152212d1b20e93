"""What the connection test says, and which keys never leave the machine."""

from datetime import date

import pytest

from integrations.connectors import connectors, get_connector
from integrations.connectors.base import ActionNeeded
from tests.integrations.connectors.wire import Script, access, error, ok

CONNECTOR = get_connector("claude-console")
TODAY = date(2026, 11, 20)
ME = ok({"id": "8f3c", "type": "organization", "name": "Brightwater"})
DAY = {"starting_at": "2026-11-19T00:00:00Z", "ending_at": "2026-11-20T00:00:00Z"}


def report(*results):
    return ok({"data": [{**DAY, "results": list(results)}], "has_more": False, "next_page": None})


def probe(*steps):
    return CONNECTOR.probe(access(Script(*steps), attempts=1), today=TODAY)


def checks(found):
    return {check.label: (check.state, check.detail) for check in found.checks}


def test_a_good_key_names_its_organization():
    found = probe(ME, report({"amount": "123.5", "currency": "USD"}))

    assert found.organization_id == "8f3c"
    assert checks(found)["Organization recognized"] == ("passed", "Brightwater, 8f3c")
    assert checks(found)["Cost data"][0] == "passed"


def test_an_organization_that_spends_nothing_can_be_connected():
    assert checks(probe(ME, report()))["Cost data"] == ("info", "No cost in the last days.")


@pytest.mark.parametrize(
    ("status", "code"), [(401, "key_rejected"), (403, "access_denied"), (404, "not_found")]
)
def test_a_refused_key_says_who_can_mend_it(status, code):
    with pytest.raises(ActionNeeded) as caught:
        probe(error(status))

    assert caught.value.code == code
    assert "admin of the Claude Console" in caught.value.repair


@pytest.mark.parametrize(
    ("key", "code", "sentence"),
    [
        ("sk-ant-api01-abcdef", "wrong_key_kind", "Its card is Anthropic (Analytics API)."),
        ("sk-ant-api03-abcdef", "wrong_key_kind", "This key runs models"),
        ("sk-ant-oat01-abcdef", "wrong_key_kind", "sign-in token of one person"),
        ("sk-proj-abcdef", "wrong_key_kind", "This is not an Admin key"),
        ("sk-ant-admin01-abc def", "key_malformed", "a space or a line break inside"),
        ("sk-ant-admin01-", "key_malformed", "its end is missing"),
    ],
)
def test_a_key_of_another_kind_is_refused_with_its_own_sentence(key, code, sentence):
    with pytest.raises(ActionNeeded) as caught:
        CONNECTOR.check_key(key)

    assert caught.value.code == code
    assert sentence in str(caught.value)
    assert caught.value.repair


def test_each_card_sends_the_key_of_the_other_to_it_by_name():
    keys = {"claude-enterprise": "sk-ant-admin01-abcd", "claude-console": "sk-ant-api01-abcd"}
    for card, key in keys.items():
        other = next(one for slug, one in connectors().items() if slug != card)
        with pytest.raises(ActionNeeded) as caught:
            get_connector(card).check_key(key)
        assert other.name in str(caught.value)
