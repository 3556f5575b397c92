"""Jobs, runs, results and logs in the admin."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from backups.admin import ReadOnlyAdmin
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import JobDisabled, request_run
from jobs.models import ConnectionLog, DeviceResult, Job, JobLog, JobRun
from jobs.schedules import job_delete, schedule_sync

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
