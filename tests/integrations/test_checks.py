"""Connectors that would overwrite their own facts are refused before they run."""

from dataclasses import replace

from integrations.checks import check_one_feed_per_grain
from integrations.connectors import connectors, get_connector
from tests.integrations.connectors.example import Example


def messages():
    return [message.msg for message in check_one_feed_per_grain(None)]


def test_our_own_connectors_pass():
    assert len(connectors()) >= 2
    assert messages() == []


def test_two_feeds_for_one_table_and_grain_are_refused(installed, monkeypatch):
    installed("tests.integrations.connectors.example.Example")
    cost = Example.feeds[0]
    second = replace(cost, name="cost_of_elsewhere")
    monkeypatch.setattr(Example, "feeds", (cost, second))
    assert messages() == ["example has 2 feeds of grain total for cost."]

    by_person = replace(second, grain="person")
    monkeypatch.setattr(Example, "feeds", (cost, by_person))
    assert messages() == []


def test_two_feeds_of_one_name_are_refused(installed, monkeypatch):
    installed("tests.integrations.connectors.example.Example")
    summaries = get_connector("example").feeds[0]
    activity = replace(summaries, table="engagement")
    monkeypatch.setattr(Example, "feeds", (activity, activity))

    assert messages() == ["example has 2 feeds named cost."]
