"""Operator's view of connections, syncs and facts. Looks on; the same verbs as the pages."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from integrations import connections
from integrations.connectors.base import ConnectorError
from integrations.encryption import UnreadableSecret
from integrations.models import (
    Connection,
    CostFact,
    CostTotal,
    DayCheck,
    EngagementFact,
    FeedDay,
    Meter,
    Person,
    Restatement,
    SyncRun,
    SyncWindow,
    UsageFact,
    UsageTotal,
)
from integrations.overview import overview


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    """Made and changed on the pages alone, because a key has to pass its test first."""

    list_display = ("label", "organization", "provider", "state", "key_ends", "next_sync_at")
    list_filter = ("state", "connector_slug")
    search_fields = (
        "label",
        "organization__slug",
        "organization__name",
        "provider_organization_id",
    )
    list_select_related = ("organization",)
    ordering = ("organization__slug", "label")
    exclude = ("credential",)
    readonly_fields = ("status",)
    actions = ("test_connection", "sync_now", "disconnect")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        # The ciphertext stays in the database: an unreadable one must not break the list.
        found: QuerySet[Connection] = super().get_queryset(request).defer("credential")
        return found

    @admin.display(description="provider")
    def provider(self, connection: Connection) -> str:
        return connection.connector.name

    @admin.display(description="key")
    def key_ends(self, connection: Connection) -> str:
        return f"…{connection.key_hint}" if connection.key_hint else "–"

    @admin.display(description="status")
    def status(self, connection: Connection) -> str:
        return overview(connection).status.word

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.change_connection")

    @admin.action(description="Test connection", permissions=["operate"])
    def test_connection(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        def verb(connection: Connection) -> str:
            problem = connections.test_stored(connection).problem
            if problem is not None:
                raise problem
            return "The key works."

        self._each(request, queryset, verb)

    @admin.action(description="Sync now", permissions=["operate"])
    def sync_now(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        def verb(connection: Connection) -> str:
            connections.sync_now(connection, actor=_actor(request))
            return "Sync queued."

        self._each(request, queryset, verb)

    @admin.action(description="Disconnect", permissions=["operate"])
    def disconnect(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        def verb(connection: Connection) -> str:
            connections.disconnect(connection, actor=_actor(request))
            return "Disconnected; all imported days stay."

        self._each(request, queryset, verb)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Connection],
        verb: Callable[[Connection], str],
    ) -> None:
        """Do it to each by itself, so that one refusal stops no other."""
        for connection in queryset.select_related("organization"):
            try:
                level, text = messages.SUCCESS, verb(connection)
            except (connections.Refused, ConnectorError, UnreadableSecret) as exc:
                level, text = messages.ERROR, str(exc)
            self.message_user(request, f"{connection.label}: {text}", level)


def _actor(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the admin lets nobody else in
    return request.user


class WindowInline(admin.TabularInline):  # type: ignore[type-arg]
    model = SyncWindow
    extra = 0
    can_delete = False
    fields = ("position", "feed", "start", "end", "state", "attempts", "requests", "rows", "error")
    readonly_fields = fields
    ordering = ("position",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "connection", "kind", "state", "start", "end", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("connection__label", "connection__organization__slug")
    list_select_related = ("connection",)
    ordering = ("-created_at",)
    inlines = (WindowInline,)


@admin.register(SyncWindow)
class SyncWindowAdmin(ReadOnlyAdmin):
    list_display = ("run", "feed", "start", "end", "state", "attempts", "requests", "rows", "error")
    list_filter = ("state", "feed")
    search_fields = ("run__connection__label", "feed", "error", "request_id")
    list_select_related = ("run__connection",)
    ordering = ("-run__created_at", "position")


@admin.register(FeedDay)
class FeedDayAdmin(ReadOnlyAdmin):
    list_display = ("connection", "feed", "day", "state", "watermark", "rows", "read_at")
    list_filter = ("state", "feed")
    search_fields = ("connection__label", "feed")
    list_select_related = ("connection",)
    exclude = ("content_hash",)
    ordering = ("-day", "connection", "feed")


@admin.register(DayCheck)
class DayCheckAdmin(ReadOnlyAdmin):
    list_display = ("connection", "feed", "day", "measure", "reported", "stored")
    list_filter = ("feed", "measure")
    search_fields = ("connection__label",)
    list_select_related = ("connection",)
    ordering = ("-day", "connection")


@admin.register(Restatement)
class RestatementAdmin(ReadOnlyAdmin):
    list_display = ("at", "connection", "feed", "day", "measure", "old", "new")
    list_filter = ("feed",)
    search_fields = ("connection__label",)
    list_select_related = ("connection",)
    ordering = ("-at",)


@admin.register(Person)
class PersonAdmin(ReadOnlyAdmin):
    list_display = ("external_id", "email", "name", "kind", "state", "connection")
    list_filter = ("kind", "state")
    search_fields = ("external_id", "email", "name", "connection__label")
    list_select_related = ("connection",)
    ordering = ("connection", "email")


@admin.register(Meter)
class MeterAdmin(ReadOnlyAdmin):
    list_display = ("connection", "product", "model", "speed", "cost_type", "token_type")
    list_filter = ("cost_type", "token_type")
    search_fields = ("product", "model", "connection__label")
    list_select_related = ("connection",)
    ordering = ("connection", "product", "model")


class FactAdmin(ReadOnlyAdmin):
    """Millions of rows: no count over all of them, the newest first."""

    show_full_result_count = False
    search_fields: ClassVar[tuple[str, ...]] = (
        "connection__label",
        "meter__product",
        "meter__model",
    )
    ordering = ("-pk",)


@admin.register(CostFact)
class CostFactAdmin(FactAdmin):
    list_display = ("day", "connection", "person", "meter", "amount_usd", "list_amount_usd")
    search_fields: ClassVar[tuple[str, ...]] = (
        *FactAdmin.search_fields,
        "person__email",
        "person__external_id",
    )
    list_select_related = ("connection", "person", "meter")


@admin.register(CostTotal)
class CostTotalAdmin(FactAdmin):
    list_display = ("day", "connection", "meter", "amount_usd", "list_amount_usd")
    list_select_related = ("connection", "meter")


@admin.register(UsageFact)
class UsageFactAdmin(FactAdmin):
    list_display = ("day", "connection", "person", "meter", "requests", "output_tokens")
    search_fields: ClassVar[tuple[str, ...]] = (
        *FactAdmin.search_fields,
        "person__email",
        "person__external_id",
    )
    list_select_related = ("connection", "person", "meter")


@admin.register(UsageTotal)
class UsageTotalAdmin(FactAdmin):
    list_display = ("day", "connection", "meter", "requests", "output_tokens")
    list_select_related = ("connection", "meter")


@admin.register(EngagementFact)
class EngagementFactAdmin(FactAdmin):
    list_display = ("day", "connection", "feed", "subject", "name", "person")
    list_filter = ("feed",)
    search_fields = ("connection__label", "feed", "subject", "name", "person__email")
    list_select_related = ("connection", "person")
