"""What runs at this moment, in the API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credentials.permissions import IsNotLimited
from jobs.models import WorkerProcess
from jobs.monitoring.facts import system_facts
from jobs.monitoring.overview import system_overview


class _WholeInstallation(APIView):
    """For users who are not limited to some devices."""

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimited()]


class QueueSerializer(serializers.Serializer[Any]):
    """A queue, how much waits in it, and how many workers serve it."""

    name = serializers.CharField()
    depth = serializers.IntegerField(
        allow_null=True, help_text="Messages that no worker has taken; null: the broker is down."
    )
    waiting = serializers.IntegerField()
    oldest_seconds = serializers.FloatField(allow_null=True)
    workers = serializers.IntegerField()
    is_needed = serializers.BooleanField()


class WorkerSerializer(serializers.Serializer[Any]):
    """A worker process of the last day."""

    node = serializers.CharField()
    host = serializers.CharField()
    pid = serializers.IntegerField()
    queues = serializers.ListField(child=serializers.CharField())
    concurrency = serializers.IntegerField()
    busy = serializers.IntegerField()
    is_alive = serializers.BooleanField()
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    seen_seconds = serializers.FloatField()


class _FactsView(_WholeInstallation, generics.GenericAPIView[WorkerProcess]):
    """A list of what is under way, for whoever may see worker processes."""

    #: Names the model whose ``view`` permission is asked for.
    queryset = WorkerProcess.objects.none()
    filter_backends: list[Any] = []

    def answer(self, rows: tuple[Any, ...]) -> Response:
        """The page that the request asks for."""
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response([asdict(row) for row in page])


class QueuesView(_FactsView):
    """The queues, also empty ones; ``depth`` is null while the broker is down."""

    serializer_class = QueueSerializer

    @extend_schema(responses={200: QueueSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """How deep each is, how long the oldest waits, and how many workers serve it."""
        return self.answer(system_facts().queues)


class WorkersView(_FactsView):
    """The worker processes that gave a sign of life within the last day."""

    serializer_class = WorkerSerializer

    @extend_schema(responses={200: WorkerSerializer(many=True)})
    def get(self, request: Request) -> Response:
        """Which queues each serves, how busy it is, and whether it is alive."""
        return self.answer(system_facts().workers)


class SystemView(_WholeInstallation):
    """Everything on one page."""

    queryset = WorkerProcess.objects.none()

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Versions, sizes, workers, queues, runs, and what needs a hand."""
        return Response(system_overview())
