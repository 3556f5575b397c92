"""Stored revisions in the admin: to look at, not to edit."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from backups.diffs import unified_diff
from backups.engine.errors import DeviceError
from backups.models import Archive, ArchiveReading, Snapshot
from backups.selectors import SnapshotNotFound, snapshot_before, snapshot_text


class ReadOnlyAdmin(ModelAdmin):
    """Rows that NetRaven writes and people read."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = [
        "device",
        "collected_at",
        "short_commit",
        "lines_added",
        "lines_removed",
        "size_bytes",
        "job_name",
        "state",
    ]
    list_filter = ["state", "job_name", "collected_at"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "commit"]
    fields = [
        "device",
        "collected_at",
        "commit",
        "path",
        "size_bytes",
        "lines_added",
        "lines_removed",
        "job_name",
        "difference",
        "configuration",
    ]
    readonly_fields = ["difference", "configuration"]

    @admin.display(description="Commit")
    def short_commit(self, snapshot: Snapshot) -> str:
        return snapshot.commit[:10]

    @admin.display(description="Configuration (redacted)")
    def configuration(self, snapshot: Snapshot) -> str:
        return _preformatted(lambda: snapshot_text(snapshot=snapshot))

    @admin.display(description="Change (redacted)")
    def difference(self, snapshot: Snapshot) -> str:
        before = snapshot_before(snapshot=snapshot)
        if before is None:
            return "This is the first revision."
        return _preformatted(lambda: unified_diff(old=before, new=snapshot))


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


def _preformatted(text: Callable[[], str]) -> str:
    """``text`` in a block of its own, escaped; a Git store that cannot be read says so."""
    try:
        return format_html('<pre class="netraven-config">{}</pre>', text())
    except DeviceError as error:
        return error.message
    except SnapshotNotFound as error:
        return str(error)
