"""Retention policies in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from backups.models import RetentionPolicy
from backups.services.retention_policies import retention_policy_save
from credentials.api.fields import TagNamesField, whole_number
from credentials.api.filters import Filters, lookups, named
from credentials.api.resources import ResourceSerializer, ResourceViewSet
from credentials.permissions import IsNotLimited
from credentials.services import tags_ensure

_LARGEST = 2**31 - 1


def _days(help_text: str) -> serializers.IntegerField:
    return whole_number(low=1, high=_LARGEST, required=False, allow_null=True, help_text=help_text)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two years for the core",
            request_only=True,
            value={"name": "core", "tags": ["core"], "archive_days": 730, "log_days": 90},
        )
    ]
)
class RetentionPolicySerializer(ResourceSerializer[RetentionPolicy]):
    """How long raw copies and logs of the devices with certain tags are kept."""

    tags = TagNamesField(allow_empty=False)
    archive_days = _days("Null keeps raw copies however old they are.")
    archive_count = whole_number(
        low=1,
        high=_LARGEST,
        default=1,
        help_text="So many of the newest raw copies are kept whatever their age.",
    )
    log_days = _days("Null keeps logs however old they are.")

    class Meta:
        model = RetentionPolicy
        fields = ["id", "name", "tags", "archive_days", "archive_count", "log_days", "etag"]

    def create(self, validated_data: dict[str, Any]) -> RetentionPolicy:
        return self.update(RetentionPolicy(), validated_data)

    def update(self, instance: RetentionPolicy, validated_data: dict[str, Any]) -> RetentionPolicy:
        names = validated_data.pop("tags", None)
        tags = None if names is None else tags_ensure(names=names)
        for field, value in validated_data.items():
            setattr(instance, field, value)
        return retention_policy_save(policy=instance, tags=tags)


class RetentionPolicyFilter(Filters):
    """By every column."""

    tags = named("tags__name")

    class Meta:
        model = RetentionPolicy
        fields = {
            **lookups(RetentionPolicy, "id", "name", "archive_days", "archive_count", "log_days"),
            "tags__name": ["exact"],
        }


class RetentionPolicyViewSet(ResourceViewSet[RetentionPolicy]):
    """How long what belongs to devices with certain tags is kept; the history in Git stays."""

    queryset = RetentionPolicy.objects.prefetch_related("tags")
    serializer_class = RetentionPolicySerializer
    filterset_class = RetentionPolicyFilter
    search_fields = ["name"]
    ordering_fields = ["id", "name", "archive_days", "archive_count", "log_days"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimited()]
