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
from jobs.launch import JobDisabled, request_run
from jobs.models import Job
from jobs.schedules import job_delete, schedule_sync


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
        ("Politeness", {"fields": ["starts_per_second"]}),
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
