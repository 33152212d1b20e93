"""Django admin pages for users, organizations, memberships and mail."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as UserPermission
from django.db import transaction
from django.db.models import ManyToManyField, Q, QuerySet
from django.forms import ModelForm, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts import audit, members
from accounts.models import (
    AuditEvent,
    Delivery,
    EmailChange,
    Invitation,
    Membership,
    Organization,
    User,
)
from accounts.permissions import Role

_MOST_SEARCH_WORDS = 10
_MOST_SEARCH_LETTERS = 500


class BoundedSearchMixin:
    """Search for the first ten words only.

    Each word becomes a condition on each field, and 2,000 words make a query too deep for Python.
    """

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        words = search_term[:_MOST_SEARCH_LETTERS].split()
        if len(words) > _MOST_SEARCH_WORDS or len(search_term) > _MOST_SEARCH_LETTERS:
            messages.warning(request, f"Only the first {_MOST_SEARCH_WORDS} words were searched.")
        term = " ".join(words[:_MOST_SEARCH_WORDS])
        return super().get_search_results(request, queryset, term)  # type: ignore[misc,no-any-return]


class ReadOnlyAdmin(BoundedSearchMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Admin of rows that operators can view but not write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EnsureAdminMixin(BoundedSearchMixin):
    """Refuse a save, deletion or action that removes the last active Admin of an organization."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return _keeping_an_admin(super().changeform_view, request, *args, **kwargs)  # type: ignore[misc]

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return _keeping_an_admin(super().changelist_view, request, *args, **kwargs)  # type: ignore[misc]

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return _keeping_an_admin(super().delete_view, request, *args, **kwargs)  # type: ignore[misc]


def _keeping_an_admin(
    view: Callable[..., HttpResponse], request: HttpRequest, *args: Any, **kwargs: Any
) -> HttpResponse:
    if request.method != "POST":
        return view(request, *args, **kwargs)
    try:
        with members.ensure_admin_remains(Organization.objects.all()):
            return view(request, *args, **kwargs)
    except members.MemberError as refused:
        messages.error(request, f"{refused} {refused.repair}".strip())
        return redirect(request.get_full_path())


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    """Members of an organization, read-only: their own page writes the audit log."""

    model = Membership
    extra = 0
    fields = readonly_fields = ("user", "role", "is_active", "created_at")
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UserCreationForm(BaseUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class UserAdmin(EnsureAdminMixin, DjangoUserAdmin):  # type: ignore[type-arg]
    """User accounts. Only superusers change operators' accounts or make someone an operator."""

    add_form = UserCreationForm
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2")}),)
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    list_display = ("email", "name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)
    readonly_fields = ("last_login", "date_joined")

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        super().save_model(request, obj, form, change)
        if not change:
            return
        everywhere, known_as = obj.memberships.all(), form.initial["email"]
        for name in ("email", "name"):
            if name in form.changed_data:
                change_text = f"{form.initial[name] or '–'} → {getattr(obj, name) or '–'}"
                _record(
                    request, everywhere, f"member.{name}_changed", known_as, **{name: change_text}
                )
        if "is_active" in form.changed_data:
            state = "on" if obj.is_active else "off"
            _record(request, everywhere, f"member.account_switched_{state}")

    @transaction.atomic
    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        user = self.get_object(request, unquote(id))
        response: HttpResponse = super().user_change_password(request, id, form_url)
        if user and user.password != User.objects.values_list("password").get(pk=user.pk)[0]:
            _record(request, user.memberships.all(), "member.password_changed")
        return response

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        powers = () if _is_superuser(request) else ("is_staff", "is_superuser", "groups")
        return (*self.readonly_fields, *powers)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _can_edit(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _can_edit(request, obj)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        _record(request, obj.memberships.all(), "member.removed")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        _record(request, Membership.objects.filter(user__in=queryset), "member.removed")
        super().delete_queryset(request, queryset)


@admin.register(Organization)
class OrganizationAdmin(BoundedSearchMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "slug", "created_at")
    search_fields = ("name", "slug")
    readonly_fields = ("created_at",)
    inlines = (MembershipInline,)

    def save_model(
        self,
        request: HttpRequest,
        obj: Organization,
        form: ModelForm,  # type: ignore[type-arg]
        change: bool,
    ) -> None:
        super().save_model(request, obj, form, change)
        action = "organization.changed" if change else "organization.created"
        changes = {
            name: f"{form.initial[name]} → {getattr(obj, name)}"
            for name in form.changed_data
            if change
        }
        audit.record(obj, cast(User, request.user), action, obj.slug, **changes)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(BoundedSearchMixin, DjangoGroupAdmin):
    """Groups. Operators grant only permissions they have and cannot change groups with more."""

    def formfield_for_manytomany(
        self,
        db_field: "ManyToManyField[Any, Any]",
        request: HttpRequest | None = None,
        **kwargs: Any,
    ) -> "ModelMultipleChoiceField[Any] | None":
        if db_field.name == "permissions" and request and not _is_superuser(request):
            kwargs["queryset"] = UserPermission.objects.filter(pk__in=_permissions_of(request))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and _has_all_of(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _has_all_of(request, obj)


def _permissions_of(request: HttpRequest) -> set[int]:
    user = cast(User, request.user)
    every = Q(user=user) | Q(group__user=user)
    return set(UserPermission.objects.filter(every).values_list("pk", flat=True))


def _has_all_of(request: HttpRequest, group: Group | None) -> bool:
    if group is None or _is_superuser(request):
        return True
    return set(group.permissions.values_list("pk", flat=True)) <= _permissions_of(request)


@admin.register(Membership)
class MembershipAdmin(EnsureAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "organization", "role", "is_active", "created_at")
    list_filter = ("role", "is_active")
    search_fields = ("user__email", "user__name", "organization__name", "organization__slug")
    autocomplete_fields = ("user", "organization")
    list_select_related = ("user", "organization")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("user", "organization") if obj else ()

    def save_model(
        self,
        request: HttpRequest,
        obj: Membership,
        form: ModelForm,  # type: ignore[type-arg]
        change: bool,
    ) -> None:
        """Save through `accounts.members`, so that the audit log matches the members page."""
        actor = cast(User, request.user)
        if not change:
            members.check_grant(obj.organization, Role(obj.role), actor=actor)
            super().save_model(request, obj, form, change)
            _record(request, Membership.objects.filter(pk=obj.pk), "member.added")
            return
        if "role" in form.changed_data:
            members.change_role(obj, Role(obj.role), actor=actor)
        (members.reactivate if obj.is_active else members.deactivate)(obj, actor=actor)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        members.remove(obj, actor=cast(User, request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        for membership in queryset:
            members.remove(membership, actor=cast(User, request.user))


def _record(
    request: HttpRequest,
    memberships: QuerySet[Membership],
    action: str,
    known_as: str = "",
    **details: str,
) -> None:
    """Record an action on a member in the audit log of each organization.

    Without `details` the entry holds the role.
    """
    for membership in memberships.select_related("organization", "user"):
        audit.record(
            membership.organization,
            cast(User, request.user),
            action,
            known_as or str(membership.user.email),
            **(details or {"role": membership.get_role_display()}),
        )


def _is_superuser(request: HttpRequest) -> bool:
    return bool(cast(User, request.user).is_superuser)


def _can_edit(request: HttpRequest, user: User | None) -> bool:
    return user is None or _is_superuser(request) or not (user.is_staff or user.is_superuser)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Open invitations. No admin page shows the link."""

    list_display = ("email", "organization", "role", "invited_by", "created_at", "expires_at")
    search_fields = ("email", "organization__slug")
    list_select_related = ("organization", "invited_by")


@admin.register(EmailChange)
class EmailChangeAdmin(ReadOnlyAdmin):
    """Pending email changes. No admin page shows the link."""

    list_display = ("user", "email", "expires_at")
    search_fields = ("user__email", "user__name", "email")
    list_select_related = ("user",)
    ordering = ("-expires_at",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Mails that wait or failed. Their texts are hidden because some are private reports."""

    list_display = ("created_at", "to", "writer", "state", "attempts", "error")
    list_filter = ("state",)
    search_fields = ("to",)
    fields = ("created_at", "to", "writer", "state", "attempts", "not_before", "error")
    ordering = ("-created_at",)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "organization", "actor_name", "verb", "target")
    list_filter = ("verb",)
    search_fields = ("actor_name", "target", "organization__slug")
    list_select_related = ("organization",)
    date_hierarchy = "at"
    ordering = ("-at",)
