"""A new key is of the same provider organization, or it is refused and nothing changes."""

from dataclasses import dataclass

import pytest

from accounts.models import AuditEvent, Organization, Role
from integrations import connections
from integrations.connectors import get_connector
from integrations.connectors.ids import canonical_id
from integrations.encryption import Secret
from integrations.models import Connection
from tests.factories import make_connection, make_member, make_organization

pytestmark = pytest.mark.django_db
ADDRESS = "/o/demo/integrations/connections/my-org/key/"


@dataclass(frozen=True)
class Kind:
    """A connector of the sandbox with the keys of two of its organizations."""

    slug: str
    key: str
    foreign_key: str


KINDS = [
    Kind("claude-enterprise", "sk-ant-api01-sandbox-my-org", "sk-ant-api01-sandbox-labs"),
    Kind("claude-console", "sk-ant-admin01-sandbox-my-org", "sk-ant-admin01-sandbox-labs"),
]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.slug)
def kind(request):
    return request.param


@pytest.fixture
def organization(sandbox):
    return make_organization()


@pytest.fixture
def connection(organization, kind):
    tested = connections.test(organization, get_connector(kind.slug), label="my-org", key=kind.key)
    return make_connection(
        organization,
        connector_slug=kind.slug,
        provider_organization_id=tested.probe.organization_id,
        credential=Secret(kind.key),
        key_hint="-org",
    )


@pytest.fixture
def ines(client, organization):
    client.force_login(make_member(organization, Role.BILLING_ADMIN))
    return client


def stored():
    return list(Connection.objects.values())


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["form", "htmx"])
def test_a_key_of_another_organization_is_refused_with_the_checklist(
    ines, connection, kind, headers
):
    before = stored()

    response = ines.post(ADDRESS, {"key": kind.foreign_key}, headers=headers)

    assert response.status_code == 422
    text = response.content.decode()
    assert "This key belongs to another organization (" in text
    assert f"my-org is {connection.provider_organization_id}." in text
    assert "Paste a key of the same organization, or connect the other one separately." in text
    assert "Key accepted" in text
    assert 'Organization recognized<span class="vh">: failed</span>' in text
    assert "is not my-org." in text
    assert kind.foreign_key not in text
    assert stored() == before
    assert not AuditEvent.objects.exists()
    assert not connection.runs.exists()


def test_reconnecting_takes_a_key_of_the_same_organization_too(ines, connection, kind):
    connections.disconnect(connection, actor=None)
    before = stored()

    response = ines.post(ADDRESS, {"key": kind.foreign_key})

    assert "This key belongs to another organization (" in response.content.decode()
    assert stored() == before


def test_what_happened_goes_along_with_an_inquiry(ines, connection, kind):
    ines.post(ADDRESS, {"key": kind.foreign_key})

    text = ines.get(f"/o/demo/integrations/{kind.slug}/inquiry/").content.decode()

    assert "This key belongs to another organization (" in text
    assert kind.foreign_key not in text


def test_the_right_key_is_taken(ines, connection, kind):
    response = ines.post(ADDRESS, {"key": f" {kind.key} "})

    assert response.status_code == 302
    connection.refresh_from_db()
    assert connection.credential == Secret(kind.key)
    assert connection.key_hint == "-org"


# --- Ids compare by value ----------------------------------------------------------------
# The Console alone spells its organizations in two ways: in headers and in bodies.
of_console = pytest.mark.parametrize("kind", KINDS[1:], indirect=True, ids=["console"])


def spellings(kind):
    """Return the sandbox's ids of its organization: the header's and a UUID."""
    probe = connections.test(
        Organization(pk=-1, slug="asking"), get_connector(kind.slug), label="asking", key=kind.key
    ).probe
    by_uuid = next(one for one in probe.ids if "_" not in one)
    plain = by_uuid.replace("-", "")
    return [probe.organization_id, by_uuid, by_uuid.upper(), f"{{{by_uuid}}}", plain]


@of_console
@pytest.mark.parametrize("at", range(5))
def test_a_key_is_replaced_however_the_organization_is_spelled(ines, connection, kind, at):
    connection.provider_organization_id = spellings(kind)[at]
    connection.save()

    response = ines.post(ADDRESS, {"key": kind.key})

    assert response.status_code == 302
    connection.refresh_from_db()
    assert connection.provider_organization_id == spellings(kind)[at]  # as it was stored


@of_console
@pytest.mark.parametrize("at", range(5))
def test_an_organization_is_not_connected_twice_in_two_spellings(
    organization, connection, kind, at
):
    connection.provider_organization_id = spellings(kind)[at]
    connection.save()

    with pytest.raises(connections.OperationError) as refused:
        connections.test(organization, get_connector(kind.slug), label="other", key=kind.key)

    assert (refused.value.code, refused.value.duplicate) == ("connected_already", "my-org")


@of_console
def test_a_twin_in_another_spelling_that_came_after_the_test_is_refused(organization, kind):
    connector = get_connector(kind.slug)
    proof = connections.test(organization, connector, label="other", key=kind.key).proof
    make_connection(
        organization,
        connector_slug=kind.slug,
        provider_organization_id=spellings(kind)[2],
        credential=Secret(kind.key),
    )

    with pytest.raises(connections.OperationError) as refused:
        connections.connect(
            organization, connector, actor=None, label="other", key=kind.key, proof=proof
        )

    assert refused.value.code == "connected_already"


@of_console
def test_a_test_of_the_stored_key_learns_the_other_spellings(connection, kind):
    connections.test_stored(connection)

    connection.refresh_from_db()
    assert {canonical_id(one) for one in spellings(kind)} == connection.organization_ids


def test_the_case_of_a_tagged_id_counts(organization):
    connection = make_connection(organization, "one", provider_organization_id="org_01AbC")

    assert connection.organization_ids != {canonical_id("org_01aBc")}
