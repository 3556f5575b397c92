"""Runs in the API."""

from __future__ import annotations

from django.contrib.auth.models import User
from rest_framework import serializers, viewsets

from jobs.models import JobRun


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
            "slot_at",
            "created_at",
            "started_at",
            "finished_at",
            "duration_seconds",
            "total_count",
            "succeeded_count",
            "failed_count",
            "errored_count",
            "suspect_count",
            "skipped_count",
            "cancelled_count",
        ]
        read_only_fields = fields


class JobRunViewSet(viewsets.ReadOnlyModelViewSet[JobRun]):
    """The executions of jobs, newest first."""

    queryset = JobRun.objects.select_related("requested_by")
    serializer_class = JobRunSerializer
    filterset_fields = ["job", "status", "trigger"]
    search_fields = ["job_name"]
    ordering_fields = ["id", "created_at", "started_at", "finished_at"]
