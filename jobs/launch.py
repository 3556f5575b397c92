"""The one door: API, admin, pages, commands and schedules all ask for work of a worker here."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from inventory.models import Device
from jobs.broker import BROKER_DOWN
from jobs.choices import RunStatus, Trigger
from jobs.models import Job, JobRun, PlatformDetection
from jobs.sending import device_queue
from jobs.services.detection import detection_create
from jobs.services.early_end import run_cancel
from jobs.services.notices import run_create_of_changes
from jobs.services.run_creation import (
    JobBusy,
    NothingToRetry,
    run_create,
    run_create_over,
    run_create_retry,
)
from jobs.tasks import detect_platform, dispatch_run

logger = structlog.get_logger(__name__)


class JobDisabled(Exception):
    """The job is disabled; the message says so and what to do."""


class RunHasEnded(Exception):
    """There is nothing to cancel any more; the message says how the run ended."""


#: Why a run of a job cannot be had just now.
REFUSALS = (JobDisabled, JobBusy)
#: Why a run cannot be tried again just now.
RETRY_REFUSALS = (NothingToRetry, *REFUSALS)


def request_run(
    *,
    job: Job,
    trigger: Trigger,
    requested_by: User | None = None,
    slot_at: datetime | None = None,
) -> JobRun:
    """Create a run of ``job`` and have it started once the transaction is committed.

    The run exists when this returns, also while the broker is down: the reconciler rings again. A
    scheduled run of a job whose earlier run is still open comes back as CANCELLED. Raises
    JobDisabled, and JobBusy where anything but a schedule asks for such a run.
    """
    _refuse_disabled(job)
    run = run_create(job=job, trigger=trigger, requested_by=requested_by, slot_at=slot_at)
    if run.status == RunStatus.PENDING:
        transaction.on_commit(lambda: ring(run.pk))
    return run


def request_backup(*, devices: QuerySet[Device], requested_by: User) -> JobRun:
    """Create a run of no job over the active ones of ``devices``, and have it started.

    It has those that ``requested_by`` sees. Raises NothingToBackUp.
    """
    run = run_create_over(devices=devices, trigger=Trigger.MANUAL, requested_by=requested_by)
    transaction.on_commit(lambda: ring(run.pk))
    return run


def request_changed() -> JobRun | None:
    """Create a run over the devices whose notices of a change are due, and have it started.

    None when there are none. Anybody may call it at any time.
    """
    run = run_create_of_changes()
    if run is not None:
        transaction.on_commit(lambda: ring(run.pk))
    return run


def request_retry(
    *,
    run: JobRun,
    trigger: Trigger,
    requested_by: User | None,
    only: Collection[int] | None = None,
) -> JobRun:
    """Create a run over the failed, errored and suspect devices of ``run``, and have it started.

    ``only`` narrows these down to the device results with these ids. Devices that were deleted or
    made inactive since are left out. Raises NothingToRetry, JobDisabled and JobBusy.
    """
    if run.job is not None:
        _refuse_disabled(run.job)
    retry = run_create_retry(run=run, trigger=trigger, requested_by=requested_by, only=only)
    transaction.on_commit(lambda: ring(retry.pk))
    return retry


def request_cancel(*, run: JobRun, cancelled_by: str) -> JobRun:
    """Stop ``run`` in the name of ``cancelled_by``; gives it as it is then. Raises RunHasEnded."""
    cancelled = run_cancel(run=run, cancelled_by=cancelled_by)
    run.refresh_from_db()
    if not cancelled:
        raise RunHasEnded(f"run {run.pk} has ended already, as {run.status}")
    logger.info("run.cancelled", run=run.pk, job=run.job_id, cancelled_by=cancelled_by)
    return run


def _refuse_disabled(job: Job) -> None:
    if not job.is_enabled:
        raise JobDisabled(f"job '{job.name}' is disabled; enable it to run it")


def request_detection(*, device: Device, requested_by: User | None = None) -> PlatformDetection:
    """Have a worker that reaches ``device`` find out what it is, once the transaction is committed.

    The row says how it went. It stays PENDING while no worker takes it, and the reconciler ends it
    after a while.
    """
    detection = detection_create(device=device, requested_by=requested_by)
    queue = device_queue(device)
    transaction.on_commit(lambda: _send_detection(detection.pk, queue))
    return detection


def _send_detection(detection_id: int, queue: str) -> None:
    try:
        detect_platform.apply_async((detection_id,), queue=queue)
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="detection", detection=detection_id)


def ring(run_id: int) -> bool:
    """Ask a worker to start the run.

    False when the broker is down, which is no loss: the row stays PENDING.
    """
    try:
        dispatch_run.delay(run_id)
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="run", run=run_id)
        return False
    return True
