"""Platform detections in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.decorators import action, display

from backups.engine.detection import Certainty
from credentials.admin import ReadOnlyAdmin
from inventory.scoped import ScopedAdmin
from jobs.models import DetectionState, PlatformDetection
from jobs.services.detection import DetectionNotAccepted, detection_accept

_DETECTION_COLOURS = {
    DetectionState.PENDING.label: "info",
    DetectionState.RUNNING.label: "info",
    DetectionState.DONE.label: "success",
    DetectionState.FAILED.label: "danger",
}
_CERTAINTY_COLOURS = {
    Certainty.CONFIRMED.value: "success",
    Certainty.LIKELY.value: "warning",
    Certainty.UNKNOWN.value: "danger",
}


@admin.register(PlatformDetection)
class PlatformDetectionAdmin(ScopedAdmin, ReadOnlyAdmin):
    list_display = [
        "device",
        "requested_at",
        "coloured_state",
        "coloured_certainty",
        "platform",
        "platform_before",
        "how",
        "error_message",
        "accepted_by",
    ]
    list_filter = ["state", "certainty", "platform"]
    list_select_related = ["device"]
    search_fields = ["device__hostname", "platform"]
    actions = ["use_platform"]
    fields = [
        "device",
        "state",
        "certainty",
        "platform",
        "platform_before",
        "how",
        "said",
        "error_category",
        "error_message",
        "requested_by",
        "requested_at",
        "started_at",
        "finished_at",
        "accepted_by",
        "accepted_at",
    ]
    readonly_fields = ["how", "said"]

    @display(description="State", label=_DETECTION_COLOURS, ordering="state")
    def coloured_state(self, detection: PlatformDetection) -> str:
        return DetectionState(detection.state).label

    @display(description="Certainty", label=_CERTAINTY_COLOURS, ordering="certainty")
    def coloured_certainty(self, detection: PlatformDetection) -> str:
        return detection.certainty

    @admin.display(description="Evidence")
    def how(self, detection: PlatformDetection) -> str:
        return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in detection.evidence))

    @admin.display(description="What the device says")
    def said(self, detection: PlatformDetection) -> str:
        return ", ".join(f"{fact}: {value}" for fact, value in detection.facts.items())

    def has_use_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("inventory.change_device")

    @action(description="Use the detected platform", permissions=["use"])
    def use_platform(self, request: HttpRequest, queryset: QuerySet[PlatformDetection]) -> None:
        """Give each device the platform that was found, the oldest detection first."""
        for detection in queryset.order_by("pk"):
            try:
                detection_accept(detection=detection, accepted_by=request.user.get_username())
            except DetectionNotAccepted as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            self.message_user(request, f"{detection.device}: {detection.platform}.")
