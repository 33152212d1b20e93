"""Permissions of each role: the one table for views, templates, the API and documents.

Every member can view and download reports and dashboards, including names of people. This needs no
permission.
"""

from collections.abc import Mapping
from types import MappingProxyType

from django.db import models


class Role(models.TextChoices):
    """Role of a member, ordered by permissions."""

    VIEWER = "viewer", "Viewer"
    ANALYST = "analyst", "Analyst"
    BILLING_ADMIN = "billing_admin", "Billing Profiles Admin"
    ADMIN = "admin", "Admin"

    @property
    def permissions(self) -> "frozenset[Permission]":
        return PERMISSIONS[self]

    @property
    def summary(self) -> str:
        """Describe what the role adds to the previous one, where roles are assigned."""
        return _SUMMARIES[self]


class Permission(models.TextChoices):
    """Operation that only some roles allow."""

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
        """Roles with this permission, ordered from fewest permissions to most."""
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
    Role.VIEWER: "Views and downloads reports and dashboards.",
    Role.ANALYST: "Also saves, shares and schedules reports.",
    Role.BILLING_ADMIN: "Also connects and manages integrations and reads the audit log.",
    Role.ADMIN: "Also invites members and assigns roles.",
}
