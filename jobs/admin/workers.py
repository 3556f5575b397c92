"""Worker processes in the admin."""

from __future__ import annotations

from django.contrib import admin

from credentials.admin import ReadOnlyAdmin
from jobs.models import WorkerProcess


@admin.register(WorkerProcess)
class WorkerProcessAdmin(ReadOnlyAdmin):
    list_display = ["node", "queues", "concurrency", "busy", "started_at", "seen_at"]
    search_fields = ["node"]
