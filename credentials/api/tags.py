"""Tags in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import ProtectedError, QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from common.api.errors import Conflict
from common.api.filters import Filters, lookups
from common.api.resources import ResourceSerializer, ResourceViewSet
from credentials.api.fields import max_sessions_field, whole_number
from credentials.models import MAX_FRESHNESS_HOURS, TAG_IS_KEPT, Tag
from credentials.permissions import IsNotLimitedToWrite
from credentials.visibility import tags_visible_to


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A tag",
            request_only=True,
            value={"name": "lab", "description": "Not in production"},
        )
    ]
)
class TagSerializer(ResourceSerializer[Tag]):
    """A tag as it comes and goes."""

    max_sessions = max_sessions_field()
    freshness_hours = whole_number(
        low=1,
        high=MAX_FRESHNESS_HOURS,
        required=False,
        allow_null=True,
        help_text="Hours that the last backup of a device may be old; null asks for nothing.",
    )

    class Meta:
        model = Tag
        fields = ["id", "name", "description", "max_sessions", "freshness_hours", "etag"]


class TagFilter(Filters):
    """By every column."""

    class Meta:
        model = Tag
        fields = lookups(Tag, "id", "name", "description", "max_sessions", "freshness_hours")


class TagViewSet(ResourceViewSet[Tag]):
    """Labels on devices, jobs and credentials; limited users see their own."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_class = TagFilter
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name", "description", "max_sessions", "freshness_hours"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[Tag]:
        """Those that the caller may see."""
        return tags_visible_to(user=self.request.user)

    def perform_destroy(self, instance: Tag) -> None:
        """Delete a tag, unless something would mean something else without it."""
        try:
            instance.delete()
        except ProtectedError:
            raise Conflict(TAG_IS_KEPT) from None
