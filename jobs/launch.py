"""The one door: API, admin, pages, commands and schedules all ask for work of a worker here."""

from __future__ import annotations

import logging
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from kombu.exceptions import OperationalError

from inventory.models import Device
from jobs.choices import RunStatus, Trigger
from jobs.models import Job, JobRun, PlatformDetection
from jobs.services.detection import detection_create
from jobs.services.runs import run_create
from jobs.tasks import detect_platform, device_queue, dispatch_run

logger = logging.getLogger(__name__)


class JobDisabled(Exception):
    """The job is disabled; the message says so and what to do."""


def request_run(
    *,
    job: Job,
    trigger: Trigger,
    requested_by: User | None = None,
    slot_at: datetime | None = None,
) -> JobRun:
    """Create a run of ``job`` and have it started once the transaction is committed.

    The run exists when this returns, also while the broker is down: the reconciler rings again.
    Raises JobDisabled.
    """
    if not job.is_enabled:
        raise JobDisabled(f"job '{job.name}' is disabled; enable it to run it")
    run = run_create(job=job, trigger=trigger, requested_by=requested_by, slot_at=slot_at)
    if run.status == RunStatus.PENDING:
        transaction.on_commit(lambda: ring(run.pk))
    return run


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
    except OperationalError:
        logger.warning("the broker is down; platform detection %s was not sent", detection_id)


def ring(run_id: int) -> None:
    """Ask a worker to start the run. A broker that is down is no loss: the row stays PENDING."""
    try:
        dispatch_run.delay(run_id)
    except OperationalError:
        logger.warning("the broker is down; run %s starts when it is back", run_id)
