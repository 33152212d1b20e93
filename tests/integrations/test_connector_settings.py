"""Connectors declare their environment variables, and nothing else names a provider."""

import re
from pathlib import Path

import pytest

from integrations.checks import check_connector_settings
from integrations.connectors import connectors
from integrations.connectors.base import BaseUrl, CatalogError, RequestsPerMinute
from integrations.connectors.environment import (
    SettingError,
    base_url,
    merged_settings,
    requests_per_minute,
)

ROOT = Path(__file__).parents[2]
URL = BaseUrl("SOME_BASE_URL", "https://api.example.com", help="Where it answers.")
PACE = RequestsPerMinute("SOME_REQUESTS_PER_MINUTE", 60, help="Requests a minute.")


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.delenv("PROVIDER_REQUESTS_PER_MINUTE", raising=False)
    return monkeypatch.setenv


def test_the_default_counts_where_nothing_is_set(environment):
    assert base_url(URL) == "https://api.example.com"
    assert requests_per_minute(PACE) == 60


def test_its_own_variable_counts_before_that_of_all_providers(environment):
    environment("PROVIDER_BASE_URL", "http://127.0.0.1:8001")
    environment("PROVIDER_REQUESTS_PER_MINUTE", "600")
    assert (base_url(URL), requests_per_minute(PACE)) == ("http://127.0.0.1:8001", 600)

    environment("SOME_BASE_URL", "https://other.example.com")
    environment("SOME_REQUESTS_PER_MINUTE", "0")
    assert (base_url(URL), requests_per_minute(PACE)) == ("https://other.example.com", 0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SOME_BASE_URL", "nonsense", "SOME_BASE_URL is not an http or https address."),
        ("PROVIDER_BASE_URL", "http://example.com", "PROVIDER_BASE_URL would send API keys"),
    ],
)
def test_a_bad_address_is_named_and_never_used(environment, name, value, message):
    environment(name, value)

    with pytest.raises(SettingError, match=message):
        base_url(URL)


@pytest.mark.parametrize(("value", "message"), [("many", "cannot be read"), ("-1", "is negative")])
def test_a_bad_budget_is_named(environment, value, message):
    environment("SOME_REQUESTS_PER_MINUTE", value)

    with pytest.raises(SettingError, match=message):
        requests_per_minute(PACE)


def test_the_check_reads_what_catalogs_declare(environment):
    environment("CLAUDE_CONSOLE_REQUESTS_PER_MINUTE", "-1")

    (message,) = check_connector_settings(None)
    assert message.id == "spendglass.E009"
    assert "CLAUDE_CONSOLE_REQUESTS_PER_MINUTE is negative" in message.msg


def test_two_connectors_that_declare_a_variable_differently_are_refused():
    other = RequestsPerMinute("SOME_REQUESTS_PER_MINUTE", 10, help="Requests a minute.")

    merged_settings(iter([PACE, PACE]))
    with pytest.raises(CatalogError, match="SOME_REQUESTS_PER_MINUTE differently"):
        merged_settings(iter([PACE, other]))


def test_the_example_of_an_environment_has_every_declared_variable():
    example = (ROOT / ".env.example").read_text()
    for connector in connectors().values():
        for setting in connector.catalog.settings:
            assert f"# {setting.help}\n#{setting.name}={setting.default}\n" in example


def test_only_connectors_name_a_provider():
    files = [ROOT / "tests/environment.py"]
    for folder in ("config", "dev", "reports/catalog", "reports/engine", "reports/render"):
        files += (ROOT / folder).rglob("*.py")
    named = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        for line in path.read_text().splitlines()
        if re.search("anthropic|claude", line, re.IGNORECASE)
    }

    assert {line for line in named if not line.startswith("config/connectors.py")} == set()
