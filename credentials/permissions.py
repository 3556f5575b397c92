"""Permission classes of the API for users who are limited to the devices of some tags."""

from __future__ import annotations

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from credentials.visibility import is_limited


class IsNotLimited(BasePermission):
    """Users who see every device, for what is about the whole installation."""

    message = "You are limited to some tags, and this is about all devices."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return not is_limited(user=request.user)


class IsNotLimitedToWrite(IsNotLimited):
    """Users who see every device; others may read."""

    message = "You are limited to some tags; ask somebody who is not to change this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method in SAFE_METHODS or super().has_permission(request, view)
