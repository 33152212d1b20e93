"""Show connections, syncs and facts to operators, with the operations of the pages."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters

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
    ExpertInquiry,
    FeedDay,
    Meter,
    Notice,
    Person,
    Resource,
    ResourceVersion,
    Restatement,
    SyncRun,
    SyncWindow,
    UsageFact,
    UsageTotal,
)
from integrations.status.connections import ConnectionStatus, read_statuses, status_of


class ConnectionList(ChangeList):
    """One page of connections with their status words, for which all are asked at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        for status in read_statuses(self.result_list):
            status.connection.shown = status  # type: ignore[attr-defined]


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    """Made and changed on the pages alone, because a key has to pass its test first."""

    list_display = ("label", "organization", "provider", "status", "key_ends", "next_sync_at")
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
    change_form_template = "admin/integrations/connection/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        # The ciphertext stays in the database: an unreadable one must not break the list.
        connections: QuerySet[Connection] = super().get_queryset(request).defer("credential")
        return connections

    @admin.display(description="provider")
    def provider(self, connection: Connection) -> str:
        return connection.connector.name

    @admin.display(description="key")
    def key_ends(self, connection: Connection) -> str:
        return f"…{connection.key_hint}" if connection.key_hint else "–"

    @admin.display(description="status")
    def status(self, connection: Connection) -> str:
        """Return the state in the words of the pages."""
        shown: ConnectionStatus = getattr(connection, "shown", None) or status_of(connection)
        return shown.status.word

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConnectionList

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.change_connection")

    def get_urls(self) -> list[URLPattern]:
        """Add a POST button for each operation to the page of a connection."""
        view = self.admin_site.admin_view(self.operate)
        own = [
            path("<int:pk>/operate/<slug:operation>/", view, name="integrations_connection_operate")
        ]
        return [*own, *super().get_urls()]

    @method_decorator(sensitive_post_parameters("typed"))
    def operate(self, request: HttpRequest, pk: int, operation: str) -> HttpResponse:
        """Run one operation on one connection, then show its page again."""
        if operation not in _OPERATIONS:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        connection = get_object_or_404(Connection.objects.select_related("organization"), pk=pk)
        self._do(request, operation, [connection], request.POST.get("typed", ""))
        return redirect("admin:integrations_connection_change", pk)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        operations = _OPERATIONS if self.has_operate_permission(request) else {}
        context = {**(extra_context or {}), "operations": operations.items()}
        return super().change_view(request, object_id, form_url, context)

    @admin.action(description="Test connection", permissions=["operate"])
    def test_connection(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        self._do(request, "test", queryset.select_related("organization"))

    @admin.action(description="Sync now", permissions=["operate"])
    def sync_now(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        self._do(request, "sync", queryset.select_related("organization"))

    @admin.action(description="Disconnect", permissions=["operate"])
    def disconnect(self, request: HttpRequest, queryset: QuerySet[Connection]) -> None:
        self._do(request, "disconnect", queryset.select_related("organization"))

    def _do(
        self, request: HttpRequest, operation: str, chosen: Iterable[Connection], typed: str = ""
    ) -> None:
        """Do it to each by itself, so that one refusal stops no other."""
        for connection in chosen:
            try:
                text = _OPERATIONS[operation].act(connection, _actor(request), typed)
                level = messages.SUCCESS
            except (connections.OperationError, ConnectorError, UnreadableSecret) as exc:
                level, text = messages.ERROR, str(exc)
            self.message_user(request, f"Connection {connection.label}: {text}", level)


@dataclass(frozen=True)
class Operation:
    """Operation of an operator on a connection. `act` returns a message or raises.

    `asks` is the label of a required input, hidden while typed if it is a secret. `says` describes
    an operation without input.
    """

    label: str
    act: Callable[[Connection, User, str], str]
    says: str = ""
    asks: str = ""
    is_secret: bool = False


def _test(connection: Connection, actor: User, typed: str) -> str:
    problem = connections.test_stored(connection).problem
    if problem is not None:
        raise problem
    return "The key works."


def _sync(connection: Connection, actor: User, typed: str) -> str:
    connections.sync_now(connection, actor=actor)
    return "Sync queued."


def _import(connection: Connection, actor: User, typed: str) -> str:
    run = connections.backfill(connection, actor=actor)
    return f"Import of everything since {run.start} queued."


def _rename(connection: Connection, actor: User, typed: str) -> str:
    old = connection.label
    connections.rename(connection, actor=actor, label=typed)
    return (
        f"It was called {old}. Saved reports are updated; links with the old label no longer match."
    )


def _replace_key(connection: Connection, actor: User, typed: str) -> str:
    problem = connections.replace_key(connection, actor=actor, key=typed).problem
    if problem is not None:
        raise problem
    return "The new key is stored. Syncing resumes where it stopped."


def _disconnect(connection: Connection, actor: User, typed: str) -> str:
    connections.disconnect(connection, actor=actor)
    return "Disconnected; all imported days stay."


def _archive(connection: Connection, actor: User, typed: str) -> str:
    _confirm(connection, typed)
    connections.delete(connection, actor=actor, keep_history=True)
    return "Deleted; its days stay in reports."


def _delete(connection: Connection, actor: User, typed: str) -> str:
    _confirm(connection, typed)
    connections.delete(connection, actor=actor)
    return "Its days are being erased."


def _confirm(connection: Connection, typed: str) -> None:
    if typed.strip() != connection.label:
        raise connections.OperationError(
            f"Nothing is deleted. Type {connection.label} to confirm it."
        )


_OPERATIONS = {
    "test": Operation("Test connection", _test, "Asks the provider with the stored key."),
    "sync": Operation("Sync now", _sync, "Reads the days that can still change."),
    "import": Operation("Import everything", _import, "Imports everything the provider still has."),
    "rename": Operation("Rename", _rename, asks="New label"),
    "replace-key": Operation("Replace key", _replace_key, asks="New key", is_secret=True),
    "disconnect": Operation(
        "Disconnect", _disconnect, "Stops syncing and erases the key; imported data stays."
    ),
    "archive": Operation("Delete, keep the history", _archive, asks="Its label, to confirm"),
    "erase": Operation("Delete and erase the history", _delete, asks="Its label, to confirm"),
}


def _actor(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - only users reach the admin
    return request.user


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "connection", "kind", "state", "start", "end", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("connection__label", "connection__organization__slug")
    list_select_related = ("connection",)
    ordering = ("-created_at",)
    readonly_fields = ("parts",)

    @admin.display(description="parts")
    def parts(self, run: SyncRun) -> SafeString:
        """Return the number of parts in each state with links: an import has a thousand."""
        states = Counter(run.windows.values_list("state", flat=True))
        counts = [f"{states[state]:,} {state.label.lower()}" for state in SyncWindow.State]
        return format_html(
            '<a href="{}?run__id__exact={}">{} parts</a>: {}',
            reverse("admin:integrations_syncwindow_changelist"),
            run.pk,
            f"{states.total():,}",
            ", ".join(count for count in counts if not count.startswith("0 ")) or "–",
        )


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


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "organization", "kind", "text", "settled_at")
    list_filter = ("kind",)
    search_fields = ("text", "organization__slug", "connection__label")
    list_select_related = ("organization",)
    exclude = ("dismissed_by",)
    ordering = ("-created_at",)


@admin.register(ExpertInquiry)
class ExpertInquiryAdmin(ReadOnlyAdmin):
    list_display = ("asked_at", "organization", "connector_slug", "label", "state", "asked_by")
    list_filter = ("state", "connector_slug")
    search_fields = ("question", "label", "organization__slug", "asked_by__email")
    list_select_related = ("organization", "asked_by")
    ordering = ("-asked_at",)


@admin.register(Person)
class PersonAdmin(ReadOnlyAdmin):
    list_display = ("external_id", "email", "name", "kind", "state", "role", "connection")
    list_filter = ("kind", "state")
    search_fields = ("external_id", "email", "name", "connection__label")
    list_select_related = ("connection",)
    ordering = ("connection", "email")


@admin.register(Resource)
class ResourceAdmin(ReadOnlyAdmin):
    list_display = ("external_id", "name", "kind", "state", "connection")
    list_filter = ("kind", "state")
    search_fields = ("external_id", "name", "connection__label")
    list_select_related = ("connection",)
    ordering = ("connection", "kind", "name")


@admin.register(ResourceVersion)
class ResourceVersionAdmin(ReadOnlyAdmin):
    list_display = ("resource", "since", "attributes")
    search_fields = ("resource__external_id", "resource__name")
    list_select_related = ("resource",)
    ordering = ("resource", "-since")


@admin.register(Meter)
class MeterAdmin(ReadOnlyAdmin):
    list_display = ("connection", "product", "model", "cost_type", "token_type", "attributes")
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
    list_display = ("day", "connection", "person", "meter", "effective_cost", "list_cost")
    search_fields: ClassVar[tuple[str, ...]] = (
        *FactAdmin.search_fields,
        "person__email",
        "person__external_id",
    )
    list_select_related = ("connection", "person", "meter")


@admin.register(CostTotal)
class CostTotalAdmin(FactAdmin):
    list_display = ("day", "connection", "meter", "effective_cost", "list_cost")
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
