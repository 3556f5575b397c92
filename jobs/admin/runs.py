"""Runs and their devices in the admin."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.views import ChangeList

from credentials.admin import ReadOnlyAdmin
from credentials.scoped import WholeAdmin
from inventory.scoped import ScopedAdmin
from inventory.visibility import is_limited
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.launch import RETRY_REFUSALS, RunHasEnded, request_cancel, request_retry
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.selectors.forecast import predicted_finish
from jobs.selectors.visibility import (
    WHOLE_RUN_COLUMNS,
    as_seen,
    runs_visible_to,
    sees_whole_run,
    shown_column,
)

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
    RunStatus.CANCELLED.value: "warning",
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
    ResultStatus.CANCELLED.value: "warning",
}


class RunList(ChangeList):
    """Runs with the counts of the devices that the user sees, and in the order of those."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> list[str]:
        names = super().get_ordering(request, queryset)
        columns = [(name.lstrip("-"), "-" if name.startswith("-") else "") for name in names]
        return [f"{sign}{shown_column(name=name, user=request.user)}" for name, sign in columns]

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for run in self.result_list:
            as_seen(run)


@admin.register(JobRun)
class JobRunAdmin(ScopedAdmin, ReadOnlyAdmin):
    device_path = None
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
        "cancelled_count",
    ]
    list_display_links = ["id", "job_name"]
    list_filter = ["status", "trigger", "created_at", "job"]
    search_fields = ["job_name"]
    actions = ["cancel", "retry_failed"]
    readonly_fields = ["predicted"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobRun]:
        return runs_visible_to(user=request.user).order_by("-pk")

    def lookup_allowed(self, lookup: str, value: str, request: Any) -> bool:
        """A limited user would tell what is not shown by what is found."""
        if is_limited(user=request.user) and lookup.startswith(WHOLE_RUN_COLUMNS):
            return False
        return super().lookup_allowed(lookup, value, request)

    def get_object(self, request: HttpRequest, object_id: str, *args: Any) -> JobRun | None:
        run = super().get_object(request, object_id, *args)
        return None if run is None else as_seen(run)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunList

    @display(description="Status", label=_RUN_COLOURS, ordering="status")
    def coloured_status(self, run: JobRun) -> str:
        return run.status

    @admin.display(description="Predicted finish")
    def predicted(self, run: JobRun) -> datetime | None:
        return predicted_finish(run=run)

    @admin.display(description="Seconds")
    def duration(self, run: JobRun) -> str:
        return "" if run.duration_seconds is None else f"{run.duration_seconds:.1f}"

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.run_job")

    @action(description="Cancel", permissions=["run"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> None:
        for run in queryset:
            if not sees_whole_run(run=run, user=request.user):
                text = f"Run {run.pk} reads devices that you do not see, and goes on."
                self.message_user(request, text, messages.WARNING)
                continue
            try:
                request_cancel(run=run, cancelled_by=request.user.get_username())
            except RunHasEnded as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            self.message_user(
                request, f"Run {run.pk} is cancelled: {run.cancelled_count} devices were open."
            )

    @action(description="Retry failed devices", permissions=["run"])
    def retry_failed(self, request: HttpRequest, queryset: QuerySet[JobRun]) -> None:
        for run in queryset.select_related("job"):
            try:
                retry = request_retry(
                    run=run, trigger=Trigger.RETRY, requested_by=cast("User", request.user)
                )
            except RETRY_REFUSALS as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            self.message_user(
                request, f"Run {retry.pk} tries {retry.total_count} devices of run {run.pk} again."
            )


@admin.register(DeviceResult)
class DeviceResultAdmin(ScopedAdmin, ReadOnlyAdmin):
    list_display = [
        "hostname",
        "run",
        "coloured_status",
        "change",
        "attempts",
        "error_category",
        "error_message",
        "waits_for",
        "seconds",
    ]
    list_filter = ["status", "error_category", "config_changed", "finished_at"]
    list_select_related = ["run"]
    search_fields = ["hostname", "error_message"]

    @display(description="Status", label=_RESULT_COLOURS, ordering="status")
    def coloured_status(self, result: DeviceResult) -> str:
        return result.status

    @display(description="Configuration", label={"changed": "info"})
    def change(self, result: DeviceResult) -> str:
        return {True: "changed", False: "unchanged", None: ""}[result.config_changed]

    @admin.display(description="Waits for")
    def waits_for(self, result: DeviceResult) -> str:
        return result.waits_for

    @admin.display(description="Seconds", ordering="duration_seconds")
    def seconds(self, result: DeviceResult) -> str:
        return "" if result.duration_seconds is None else f"{result.duration_seconds:.1f}"


@admin.register(RunCredential)
class RunCredentialAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = ["run", "credential", "refusals", "proven_at", "set_aside_at", "reason"]
    list_filter = [("set_aside_at", admin.EmptyFieldListFilter)]
    list_select_related = ["run", "credential"]
    search_fields = ["credential__name"]
