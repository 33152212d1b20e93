"""Whatever stands in an address is answered with a page, never with a crash.

The test client raises what a view raises, so asking is the test.
"""

from urllib.parse import quote

import pytest

from accounts.models import Role
from tests.factories import make_connection, make_member, make_organization, make_token
from tests.test_tenancy import ARGUMENTS, address, make_one_of_each

pytestmark = pytest.mark.django_db

ODD = ["\0", "%_\\'\"\U0001f4b8" + "x" * 3000, "9" * 30]
READ = {
    "audit_log": ["act", "who", "since", "until", "page"],
    "audit_log_csv": ["act", "who", "since", "until"],
    "members": ["q", "page"],
    "integrations:index": ["q", "tab"],
    "integrations:manage": ["connection"],
    "integrations:label": ["label", "own"],
    "integrations:inquire": ["connection"],
    "integrations:health": ["connection", "days"],
    "integrations:checks": ["connection", "feed", "since", "until", "differences", "page"],
    "integrations:restatements": ["connection", "feed", "since", "until", "page"],
    "integrations:restatements_csv": ["connection", "feed", "since", "until"],
    "integrations:log": ["connection", "result", "page"],
    "integrations:run": ["result", "page"],
    "dashboards:people": ["find", "range"],
    "dashboards:widget_csv": ["range", "billing_account"],
    "reports:explore": ["add", "report"],  # the rest of it: tests/reports/test_spec.py
    "reports:products": ["range"],
}


@pytest.fixture
def organization():
    organization = make_organization(ARGUMENTS["organization_slug"])
    make_one_of_each(organization)
    return organization


@pytest.mark.parametrize("name", sorted(READ))
def test_no_value_in_an_address_breaks_a_page(client, organization, name):
    client.force_login(make_member(organization, Role.ADMIN))

    for parameter in READ[name]:
        for value in ODD:
            response = client.get(f"{address(name)}?{parameter}={quote(value)}")

            assert response.status_code in {200, 302, 404, 422}, (parameter, value)


@pytest.mark.parametrize("number", ["0", "9" * 30])
def test_no_number_in_an_address_breaks_a_page(client, organization, number):
    client.force_login(make_member(organization, Role.ADMIN))

    for name, argument in (
        ("member_role", "member_pk"),
        ("integrations:run", "run_id"),
        ("reports:edit", "report_pk"),
    ):
        path = address(name).replace(f"/{ARGUMENTS[argument]}/", f"/{number}/")

        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    "path", ["connections/{}", "connections/{}/health", "dimensions/{}/members"]
)
def test_no_address_of_the_api_breaks_it(client, organization, value, path):
    make_connection(organization)
    make_token(make_member(organization), "sgt_odd")

    response = client.get(
        f"/api/v1/{path.format(quote(value, safe=''))}", headers={"Authorization": "Bearer sgt_odd"}
    )

    assert response.status_code == 404


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("path", ["/invitations/{}/", "/password/{}/{}/", "/account/email/{}/"])
def test_no_link_breaks_the_page_it_leads_to(client, value, path):
    client.force_login(make_member(make_organization()))

    response = client.get(path.format(*[quote(value, safe="")] * 2))

    assert response.status_code in {200, 404, 410}


def test_no_e_mail_is_too_long_for_a_page(client, organization):
    client.force_login(make_member(organization, Role.ADMIN))
    long = f"{'x' * 60}@{'y' * 60}.{'y' * 60}.{'y' * 60}.{'y' * 60}.com"

    for name, values in (
        ("member_invite", {"email": long, "role": "viewer"}),
        ("integrations:inquire", {"question": "Why?", "reply_to": long}),
    ):
        response = client.post(address(name), values)

        assert response.status_code == 422, name
        assert "at most 254 characters" in response.content.decode(), name


def test_the_longest_e_mail_can_be_invited(client, organization):
    client.force_login(make_member(organization, Role.ADMIN))
    longest = f"{'x' * 60}@{'y' * 60}.{'y' * 60}.{'y' * 60}.yyyyyy.com"

    response = client.post(address("member_invite"), {"email": longest, "role": "viewer"})

    assert response.status_code == 200
    assert organization.invitations.filter(email=longest).exists()
