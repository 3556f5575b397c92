"""Runs in the API."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from rest_framework import serializers, viewsets

from jobs.models import JobRun
from jobs.selectors.forecast import predicted_finish


class JobRunSerializer(serializers.ModelSerializer[JobRun]):
    """One execution of a job, with the counts of its devices."""

    duration_seconds = serializers.FloatField(read_only=True, allow_null=True)
    requested_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
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
            "created_at",
            "started_at",
            "finished_at",
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


class JobRunViewSet(viewsets.ReadOnlyModelViewSet[JobRun]):
    """The executions of jobs, newest first."""

    queryset = JobRun.objects.select_related("requested_by")
    serializer_class = JobRunSerializer
    filterset_fields = ["job", "status", "trigger"]
    search_fields = ["job_name"]
    ordering_fields = ["id", "created_at", "started_at", "finished_at"]

    def get_serializer_class(self) -> type[JobRunSerializer]:
        return JobRunDetailSerializer if self.action == "retrieve" else JobRunSerializer
