"""Tags in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer

from credentials.api.fields import max_sessions_field
from credentials.api.filters import Filters, lookups
from credentials.api.resources import ResourceSerializer, ResourceViewSet
from credentials.models import Tag
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

    class Meta:
        model = Tag
        fields = ["id", "name", "description", "max_sessions", "etag"]


class TagFilter(Filters):
    """By every column."""

    class Meta:
        model = Tag
        fields = lookups(Tag, "id", "name", "description", "max_sessions")


class TagViewSet(ResourceViewSet[Tag]):
    """Labels on devices, jobs and credentials; limited users see their own."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_class = TagFilter
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name", "description", "max_sessions"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[Tag]:
        """Those that the caller may see."""
        return tags_visible_to(user=self.request.user)
