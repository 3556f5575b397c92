"""What admin pages have in common that are not about single devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from credentials.visibility import is_limited


class NarrowFilters(admin.ModelAdmin):
    """For admin pages whose filters would list what a limited user does not see."""

    #: Those filters.
    wide_filters: Sequence[str] = ("tags", "device__tags", "job")

    def get_list_filter(self, request: HttpRequest) -> Any:
        filters = super().get_list_filter(request)
        if not is_limited(user=request.user):
            return filters
        return [one for one in filters if one not in self.wide_filters]


class WholeAdmin(NarrowFilters):
    """For admin pages about the whole installation: nothing for users who are limited."""

    #: Whether limited users may look at the rows all the same.
    is_readable_when_limited = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may_look(request) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_look(request) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return not is_limited(user=request.user) and super().has_add_permission(request, *args)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_limited(user=request.user) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not is_limited(user=request.user) and super().has_delete_permission(request, obj)

    def _may_look(self, request: HttpRequest) -> bool:
        return self.is_readable_when_limited or not is_limited(user=request.user)
