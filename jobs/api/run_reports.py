"""Failures by group and the report of a run in the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.errors import Conflict
from inventory.api.transfer import FormatIsOurs
from inventory.visibility import scope_of
from jobs.api.runs import JobRunSerializer, MayRunJobs, retried
from jobs.models import DeviceResult, JobRun
from jobs.policy import GroupBy
from jobs.reports import WRITERS, ReportFormat
from jobs.reports.as_json import failure_as_dict
from jobs.selectors.failures import GroupNotFound, failure_group, failure_groups, group_was_skipped
from jobs.selectors.visibility import as_seen, runs_visible_to


class FailureQuerySerializer(serializers.Serializer[Any]):
    """What failures are grouped by."""

    by = serializers.ChoiceField(choices=[by.value for by in GroupBy], default=GroupBy.CAUSE.value)


class CountsField(serializers.DictField):
    """How many failures, by name, the most frequent first."""

    child = serializers.IntegerField()


class FailureGroupSerializer(serializers.Serializer[Any]):
    """Failures of a run that belong together."""

    by = serializers.ChoiceField(choices=[by.value for by in GroupBy])
    key = serializers.CharField(help_text="Names the group for a retry; empty for 'without one'.")
    count = serializers.IntegerField()
    retryable = serializers.IntegerField(help_text="Those that were tried, not skipped.")
    summary = serializers.CharField()
    message = serializers.CharField(help_text="What the messages have in common; by cause only.")
    example_message = serializers.CharField()
    what_to_do = serializers.CharField()
    statuses = CountsField()
    categories = CountsField()
    traits = serializers.DictField(child=CountsField())
    hostnames = serializers.ListField(child=serializers.CharField())


class RunFailuresView(generics.GenericAPIView[DeviceResult]):
    """The failures of a run in groups, the largest first."""

    queryset = DeviceResult.objects.none()
    serializer_class = FailureGroupSerializer
    filter_backends: list[Any] = []

    @extend_schema(
        parameters=[FailureQuerySerializer], responses={200: FailureGroupSerializer(many=True)}
    )
    def get(self, request: Request, pk: int) -> Response:
        """Grouped by cause, or with ``?by=`` by what the devices have in common."""
        wanted = FailureQuerySerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        groups = failure_groups(
            run=_run(request, pk),
            by=GroupBy(wanted.validated_data["by"]),
            scope=scope_of(user=request.user),
        )
        page: Any = self.paginate_queryset(groups)
        return self.get_paginated_response([failure_as_dict(group) for group in page])


class RetryGroupSerializer(FailureQuerySerializer):
    """Which group of failures is tried again."""

    key = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=300)


class RunFailuresRetryView(APIView):
    """Tries one group of failures again."""

    permission_classes = [MayRunJobs]

    @extend_schema(request=RetryGroupSerializer, responses={202: JobRunSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Try again the devices of the group ``key``; answers 202 with the new run."""
        wanted = RetryGroupSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        run = _run(request, pk)
        try:
            group = failure_group(
                run=run,
                by=GroupBy(wanted.validated_data["by"]),
                key=wanted.validated_data["key"],
                scope=scope_of(user=request.user),
            )
        except GroupNotFound as error:
            raise exceptions.ValidationError({"key": [str(error)]}) from error
        if not group.retry_ids:
            raise Conflict(group_was_skipped(group))
        return retried(run, request, only=group.retry_ids)


class ReportQuerySerializer(serializers.Serializer[Any]):
    """How the report is written."""

    format = serializers.ChoiceField(
        choices=[one.value for one in ReportFormat], default=ReportFormat.JSON.value
    )


class RunReportView(APIView):
    """The report of a run, open or ended."""

    queryset = DeviceResult.objects.none()
    content_negotiation_class = FormatIsOurs

    @extend_schema(
        parameters=[ReportQuerySerializer],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR),
            (200, "text/plain"): OpenApiResponse(OpenApiTypes.STR),
        },
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        """As one JSON object, as CSV with a line per device, or as text."""
        wanted = ReportQuerySerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        run = _run(request, pk)
        writer = WRITERS[ReportFormat(wanted.validated_data["format"])]
        answer = StreamingHttpResponse(
            _begun(writer.write(run, scope_of(user=request.user))), content_type=writer.media_type
        )
        answer["Content-Disposition"] = f'attachment; filename="run-{run.pk}.{writer.suffix}"'
        answer["X-Content-Type-Options"] = "nosniff"
        answer["Cache-Control"] = "no-store"
        return answer


def _begun(pieces: Iterator[str]) -> Iterator[str]:
    """``pieces`` with the first one made: what fails there is still an answer of its own."""
    first = next(pieces, "")

    def rest() -> Iterator[str]:
        yield first
        yield from pieces

    return rest()


def _run(request: Request, pk: int) -> JobRun:
    runs = runs_visible_to(user=request.user).select_related("requested_by", "job")
    return as_seen(get_object_or_404(runs, pk=pk))
