"""Zones in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers, viewsets

from credentials.api.duplicates import refuse_duplicate
from credentials.api.fields import Quoting, max_sessions_field
from credentials.models import Credential
from credentials.permissions import IsNotLimitedToWrite
from inventory.models import Zone, validate_zone_name


class ZoneSerializer(serializers.ModelSerializer[Zone]):
    """A zone; its default credential goes by name."""

    name = serializers.CharField(max_length=32, validators=[Quoting(validate_zone_name)])
    max_sessions = max_sessions_field()
    default_credential = serializers.SlugRelatedField(
        slug_field="name",
        queryset=Credential.objects.all(),
        required=False,
        allow_null=True,
        help_text="For devices of the zone, after their own credential and those of their tags.",
    )

    class Meta:
        model = Zone
        fields = [
            "id",
            "name",
            "description",
            "host_key_mode",
            "max_sessions",
            "default_credential",
        ]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_duplicate(model=Zone, name=attrs.get("name"), instance=self.instance)
        return attrs


class ZoneViewSet(viewsets.ModelViewSet[Zone]):
    """Sets of devices that only certain workers can reach."""

    queryset = Zone.objects.select_related("default_credential")
    serializer_class = ZoneSerializer
    filterset_fields = {"name": ["exact", "icontains"], "host_key_mode": ["exact"]}
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]
