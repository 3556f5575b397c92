"""The Celery tasks about the Git store as a whole: pushing, packing and checking it."""

from __future__ import annotations

import structlog
from celery import shared_task

from backups.engine.errors import DeviceError
from backups.models import RemoteState
from backups.services.maintenance import git_store_maintain
from backups.services.remotes import (
    PushOutcome,
    PushPlan,
    RemoteBusy,
    push_carry_out,
    push_plan,
    push_record,
    remote_alone,
    remotes_take_due,
)
from backups.services.verify import store_verify
from jobs.broker import BROKER_DOWN
from jobs.choices import LogLevel
from jobs.queues import GIT_QUEUE
from jobs.services.logs import job_log
from jobs.services.sessions import database_use

logger = structlog.get_logger(__name__)


def pushes_send(*, run_id: int | None = None) -> int:
    """Ask workers to push to the remotes that are due; how many there are.

    How it goes is written into the log of ``run_id``. A broker that is down is no loss: the rows
    are due again later.
    """
    remote_ids = remotes_take_due()
    try:
        for remote_id in remote_ids:
            push_remote.apply_async((remote_id, run_id), queue=GIT_QUEUE)
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="pushes", count=len(remote_ids))
    return len(remote_ids)


@shared_task(name="jobs.push_remote", ignore_result=True)
def push_remote(remote_id: int, run_id: int | None = None) -> None:
    """Push to one remote and write down how it went; nothing when somebody else is at it."""
    try:
        with remote_alone(remote_id):
            _push(remote_id, run_id)
    except RemoteBusy:
        logger.info("git_remote.busy", remote=remote_id)
    except DeviceError as error:
        logger.warning("git_remote.push_failed", remote=remote_id, error=error.message)


@shared_task(name="jobs.maintain_git_store", ignore_result=True)
def maintain_git_store() -> None:
    """Pack the Git store."""
    try:
        done = git_store_maintain()
    except DeviceError as error:
        logger.warning("git_store.maintenance_failed", error=error.message)
        return
    for lock in done.removed_locks:
        logger.warning("git_store.lock_removed", lock=str(lock))
    logger.info(
        "git_store.packed",
        bytes_before=done.before.bytes_on_disk,
        bytes_after=done.after.bytes_on_disk,
    )


# Acknowledged at its begin: a large store takes longer than a message that is late is waited for,
# and a check that was cut off comes again next week.
@shared_task(name="jobs.verify_store", ignore_result=True, acks_late=False)
def verify_store() -> None:
    """Check the whole store. What is wrong is told on the page of the system, and here in short."""
    try:
        with database_use(for_long=True):
            report = store_verify(progress=_nobody_watches)
    except DeviceError as error:
        logger.warning("git_store.not_verified", error=error.message)
        return
    checked, found = dict(report.checked), {kind.value: n for kind, n in report.counts.items()}
    if report.is_clean:
        logger.info("git_store.verified", checked=checked)
    else:
        logger.error("git_store.problems_found", checked=checked, problems=found)


def _nobody_watches(_done: int) -> None:
    """For a check that runs where nobody sees how far it is."""


def _push(remote_id: int, run_id: int | None) -> None:
    with database_use():
        plan = push_plan(remote_id=remote_id)
    if plan is None:
        return
    outcome = push_carry_out(plan=plan)
    with database_use():
        push_record(plan=plan, outcome=outcome)
        if run_id is not None:
            _log(run_id, plan, outcome)


def _log(run_id: int, plan: PushPlan, outcome: PushOutcome) -> None:
    pushed = outcome.state == RemoteState.OK
    message = f"Git remote '{plan.name}': {outcome.error or 'pushed'}"
    job_log(run=run_id, message=message, level=LogLevel.INFO if pushed else LogLevel.ERROR)
