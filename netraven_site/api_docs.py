"""The description of the API, and two pages that show it.

The pages are for people, so who is not logged in is sent to the log-in. All files come from this
site, and nothing in them needs looser rules than the other pages have.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.mixins import AccessMixin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated


class SchemaView(SpectacularAPIView):
    """The description of the API in the form of OpenAPI 3."""

    permission_classes = [IsAuthenticated]


class _Page(AccessMixin):
    """A page for whoever is logged in."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # of the view beside it
        return answer


class SwaggerPage(_Page, SpectacularSwaggerSplitView):
    """Swagger UI: reading the description, and trying the API out."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]


class RedocPage(_Page, SpectacularRedocView):
    """Redoc: reading the description as one document."""

    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]

    template_name = "redoc.html"
