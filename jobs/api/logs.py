"""Both logs of runs in the API, as one list."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import generics, serializers
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.choices import LogLevel
from jobs.models import JobLog
from jobs.selectors.logs import LogLines, LogQuery, LogType, logs_permitted

_NEWEST_FIRST, _OLDEST_FIRST = "-created_at", "created_at"


class MayReadLogs(BasePermission):
    """Users with the right to read one of the logs at least."""

    message = "You may not read logs; ask for the viewer role."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(logs_permitted(user=request.user))


def _id_field() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class LogQuerySerializer(serializers.Serializer[Any]):
    """Which lines, and in which order."""

    log_type = serializers.ChoiceField(choices=[kind.value for kind in LogType], required=False)
    job_id = _id_field()
    run_id = _id_field()
    device_id = _id_field()
    level = serializers.ChoiceField(choices=[level.value for level in LogLevel], required=False)
    since = serializers.DateTimeField(required=False, help_text="Written at this time or later.")
    until = serializers.DateTimeField(required=False, help_text="Written before this time.")
    search = serializers.CharField(
        required=False, max_length=200, help_text="Part of the message or of the hostname."
    )
    ordering = serializers.ChoiceField(
        choices=[_NEWEST_FIRST, _OLDEST_FIRST], default=_NEWEST_FIRST
    )

    def query(self) -> LogQuery:
        """The validated parameters."""
        given = dict(self.validated_data)
        oldest_first = given.pop("ordering") == _OLDEST_FIRST
        for name, enum in (("log_type", LogType), ("level", LogLevel)):
            if name in given:
                given[name] = enum(given[name])
        return LogQuery(oldest_first=oldest_first, **given)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A session",
            response_only=True,
            value={
                "log_type": "connection_log",
                "id": 4711,
                "created_at": "2026-05-01T02:00:07Z",
                "level": "error",
                "message": "authentication failed after 1.2 s",
                "run_id": 7,
                "job_id": 1,
                "job_name": "Nightly",
                "device_id": 12,
                "hostname": "core-sw1",
                "attempt": 1,
            },
        )
    ]
)
class LogSerializer(serializers.Serializer[Any]):
    """A line of one of the logs; ``id`` counts within its log."""

    log_type = serializers.ChoiceField(choices=[kind.value for kind in LogType])
    id = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=[level.value for level in LogLevel])
    message = serializers.CharField()
    run_id = serializers.IntegerField()
    job_id = serializers.IntegerField(allow_null=True)
    job_name = serializers.CharField()
    device_id = serializers.IntegerField(allow_null=True)
    hostname = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField(
        source="number", allow_null=True, help_text="Which session of the device; null in job logs."
    )


class LogView(generics.GenericAPIView[Any]):
    """What happened in runs and in their sessions."""

    #: For the schema; each request asks for both logs.
    queryset = JobLog.objects.none()
    serializer_class = LogSerializer
    permission_classes = [IsAuthenticated, MayReadLogs]
    filter_backends: list[Any] = []

    @extend_schema(
        operation_id="logs_list",
        parameters=[LogQuerySerializer],
        responses={200: LogSerializer(many=True)},
    )
    def get(self, request: Request) -> Response:
        """The lines of job logs and connection logs, newest first; limited users see those of
        their devices.
        """
        wanted = LogQuerySerializer(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        lines = LogLines(
            query=wanted.query(), types=logs_permitted(user=request.user), user=request.user
        )
        page: Any = self.paginate_queryset(lines)  # type: ignore[arg-type]  # has what a page needs
        return self.get_paginated_response(LogSerializer(page, many=True).data)
