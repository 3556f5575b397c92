"""Jobs in the admin."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action

from inventory.scoped import ScopedAdmin
from jobs.choices import Trigger
from jobs.launch import REFUSALS, request_run
from jobs.models import Job
from jobs.schedules import job_save_scheduled
from jobs.selectors.schedules import blackout_notice, local_time, next_starts_of
from jobs.selectors.visibility import jobs_visible_to, may_change_job


@admin.register(Job)
class JobAdmin(ScopedAdmin, ModelAdmin[Job]):
    device_path = None
    fixed_when_limited = ["tags"]
    list_display = ["name", "tag_names", "schedule_type", "is_enabled"]
    list_filter = ["is_enabled", "schedule_type", "tags"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["tags"]
    actions = ["run_now"]
    fieldsets = [
        (None, {"fields": ["name", "description", "is_enabled", "tags", "allow_overlap"]}),
        (
            "Schedule",
            {
                "fields": [
                    "schedule_type",
                    "interval_seconds",
                    "cron",
                    "run_at",
                    "time_zone",
                    "next_starts",
                ],
                "description": "Only the field of the chosen type counts. After down-time and "
                "blackouts, the newest planned time stands for all that were missed.",
            },
        ),
        (
            "Missed times, blackouts and jitter",
            {"fields": ["catch_up", "blackouts", "start_jitter_seconds"]},
        ),
        ("Politeness", {"fields": ["starts_per_second"]}),
    ]
    readonly_fields = ["next_starts"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return jobs_visible_to(user=request.user).order_by("name").prefetch_related("tags")

    def has_change_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_theirs(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_theirs(request, obj)

    def _is_theirs(self, request: HttpRequest, job: Job | None) -> bool:
        return job is None or may_change_job(job=job, user=request.user)

    @admin.display(description="Tags")
    def tag_names(self, job: Job) -> str:
        return ", ".join(tag.name for tag in job.tags.all())

    @admin.display(description="Next starts")
    def next_starts(self, job: Job) -> str:
        return ", ".join(local_time(job, start) for start in next_starts_of(job)) or "none"

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        job_save_scheduled(job=obj)

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.run_job")

    @action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            try:
                run = request_run(
                    job=job, trigger=Trigger.MANUAL, requested_by=cast("User", request.user)
                )
            except REFUSALS as error:
                self.message_user(request, str(error), messages.WARNING)
                continue
            self.message_user(request, f"Run {run.pk} of {job.name}: {run.total_count} devices.")
            if notice := blackout_notice(job):
                self.message_user(request, f"The {notice}.", messages.WARNING)
