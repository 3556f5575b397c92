"""How old the backups are, in the API."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backups.models import DeviceFreshness
from backups.selectors.freshness import (
    Freshness,
    FreshnessCounts,
    freshness_report,
    with_freshness,
)
from credentials.visibility import tags_visible_to
from inventory.scoped import OfVisibleDevices
from inventory.visibility import scope_of

_STATES = [(state.value, state.value) for state in Freshness]


class FreshnessCountsSerializer(serializers.Serializer[Any]):
    """Active devices by where they stand; ``overdue`` are stale, or new and never backed up."""

    total = serializers.IntegerField()
    fresh = serializers.IntegerField()
    stale = serializers.IntegerField()
    never = serializers.IntegerField()
    no_objective = serializers.IntegerField()
    overdue = serializers.IntegerField()

    def to_representation(self, counts: FreshnessCounts) -> dict[str, int]:
        states = {state.value: counts.of(state) for state in Freshness}
        return {"total": counts.total, **states, "overdue": counts.overdue}


class TagFreshnessSerializer(serializers.Serializer[Any]):
    """The devices of a tag; each counts with the strictest of all its tags."""

    tag = serializers.CharField()
    objective_hours = serializers.IntegerField(allow_null=True)
    counts = FreshnessCountsSerializer()


class FreshnessSerializer(serializers.Serializer[Any]):
    """How many devices have a backup that is young enough."""

    default_hours = serializers.IntegerField(allow_null=True)
    counts = FreshnessCountsSerializer()
    tags = TagFreshnessSerializer(many=True)


class FreshnessView(generics.GenericAPIView[DeviceFreshness]):
    """Whether the devices that the caller sees are backed up as often as they have to be."""

    queryset = DeviceFreshness.objects.none()
    serializer_class = FreshnessSerializer
    filter_backends: list[Any] = []
    pagination_class = None

    @extend_schema(responses={200: FreshnessSerializer})
    def get(self, request: Request) -> Response:
        """How many active devices stand where, in all and by tag."""
        report = freshness_report(
            scope=scope_of(user=request.user), tags=tags_visible_to(user=request.user)
        )
        return Response(FreshnessSerializer(report).data)


class DeviceFreshnessSerializer(serializers.ModelSerializer[DeviceFreshness]):
    """A device with its last backup, and when the next one has to be there."""

    zone = serializers.SlugRelatedField[Any](slug_field="name", read_only=True, allow_null=True)
    tags = serializers.SlugRelatedField[Any](slug_field="name", many=True, read_only=True)
    freshness = serializers.ChoiceField(choices=_STATES, read_only=True)
    last_backup_at = serializers.DateTimeField(read_only=True, allow_null=True)
    objective_hours = serializers.IntegerField(read_only=True, allow_null=True)
    due_at = serializers.DateTimeField(read_only=True, allow_null=True)
    is_overdue = serializers.BooleanField(read_only=True)

    class Meta:
        model = DeviceFreshness
        fields = [
            "id",
            "hostname",
            "platform",
            "zone",
            "tags",
            "freshness",
            "last_backup_at",
            "objective_hours",
            "due_at",
            "is_overdue",
        ]
        read_only_fields = fields


class DeviceFreshnessFilter(django_filters.FilterSet):
    """Filters of the list; names of tags in any case."""

    freshness = django_filters.ChoiceFilter(choices=_STATES)
    is_overdue = django_filters.BooleanFilter()
    tag = django_filters.CharFilter("tags__name", lookup_expr="iexact")
    zone = django_filters.CharFilter("zone__name")

    class Meta:
        model = DeviceFreshness
        fields = ["platform"]


class DeviceFreshnessView(OfVisibleDevices, generics.ListAPIView[DeviceFreshness]):
    """The active devices with their last backups, the most overdue first."""

    device_path = "pk"
    queryset = DeviceFreshness.objects.filter(is_active=True)
    serializer_class = DeviceFreshnessSerializer
    filterset_class = DeviceFreshnessFilter
    search_fields = ["hostname"]
    ordering_fields = ["id", "hostname", "last_backup_at", "due_at"]

    def get_queryset(self) -> QuerySet[DeviceFreshness]:
        """With what is known of the backups; the setting counts as it is at the request."""
        devices = with_freshness(devices=super().get_queryset())
        return devices.select_related("zone").prefetch_related("tags").order_by("due_at", "pk")
