"""API tokens in the admin: to look at and to revoke."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from credentials.scoped import WholeAdmin
from netraven_site.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(WholeAdmin, ModelAdmin):
    """Programs get theirs over the API; deleting one revokes it."""

    list_display = ["name", "token_key", "user", "created", "expiry"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    fields = ["name", "token_key", "user", "created", "expiry"]

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
