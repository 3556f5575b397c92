"""What the worker processes say of themselves, and which of them reconciles."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class WorkerProcess(models.Model):
    """A worker process and its last sign of life, written by its heartbeat."""

    #: Celery's name of it, ``devices1@host``.
    node = models.CharField(max_length=255, unique=True)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    #: Queues that it takes tasks from, by name.
    queues = ArrayField(models.CharField(max_length=64))
    #: Tasks that it works on at once at the most.
    concurrency = models.PositiveIntegerField()
    #: Tasks that it works on.
    busy = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["node"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.node


class ReconcilerTick(models.Model):
    """A row per elected duty of the heartbeat: whoever moves ``last_at`` may do it.

    Row 1 is that of the reconciler, row 2 that of releasing parked devices, row 3
    that of looking for overdue devices, row 4 that of asking for ``heartbeat_url``; row 5
    says when beat last went round.
    """

    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"last reconciled {self.last_at:%Y-%m-%d %H:%M:%S}"
