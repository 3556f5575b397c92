"""Git remotes in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display

from backups.models import GitRemote, RemoteState
from backups.selectors.remotes import remote_lag
from backups.services.remotes import remote_save, remotes_mark_due
from credentials.scoped import WholeAdmin
from inventory.admin import HostKeyOwnerAdmin

_COLOURS = {
    RemoteState.NEVER.label: "info",
    RemoteState.OK.label: "success",
    RemoteState.FAILED.label: "warning",
    RemoteState.DIVERGED.label: "danger",
}


@admin.register(GitRemote)
class GitRemoteAdmin(WholeAdmin, HostKeyOwnerAdmin[GitRemote]):
    list_display = ["name", "url", "zone", "is_enabled", "coloured_state", "pushed_at", "error"]
    list_filter = ["state", "zone"]
    list_select_related = ["zone"]
    search_fields = ["name", "url"]
    autocomplete_fields = ["zone", "credential"]
    actions = ["push_now", *HostKeyOwnerAdmin.actions]
    fields = [
        "name",
        "url",
        "zone",
        "credential",
        "is_enabled",
        "state",
        "error",
        "behind",
        "pushed_at",
        "pushed_commit",
        "attempted_at",
        "failures",
        "next_attempt_at",
        "known_key",
        "new_key",
    ]
    readonly_fields: ClassVar[Any] = fields[5:]

    @display(description="State", label=_COLOURS, ordering="state")
    def coloured_state(self, remote: GitRemote) -> str:
        return RemoteState(remote.state).label

    @admin.display(description="Not pushed yet")
    def behind(self, remote: GitRemote) -> str:
        lag = remote_lag(remote=remote)
        if lag.seconds is None:
            return "nothing"
        return f"{lag.snapshots} snapshots, the oldest of {lag.seconds / 60:.0f} minutes ago"

    def save_model(self, request: HttpRequest, obj: GitRemote, form: Any, change: bool) -> None:
        remote_save(remote=obj)

    @action(description="Push now", permissions=["change"])
    def push_now(self, request: HttpRequest, queryset: QuerySet[GitRemote]) -> None:
        """Have each pushed to as soon as a worker is free."""
        number = remotes_mark_due(remotes=queryset)
        if number < len(queryset):
            self.message_user(request, "Disabled remotes are left out.", messages.WARNING)
        self.message_user(request, f"{number} remotes are pushed to within seconds.")
