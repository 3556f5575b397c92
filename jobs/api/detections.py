"""Platform detections in the API."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backups.engine.detection import Certainty
from common.api.errors import Conflict
from common.api.filters import Filters, filters, lookups, named
from common.api.permissions import HasPermission
from inventory.models import Device
from inventory.scoped import OfVisibleDevices
from inventory.selectors import DeviceNotFound, device_find
from inventory.visibility import scope_of
from jobs.api.results import error_category_field
from jobs.launch import request_detection
from jobs.models import PlatformDetection
from jobs.services.detection import DetectionNotAccepted, detection_accept


class PlatformDetectionSerializer(serializers.ModelSerializer[PlatformDetection]):
    """One attempt to find out what a device runs."""

    hostname = serializers.CharField(source="device.hostname", read_only=True)
    evidence = serializers.ListField(child=serializers.CharField(), read_only=True)
    facts = serializers.DictField(child=serializers.CharField(), read_only=True)
    certainty = serializers.ChoiceField(
        choices=[one.value for one in Certainty], read_only=True, allow_blank=True
    )
    error_category = error_category_field()
    requested_by: serializers.SlugRelatedField[User] = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = PlatformDetection
        fields = [
            "id",
            "device",
            "hostname",
            "platform_before",
            "state",
            "certainty",
            "platform",
            "evidence",
            "facts",
            "error_category",
            "error_message",
            "requested_by",
            "requested_at",
            "started_at",
            "finished_at",
            "accepted_by",
            "accepted_at",
        ]
        read_only_fields = fields


class DetectionRequestSerializer(serializers.Serializer[Any]):
    """The device whose platform is wanted: its hostname, in any case, or its id."""

    device = serializers.CharField(max_length=255)

    def validate_device(self, value: str) -> Device:
        try:
            scope = scope_of(user=self.context["request"].user)
            return device_find(hostname_or_id=value, scope=scope)
        except DeviceNotFound as error:
            raise serializers.ValidationError(str(error)) from error


class MayChangeDevices(HasPermission):
    """Who may change devices may also ask what they are."""

    permission = "inventory.change_device"
    message = "You may not change devices; ask for the operator role."


class PlatformDetectionFilter(Filters):
    """By every column."""

    hostname = filters.CharFilter("device__hostname", lookup_expr="icontains")
    requested_by = named("requested_by__username")

    class Meta:
        model = PlatformDetection
        fields = {
            **lookups(PlatformDetection, "id", "device", "platform_before", "state", "certainty"),
            **lookups(PlatformDetection, "platform", "error_category", "error_message"),
            **lookups(PlatformDetection, "requested_at", "started_at", "finished_at"),
            **lookups(PlatformDetection, "accepted_by", "accepted_at"),
            "device__hostname": ["exact"],
        }


class PlatformDetectionViewSet(OfVisibleDevices, viewsets.ReadOnlyModelViewSet[PlatformDetection]):
    """What devices seem to run, newest first; ``POST {id}/accept/`` takes the answer over."""

    queryset = PlatformDetection.objects.select_related("device", "requested_by")
    serializer_class = PlatformDetectionSerializer
    filterset_class = PlatformDetectionFilter
    search_fields = ["device__hostname", "platform"]
    ordering_fields = [
        *("id", "device__hostname", "state", "certainty", "platform", "requested_at"),
        *("started_at", "finished_at", "accepted_at"),
    ]

    def get_permissions(self) -> list[Any]:
        if self.action in {"create", "accept"}:
            return [MayChangeDevices()]
        return list(super().get_permissions())

    @extend_schema(request=DetectionRequestSerializer, responses={202: PlatformDetectionSerializer})
    def create(self, request: Request) -> Response:
        """Have a worker find out what a device runs; answers 202 with the detection."""
        wanted = DetectionRequestSerializer(data=request.data, context={"request": request})
        wanted.is_valid(raise_exception=True)
        detection = request_detection(
            device=wanted.validated_data["device"], requested_by=cast("User", request.user)
        )
        return Response(
            PlatformDetectionSerializer(detection).data, status=status.HTTP_202_ACCEPTED
        )

    @extend_schema(request=None, responses={200: PlatformDetectionSerializer})
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: str | None = None) -> Response:
        """Give the device the platform that was found; answers with the detection."""
        try:
            detection = detection_accept(
                detection=self.get_object(), accepted_by=request.user.get_username()
            )
        except DetectionNotAccepted as error:
            raise Conflict(str(error)) from error
        return Response(PlatformDetectionSerializer(detection).data)
