"""Tags in the API."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers, viewsets
from rest_framework.validators import UniqueValidator

from credentials.api.fields import whole_number
from credentials.models import MAX_FRESHNESS_HOURS, MAX_TAG_LENGTH, Tag, validate_name
from credentials.permissions import IsNotLimitedToWrite
from credentials.visibility import tags_visible_to


class TagSerializer(serializers.ModelSerializer[Tag]):
    """A tag as it comes and goes."""

    name = serializers.CharField(
        max_length=MAX_TAG_LENGTH,
        validators=[
            validate_name,
            UniqueValidator(
                queryset=Tag.objects.all(),
                lookup="iexact",
                message="There is already a tag with this name.",
            ),
        ],
    )
    freshness_hours = whole_number(
        low=1,
        high=MAX_FRESHNESS_HOURS,
        required=False,
        allow_null=True,
        help_text="Hours that the last backup of a device may be old; null asks for nothing.",
    )

    class Meta:
        model = Tag
        fields = ["id", "name", "description", "max_sessions", "freshness_hours"]


class TagViewSet(viewsets.ModelViewSet[Tag]):
    """Labels on devices, jobs and credentials; limited users see their own."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_fields = ["name"]
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[Tag]:
        """Those that the caller may see."""
        return tags_visible_to(user=self.request.user)
