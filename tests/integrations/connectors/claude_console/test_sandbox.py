"""The official SDK parses the lists of the sandbox, strictly. It has no types for the reports."""

from datetime import UTC, datetime

import anthropic
import httpx2
import pytest

from integrations.connectors.claude_console.sandbox import Sandbox

NOON = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


@pytest.fixture(params=Sandbox.keys)
def organization(request):
    client = anthropic.Anthropic(
        auth_token=request.param,
        base_url="http://sandbox",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.WSGITransport(app=Sandbox(now=lambda: NOON))),
        _strict_response_validation=True,
    )
    with client:
        yield client.beta.organization


def test_the_organization_and_its_lists(organization):
    assert organization.retrieve().name
    everything = list(organization.workspaces.list(include_archived=True, include_default=True))
    listed = list(organization.workspaces.list(limit=1))
    assert len(everything) > len(listed)
    keys = list(organization.api_keys.list(limit=2))
    assert {key.scope.workspace_id for key in keys} <= {one.id for one in everything}
    assert all(user.email for user in organization.users.list(limit=5))
