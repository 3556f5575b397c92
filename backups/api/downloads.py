"""Answers with raw bytes, for the API and the admin alike."""

from __future__ import annotations

from django.http import HttpResponse

from backups.models import Archive


def download(payload: bytes, *, file_name: str, media_type: str) -> HttpResponse:
    """An answer that a browser saves and never shows, runs or keeps.

    ``file_name`` holds no quote and no line end.
    """
    answer = HttpResponse(payload, content_type=media_type)
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def raw_file_name(archive: Archive) -> str:
    """The name of an artefact, or one for a running-config that no device has a part in."""
    return archive.name or f"running-config-{archive.pk}.cfg"
