"""The devices of runs in the API."""

from __future__ import annotations

from rest_framework import serializers, viewsets

from inventory.scoped import OfVisibleDevices
from jobs.models import DeviceResult


class DeviceResultSerializer(serializers.ModelSerializer[DeviceResult]):
    """One device in one run."""

    commit = serializers.CharField(read_only=True)
    waits_for = serializers.CharField(read_only=True)

    class Meta:
        model = DeviceResult
        fields = [
            "id",
            "run",
            "device",
            "hostname",
            "status",
            "config_changed",
            "error_category",
            "error_message",
            "attempts",
            "commit",
            "waits_for",
            "started_at",
            "finished_at",
            "duration_seconds",
        ]
        read_only_fields = fields


class DeviceResultViewSet(OfVisibleDevices, viewsets.ReadOnlyModelViewSet[DeviceResult]):
    """The devices of runs."""

    queryset = DeviceResult.objects.select_related("snapshot")
    serializer_class = DeviceResultSerializer
    filterset_fields = ["run", "device", "hostname", "status", "error_category", "config_changed"]
    search_fields = ["hostname", "error_message"]
    ordering_fields = ["id", "hostname", "started_at", "finished_at", "duration_seconds"]
