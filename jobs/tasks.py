"""The Celery tasks. Messages carry ids only; the rows that they point to are the truth."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from typing import Any

import structlog
from celery import Task, shared_task
from celery.exceptions import Reject
from django.db import IntegrityError, InterfaceError, InternalError, OperationalError
from structlog.contextvars import bind_contextvars

from backups.engine.cancellation import Cancellation
from backups.services.remotes import remotes_mark_changed
from backups.services.retention import archives_prune
from jobs import leases
from jobs.broker import BROKER_DOWN
from jobs.choices import ResultStatus, RunStatus
from jobs.git_tasks import pushes_send
from jobs.models import DeviceResult, JobRun
from jobs.notifications.retention import notifications_prune
from jobs.policy.limits import LimitKind, limit_key
from jobs.selectors.limits import parked_lines
from jobs.sending import (
    ADVANCE_RUN,
    BACKUP_DEVICE,
    COMMIT_SNAPSHOTS,
    commits_send,
    device_label,
    handed_over_go_on,
    send_released,
    send_wave,
)
from jobs.services import runs
from jobs.services.backup import device_back_up
from jobs.services.claims import Claim
from jobs.services.commits import (
    commit_is_asked_by_nobody_else,
    commits_are_waiting,
    handed_over_commit,
    leftovers_commit,
)
from jobs.services.detection import detection_run
from jobs.services.early_end import run_fail
from jobs.services.parking import parked_release, room_made
from jobs.services.results import result_claim
from jobs.services.retention import logs_prune
from jobs.services.sessions import database_use
from jobs.services.task_results import task_results_prune
from jobs.services.workers import workers_prune

logger = structlog.get_logger(__name__)

#: Devices whose configurations are committed in one turn of the Git store.
_COMMITS_AT_ONCE = 100
_LOOK_AGAIN_SECONDS = 1.0
#: After so many of these turns a task makes room for pushes.
_COMMIT_ROUNDS = 20
#: A detection that waits until others have tried its credential looks again after so long.
_DETECT_AGAIN_SECONDS = 2
#: A database that is down, restarted or busy: no fault of a run, which goes on when it is back. So
#: are a transaction that was ended because its process stood still (InternalError), and a row that
#: was deleted while it was being pointed to.
_PASSING_DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError, IntegrityError)


class Advance(Enum):
    """What became of a run that was advanced."""

    NOTHING = "nothing"
    SENT = "sent"
    ENDED = "ended"


@shared_task(name=BACKUP_DEVICE, bind=True, max_retries=None, ignore_result=True)
def backup_device(self: Task[..., Any], result_id: int) -> str:
    """Back up one device. Never raises for what a device does, so that its chord completes."""
    taken = _take(result_id)
    if taken is None:
        return "nothing to do"
    result, cancellation = taken
    try:
        done = device_back_up(
            result=result, cancellation=cancellation, on_proven=lambda: _end_probation(result)
        )
    finally:
        leases.release(Claim(result.pk, result.attempts))
    if result.limit_keys or result.parked_reason or (done is not None and done.was_refused):
        with database_use():
            released = room_made(result=result)
        send_released(released)
    if done is None:
        return "claim lost"
    if done.status == ResultStatus.RUNNING:
        with database_use():
            if commit_is_asked_by_nobody_else(result_id=result_id):
                commits_send()
    if done.retry_seconds is not None:
        raise self.retry(countdown=done.retry_seconds, **device_label(result))
    return str(done.status)


def _take(result_id: int) -> tuple[DeviceResult, Cancellation] | None:
    """The claimed row and what ends its session; None when there is nothing to do.

    Raises Reject in a worker that has handed back its devices and is about to end.
    """
    try:
        with leases.taking(), database_use():
            result = result_claim(result_id=result_id)
            if result is None:
                return None
            bind_contextvars(run=result.run_id, device=result.hostname)
            return result, leases.hold(Claim(result.pk, result.attempts))
    except leases.WorkerEnds as error:
        raise Reject(reason="the worker ends", requeue=True) from error


@shared_task(name=COMMIT_SNAPSHOTS, ignore_result=True)
def commit_snapshots() -> None:
    """Commit what device workers have stored, where only the ``git`` queue writes to Git.

    One message stands for all that wait at that time, and for what comes while it works.
    """
    with database_use():
        for _ in range(_COMMIT_ROUNDS):
            done = handed_over_commit(limit=_COMMITS_AT_ONCE)
            if not done.devices:
                leftovers_commit(limit=_COMMITS_AT_ONCE)
                break
            handed_over_go_on(done)
        # Also those that another process has locked for a moment, which passed them by here.
        if commits_are_waiting():
            commits_send(seconds=_LOOK_AGAIN_SECONDS)


@shared_task(name="jobs.detect_platform", bind=True, max_retries=None, ignore_result=True)
def detect_platform(self: Task[..., Any], detection_id: int) -> None:
    """Find out the platform of the device of a detection."""
    if not detection_run(detection_id=detection_id):
        raise self.retry(countdown=_DETECT_AGAIN_SECONDS)


@shared_task(name="jobs.dispatch_run", ignore_result=True)
def dispatch_run(run_id: int) -> None:
    """Start a run: resolve its credentials and send the first waves."""
    run = JobRun.objects.get(pk=run_id)
    if runs.run_start(run=run):
        run_advance(run_id)
        _release(parked_lines(run_id=run_id))


@shared_task(name=ADVANCE_RUN, ignore_result=True)
def advance(run_id: int) -> None:
    """Send what there is room for of a run, or finalise it: body and errback of every chord."""
    run_advance(run_id)


def run_advance(run_id: int) -> Advance:
    """Send what there is room for of a run, or finalise it; says what it did.

    Safe to call at any time by anybody; a run that needs nothing is left alone. An error that
    nobody foresaw ends the run, one that passes leaves it to the reconciler.
    """
    run = JobRun.objects.get(pk=run_id)
    if run.status != RunStatus.RUNNING:
        return Advance.NOTHING
    sent = False
    # What is raised in each of these steps ends the run with the status beside it.
    status, doing = RunStatus.FAILED_CREDENTIAL_RESOLUTION, "the credentials could not be resolved"
    try:
        runs.run_resolve_credentials(run=run)
        status, doing = RunStatus.FAILED_DISPATCHER_ERROR, "the devices could not be dispatched"
        while wave := runs.run_take_wave(run=run):
            send_wave(run_id, wave)
            sent = True
        status, doing = RunStatus.FAILED_UNEXPECTED, "the run could not be brought to its end"
        if runs.run_finalise(run=run):
            _push_if_changed(run)
            return Advance.ENDED
    except (*BROKER_DOWN, *_PASSING_DATABASE_ERRORS) as error:
        logger.warning(
            "run.postponed",
            run=run_id,
            error=type(error).__name__,
            reason=str(error).partition("\n")[0],
            # Which row was deleted meanwhile, if it is that, only the place tells.
            exc_info=isinstance(error, IntegrityError),
        )
        return Advance.NOTHING
    except Exception:
        logger.exception("run.failed", run=run_id, reason=doing)
        failed = run_fail(run=run, status=status, reason=f"{doing}; the worker's log has more")
        return Advance.ENDED if failed else Advance.NOTHING
    return Advance.SENT if sent else Advance.NOTHING


@shared_task(name="jobs.prune", ignore_result=True)
def prune() -> None:
    """Delete what is no longer to be kept; the scheduler asks for it every day."""
    with database_use():
        logger.info(
            "prune.done",
            **asdict(archives_prune()),
            **asdict(logs_prune()),
            workers=workers_prune(),
            messages=notifications_prune(),
            task_results=task_results_prune(),
        )


def _release(lines: list[str]) -> None:
    """Let go on who waits in these lines; what fails is done again by the heartbeat."""
    try:
        send_released(parked_release(lines=lines))
    except Exception:
        logger.exception("parked_devices.release_failed")


def _end_probation(result: DeviceResult) -> None:
    """Let everybody go on who waited for the credential of ``result`` to be taken."""
    with database_use():
        _release([limit_key(LimitKind.PROBATION, result.run_id, result.credential_id or 0)])


def _push_if_changed(run: JobRun) -> None:
    if run.results.filter(config_changed=True).exists() and remotes_mark_changed():
        pushes_send(run_id=run.pk)
