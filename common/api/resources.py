"""Rows that people and programs edit: no update is lost, and many are written at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils.http import parse_etags
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from common.api.bulk import BulkActions
from common.api.errors import PreconditionFailed
from common.api.naming import NamingSerializer

_M = TypeVar("_M", bound=Model)
_WRITES = frozenset({"update", "partial_update", "destroy"})


class ResourceSerializer(NamingSerializer[_M]):
    """A row with its ``etag``, which moves on with every change that a person can make.

    What workers find out about a row leaves it as it is. Subclasses list ``etag`` among their
    fields.
    """

    etag = serializers.CharField(
        read_only=True, help_text="Names this state of it, for If-Match and bulk changes."
    )

    def to_representation(self, instance: _M) -> dict[str, Any]:
        shown = super().to_representation(instance)
        state = {name: shown[name] for name in self._state_fields}
        text = json.dumps(state, cls=JSONEncoder, sort_keys=True)
        return shown | {"etag": hashlib.sha256(text.encode()).hexdigest()[:20]}

    @cached_property
    def _state_fields(self) -> list[str]:
        return [
            name
            for name, field in self.fields.items()
            if name == "updated_at" or not (field.read_only or field.write_only)
        ]


class ResourceViewSet(BulkActions[_M], viewsets.ModelViewSet[_M]):
    """A list of rows, each of them, and many of them at once.

    Who changes or deletes a row holds its lock from reading it on, so that of two changes neither
    undoes the other; with If-Match nothing is done to a row that has moved on.
    """

    def get_object(self) -> _M:
        """The row of the address; to be written, it is locked. Raises 404 and 412."""
        if self.action not in _WRITES:
            return super().get_object()
        row = super().get_object()
        self.check_etag(row, _named_states(self.request.headers.get("If-Match")))
        return row

    def filter_queryset(self, queryset: QuerySet[Any, Any]) -> QuerySet[Any, Any]:
        """The rows that a list asks for; a single row is named by its address alone."""
        if not self.detail:
            return super().filter_queryset(queryset)
        return self.locked(queryset) if self.action in _WRITES else queryset

    def check_etag(self, row: _M, wanted: list[str] | None) -> None:
        """Raise PreconditionFailed if ``row`` is in none of the wanted states; None is any."""
        if wanted is None or "*" in wanted:
            return
        # A proxy that compresses answers makes tags weak.
        tags = {tag.removeprefix("W/").strip('"') for tag in wanted}
        if self.get_serializer(row).data["etag"] not in tags:
            raise PreconditionFailed

    @transaction.atomic
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write all fields, or with PATCH those that are given."""
        return super().update(request, *args, **kwargs)

    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete it, unless something else needs it."""
        return super().destroy(request, *args, **kwargs)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        """The answer, with the ETag of the one row that it holds."""
        data = getattr(response, "data", None)
        if isinstance(data, Mapping) and "etag" in data:
            response["ETag"] = f'"{data["etag"]}"'
        return super().finalize_response(request, response, *args, **kwargs)


def _named_states(header: str | None) -> list[str] | None:
    """The etags of ``If-Match``; None without it.

    They are taken without quotes as well, as the JSON has them: who sends the header is not to
    overwrite what they have not seen.
    """
    if header is None:
        return None
    return parse_etags(header) or [etag.strip() for etag in header.split(",") if etag.strip()]
