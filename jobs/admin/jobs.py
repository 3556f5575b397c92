"""Jobs in the admin."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action

from jobs.choices import Trigger
from jobs.launch import REFUSALS, request_run
from jobs.models import Job
from jobs.schedules import job_save_scheduled
from jobs.selectors.schedules import blackout_notice, local_time, next_starts_of


@admin.register(Job)
class JobAdmin(ModelAdmin[Job]):
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
        return super().get_queryset(request).prefetch_related("tags")

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
