"""What the worker processes say of themselves, and which of them does what for all."""

from __future__ import annotations

from enum import IntEnum

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


class Tick(IntEnum):
    """What one process does for all; the values are the keys of ``ReconcilerTick``."""

    RECONCILE = 1
    RELEASE_PARKED = 2
    FIND_OVERDUE = 3
    ASK_HEARTBEAT_URL = 4
    #: Nobody is elected for it: it says when beat last went round.
    BEAT = 5


class ReconcilerTick(models.Model):
    """A row per duty, whose key is its ``Tick``: whoever moves ``last_at`` may do it."""

    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        name = next((tick.name for tick in Tick if tick == self.pk), str(self.pk))
        return f"{name.lower()} {self.last_at:%Y-%m-%d %H:%M:%S}"
