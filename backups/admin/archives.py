"""Raw copies and their readings in the admin: what there is, never what is in it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from backups.models import Archive, ArchiveReading
from credentials.admin import ReadOnlyAdmin


@admin.register(Archive)
class ArchiveAdmin(ReadOnlyAdmin):
    list_display = ["device", "collected_at", "size_bytes", "key_id", "snapshot"]
    list_select_related = ["device", "snapshot__device"]
    search_fields = ["device__hostname"]
    fields = ["device", "snapshot", "collected_at", "size_bytes", "media_type", "key_id", "run_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Archive]:
        queryset: QuerySet[Archive] = super().get_queryset(request)
        return queryset.defer("sealed")  # megabytes that no page shows


@admin.register(ArchiveReading)
class ArchiveReadingAdmin(ReadOnlyAdmin):
    list_display = ["read_at", "reader", "archive", "reason"]
    list_select_related = ["archive__device"]
    search_fields = ["reader", "reason"]
