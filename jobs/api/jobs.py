"""Jobs in the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import exceptions, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from common.api.errors import Conflict
from common.api.filters import Filters, lookups, named
from common.api.resources import ResourceSerializer, ResourceViewSet
from credentials.api.tagged import TaggedSerializer
from credentials.models import Tag
from inventory.scoped import caller, check_tag_names
from jobs.api.runs import JobRunSerializer, MayRunJobs
from jobs.choices import Trigger
from jobs.launch import JobDisabled, request_run
from jobs.models import Job, JobRun
from jobs.schedules import job_delete, job_save_scheduled
from jobs.selectors.schedules import blackout_notice, next_starts_of
from jobs.selectors.visibility import jobs_visible_to, may_change_job
from jobs.services.run_creation import JobBusy


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Every night",
            request_only=True,
            value={
                "name": "Nightly",
                "tags": ["core"],
                "schedule_type": "cron",
                "cron": "0 2 * * *",
                "time_zone": "Europe/Berlin",
            },
        )
    ]
)
class JobSerializer(TaggedSerializer[Job], ResourceSerializer[Job]):
    """A saved definition: devices by tag, and when."""

    next_runs = serializers.SerializerMethodField(
        help_text="The next five times at which it starts by itself, with jitter and blackouts."
    )

    class Meta:
        model = Job
        fields = [
            "id",
            "name",
            "description",
            "is_enabled",
            "tags",
            "schedule_type",
            "interval_seconds",
            "cron",
            "run_at",
            "time_zone",
            "starts_per_second",
            "allow_overlap",
            "catch_up",
            "blackouts",
            "start_jitter_seconds",
            "next_runs",
            "created_at",
            "updated_at",
            "etag",
        ]
        read_only_fields = ["created_at", "updated_at"]

    def get_next_runs(self, job: Job) -> list[datetime]:
        return next_starts_of(job)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse tags that a limited caller may not give."""
        if self.instance is None or "tags" in attrs:
            try:
                check_tag_names(names=attrs.get("tags", []), before=None, user=caller(self))
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"tags": error.detail}) from error
        return super().validate(attrs)

    def save_row(self, row: Job, tags: list[Tag] | None, **beside: Any) -> Job:
        return job_save_scheduled(job=row, tags=tags)


class StartedRunSerializer(JobRunSerializer):
    """A run that was asked for just now."""

    notice = serializers.SerializerMethodField(
        help_text="What the caller should know of it, or null: the job has a blackout, say."
    )

    class Meta(JobRunSerializer.Meta):
        fields = [*JobRunSerializer.Meta.fields, "notice"]

    def get_notice(self, run: JobRun) -> str | None:
        return None if run.job is None else blackout_notice(run.job)


class JobFilter(Filters):
    """By every column."""

    tags = named("tags__name")

    class Meta:
        model = Job
        fields = {
            **lookups(Job, "id", "name", "description", "is_enabled", "schedule_type"),
            **lookups(Job, "interval_seconds", "cron", "run_at", "time_zone", "catch_up"),
            **lookups(Job, "starts_per_second", "allow_overlap", "blackouts"),
            **lookups(Job, "start_jitter_seconds", "created_at", "updated_at"),
            "tags__name": ["exact"],
        }


class JobViewSet(ResourceViewSet[Job]):
    """The saved jobs; ``POST {id}/run/`` starts one."""

    queryset = Job.objects.prefetch_related("tags")
    serializer_class = JobSerializer
    filterset_class = JobFilter
    search_fields = ["name", "description"]
    ordering_fields = [
        *("id", "name", "is_enabled", "schedule_type", "interval_seconds", "run_at", "time_zone"),
        *("starts_per_second", "start_jitter_seconds", "created_at", "updated_at"),
    ]

    def get_queryset(self) -> QuerySet[Job]:
        """Those that concern a device that the caller sees."""
        return jobs_visible_to(user=self.request.user).prefetch_related("tags")

    def perform_update(self, serializer: BaseSerializer[Job]) -> None:
        self._refuse_others(cast("Job", serializer.instance))
        super().perform_update(serializer)

    def perform_destroy(self, instance: Job) -> None:
        self._refuse_others(instance)
        job_delete(job=instance)

    def _refuse_others(self, job: Job) -> None:
        if not may_change_job(job=job, user=self.request.user):
            raise exceptions.PermissionDenied(
                "The job is for devices that you do not see; ask somebody who sees all of them."
            )

    @extend_schema(request=None, responses={202: StartedRunSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayRunJobs])
    def run(self, request: Request, pk: str | None = None) -> Response:
        """Start a run of the job now; answers 202 with the run."""
        try:
            run = request_run(
                job=self.get_object(), trigger=Trigger.API, requested_by=cast("User", request.user)
            )
        except JobDisabled as error:
            raise exceptions.ValidationError(str(error)) from error
        except JobBusy as error:
            raise Conflict(str(error)) from error
        return Response(StartedRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)
