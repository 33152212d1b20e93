"""Two organizations on one installation never see each other, at any URL.

The URLs come from the URLconf, so that a new page is covered at once.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.models import AuditEvent, Invitation, Membership, Organization, Role
from integrations.connectors import connectors
from integrations.models import Connection, ExpertInquiry, Notice, SyncRun
from reports.models import ReportSchedule, SavedReport
from tests.factories import (
    make_connection,
    make_invitation,
    make_member,
    make_organization,
    make_report,
    make_report_file,
    make_schedule,
    make_token,
    make_user,
)

pytestmark = pytest.mark.django_db

# What is open to everybody who is signed in, and says nothing of any organization.
OUTSIDE = {
    "home",
    "login",
    "logout",
    "healthz",
    "security_txt",
    "invitation",  # opened with the link, before there is a membership
    "profile",
    "change_email",
    "change_password",
    "confirm_email",  # opens for the account that asked for it alone
    "forgot_password",
    "password_reset_confirm",
}
# What needs a token instead of a sign-in; tests/api walks these.
BY_TOKEN = {
    "api:connections",
    "api:connection",
    "api:health",
    "api:metrics",
    "api:dimensions",
    "api:members",
    "api:report",
}
# The API's description of itself, without data.
DOCUMENTS = {"api:api-root", "api:openapi-json", "api:openapi-view"}
ARGUMENTS: dict[str, Any] = {
    "organization_slug": "theirs",
    "label": "their-label",
    "connector_slug": "claude-enterprise",
    "member_pk": 700_001,
    "invitation_pk": 700_001,
    "token_pk": 700_001,
    "run_id": 700_001,
    "notice_id": 700_001,
    "inquiry_id": 700_001,
    "widget": "spend",
    "report_pk": 700_001,
    "schedule_pk": 700_001,
    "file_pk": 700_001,
}
# Arguments that name one object of an organization, which another organization does not have.
NAMING = (
    "label",
    "member_pk",
    "invitation_pk",
    "run_id",
    "notice_id",
    "inquiry_id",
    "token_pk",
    "report_pk",
    "schedule_pk",
    "file_pk",
)


def make_one_of_each(organization: Organization) -> Connection:
    """Create the rows that `ARGUMENTS` names."""
    connection = make_connection(organization, ARGUMENTS["label"])
    day = timezone.now().date()
    SyncRun.objects.create(
        pk=ARGUMENTS["run_id"],
        connection=connection,
        kind=SyncRun.Kind.REFRESH,
        state=SyncRun.State.DONE,
        start=day - timedelta(days=1),
        end=day,
    )
    Notice.objects.create(
        pk=ARGUMENTS["notice_id"],
        organization=organization,
        connection=connection,
        kind=Notice.Kind.ACTION_NEEDED,
        event="x",
        text="Their notice.",
    )
    ExpertInquiry.objects.create(
        pk=ARGUMENTS["inquiry_id"],
        organization=organization,
        connector_slug=connection.connector_slug,
        question="Their question",
        reply_to="they@example.com",
    )
    report = make_report(organization, pk=ARGUMENTS["report_pk"])
    make_schedule(report, pk=ARGUMENTS["schedule_pk"])
    make_report_file(organization, make_user(), pk=ARGUMENTS["file_pk"])
    return connection


def _patterns(
    resolver: URLResolver, namespace: str = "", route: str = ""
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every (name, route, arguments) of the URLconf except the admin."""
    for entry in resolver.url_patterns:
        full = route + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if entry.app_name == "admin":
                continue
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _patterns(entry, inner, full)
        elif isinstance(entry, URLPattern):
            yield f"{namespace}{entry.name}", full, entry.pattern.converters


ADDRESSES = {name: (route, converters) for name, route, converters in _patterns(get_resolver())}
SIGNED_IN = sorted(
    name for name, (route, _) in ADDRESSES.items() if route.startswith("o/<slug:organization_slug>")
)


def address(name: str) -> str:
    route = ADDRESSES[name][0]
    return reverse(name, kwargs={key: v for key, v in ARGUMENTS.items() if f":{key}>" in route})


def everything() -> list[Any]:
    """Return all rows that a request of another tenant must not change."""
    return [
        list(model.objects.order_by("pk").values())
        for model in (
            Connection,
            Membership,
            Invitation,
            AuditEvent,
            Notice,
            Notice.dismissed_by.through,
            ExpertInquiry,
            SavedReport,
            ReportSchedule,
        )
    ]


@pytest.fixture
def theirs():
    organization = make_organization("theirs", "Their Corp.")
    they = make_member(
        organization, Role.ADMIN, "they@example.com", membership_pk=ARGUMENTS["member_pk"]
    )
    make_invitation(organization, "asked@example.com", pk=ARGUMENTS["invitation_pk"])
    connection = make_one_of_each(organization)
    Connection.objects.filter(pk=connection.pk).update(provider_organization_id="org_theirs")
    make_token(they, pk=ARGUMENTS["token_pk"])
    return organization


@pytest.fixture
def stranger(client, theirs):
    """Sign in an Admin of another organization that has its own connection."""
    ours = make_organization("ours", "Our Inc.")
    make_connection(ours, "our-label")
    client.force_login(make_member(ours, Role.ADMIN))
    return client


def test_every_address_is_behind_an_organization_or_open_on_purpose():
    assert set(ADDRESSES) - set(SIGNED_IN) <= OUTSIDE | BY_TOKEN | DOCUMENTS
    assert len(SIGNED_IN) >= 12


@pytest.mark.parametrize("name", SIGNED_IN)
@pytest.mark.parametrize("method", ["get", "post"])
def test_another_organization_does_not_exist(stranger, name, method):
    before = everything()

    response = getattr(stranger, method)(address(name), {"label": "x", "key": "x"})

    # A page that only reads may refuse a POST before it looks who asks: 405 says nothing.
    assert response.status_code == 404 or (method == "post" and response.status_code == 405)
    text = response.content.decode()
    assert "Their Corp." not in text
    assert "org_theirs" not in text
    assert everything() == before


@pytest.mark.parametrize(
    "name",
    [name for name in SIGNED_IN if any(f":{n}>" in ADDRESSES[name][0] for n in NAMING)],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_an_object_of_another_organization_is_not_reached_through_ones_own(stranger, name, method):
    before = everything()

    response = getattr(stranger, method)(
        address(name).replace("/o/theirs/", "/o/ours/"), {"confirm": "their-label", "key": "x"}
    )

    assert response.status_code == 404 or (method, response.status_code) in {
        ("get", 405),
        ("post", 405),
    }
    assert "org_theirs" not in response.content.decode()
    assert everything() == before


@pytest.mark.parametrize("slug", [slug for slug in connectors() if slug != "claude-enterprise"])
def test_connections_of_every_connector_are_as_closed(stranger, theirs, slug):
    theirs.connections.update(connector_slug=slug)
    before = everything()
    its = (":connector_slug>", ":label>")
    names = [n for n in SIGNED_IN if any(piece in ADDRESSES[n][0] for piece in its)]
    paths = [address(name).replace("/claude-enterprise/", f"/{slug}/") for name in names]
    named = [path.replace("/o/theirs/", "/o/ours/") for path in paths if "their-label" in path]
    assert len(paths) >= 10
    assert len(named) >= 8

    for path in (*paths, *named):
        for method in ("get", "post"):
            values = {"label": "x", "key": "x", "confirm": "their-label"}
            response = getattr(stranger, method)(path, values)
            assert response.status_code in {404, 405}, path
            assert "org_theirs" not in response.content.decode()
    assert everything() == before


@pytest.mark.parametrize("name", SIGNED_IN)
def test_visitors_are_redirected_to_sign_in(client, theirs, name):
    response = client.get(address(name))

    assert response.status_code == 302
    assert response["Location"].startswith(f"/{settings.LOGIN_URL}/?next=/o/theirs/")


def test_no_page_of_ones_own_shows_anything_of_another(stranger):
    for name in (
        "integrations:index",
        "integrations:manage",
        "integrations:connect",
        "integrations:log",
        "integrations:notices",
        "integrations:inquiries",
        "integrations:inquire",
        "integrations:archive",
        "members",
        "audit_log",
    ):
        response = stranger.get(address(name).replace("/o/theirs/", "/o/ours/"))
        assert response.status_code == 200
        for secret in ("their-label", "org_theirs", "Their ", "they@example.com", "asked@"):
            assert secret not in response.content.decode()
