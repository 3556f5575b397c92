"""Permission classes of the API: each asks for rights by name, before any object is looked at.

Asking first keeps the two answers apart: 403 says that the role is the wrong one, 404 that there
is no such object for this user.
"""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class HasPermission(BasePermission):
    """Users with the right ``permission``; subclasses name it, and say what to ask for."""

    #: As ``app_label.codename``.
    permission: str

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.user.has_perm(self.permission)


class MayChangeModel(BasePermission):
    """Users with the right to change the model that the view is about."""

    message = "You may not change these; ask for the operator role."
    verb = "change"

    def has_permission(self, request: Request, view: Any) -> bool:
        options = view.queryset.model._meta
        return request.user.has_perm(f"{options.app_label}.{self.verb}_{options.model_name}")


class MayDeleteModel(MayChangeModel):
    """Users with the right to delete rows of that model."""

    message = "You may not delete these; ask for the operator role."
    verb = "delete"
