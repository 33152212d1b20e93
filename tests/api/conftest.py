import pytest

from accounts.models import Role
from tests.factories import make_connection, make_member, make_organization, make_token

SECRET = "sgt_of-ann"


@pytest.fixture
def organization(db):
    return make_organization()


@pytest.fixture
def connection(organization):
    return make_connection(organization)


@pytest.fixture
def ann(organization):
    return make_member(organization, Role.VIEWER, "ann@example.com")


@pytest.fixture
def token(ann):
    return make_token(ann, SECRET)


@pytest.fixture
def ask(client, token):
    """Return a function that queries the API as Ann: `ask("connections")` is the response."""

    def ask(path, secret=SECRET, **query):
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return client.get(f"/api/v1/{path}", query, headers=headers)

    return ask
