"""Outputs that were not trusted in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display

from backups.admin.preformatted import preformatted
from backups.engine.errors import DeviceError
from backups.models import Suspect, SuspectState
from backups.services.suspects import (
    SuspectNotAccepted,
    suspect_accept,
    suspect_dismiss,
    suspect_text,
)
from credentials.admin import ReadOnlyAdmin
from credentials.cipher import CipherError
from inventory.scoped import ScopedAdmin

_SUSPECT_COLOURS = {
    SuspectState.OPEN.label: "warning",
    SuspectState.ACCEPTED.label: "success",
    SuspectState.OVERTAKEN.label: "info",
    SuspectState.DISMISSED.label: "info",
}


@admin.register(Suspect)
class SuspectAdmin(ScopedAdmin, ReadOnlyAdmin):
    list_display = ["device", "collected_at", "coloured_state", "why", "run_id", "accepted_by"]
    list_filter = ["state", "collected_at"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "accepted_by", "dismissed_by"]
    actions = ["accept", "dismiss"]
    fields = [
        "device",
        "collected_at",
        "state",
        "why",
        "run_id",
        "accepted_by",
        "dismissed_by",
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
        return preformatted(lambda: suspect_text(suspect=suspect).text)

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

    @action(description="Dismiss", permissions=["accept"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Suspect]) -> None:
        """Close each without storing it."""
        for suspect in queryset:
            try:
                suspect_dismiss(suspect=suspect, dismissed_by=request.user.get_username())
            except SuspectNotAccepted as error:
                self.message_user(request, f"{suspect}: {error}", messages.WARNING)
                continue
            self.message_user(request, f"{suspect}: dismissed.")
