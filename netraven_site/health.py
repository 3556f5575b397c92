"""Is the process alive."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers; asks nothing of database or broker."""
    return HttpResponse("ok", content_type="text/plain")
