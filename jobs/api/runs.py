"""Runs in the API."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.errors import Conflict
from common.api.filters import Filters, lookups, named
from common.api.permissions import HasPermission
from inventory.visibility import is_limited
from jobs.choices import Trigger
from jobs.launch import JobDisabled, RunHasEnded, request_cancel, request_retry
from jobs.models import JobRun
from jobs.selectors.forecast import predicted_finish
from jobs.selectors.visibility import (
    WHOLE_RUN_COLUMNS,
    as_seen,
    runs_visible_to,
    sees_whole_run,
)
from jobs.services.run_creation import JobBusy, NothingToRetry


class JobRunSerializer(serializers.ModelSerializer[JobRun]):
    """One execution of a job, with the counts of its devices."""

    duration_seconds = serializers.FloatField(read_only=True, allow_null=True)
    requested_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = JobRun
        fields = [
            "id",
            "job",
            "job_name",
            "status",
            "status_reason",
            "trigger",
            "requested_by",
            "retry_of",
            "cancelled_by",
            "slot_at",
            "created_at",
            "started_at",
            "finished_at",
            "deadline_at",
            "duration_seconds",
            "starts_per_second",
            "total_count",
            "succeeded_count",
            "failed_count",
            "errored_count",
            "suspect_count",
            "skipped_count",
            "cancelled_count",
        ]
        read_only_fields = fields


class JobRunDetailSerializer(JobRunSerializer):
    """A run by itself, with what would cost too much in a list."""

    predicted_finish_at = serializers.SerializerMethodField()

    class Meta(JobRunSerializer.Meta):
        fields = [*JobRunSerializer.Meta.fields, "predicted_finish_at"]
        read_only_fields = fields

    def get_predicted_finish_at(self, run: JobRun) -> datetime | None:
        """When it will end, by past durations; null when it has ended or nothing is known."""
        return predicted_finish(run=run)


class RetrySerializer(serializers.Serializer[Any]):
    """Which failed devices are tried again: ids of their device results; all without it."""

    results = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
        required=False,
        allow_empty=False,
    )


class MayRunJobs(HasPermission):
    """Who may run jobs may also stop a run and have it tried again."""

    permission = "jobs.run_job"
    message = "You may not run jobs; ask for the operator role."


_COUNTS = (
    "total_count",
    "succeeded_count",
    "failed_count",
    "errored_count",
    "suspect_count",
    "skipped_count",
    "cancelled_count",
)
_TIMES = ("slot_at", "created_at", "started_at", "finished_at", "deadline_at")


class JobRunFilter(Filters):
    """By every column; what a limited user is not shown of a run is no filter for them either."""

    requested_by = named("requested_by__username")

    class Meta:
        model = JobRun
        fields = {
            **lookups(JobRun, "id", "job", "job_name", "status", "status_reason", "trigger"),
            **lookups(JobRun, "retry_of", "cancelled_by", *_TIMES, "starts_per_second", *_COUNTS),
        }

    def filter_queryset(self, queryset: QuerySet[JobRun]) -> QuerySet[JobRun]:
        if self.request is not None and is_limited(user=self.request.user):
            for name in self.filters:
                if name.startswith(WHOLE_RUN_COLUMNS):
                    self.form.cleaned_data[name] = None
        return super().filter_queryset(queryset)


class JobRunViewSet(viewsets.ReadOnlyModelViewSet[JobRun]):
    """The executions of jobs, newest first; they can be cancelled and tried again."""

    queryset = JobRun.objects.select_related("requested_by", "job")
    serializer_class = JobRunSerializer
    filterset_class = JobRunFilter
    search_fields = ["job_name"]
    ordering_fields = ["id", "job_name", "status", "trigger", "requested_by__username", *_TIMES]

    def get_queryset(self) -> QuerySet[JobRun]:
        """Those with a device that the caller sees."""
        return runs_visible_to(user=self.request.user).select_related("requested_by", "job")

    def paginate_queryset(self, queryset: Any) -> Any:
        """A page, with the counts of the devices that the caller sees."""
        return [as_seen(run) for run in super().paginate_queryset(queryset) or []]

    def get_object(self) -> JobRun:
        """The run of the address, with the counts of the devices that the caller sees."""
        return as_seen(super().get_object())

    def get_serializer_class(self) -> type[JobRunSerializer]:
        return JobRunDetailSerializer if self.action == "retrieve" else JobRunSerializer

    @extend_schema(request=None, responses={200: JobRunSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayRunJobs])
    def cancel(self, request: Request, pk: str | None = None) -> Response:
        """Stop the run; answers with the run. Its sessions end within seconds."""
        run = self.get_object()
        if not sees_whole_run(run=run, user=request.user):
            raise exceptions.PermissionDenied(
                "The run reads devices that you do not see; ask somebody who sees all of them."
            )
        try:
            run = request_cancel(run=run, cancelled_by=request.user.get_username())
        except RunHasEnded as error:
            raise Conflict(str(error)) from error
        return Response(JobRunSerializer(run).data)

    @extend_schema(request=RetrySerializer, responses={202: JobRunSerializer})
    @action(detail=True, methods=["post"], url_path="retry-failed", permission_classes=[MayRunJobs])
    def retry_failed(self, request: Request, pk: str | None = None) -> Response:
        """Try the failed, errored and suspect devices again; answers 202 with the new run."""
        wanted = RetrySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        return retried(self.get_object(), request, only=wanted.validated_data.get("results"))


def retried(run: JobRun, request: Request, *, only: Collection[int] | None) -> Response:
    """The answer 202 with a new run over what failed in ``run``, or over ``only`` these results.

    Raises the API's error where there is nothing to retry, or the job may not run.
    """
    try:
        retry = request_retry(
            run=run, trigger=Trigger.RETRY, requested_by=cast("User", request.user), only=only
        )
    except JobDisabled as error:
        raise exceptions.ValidationError(str(error)) from error
    except (NothingToRetry, JobBusy) as error:
        raise Conflict(str(error)) from error
    return Response(JobRunSerializer(retry).data, status=status.HTTP_202_ACCEPTED)
