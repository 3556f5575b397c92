"""The devices of runs in the API."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers, viewsets

from backups.engine.errors import ErrorCategory
from common.api.filters import Filters, filters, lookups, named
from inventory.scoped import OfVisibleDevices
from jobs.choices import ResultStatus
from jobs.models import DeviceResult


def error_category_field() -> serializers.ChoiceField:
    """Why a device was not read; empty where nothing went wrong."""
    choices = [category.value for category in ErrorCategory]
    return serializers.ChoiceField(choices=choices, read_only=True, allow_blank=True)


class DeviceResultSerializer(serializers.ModelSerializer[DeviceResult]):
    """One device in one run."""

    error_category = error_category_field()
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


class DeviceResultFilter(Filters):
    """By every column; ``waits_for`` is a part of the reason why a device waits."""

    commit = named("snapshot__commit")
    waits_for = filters.CharFilter("parked_reason", method="by_reason")

    class Meta:
        model = DeviceResult
        fields = {
            **lookups(DeviceResult, "id", "run", "device", "hostname", "status"),
            **lookups(DeviceResult, "config_changed", "error_category", "error_message"),
            **lookups(DeviceResult, "attempts", "started_at", "finished_at", "duration_seconds"),
        }

    def by_reason(
        self, results: QuerySet[DeviceResult], column: str, wanted: str
    ) -> QuerySet[DeviceResult]:
        """Devices that are parked for such a reason."""
        parked = results.filter(status=ResultStatus.PENDING.value, parked_at__isnull=False)
        return parked.filter(**{f"{column}__icontains": wanted})


class DeviceResultViewSet(OfVisibleDevices, viewsets.ReadOnlyModelViewSet[DeviceResult]):
    """The devices of runs."""

    queryset = DeviceResult.objects.select_related("snapshot")
    serializer_class = DeviceResultSerializer
    filterset_class = DeviceResultFilter
    search_fields = ["hostname", "error_message"]
    ordering_fields = [
        *("id", "run", "hostname", "status", "config_changed", "error_category", "attempts"),
        *("started_at", "finished_at", "duration_seconds"),
    ]
