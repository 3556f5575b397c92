"""Jobs, runs, results and logs in the admin."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from backups.engine.detection import Certainty
from credentials.admin import ReadOnlyAdmin
from inventory.admin import DeviceAdmin
from inventory.models import Device
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import JobDisabled, request_detection, request_run
from jobs.models import (
    ConnectionLog,
    DetectionState,
    DeviceResult,
    Job,
    JobLog,
    JobRun,
    PlatformDetection,
)
from jobs.schedules import job_delete, schedule_sync
from jobs.services.detection import DetectionNotAccepted, detection_accept

_RUN_COLOURS = {
    RunStatus.PENDING.value: "info",
    RunStatus.RUNNING.value: "info",
    RunStatus.COMPLETED_SUCCESS.value: "success",
    RunStatus.COMPLETED_PARTIAL_FAILURE.value: "warning",
    RunStatus.COMPLETED_NO_DEVICES.value: "warning",
    RunStatus.COMPLETED_NO_CREDENTIALS.value: "danger",
    RunStatus.COMPLETED_FAILURE.value: "danger",
    RunStatus.FAILED_CREDENTIAL_RESOLUTION.value: "danger",
    RunStatus.FAILED_DISPATCHER_ERROR.value: "danger",
    RunStatus.FAILED_UNEXPECTED.value: "danger",
}
_RESULT_COLOURS = {
    ResultStatus.PENDING.value: "info",
    ResultStatus.RUNNING.value: "info",
    ResultStatus.RETRYING.value: "warning",
    ResultStatus.SUCCEEDED.value: "success",
    ResultStatus.FAILED.value: "danger",
    ResultStatus.ERRORED.value: "danger",
    ResultStatus.SUSPECT.value: "warning",
    ResultStatus.SKIPPED.value: "warning",
}
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

admin.site.unregister(Device)


@admin.register(Device)
class DetectableDeviceAdmin(DeviceAdmin):
    """Devices, with what needs a worker."""

    actions = [*DeviceAdmin.actions, "detect_platform"]

    @action(description="Detect the platform", permissions=["change"])
    def detect_platform(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        """Ask for it; what is found waits among the platform detections."""
        devices = list(queryset)
        for device in devices:
            request_detection(device=device, requested_by=cast("User", request.user))
        text = 'Workers ask {} devices what they are. <a href="{}">See what they find</a>'
        found = reverse("admin:jobs_platformdetection_changelist")
        self.message_user(request, format_html(text, len(devices), found))


@admin.register(PlatformDetection)
class PlatformDetectionAdmin(ReadOnlyAdmin):
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


@admin.register(Job)
class JobAdmin(ModelAdmin[Job]):
    list_display = ["name", "tag_names", "schedule_type", "is_enabled"]
    list_filter = ["is_enabled", "schedule_type", "tags"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["tags"]
    actions = ["run_now"]
    fieldsets = [
        (None, {"fields": ["name", "description", "is_enabled", "tags"]}),
        (
            "Schedule",
            {"fields": ["schedule_type", "interval_seconds", "cron", "time_zone", "run_at"]},
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return super().get_queryset(request).prefetch_related("tags")

    @admin.display(description="Tags")
    def tag_names(self, job: Job) -> str:
        return ", ".join(tag.name for tag in job.tags.all())

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        schedule_sync(job=obj)

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        job_delete(job=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            job_delete(job=job)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.run_job")

    @action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            try:
                run = request_run(
                    job=job, trigger=Trigger.MANUAL, requested_by=cast("User", request.user)
                )
            except JobDisabled as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            self.message_user(request, f"Run {run.pk} of {job.name}: {run.total_count} devices.")


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "job_name",
        "coloured_status",
        "trigger",
        "created_at",
        "duration",
        "total_count",
        "succeeded_count",
        "failed_count",
        "errored_count",
        "suspect_count",
        "skipped_count",
    ]
    list_display_links = ["id", "job_name"]
    list_filter = ["status", "trigger", "job"]
    search_fields = ["job_name"]

    @display(description="Status", label=_RUN_COLOURS, ordering="status")
    def coloured_status(self, run: JobRun) -> str:
        return run.status

    @admin.display(description="Seconds")
    def duration(self, run: JobRun) -> str:
        return "" if run.duration_seconds is None else f"{run.duration_seconds:.1f}"


@admin.register(DeviceResult)
class DeviceResultAdmin(ReadOnlyAdmin):
    list_display = [
        "hostname",
        "run",
        "coloured_status",
        "change",
        "attempts",
        "error_category",
        "error_message",
        "seconds",
    ]
    list_filter = ["status", "error_category", "config_changed"]
    list_select_related = ["run"]
    search_fields = ["hostname", "error_message"]

    @display(description="Status", label=_RESULT_COLOURS, ordering="status")
    def coloured_status(self, result: DeviceResult) -> str:
        return result.status

    @display(description="Configuration", label={"changed": "info"})
    def change(self, result: DeviceResult) -> str:
        return {True: "changed", False: "unchanged", None: ""}[result.config_changed]

    @admin.display(description="Seconds", ordering="duration_seconds")
    def seconds(self, result: DeviceResult) -> str:
        return "" if result.duration_seconds is None else f"{result.duration_seconds:.1f}"


class LogAdmin(ReadOnlyAdmin):
    """Both kinds of log."""

    list_display = ["created_at", "level", "run", "device", "message"]
    list_filter = ["level"]
    list_select_related = ["run", "device"]
    search_fields = ["message", "device__hostname"]

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-id"]


_LOGS: list[type[Model]] = [JobLog, ConnectionLog]
admin.site.register(_LOGS, LogAdmin)
