"""Django admin page of API tokens: owner and last use, never a secret."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from api import tokens
from api.models import Token


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """API tokens. Members create them on the pages, which show the secret; operators can revoke."""

    list_display = ("name", "membership", "ends", "created_at", "expires_at", "last_used_at")
    list_select_related = ("membership__user", "membership__organization")
    search_fields = ("name", "membership__user__email", "membership__organization__slug")
    ordering = ("-created_at",)

    @admin.display(description="secret")
    def ends(self, token: Token) -> str:
        return f"…{token.hint}"

    def has_delete_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return bool(request.user.has_perm("api.delete_token"))

    def delete_model(self, request: HttpRequest, obj: Token) -> None:
        tokens.revoke(obj, request.user)  # type: ignore[arg-type]  # admin users are signed in

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        for token in queryset.select_related("membership__organization", "membership__user"):
            self.delete_model(request, token)
