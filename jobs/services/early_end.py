"""Ends a run before its devices are through: cancelled, past its deadline, or failed.

The run and its devices end in one transaction, so no device stays open in a run that has ended. A
worker that holds one of them has lost its claim with that: what it writes later changes no row, and
its heartbeat ends the session within seconds.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Case, When
from django.db.models.functions import Extract, Now

from backups.engine.errors import ErrorCategory
from backups.services.remotes import remotes_mark_changed
from jobs.choices import ResultStatus, RunStatus
from jobs.models import JobRun
from jobs.policy import final_status
from jobs.policy.transitions import (
    RESULT_CANCEL,
    RESULT_GIVE_UP,
    RUN_CANCEL,
    RUN_EXPIRE,
    RUN_FAIL,
    Move,
)
from jobs.services.breaker import run_count_connections
from jobs.services.results import SINCE_START
from jobs.services.runs import result_counts, run_end, run_lock


@transaction.atomic
def run_cancel(*, run: JobRun, cancelled_by: str) -> bool:
    """Stop an open ``run`` in the name of ``cancelled_by``; its open devices become CANCELLED.

    Devices that have ended keep their results. False when the run had ended already.
    """
    if not run_lock(run=run, statuses=RUN_CANCEL.sources):
        return False
    stopped = _stop_results(run, RESULT_CANCEL, status=ResultStatus.CANCELLED)
    JobRun.objects.filter(pk=run.pk).update(cancelled_by=cancelled_by[:200])
    reason = f"cancelled by {cancelled_by} with {stopped} devices still open"
    return _end(run, RUN_CANCEL, RunStatus.CANCELLED, reason)


@transaction.atomic
def run_expire(*, run: JobRun) -> bool:
    """End an open ``run`` that is past its deadline: open devices become ERRORED, the rest counts.

    False when it had ended already, or has time left.
    """
    if not run_lock(run=run, statuses=RUN_EXPIRE.sources):
        return False
    if not JobRun.objects.filter(pk=run.pk, deadline_at__lte=Now()).exists():
        return False
    message = "the run reached its deadline before this device was done"
    stopped = _give_up_results(run, ErrorCategory.RUN_DEADLINE, message)
    reason = f"the run reached its deadline with {stopped} devices still open"
    ended = _end(run, RUN_EXPIRE, final_status(result_counts(run=run)), reason)
    run_count_connections(run=run)
    return ended


@transaction.atomic
def run_fail(*, run: JobRun, status: RunStatus, reason: str) -> bool:
    """End an open ``run`` for a reason of our own; its open devices become ERRORED.

    False when it had ended already.
    """
    if not run_lock(run=run, statuses=RUN_FAIL.sources):
        return False
    _give_up_results(run, ErrorCategory.UNEXPECTED, reason)
    return _end(run, RUN_FAIL, status, reason)


def _end(run: JobRun, move: Move[RunStatus], status: RunStatus, reason: str) -> bool:
    if run.results.filter(config_changed=True).exists():
        remotes_mark_changed()
    return run_end(run=run, move=move, status=status, reason=reason, counts=result_counts(run=run))


def _give_up_results(run: JobRun, category: ErrorCategory, message: str) -> int:
    return _stop_results(
        run,
        RESULT_GIVE_UP,
        status=ResultStatus.ERRORED,
        error_category=category.value,
        error_message=message[:500],
    )


def _stop_results(run: JobRun, move: Move[ResultStatus], **fields: object) -> int:
    """End the open devices of a locked ``run`` as ``fields`` say; gives how many there were."""
    stopped = run.results.filter(status__in=move.sources)
    # Locked in one order first: others lock several rows at once as well. RUNNING ones before the
    # rest, because a task that holds its own may set a credential aside, and with that hold these.
    order = (Case(When(status=ResultStatus.RUNNING, then=0), default=1), "pk")
    list(stopped.select_for_update().order_by(*order).values_list("pk"))
    return stopped.update(
        **fields,
        finished_at=Now(),
        duration_seconds=Extract(SINCE_START, "epoch"),
        lease_until=None,
        retry_at=None,
        parked_at=None,
        parked_reason="",
    )
