"""What workers do that is no work on devices: checking the audit log, keeping results of tasks."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Task, shared_task, signals
from django.db import DatabaseError, InterfaceError

from jobs.services.sessions import database_use
from jobs.services.task_results import KEPT_TASKS, task_result_keep
from netraven_site.audit_check import audit_check

logger = structlog.get_logger(__name__)


@shared_task(name="netraven.verify_audit", ignore_result=True)
def verify_audit() -> None:
    """Check the audit log; the scheduler asks for it every night."""
    with database_use():
        audit_check()


@signals.task_postrun.connect
def keep_result(
    task_id: str,
    task: Task[..., Any],
    args: tuple[object, ...],
    retval: object,
    state: str,
    **_: object,
) -> None:
    """Have the admin show how a task ended. One whose result is lost has ended all the same."""
    if task.name not in KEPT_TASKS:
        return
    try:
        with database_use():
            task_result_keep(
                task_id=task_id,
                name=task.name,
                ids=args,
                status=state,
                error=type(retval).__name__ if isinstance(retval, BaseException) else "",
                worker=task.request.hostname or "",
            )
    except (DatabaseError, InterfaceError) as error:
        logger.warning("task_result.lost", of=task.name, error=type(error).__name__)
