"""API tokens and the audit log in the admin: to look at; tokens can be revoked."""

from __future__ import annotations

from typing import Any

from auditlog.models import LogEntry
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from credentials.admin import ReadOnlyAdmin
from credentials.scoped import WholeAdmin
from netraven_site.accounts import admin as accounts_admin
from netraven_site.models import ApiToken

__all__ = ["ApiTokenAdmin", "AuditAdmin", "accounts_admin"]


@admin.register(ApiToken)
class ApiTokenAdmin(WholeAdmin, ModelAdmin):
    """Programs get theirs over the API; deleting one revokes it."""

    list_display = ["name", "token_key", "user", "created", "expiry"]
    list_select_related = ["user"]
    list_filter = ["created", "expiry"]
    search_fields = ["name", "user__username"]
    fields = ["name", "token_key", "user", "created", "expiry"]

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


admin.site.unregister(LogEntry)


@admin.register(LogEntry)
class AuditAdmin(WholeAdmin, ReadOnlyAdmin):
    """Who did what, the newest first."""

    list_display = ["timestamp", "by", "event", "content_type", "object_repr", "remote_addr"]
    list_filter = ["action", "timestamp"]
    list_select_related = ["content_type"]
    search_fields = ["object_repr", "additional_data__by"]
    fields = ["timestamp", "by", "remote_addr", "event", "content_type", "object_repr", "changes"]
    readonly_fields = ["by", "event"]

    @admin.display(description="By")
    def by(self, entry: LogEntry) -> str:
        return str((entry.additional_data or {}).get("by", ""))

    @admin.display(description="Event")
    def event(self, entry: LogEntry) -> str:
        event = (entry.additional_data or {}).get("event")
        return str(event or entry.get_action_display())
