"""Zones in the API."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from common.api.filters import Filters, filters, lookups
from common.api.resources import ResourceSerializer, ResourceViewSet
from credentials.api.fields import NameField, max_sessions_field
from credentials.models import Credential
from credentials.permissions import IsNotLimitedToWrite
from credentials.visibility import credentials_visible_to
from inventory.models import Zone
from inventory.scoped import caller


class SeenCredentialField(NameField):
    """The name of a credential; null where the caller does not see it."""

    def to_representation(self, value: Any) -> Any:
        """The name as it is shown."""
        return super().to_representation(value) if value.pk in self._seen else None

    @cached_property
    def _seen(self) -> frozenset[int]:
        visible = credentials_visible_to(user=caller(self))
        return frozenset(visible.values_list("pk", flat=True))


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
    default_credential = SeenCredentialField(
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

    default_credential = filters.CharFilter(method="by_default")

    class Meta:
        model = Zone
        fields = lookups(Zone, "id", "name", "description", "host_key_mode", "max_sessions")

    def by_default(self, zones: QuerySet[Zone], column: str, name: str) -> QuerySet[Zone]:
        """Zones with this default credential, if the caller sees it."""
        seen = credentials_visible_to(user=self.request.user).filter(name__iexact=name)
        return zones.filter(default_credential__in=seen.order_by().values("pk"))


class ZoneViewSet(ResourceViewSet[Zone]):
    """Sets of devices that only certain workers can reach."""

    queryset = Zone.objects.select_related("default_credential")
    serializer_class = ZoneSerializer
    filterset_class = ZoneFilter
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name", "host_key_mode", "max_sessions", "default_credential"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]
