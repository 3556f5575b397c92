"""Stored revisions in the admin: to look at, not to edit."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.decorators import action, display

from backups.diffs import unified_diff
from backups.engine.errors import DeviceError
from backups.models import Archive, ArchiveReading, Snapshot, Suspect, SuspectState
from backups.selectors import SnapshotNotFound, snapshot_before, snapshot_text
from backups.services import SuspectNotAccepted, suspect_accept, suspect_text
from credentials.admin import ReadOnlyAdmin
from credentials.cipher import CipherError

_SUSPECT_COLOURS = {
    SuspectState.OPEN.label: "warning",
    SuspectState.ACCEPTED.label: "success",
    SuspectState.OVERTAKEN.label: "info",
}


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


@admin.register(Suspect)
class SuspectAdmin(ReadOnlyAdmin):
    list_display = ["device", "collected_at", "coloured_state", "why", "run_id", "accepted_by"]
    list_filter = ["state", "collected_at"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "accepted_by"]
    actions = ["accept"]
    fields = [
        "device",
        "collected_at",
        "state",
        "why",
        "run_id",
        "accepted_by",
        "decided_at",
        "snapshot",
        "configuration",
    ]
    readonly_fields = ["why", "configuration"]

    @display(description="State", label=_SUSPECT_COLOURS, ordering="state")
    def coloured_state(self, suspect: Suspect) -> str:
        return SuspectState(suspect.state).label

    @admin.display(description="Why it is not trusted")
    def why(self, suspect: Suspect) -> str:
        return " ".join(suspect.reasons)

    @admin.display(description="Configuration (redacted)")
    def configuration(self, suspect: Suspect) -> str:
        return _preformatted(lambda: suspect_text(suspect=suspect).text)

    def has_accept_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("backups.accept_suspect")

    @action(description="Accept as it is", permissions=["accept"])
    def accept(self, request: HttpRequest, queryset: QuerySet[Suspect]) -> None:
        """Store each as if it had been trusted, the oldest first."""
        for suspect in queryset.order_by("pk"):
            try:
                suspect_accept(suspect=suspect, accepted_by=request.user.get_username())
            except (SuspectNotAccepted, CipherError, DeviceError) as error:
                self.message_user(request, f"{suspect}: {error}", messages.WARNING)
                continue
            self.message_user(request, f"{suspect}: accepted.")


@admin.register(ArchiveReading)
class ArchiveReadingAdmin(ReadOnlyAdmin):
    list_display = ["read_at", "reader", "archive", "reason"]
    list_select_related = ["archive__device"]
    search_fields = ["reader", "reason"]


def _preformatted(text: Callable[[], str]) -> str:
    """``text`` in a block of its own, escaped; a text that cannot be read says why."""
    try:
        return format_html('<pre class="netraven-config">{}</pre>', text())
    except (DeviceError, CipherError, SnapshotNotFound, SuspectNotAccepted) as error:
        return str(error)
