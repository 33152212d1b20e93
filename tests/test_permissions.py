"""Every URL × every role × every method: access or refusal.

A new URL fails here until it has its row in `PAGES`. Requests carry no values, so that an allowed
form answers 422, and an allowed action is carried out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.urls import resolve, reverse

from accounts.permissions import Permission, Role
from tests.factories import make_invitation, make_member, make_organization, make_token
from tests.test_tenancy import ARGUMENTS, BY_TOKEN, SIGNED_IN, address, make_one_of_each

pytestmark = pytest.mark.django_db

EVERYBODY = None
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Page:
    """Response of a URL for those with access; all others get 403.

    `to_post` is the permission that a POST needs, if it differs from the page's.
    """

    permission: Permission | None
    get: int = 405
    post: int = 405
    to_post: Permission | None = None

    def is_open_to(self, role: Role, method: str) -> bool:
        needed = (self.to_post or self.permission) if method == "post" else self.permission
        return needed is None or needed in role.permissions

    def expected(self, role: Role, method: str) -> set[int]:
        answer: int = getattr(self, method)
        if self.is_open_to(role, method):
            return {answer}
        # A method that no role may use can be refused before the role is checked.
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
    "integrations:name_service_account": Page(CONNECTIONS, post=422),
    "integrations:name_identifier": Page(CONNECTIONS, post=422),
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
    "tokens:revoke": Page(Permission.MANAGE_MEMBERS, post=302),  # another member's
    "reports:explore": Page(EVERYBODY, get=200),
    "reports:products": Page(EVERYBODY, get=200),
    "reports:explore_csv": Page(EVERYBODY, get=200),
    "reports:explore_xlsx": Page(EVERYBODY, get=200),
    "reports:explore_png": Page(EVERYBODY, get=200),
    "reports:explore_json": Page(EVERYBODY, get=200),
    "reports:index": Page(EVERYBODY, get=200),
    "reports:files": Page(EVERYBODY, get=200),
    # Files belong to who ordered them, and no other member can read them.
    "reports:file": Page(EVERYBODY, get=404),
    "reports:download": Page(EVERYBODY, get=404),
    "reports:delete_file": Page(EVERYBODY, post=404),
    "reports:open": Page(EVERYBODY, get=302),
    "reports:save": Page(REPORTS, get=200, post=422),
    "reports:duplicate": Page(REPORTS, post=302),
    # The report is shared by another member: only Admins can.
    "reports:edit": Page(MEMBERS, get=200, post=422),
    "reports:update": Page(MEMBERS, post=302),
    "reports:delete": Page(MEMBERS, get=200, post=302),
    "reports:take_over": Page(MEMBERS, post=404),  # it is shared by an active owner
    "reports:schedule": Page(MEMBERS, get=200, post=422),
    "reports:change_schedule": Page(MEMBERS, get=200, post=422),
    "reports:pause": Page(MEMBERS, post=302),
    "reports:send_now": Page(MEMBERS, post=302),
    "reports:unschedule": Page(MEMBERS, post=302),
    "reports:take_over_schedule": Page(MEMBERS, post=302),  # it has no author
}


@pytest.fixture
def organization():
    """Create one of everything that `ARGUMENTS` names."""
    organization = make_organization(ARGUMENTS["organization_slug"])
    make_one_of_each(organization)
    make_member(organization, membership_pk=ARGUMENTS["member_pk"])
    make_invitation(organization, pk=ARGUMENTS["invitation_pk"])
    make_token(make_member(organization), pk=ARGUMENTS["token_pk"])
    return organization


def test_every_address_is_classified():
    assert set(PAGES) == set(SIGNED_IN), "give each address its line in PAGES"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", sorted(PAGES))
def test_each_role_may_exactly_what_the_table_says(client, organization, name, method, role):
    client.force_login(make_member(organization, role))

    response = getattr(client, method)(address(name))

    assert response.status_code in PAGES[name].expected(role, method)


class Offers(HTMLParser):
    """Parser of what a page offers: (method, path) of every link, form and htmx request."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self._add("get", has.get("href") if tag == "a" else None)
        self._add(has.get("method", "get"), has.get("action"))
        self._add("get", has.get("hx-get"))
        self._add("post", has.get("hx-post"))

    def _add(self, method: str, address: str | None) -> None:
        path = (address or "").partition("?")[0].partition("#")[0]
        if path.startswith("/o/"):
            self.found.add((method.lower(), path))


def offers(client, path: str) -> Iterator[tuple[str, str]]:
    """Return (method, URL name) of everything that the page offers."""
    response = client.get(path)
    if response["Content-Type"].startswith("text/html"):
        for method, offered in Offers(response.content.decode()).found:
            yield method, resolve(offered).view_name


@pytest.mark.parametrize("role", Role)
def test_no_page_offers_what_the_role_may_not(client, organization, role):
    client.force_login(make_member(organization, role))
    pages = [name for name, page in PAGES.items() if page.get in {200, 302}]

    wrong = {
        (name, method, offered)
        for name in pages
        for method, offered in offers(client, address(name))
        if not PAGES[offered].is_open_to(role, method)
    }

    assert wrong == set()


@pytest.mark.parametrize("role", Role)
def test_everybody_reads_by_machine_and_nobody_writes(client, organization, role):
    make_token(make_member(organization, role), "sgt_of-the-role")
    sent = {"headers": {"Authorization": "Bearer sgt_of-the-role"}}
    arguments = {"label": ARGUMENTS["label"], "name": "service"}
    queries = {"api:report": "?metrics=cost&range=30d"}

    for name in BY_TOKEN:
        takes = {key: value for key, value in arguments.items() if name in _TAKES[key]}
        path = reverse(name, kwargs=takes) + queries.get(name, "")

        assert client.get(path, **sent).status_code == 200, path
        for method in ("post", "put", "patch", "delete"):
            assert getattr(client, method)(path, **sent).status_code == 405, path


_TAKES = {"label": {"api:connection", "api:health"}, "name": {"api:members"}}


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
