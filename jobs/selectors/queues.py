"""Which queues somebody takes tasks from."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from jobs.models import WorkerProcess


def queues_served() -> frozenset[str] | None:
    """The queues that living worker processes take tasks from, by name.

    None where no process has given a sign of life within a lease: then nothing is known.
    """
    alive = timedelta(seconds=settings.NETRAVEN.lease_seconds)
    processes = list(WorkerProcess.objects.filter(seen_at__gt=Now() - alive))
    if not processes:
        return None
    return frozenset(queue for process in processes for queue in process.queues)
