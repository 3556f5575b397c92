"""Stored revisions in the admin: to look at, not to edit."""

from __future__ import annotations

from django.contrib import admin

from backups.admin.preformatted import preformatted
from backups.models import Snapshot
from backups.selectors.diffs import unified_diff
from backups.selectors.snapshots import snapshot_before, snapshot_text
from credentials.admin import ReadOnlyAdmin


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
        "changed_by",
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
        "changed_by",
        "changed_at_text",
        "difference",
        "configuration",
    ]
    readonly_fields = ["difference", "configuration"]

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
        return preformatted(lambda: unified_diff(old=before, new=snapshot))
