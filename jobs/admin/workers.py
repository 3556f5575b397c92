"""Worker processes in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from credentials.admin import ReadOnlyAdmin
from credentials.scoped import WholeAdmin
from jobs.models import WorkerProcess
from jobs.selectors.workers import workers_known


@admin.register(WorkerProcess)
class WorkerProcessAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = ["node", "is_alive", "queues", "concurrency", "busy", "started_at", "seen_at"]
    search_fields = ["node"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkerProcess]:
        return workers_known()

    @admin.display(description="Alive", boolean=True)
    def is_alive(self, worker: WorkerProcess) -> bool:
        return bool(getattr(worker, "is_alive", False))
