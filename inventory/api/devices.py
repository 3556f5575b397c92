"""Devices in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import ProtectedError, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import exceptions, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.errors import Conflict
from common.api.filters import Filters, filters, lookups, named
from common.api.permissions import MayChangeModel
from common.api.resources import ResourceSerializer
from credentials.api.tagged import TaggedSerializer
from credentials.models import Tag
from credentials.visibility import credentials_visible_to
from inventory.api.host_keys import HostKeyOwnerViewSet, fingerprint_field
from inventory.breaker import breaker_reset
from inventory.models import Device
from inventory.resolution import Rule, credentials_explained
from inventory.scoped import OfVisibleDevices, VisibleSlugField, caller, check_tag_names
from inventory.services import (
    device_save,
)
from inventory.visibility import ZONE_UNKNOWN, jump_hosts_visible_to, zones_nameable_by


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A switch",
            request_only=True,
            value={
                "hostname": "core-sw1",
                "ip_address": "192.0.2.10",
                "platform": "cisco_ios",
                "tags": ["core", "berlin"],
                "description": "Rack 4",
            },
        )
    ]
)
class DeviceSerializer(TaggedSerializer[Device], ResourceSerializer[Device]):
    """A device; tags go by name, zone, credential and jump host by name, host keys by
    fingerprint.
    """

    natural_key = "hostname"

    zone = VisibleSlugField(
        zones_nameable_by,
        slug_field="name",
        required=False,
        allow_null=True,
        error_messages={"does_not_exist": ZONE_UNKNOWN.format("{value}")},
    )
    credential = VisibleSlugField(
        credentials_visible_to, slug_field="name", required=False, allow_null=True
    )
    jump_host = VisibleSlugField(
        jump_hosts_visible_to, slug_field="name", required=False, allow_null=True
    )
    host_key = fingerprint_field("host_key_fingerprint")
    offered_host_key = fingerprint_field("offered_fingerprint")

    class Meta:
        model = Device
        read_only_fields = [
            "host_key",
            "offered_host_key",
            "model",
            "serial_number",
            "os_version",
            "facts_at",
            "has_unsaved_config",
            "connection_failures",
            "skipped_until",
            "skip_reason",
            "created_at",
            "updated_at",
        ]
        fields = [
            "id",
            "hostname",
            "ip_address",
            "port",
            "platform",
            "zone",
            "tags",
            "credential",
            "description",
            "is_active",
            "transport",
            "jump_host",
            "legacy_algorithms",
            "connect_timeout_seconds",
            "login_timeout_seconds",
            "command_timeout_seconds",
            "deadline_seconds",
            *read_only_fields,
            "etag",
        ]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse tags that a limited caller may not give or take away."""
        if self.instance is None or "tags" in attrs:
            before = None if self.instance is None else self.instance.tags.all()
            try:
                check_tag_names(names=attrs.get("tags", []), before=before, user=caller(self))
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"tags": error.detail}) from error
        return super().validate(attrs)

    def save_row(self, row: Device, tags: list[Tag] | None, **beside: Any) -> Device:
        return device_save(device=row, tags=tags)


class CandidateSerializer(serializers.Serializer[Any]):
    """A credential that fits a device, why, and how the device answered to it."""

    place = serializers.IntegerField()
    name = serializers.CharField()
    username = serializers.CharField()
    priority = serializers.IntegerField()
    rule = serializers.ChoiceField(choices=[rule.value for rule in Rule])
    tags = serializers.ListField(child=serializers.CharField())
    zone = serializers.CharField()
    reason = serializers.CharField()
    remembered = serializers.BooleanField()
    last_success_at = serializers.DateTimeField(allow_null=True)
    last_failure_at = serializers.DateTimeField(allow_null=True)
    used = serializers.BooleanField()


class DeviceCredentialsSerializer(serializers.Serializer[Any]):
    """The credentials that fit a device, first choice first."""

    hostname = serializers.CharField()
    used = serializers.CharField(allow_null=True)
    candidates = CandidateSerializer(many=True)


_MEASURES = (
    "connect_timeout_seconds",
    "login_timeout_seconds",
    "command_timeout_seconds",
    "deadline_seconds",
)
_FACTS = ("model", "serial_number", "os_version", "facts_at", "has_unsaved_config")
_BREAKER = ("connection_failures", "skipped_until", "skip_reason")


class DeviceFilter(Filters):
    """By every column; of host keys whether one is accepted, and whether one waits."""

    zone = named("zone__name")
    tags = named("tags__name")
    credential = named("credential__name")
    jump_host = named("jump_host__name")
    has_host_key = filters.BooleanFilter("host_key", method="by_key")
    has_offered_host_key = filters.BooleanFilter("offered_host_key", method="by_key")

    class Meta:
        model = Device
        fields = {
            **lookups(Device, "id", "hostname", "ip_address", "port", "platform", "description"),
            **lookups(Device, "is_active", "transport", "legacy_algorithms"),
            **lookups(Device, *_MEASURES, *_FACTS, *_BREAKER, "created_at", "updated_at"),
            **{name: ["isnull"] for name in ("zone", "credential", "jump_host")},
            **{name: ["exact"] for name in ("zone__name", "tags__name", "jump_host__name")},
        }

    def by_key(self, devices: QuerySet[Device], column: str, wanted: bool) -> QuerySet[Device]:
        """Devices with, or without, such a key."""
        return devices.exclude(**{column: ""}) if wanted else devices.filter(**{column: ""})


class DeviceViewSet(OfVisibleDevices, HostKeyOwnerViewSet[Device]):
    """The managed devices."""

    device_path = "pk"

    queryset = Device.objects.select_related("zone", "credential", "jump_host").prefetch_related(
        "tags"
    )
    serializer_class = DeviceSerializer
    filterset_class = DeviceFilter
    search_fields = ["hostname", "ip_address", "description"]
    ordering_fields = [
        *("id", "hostname", "ip_address", "port", "platform", "is_active", "transport"),
        *("zone", "credential", "jump_host", *_MEASURES, *_FACTS, *_BREAKER),
        *("created_at", "updated_at"),
    ]

    def perform_destroy(self, instance: Device) -> None:
        """Delete a device that has no stored history."""
        try:
            instance.delete()
        except ProtectedError:
            raise Conflict(
                f"{instance.hostname} has stored configurations. Set is_active to false to keep "
                "them, or delete them first with 'manage.py purge_history'."
            ) from None

    @extend_schema(responses={200: DeviceCredentialsSerializer})
    @action(detail=True, methods=["get"])
    def credentials(self, request: Request, pk: str | None = None) -> Response:
        """Which credentials fit the device, in which order and why; shows no secret."""
        if not request.user.has_perm("credentials.view_credential"):
            raise exceptions.PermissionDenied(
                "You may not see credentials; ask for the operator role."
            )
        found = credentials_explained(device=self.get_object(), shown_to=request.user)
        return Response(DeviceCredentialsSerializer(found).data)

    @extend_schema(request=None, responses={200: DeviceSerializer})
    @action(
        detail=True,
        methods=["post"],
        url_path="reset-breaker",
        permission_classes=[MayChangeModel],
    )
    def reset_breaker(self, request: Request, pk: str | None = None) -> Response:
        """Forget the failures of the device, so that scheduled runs try it again."""
        breaker_reset(devices=Device.objects.filter(pk=self.get_object().pk))
        return Response(self.get_serializer(self.get_object()).data)
