"""Retention policies in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from backups.models import RetentionPolicy
from backups.services.retention_policies import retention_policy_save
from common.api.filters import Filters, lookups, named
from common.api.resources import ResourceSerializer, ResourceViewSet
from credentials.api.fields import TagNamesField, whole_number
from credentials.api.tagged import TaggedSerializer
from credentials.models import Tag
from credentials.permissions import IsNotLimited

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
class RetentionPolicySerializer(
    TaggedSerializer[RetentionPolicy], ResourceSerializer[RetentionPolicy]
):
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

    def save_row(
        self, row: RetentionPolicy, tags: list[Tag] | None, **beside: Any
    ) -> RetentionPolicy:
        return retention_policy_save(policy=row, tags=tags)


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
