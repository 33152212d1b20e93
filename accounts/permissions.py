"""What each role may do: the one table that views, templates, the API and the documents go by.

Looking at reports and dashboards, with the names of people in them, and downloading them is what
every member may do; it needs no permission of its own.
"""

from collections.abc import Mapping
from types import MappingProxyType

from django.db import models


class Role(models.TextChoices):
    """What a member may do, from least to most."""

    VIEWER = "viewer", "Viewer"
    ANALYST = "analyst", "Analyst"
    BILLING_ADMIN = "billing_admin", "Billing Profiles Admin"
    ADMIN = "admin", "Admin"

    @property
    def permissions(self) -> "frozenset[Permission]":
        return PERMISSIONS[self]

    @property
    def summary(self) -> str:
        """What it adds to the role before it, for whoever gives roles."""
        return _SUMMARIES[self]


class Permission(models.TextChoices):
    """What not everybody may do."""

    SAVE_REPORTS = "save_reports", "Save, share and schedule reports"
    MANAGE_CONNECTIONS = (
        "manage_connections",
        "Connect, test, replace a key, sync, disconnect, delete",
    )
    ANSWER_INQUIRIES = "answer_inquiries", "Read and close expert inquiries of others"
    READ_AUDIT_LOG = "read_audit_log", "Read and export the audit log"
    MANAGE_MEMBERS = "manage_members", "Invite members, change roles, deactivate, remove"

    @property
    def roles(self) -> list[Role]:
        """Who has it, from the role with least to the role with most."""
        return [role for role in Role if self in role.permissions]


_ANALYST = frozenset({Permission.SAVE_REPORTS})
_BILLING_ADMIN = _ANALYST | {Permission.MANAGE_CONNECTIONS, Permission.READ_AUDIT_LOG}

PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: frozenset(),
        Role.ANALYST: _ANALYST,
        Role.BILLING_ADMIN: _BILLING_ADMIN,
        Role.ADMIN: _BILLING_ADMIN | {Permission.ANSWER_INQUIRIES, Permission.MANAGE_MEMBERS},
    }
)

_SUMMARIES: Mapping[Role, str] = {
    Role.VIEWER: "Looks at reports and dashboards and downloads them.",
    Role.ANALYST: "Also saves, shares and schedules reports.",
    Role.BILLING_ADMIN: "Also connects and manages integrations and reads the audit log.",
    Role.ADMIN: "Also invites members and gives roles.",
}
