"""What worker processes say of themselves: that they live, what they serve, and that they go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from jobs.models import WorkerProcess

_DEAD_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """What stays the same as long as a worker process lives."""

    #: Celery's name of it, ``devices1@host``.
    node: str
    host: str
    pid: int
    queues: tuple[str, ...]
    #: Tasks that it works on at once at the most.
    concurrency: int


@transaction.atomic
def worker_seen(*, worker: WorkerIdentity, busy: int) -> None:
    """Record a sign of life and how many tasks it works on. A restarted worker begins anew."""
    known = WorkerProcess.objects.filter(node=worker.node, host=worker.host, pid=worker.pid)
    if known.update(busy=busy, queues=list(worker.queues), seen_at=Now()):
        return
    WorkerProcess.objects.update_or_create(
        node=worker.node,
        defaults={
            "host": worker.host,
            "pid": worker.pid,
            "queues": list(worker.queues),
            "concurrency": worker.concurrency,
            "busy": busy,
            "started_at": Now(),
            "seen_at": Now(),
        },
    )


def worker_gone(*, worker: WorkerIdentity) -> None:
    """Forget a worker that ended in order. Its successor of the same name stays."""
    WorkerProcess.objects.filter(node=worker.node, host=worker.host, pid=worker.pid).delete()


def workers_prune(*, dry_run: bool = False) -> int:
    """Forget workers that gave no sign of life for a day; gives how many."""
    dead = WorkerProcess.objects.filter(seen_at__lt=Now() - _DEAD_KEPT)
    return dead.count() if dry_run else dead.delete()[0]
