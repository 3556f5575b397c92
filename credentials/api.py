"""Tags in the API."""

from __future__ import annotations

from rest_framework import serializers, viewsets

from credentials.models import Tag
from credentials.services import tags_ensure


class TagSerializer(serializers.ModelSerializer[Tag]):
    """A tag as it comes and goes."""

    class Meta:
        model = Tag
        fields = ["id", "name", "description"]


class TagNamesField(serializers.ListField):
    """Tags by name; missing ones are created."""

    child = serializers.CharField(max_length=64)

    def to_representation(self, data: object) -> list[str]:
        return sorted(tag.name for tag in data.all())  # type: ignore[attr-defined]  # a manager

    def to_internal_value(self, data: object) -> list[Tag]:
        return tags_ensure(names=super().to_internal_value(data))


class TagViewSet(viewsets.ModelViewSet[Tag]):
    """Labels on devices, jobs and credentials."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_fields = ["name"]
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name"]
