"""Tags in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers, viewsets
from rest_framework.validators import UniqueValidator

from credentials.models import MAX_TAG_LENGTH, Tag, validate_name


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

    class Meta:
        model = Tag
        fields = ["id", "name", "description", "max_sessions"]


class TagNamesField(serializers.ListField):
    """Tags by name, in and out. Who saves the object makes those that are missing."""

    child = serializers.CharField(max_length=MAX_TAG_LENGTH, validators=[validate_name])

    def to_representation(self, data: Any) -> list[str]:
        return sorted(tag.name for tag in data.all())


class TagViewSet(viewsets.ModelViewSet[Tag]):
    """Labels on devices, jobs and credentials."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_fields = ["name"]
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name"]
