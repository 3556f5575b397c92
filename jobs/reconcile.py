"""Repairs what a lost message, a dead worker or a broken store left behind.

Runs in every worker's heartbeat, elected by one row, and on demand. Safe to run many times at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError

from backups.engine.errors import DeviceError
from backups.services import projections
from backups.services.commits import devices_with_pending_snapshots, snapshots_commit
from jobs.choices import RunStatus
from jobs.git_tasks import pushes_send
from jobs.launch import ring
from jobs.models import DeviceResult, JobRun, ReconcilerTick
from jobs.services import results, runs
from jobs.services.detection import detections_expire
from jobs.tasks import advance, resend

logger = logging.getLogger(__name__)

_LIMIT = 1000
#: So few that a pass with them takes about a second.
_REVISIONS_AT_ONCE = 200
#: After so many missed intervals nobody could renew leases: everyone gets one more.
_GAP_INTERVALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What one pass did, as counts."""

    runs_started: int = 0
    devices_returned: int = 0
    messages_resent: int = 0
    runs_ended: int = 0
    devices_committed: int = 0
    detections_ended: int = 0
    remotes_sent: int = 0
    revisions_indexed: int = 0


def reconcile_if_elected() -> Reconciled | None:
    """One pass, unless another process did one within the interval; then None."""
    interval = timedelta(seconds=settings.NETRAVEN.reconcile_seconds)
    tick, _ = ReconcilerTick.objects.get_or_create(pk=1, defaults={"last_at": timezone.now()})
    won = ReconcilerTick.objects.filter(
        pk=1, last_at=tick.last_at, last_at__lt=Now() - interval
    ).update(last_at=Now())
    if not won:
        return None
    # Both by the database's clock: that of this host may be wrong.
    gap = ReconcilerTick.objects.get(pk=1).last_at - tick.last_at
    if gap > _GAP_INTERVALS * interval:
        results.leases_extend_all()
    return reconcile()


def reconcile() -> Reconciled:
    """One pass over everything that is open."""
    lost = results.results_take_expired(limit=_LIMIT)
    _resend(lost, isolated=True)
    unanswered = results.results_take_unanswered(limit=_LIMIT)
    _resend(unanswered, isolated=False)
    return Reconciled(
        runs_started=_start_forgotten_runs(),
        devices_returned=len(lost),
        messages_resent=len(unanswered),
        runs_ended=_advance_open_runs(),
        devices_committed=_commit_pending(),
        detections_ended=detections_expire(),
        remotes_sent=pushes_send(),
        revisions_indexed=projections.catch_up(limit=_REVISIONS_AT_ONCE),
    )


def _resend(devices: list[DeviceResult], *, isolated: bool) -> None:
    """Ring again. A broker that is down is no loss: the rows are found again later."""
    try:
        resend(devices, isolated=isolated)
    except OperationalError:
        logger.warning("the broker is down; %s devices are sent again later", len(devices))


def _start_forgotten_runs() -> int:
    ttl = timedelta(seconds=settings.NETRAVEN.message_ttl_seconds)
    forgotten = JobRun.objects.filter(status=RunStatus.PENDING, queued_at__lt=Now() - ttl)
    ids = list(forgotten.values_list("pk", flat=True)[:_LIMIT])
    JobRun.objects.filter(pk__in=ids).update(queued_at=Now())
    for run_id in ids:
        ring(run_id)
    return len(ids)


def _advance_open_runs() -> int:
    """Finalise, go on with, or expire every run that is still open."""
    ended = 0
    for run in JobRun.objects.filter(status__in=[RunStatus.PENDING, RunStatus.RUNNING])[:_LIMIT]:
        if run.deadline_at < timezone.now():
            ended += runs.run_expire(run=run)
            continue
        if run.status == RunStatus.RUNNING and _is_stalled(run):
            advance(run.pk)
            ended += not JobRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING).exists()
    return ended


def _is_stalled(run: JobRun) -> bool:
    """Nothing of the run is under way, so no task will advance it."""
    return not run.results.filter(
        status__in=["PENDING", "RUNNING", "RETRYING"], queued_at__isnull=False
    ).exists()


def _commit_pending() -> int:
    older = settings.NETRAVEN.lease_seconds
    devices = devices_with_pending_snapshots(older_than_seconds=older, limit=_LIMIT)
    problems = []
    for device_id in devices:
        try:
            snapshots_commit(device_id=device_id)
        except DeviceError as error:
            problems.append(error.message)
    if problems:
        logger.warning("snapshots of %s devices wait for Git: %s", len(problems), problems[-1])
    return len(devices) - len(problems)
