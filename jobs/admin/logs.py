"""The logs of runs in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from credentials.admin import ReadOnlyAdmin
from inventory.scoped import ScopedAdmin
from jobs.models import ConnectionLog, JobLog


class LogAdmin(ScopedAdmin, ReadOnlyAdmin):
    """Both kinds of log."""

    list_display = ["created_at", "level", "run", "device", "message"]
    list_filter = ["level", "created_at"]
    list_select_related = ["run", "device"]
    search_fields = ["message", "device__hostname"]

    def get_ordering(self, request: HttpRequest) -> Any:
        return ["-id"]


_LOGS: list[type[Model]] = [JobLog, ConnectionLog]
admin.site.register(_LOGS, LogAdmin)
