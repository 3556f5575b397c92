"""What views, serializers and admin pages have in common that show a user their devices only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from rest_framework import serializers

from credentials.api.fields import NameField
from credentials.models import Tag
from credentials.scoped import NarrowFilters
from credentials.visibility import User, tags_visible_to
from inventory.models import Device
from inventory.visibility import devices_visible_to, is_limited, of_visible_devices, tags_problem


class OfVisibleDevices:
    """For views of the API over rows that belong to devices; others' rows are not there (404)."""

    #: The way from a row to its device.
    device_path = "device"

    def get_queryset(self) -> QuerySet[Any]:
        """The rows of the devices that the caller may see."""
        rows = super().get_queryset()  # type: ignore[misc]  # of the view beside this class
        user = self.request.user  # type: ignore[attr-defined]  # the same
        return of_visible_devices(queryset=rows, user=user, path=self.device_path)


class VisibleSlugField(NameField):
    """Names a row that the caller may see, or the one that is set already."""

    def __init__(self, visible_to: Callable[..., QuerySet[Any]], **options: Any) -> None:
        self._visible_to = visible_to
        # For the schema; each request asks for its own.
        super().__init__(queryset=visible_to(user=None), **options)

    def get_queryset(self) -> QuerySet[Any]:
        """The rows that may be named."""
        visible = self._visible_to(user=caller(self))
        current = getattr(getattr(self.parent, "instance", None), f"{self.source}_id", None)
        model = visible.model
        return visible | model._default_manager.filter(pk=current) if current else visible


def visible_device(request: HttpRequest, pk: int) -> Device:
    """The device with this id and its zone, if the user may see it. Raises Http404."""
    devices = devices_visible_to(user=request.user).select_related("zone")
    return get_object_or_404(devices, pk=pk)


def caller(field: serializers.Field[Any, Any, Any, Any]) -> User:
    """Who sent what a serializer or a field of it reads; None outside a request."""
    request = field.context.get("request")
    return None if request is None else request.user


def check_tag_names(
    *, names: Sequence[str], before: QuerySet[Tag] | None, user: User
) -> Sequence[str]:
    """``names`` as the tags of a row, if ``user`` may make this of what it had before.

    A limited user gives and takes away tags of their own only, and leaves at least one of them.
    Raises the API's ValidationError.
    """
    if not is_limited(user=user):
        return names
    own = {tag.name.lower() for tag in tags_visible_to(user=user)}
    had = [] if before is None else [tag.name for tag in before]
    problem = tags_problem(wanted=names, had=had, own=own)
    if problem:
        raise serializers.ValidationError(problem)
    return names


class ScopedAdmin(NarrowFilters):
    """For admin pages of rows that belong to devices: others' rows are not there.

    Goes before the class of the look. A limited user changes no relations of a stored row here:
    the API can tell a tag that was taken away from one that was not shown.
    """

    #: The way from a row to its device; None when a subclass selects the rows itself.
    device_path: str | None = "device"
    #: Relations that a limited user leaves as they are.
    fixed_when_limited: Sequence[str] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if self.device_path is None:
            return rows
        return of_visible_devices(queryset=rows, user=request.user, path=self.device_path)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        if obj is None or not is_limited(user=request.user):
            return fields
        return [*fields, *self.fixed_when_limited]

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        return super().formfield_for_foreignkey(
            db_field, request, **(self._visible(db_field, request) | kwargs)
        )

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(
            db_field, request, **(self._visible(db_field, request) | kwargs)
        )
        if field is not None and db_field.related_model is Tag and is_limited(user=request.user):
            field.required = True  # without a tag of theirs it would be gone from their sight
        return field

    def _visible(self, db_field: Any, request: HttpRequest) -> dict[str, Any]:
        """What may be chosen: the rows that the page of the other model lists for this user."""
        page = self.admin_site._registry.get(db_field.related_model)
        if page is None or not is_limited(user=request.user):
            return {}
        return {"queryset": page.get_queryset(request)}
