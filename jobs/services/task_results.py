"""What became of the tasks that see to runs and the store, for the admin.

Celery's own results stand in Redis for the chords (docs/adr/0009) and expire there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone
from django_celery_results.models import TaskResult

#: What happens to one device stands in its row of the run, and would be one more row per device.
KEPT_TASKS: Final = frozenset(
    {
        "jobs.dispatch_run",
        "jobs.advance_run",
        "jobs.push_remote",
        "jobs.maintain_git_store",
        "jobs.verify_store",
        "jobs.prune",
        "netraven.verify_audit",
    }
)


def task_result_keep(
    *, task_id: str, name: str, ids: Sequence[object], status: str, error: str, worker: str
) -> None:
    """Keep the last word of a task that was called with ``ids``; ``status`` is one of Celery's.

    ``error`` is the class of what it raised, or empty; messages and tracebacks may hold secrets and
    stand in the worker's log, which is redacted. Raises DatabaseError.
    """
    TaskResult.objects.store_result(  # type: ignore[call-arg]  # worker is not in the stubs
        content_type="application/json",
        content_encoding="utf-8",
        task_id=task_id,
        task_name=name,
        task_args=", ".join(map(str, ids)),
        status=status,
        result=json.dumps(error or None),
        worker=worker,
    )


def task_results_prune() -> int:
    """Delete what is older than logs are kept by the configuration; gives the number of rows."""
    since = timezone.now() - timedelta(days=settings.NETRAVEN.log_retention_days)
    return TaskResult.objects.filter(date_done__lt=since).delete()[0]
