"""Repairs what a lost message, a dead worker or a broken store left behind.

Runs in every worker's heartbeat, elected by one row, and on demand. Safe to run many times at once.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models.functions import Now

from backups.engine.errors import DeviceError
from backups.selectors.git import git_is_queued
from backups.services import projections
from backups.services.commits import devices_with_pending_snapshots, snapshots_commit
from jobs.broker import BROKER_DOWN
from jobs.choices import LogLevel, RunStatus
from jobs.git_tasks import pushes_send
from jobs.launch import request_changed, ring
from jobs.models import DeviceResult, JobRun, ReconcilerTick, Tick
from jobs.notification_tasks import heartbeat_send, notifications_send
from jobs.schedules import entries_repair, slots_answer
from jobs.selectors.runs import run_is_stalled, runs_open
from jobs.sending import commits_send, device_queue, resend
from jobs.services import results, runs
from jobs.services.commits import leftovers_are_waiting
from jobs.services.detection import detections_expire
from jobs.services.early_end import run_expire
from jobs.services.logs import job_log
from jobs.services.unserved import unserved_report
from jobs.tasks import Advance, run_advance

logger = structlog.get_logger(__name__)

_LIMIT = 1000
#: So few that a pass with them takes about a second.
_REVISIONS_AT_ONCE = 200
#: So long a pass commits what waits for Git; there is more to do.
_COMMIT_SECONDS = 20.0
#: After so many missed intervals nobody could renew leases: everyone gets one more.
_GAP_INTERVALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What one pass did, as counts."""

    slots_answered: int = 0
    changes_answered: int = 0
    entries_mended: int = 0
    runs_started: int = 0
    devices_returned: int = 0
    messages_resent: int = 0
    runs_ended: int = 0
    devices_committed: int = 0
    detections_ended: int = 0
    remotes_sent: int = 0
    targets_asked: int = 0
    revisions_indexed: int = 0


def reconcile_if_elected() -> Reconciled | None:
    """One pass, unless another process did one within the interval; then None."""
    interval = timedelta(seconds=settings.NETRAVEN.reconcile_seconds)
    # All by the database's clock: that of this host may be wrong.
    ReconcilerTick.objects.get_or_create(pk=Tick.RECONCILE, defaults={"last_at": Now()})
    tick = ReconcilerTick.objects.filter(pk=Tick.RECONCILE)
    before = tick.get().last_at
    if not tick.filter(last_at=before, last_at__lt=Now() - interval).update(last_at=Now()):
        return None
    if tick.get().last_at - before > _GAP_INTERVALS * interval:
        results.leases_extend_all()
    done = reconcile()
    heartbeat_send()
    return done


def reconcile() -> Reconciled:
    """One pass over everything that is open."""
    lost = results.results_take_expired(limit=_LIMIT)
    _resend(lost, isolated=True)
    unanswered = results.results_take_unanswered(limit=_LIMIT)
    _resend(unanswered, isolated=False)
    unserved_report(waiting=((each.run_id, device_queue(each.device)) for each in unanswered))
    _log_unanswered(unanswered)
    return Reconciled(
        slots_answered=slots_answer(),
        changes_answered=_answer_changes(),
        entries_mended=entries_repair(),
        runs_started=_start_forgotten_runs(),
        devices_returned=len(lost),
        messages_resent=len(unanswered),
        runs_ended=_advance_open_runs(),
        devices_committed=_commit_pending(),
        detections_ended=detections_expire(),
        remotes_sent=pushes_send(),
        targets_asked=_notify(),
        revisions_indexed=_index(),
    )


def _answer_changes() -> int:
    """How many devices are backed up because something was told of them."""
    run = request_changed()
    return run.total_count if run else 0


def _resend(devices: list[DeviceResult], *, isolated: bool) -> None:
    """Ring again. A broker that is down is no loss: the rows are found again later."""
    try:
        resend(devices, isolated=isolated)
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="devices", count=len(devices))


def _log_unanswered(devices: list[DeviceResult]) -> None:
    ttl = settings.NETRAVEN.message_ttl_seconds
    for run_id, count in Counter(device.run_id for device in devices).items():
        _log(run_id, f"{count} devices were sent again: no worker took them within {ttl:g} s")


def _start_forgotten_runs() -> int:
    forgotten = runs.runs_take_forgotten(limit=_LIMIT)
    for run_id in forgotten:
        if not ring(run_id):
            break  # nor would it take the others
        _log(run_id, "no worker had started the run, so it was asked for again")
    return len(forgotten)


def _advance_open_runs() -> int:
    """Finalise, go on with, or expire every run that is still open."""
    ended = 0
    for run in runs_open()[:_LIMIT]:
        if run.is_late:
            ended += run_expire(run=run)
            continue
        if run.status == RunStatus.RUNNING and run_is_stalled(run=run):
            ended += _advance_stalled(run)
    return ended


def _advance_stalled(run: JobRun) -> bool:
    """Go on with a run that no task goes on with; True when that ended it."""
    done = run_advance(run.pk)
    if done is Advance.SENT:
        _log(run.pk, "the run stood still, so its next devices were sent")
    if done is Advance.ENDED:
        _log(run.pk, "all devices had ended and no task had said so, so the run was ended")
    return done is Advance.ENDED


def _log(run_id: int, message: str) -> None:
    job_log(run=run_id, level=LogLevel.WARNING, message=f"reconciler: {message}")


def _notify() -> int:
    """What goes wrong with messages must not keep runs from being brought to their end."""
    try:
        return notifications_send()
    except Exception:
        logger.exception("notifications.failed")
        return 0


def _index() -> int:
    return 0 if git_is_queued() else projections.catch_up(limit=_REVISIONS_AT_ONCE)


def _commit_pending() -> int:
    """Bring into Git what waits for it too long, or have it brought there by its queue."""
    if results.results_take_uncommitted() or (git_is_queued() and leftovers_are_waiting()):
        commits_send()
    if git_is_queued():
        return 0
    older = settings.NETRAVEN.lease_seconds
    devices = devices_with_pending_snapshots(older_than_seconds=older, limit=_LIMIT)
    give_up = time.monotonic() + _COMMIT_SECONDS
    for done, device_id in enumerate(devices):
        if time.monotonic() > give_up:
            return done
        try:
            snapshots_commit(device_id=device_id)
        except DeviceError as error:
            # Whatever it is, the next one would most likely wait for it just as long.
            logger.warning("git_store.behind", devices=len(devices) - done, error=error.message)
            return done
    return len(devices)
