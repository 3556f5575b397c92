"""Zones in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from credentials.api.fields import NameField, max_sessions_field
from credentials.api.filters import Filters, lookups, named
from credentials.api.resources import ResourceSerializer, ResourceViewSet
from credentials.models import Credential
from credentials.permissions import IsNotLimitedToWrite
from inventory.models import Zone


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A site",
            request_only=True,
            value={"name": "north", "max_sessions": 20},
        )
    ]
)
class ZoneSerializer(ResourceSerializer[Zone]):
    """A zone; its default credential goes by name."""

    max_sessions = max_sessions_field()
    default_credential = NameField(
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
            "etag",
        ]


class ZoneFilter(Filters):
    """By every column."""

    default_credential = named("default_credential__name")

    class Meta:
        model = Zone
        fields = lookups(Zone, "id", "name", "description", "host_key_mode", "max_sessions")


class ZoneViewSet(ResourceViewSet[Zone]):
    """Sets of devices that only certain workers can reach."""

    queryset = Zone.objects.select_related("default_credential")
    serializer_class = ZoneSerializer
    filterset_class = ZoneFilter
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name", "host_key_mode", "max_sessions", "default_credential"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]
