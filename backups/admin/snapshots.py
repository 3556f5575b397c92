"""Stored revisions in the admin: to look at, not to edit."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from backups.admin.preformatted import preformatted
from backups.models import Snapshot
from backups.selectors.diffs import unified_diff
from backups.selectors.snapshots import snapshot_before, snapshot_text
from credentials.admin import ReadOnlyAdmin
from inventory.scoped import ScopedAdmin

#: Lines of a diff that a page shows.
_DIFF_LINES = 2_000


@admin.register(Snapshot)
class SnapshotAdmin(ScopedAdmin, ReadOnlyAdmin):
    list_display = [
        "device",
        "collected_at",
        "short_commit",
        "lines_added",
        "lines_removed",
        "size_bytes",
        "job_name",
        "changed_by",
        "read_count",
        "state",
    ]
    list_filter = ["state", "collected_at"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "commit", "job_name", "changed_by"]
    fields = [
        "device",
        "collected_at",
        "commit",
        "path",
        "size_bytes",
        "lines_added",
        "lines_removed",
        "run_id",
        "job_name",
        "changed_by",
        "changed_at_text",
        "imported_from",
        "read_count",
        "last_read_at",
        "difference",
        "configuration",
    ]
    readonly_fields = ["difference", "configuration"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Snapshot]:
        """Rows of the list without the texts that wait for Git, each with its device."""
        snapshots: QuerySet[Snapshot] = super().get_queryset(request)
        return snapshots.select_related("device").defer("pending_text")

    @admin.display(description="Commit")
    def short_commit(self, snapshot: Snapshot) -> str:
        return snapshot.commit[:10]

    @admin.display(description="Configuration (redacted)")
    def configuration(self, snapshot: Snapshot) -> str:
        return preformatted(lambda: snapshot_text(snapshot=snapshot))

    @admin.display(description="Change (redacted)")
    def difference(self, snapshot: Snapshot) -> str:
        before = snapshot_before(snapshot=snapshot)
        if before is None:
            return "This is the first revision."
        return preformatted(lambda: _shown(unified_diff(old=before, new=snapshot)))


def _shown(diff: str) -> str:
    if not diff:
        return "Nothing but lines that change by themselves."
    lines = diff.splitlines(keepends=True)
    if len(lines) <= _DIFF_LINES:
        return diff
    hidden = len(lines) - _DIFF_LINES
    return "".join(lines[:_DIFF_LINES]) + f"… and {hidden} more lines; 'config diff' shows them.\n"
