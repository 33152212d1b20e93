"""Every address × every role × every method: who is let in, who is turned away.

A new address fails here until it has its line in `PAGES`. Requests carry no values, so that a form
that is let in answers 422, and a question that is let in does its deed.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from accounts.permissions import Permission, Role
from tests.factories import make_invitation, make_member, make_organization, make_token
from tests.test_tenancy import ARGUMENTS, BEHIND_THE_DOOR, address, make_one_of_each

pytestmark = pytest.mark.django_db

EVERYBODY = None
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Page:
    """What an address answers whoever may use it; everybody else gets 403.

    `to_post` is the permission that a POST needs, if that is not the one of the whole page.
    """

    permission: Permission | None
    get: int = 405
    post: int = 405
    to_post: Permission | None = None

    def expected(self, role: Role, method: str) -> set[int]:
        needed = (self.to_post or self.permission) if method == "post" else self.permission
        answer: int = getattr(self, method)
        if needed is None or needed in role.permissions:
            return {answer}
        # A method that nobody may use can be refused before one looks who asks.
        return {403, 405} if answer == 405 else {403}


CONNECTIONS = Permission.MANAGE_CONNECTIONS
MEMBERS = Permission.MANAGE_MEMBERS
AUDIT = Permission.READ_AUDIT_LOG
REPORTS = Permission.SAVE_REPORTS
PAGES = {
    "members": Page(MEMBERS, get=200),
    "member_invite": Page(MEMBERS, get=200, post=422),
    "member_role": Page(MEMBERS, get=200, post=422),
    "member_deactivate": Page(MEMBERS, get=200, post=302),
    "member_reactivate": Page(MEMBERS, post=302),
    "member_remove": Page(MEMBERS, get=200, post=302),
    "invitation_send": Page(MEMBERS, post=200),
    "invitation_withdraw": Page(MEMBERS, post=302),
    "audit_log": Page(AUDIT, get=200),
    "audit_log_csv": Page(AUDIT, get=200),
    "start": Page(EVERYBODY, get=302),
    "dashboards:genai": Page(EVERYBODY, get=200),
    "dashboards:widget": Page(EVERYBODY, get=302),
    "dashboards:widget_csv": Page(EVERYBODY, get=200),
    "dashboards:people": Page(EVERYBODY, get=200),
    "dashboards:definitions": Page(EVERYBODY, get=200),
    "integrations:index": Page(EVERYBODY, get=200),
    "integrations:card": Page(EVERYBODY, get=200),
    "integrations:health": Page(EVERYBODY, get=200),
    "integrations:checks": Page(EVERYBODY, get=200),
    "integrations:restatements": Page(EVERYBODY, get=200),
    "integrations:restatements_csv": Page(EVERYBODY, get=200),
    "integrations:connect": Page(CONNECTIONS, get=200, post=422),
    "integrations:test": Page(CONNECTIONS, post=422),
    "integrations:manage": Page(CONNECTIONS, get=200),
    "integrations:progress": Page(CONNECTIONS, get=200),
    "integrations:sync_now": Page(CONNECTIONS, post=302),
    "integrations:replace_key": Page(CONNECTIONS, get=200, post=422),
    "integrations:disconnect": Page(CONNECTIONS, get=200, post=302),
    "integrations:delete": Page(CONNECTIONS, get=200, post=422),
    "integrations:rename": Page(CONNECTIONS, get=200, post=422),
    "integrations:import_everything": Page(CONNECTIONS, get=200, post=302),
    "integrations:feeds": Page(CONNECTIONS, get=200),
    "integrations:label": Page(CONNECTIONS, get=200),
    "integrations:archive": Page(CONNECTIONS, get=200),
    "integrations:inquire": Page(CONNECTIONS, get=200, post=422),
    "integrations:inquiries": Page(CONNECTIONS, get=200),
    "integrations:close_inquiry": Page(Permission.ANSWER_INQUIRIES, post=302),
    "integrations:notices": Page(CONNECTIONS, get=200),
    "integrations:dismiss": Page(CONNECTIONS, post=302),
    "integrations:dismiss_all": Page(CONNECTIONS, post=302),
    "integrations:log": Page(EVERYBODY, get=200),
    "integrations:run": Page(EVERYBODY, get=200),
    "tokens:index": Page(EVERYBODY, get=200, post=422),
    "tokens:revoke": Page(Permission.MANAGE_MEMBERS, post=302),  # somebody else's
    "reports:explore": Page(EVERYBODY, get=200),
    "reports:products": Page(EVERYBODY, get=200),
    "reports:explore_csv": Page(EVERYBODY, get=200),
    "reports:explore_xlsx": Page(EVERYBODY, get=200),
    "reports:explore_png": Page(EVERYBODY, get=200),
    "reports:index": Page(EVERYBODY, get=200),
    "reports:open": Page(EVERYBODY, get=302),
    "reports:save": Page(REPORTS, get=200, post=422),
    "reports:duplicate": Page(REPORTS, post=302),
    # The report is shared and somebody else's: that is for Admins.
    "reports:edit": Page(MEMBERS, get=200, post=422),
    "reports:update": Page(MEMBERS, post=302),
    "reports:delete": Page(MEMBERS, get=200, post=302),
    "reports:schedule": Page(MEMBERS, get=200, post=422),
    "reports:change_schedule": Page(MEMBERS, get=200, post=422),
    "reports:pause": Page(MEMBERS, post=302),
    "reports:unschedule": Page(MEMBERS, post=302),
}


@pytest.fixture
def organization():
    """Holds one of everything that `ARGUMENTS` names."""
    organization = make_organization(ARGUMENTS["organization_slug"])
    make_one_of_each(organization)
    make_member(organization, membership_pk=ARGUMENTS["member_pk"])
    make_invitation(organization, pk=ARGUMENTS["invitation_pk"])
    make_token(make_member(organization), pk=ARGUMENTS["token_pk"])
    return organization


def test_every_address_is_classified():
    assert set(PAGES) == set(BEHIND_THE_DOOR), "give each address its line in PAGES"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", sorted(PAGES))
def test_each_role_may_exactly_what_the_table_says(client, organization, name, method, role):
    client.force_login(make_member(organization, role))

    response = getattr(client, method)(address(name))

    assert response.status_code in PAGES[name].expected(role, method)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_deactivated_admin_is_let_in_nowhere(client, organization, method):
    user = make_member(organization, Role.ADMIN)
    user.memberships.update(is_active=False)
    client.force_login(user)

    answers = {name: getattr(client, method)(address(name)).status_code for name in PAGES}

    assert set(answers.values()) <= {404, 405}, answers


@pytest.mark.parametrize("permission", Permission)
def test_the_document_says_the_same(permission):
    text = (ROOT / "docs/security.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {permission.label} |")]
    cells = [cell.strip() for cell in row.split("|")[2:-1]]

    assert [role for role, cell in zip(Role, cells, strict=True) if cell] == permission.roles
