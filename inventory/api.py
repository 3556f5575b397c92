"""Devices in the API."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from rest_framework import serializers, viewsets

from credentials.api import TagNamesField
from credentials.models import Credential
from credentials.services import tags_ensure
from inventory.models import Device, Zone
from inventory.services import device_save


class DeviceSerializer(serializers.ModelSerializer[Device]):
    """A device; tags go by name, zone and credential by name."""

    tags = TagNamesField(required=False)
    zone = serializers.SlugRelatedField(
        slug_field="name", queryset=Zone.objects.all(), required=False, allow_null=True
    )
    credential = serializers.SlugRelatedField(
        slug_field="name", queryset=Credential.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = Device
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
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["created_at", "updated_at"]

    def create(self, validated_data: dict[str, Any]) -> Device:
        return self.update(Device(), validated_data)

    @transaction.atomic
    def update(self, instance: Device, validated_data: dict[str, Any]) -> Device:
        names = validated_data.pop("tags", None)
        tags = None if names is None else tags_ensure(names=names)
        for field, value in validated_data.items():
            setattr(instance, field, value)
        return device_save(device=instance, tags=tags)


class DeviceViewSet(viewsets.ModelViewSet[Device]):
    """The managed devices."""

    queryset = Device.objects.select_related("zone", "credential").prefetch_related("tags")
    serializer_class = DeviceSerializer
    filterset_fields = {
        "hostname": ["exact", "icontains"],
        "ip_address": ["exact"],
        "platform": ["exact"],
        "zone__name": ["exact"],
        "tags__name": ["exact"],
        "is_active": ["exact"],
    }
    search_fields = ["hostname", "ip_address", "description"]
    ordering_fields = ["id", "hostname", "ip_address", "platform", "updated_at"]
