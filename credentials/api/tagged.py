"""Rows that carry tags, written by a service."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar, cast

from django.db import transaction
from django.db.models import Model
from rest_framework import serializers

from common.api.naming import model_of
from credentials.api.fields import TagNamesField
from credentials.models import Tag
from credentials.services import tags_ensure

_M = TypeVar("_M", bound=Model)


class TaggedSerializer(serializers.ModelSerializer[_M]):
    """A row whose tags go by name; missing tags are made together with it."""

    #: Fields that are no columns of the row; :meth:`save_row` gets them by name.
    beside_columns: ClassVar[Sequence[str]] = ()

    tags = TagNamesField(required=False)

    def create(self, validated_data: dict[str, Any]) -> _M:
        return self.update(cast("_M", model_of(self)()), validated_data)

    @transaction.atomic
    def update(self, instance: _M, validated_data: dict[str, Any]) -> _M:
        names = validated_data.pop("tags", None)
        beside = {name: validated_data.pop(name, None) for name in self.beside_columns}
        for field, value in validated_data.items():
            setattr(instance, field, value)
        tags = None if names is None else tags_ensure(names=names)
        return self.save_row(instance, tags, **beside)

    @abstractmethod
    def save_row(self, row: _M, tags: list[Tag] | None, **beside: Any) -> _M:
        """Have ``row`` checked and saved by its service, and give it back.

        None leaves its tags, or what is in ``beside``, as they are. Raises ValidationError.
        """
