"""The Celery tasks. Messages carry ids only; the rows that they point to are the truth."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

from celery import Task, chord, shared_task
from celery.canvas import Signature
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from backups.services.remotes import remotes_mark_changed
from backups.services.retention import archives_prune
from inventory.models import Device
from jobs import leases
from jobs.choices import RunStatus
from jobs.git_tasks import pushes_send
from jobs.models import DeviceResult, JobRun
from jobs.policy.limits import LimitKind, limit_key
from jobs.selectors.limits import parked_lines
from jobs.services import runs
from jobs.services.backup import device_back_up
from jobs.services.breaker import run_skip_broken
from jobs.services.detection import detection_run
from jobs.services.parking import Released, parked_release, room_made
from jobs.services.results import Claim, result_claim
from jobs.services.retention import logs_prune
from jobs.services.sessions import database_use

logger = logging.getLogger(__name__)

CONTROL_QUEUE = "control"
DEVICES_QUEUE = "devices"
ISOLATED_QUEUE = "isolated"
#: So many waves of a run are under way at once.
_WAVES_AT_ONCE = 2
#: What sending raises then: the queue in Kombu's words, the chord's counter in those of Redis.
_BROKER_DOWN = (OperationalError, RedisError)


def device_queue(device: Device | None) -> str:
    """The queue whose workers reach ``device``; a deleted one is anybody's."""
    zone = device.zone if device else None
    return DEVICES_QUEUE if zone is None else f"zone-{zone.name}"


@shared_task(name="jobs.backup_device", bind=True, max_retries=None)
def backup_device(self: Task[..., Any], result_id: int) -> str:
    """Back up one device. Never raises for what a device does, so that its chord completes."""
    with database_use():
        result = result_claim(result_id=result_id)
    if result is None:
        return "nothing to do"
    with leases.held(Claim(result.pk, result.attempts)):
        done = device_back_up(result=result, on_proven=lambda: _end_probation(result))
    if result.limit_keys or result.parked_reason or (done is not None and done.was_refused):
        with database_use():
            released = room_made(result=result)
        send_released(released)
    if done is None:
        return "claim lost"
    if done.retry_seconds is not None:
        raise self.retry(countdown=done.retry_seconds, **_label(result))
    return str(done.status)


@shared_task(name="jobs.detect_platform", ignore_result=True)
def detect_platform(detection_id: int) -> None:
    """Find out the platform of the device of a detection."""
    detection_run(detection_id=detection_id)


@shared_task(name="jobs.dispatch_run", ignore_result=True)
def dispatch_run(run_id: int) -> None:
    """Start a run: resolve its credentials and send the first two waves."""
    run = JobRun.objects.get(pk=run_id)
    if runs.run_start(run=run):
        run_skip_broken(run=run)
        for _ in range(_WAVES_AT_ONCE):
            advance(run_id)
        _release(parked_lines(run_id=run_id))


@shared_task(name="jobs.advance_run", ignore_result=True)
def advance(run_id: int) -> None:
    """Send the next wave of a run, or finalise it: body and errback of every chord.

    Safe to call at any time by anybody; a run that needs nothing is left alone.
    """
    run = JobRun.objects.get(pk=run_id)
    if run.status != RunStatus.RUNNING:
        return
    if not _resolve(run):
        return
    try:
        wave = runs.run_take_wave(run=run)
        if wave:
            send_wave(run_id, wave)
    except _BROKER_DOWN:
        logger.warning("the broker is down; the devices of run %s are sent again later", run_id)
        return
    except Exception:
        logger.exception("sending a wave of run %s failed", run_id)
        reason = "the devices could not be dispatched; the worker's log has more"
        runs.run_fail(run=run, status=RunStatus.FAILED_DISPATCHER_ERROR, reason=reason)
        return
    if runs.run_finalise(run=run):
        _push_if_changed(run)


@shared_task(name="jobs.prune", ignore_result=True)
def prune() -> None:
    """Delete what is no longer to be kept; the scheduler asks for it every day."""
    with database_use():
        logger.info("pruned: %s, %s", archives_prune(), logs_prune())


def send_wave(run_id: int, results: Iterable[DeviceResult]) -> None:
    """One chord: a task per device, and ``advance`` when they are through, whatever happened."""
    header = [_signature(result, device_queue(result.device)) for result in results]
    body = advance.si(run_id).set(queue=CONTROL_QUEUE)
    errback = advance.si(run_id).set(queue=CONTROL_QUEUE)
    chord(header)(body.on_error(errback))


def send_released(released: Released) -> None:
    """Ring for parked devices that got room, and for runs that may go on.

    A broker that is down is no loss: the rows are found again later.
    """
    try:
        starts: Counter[int] = Counter()
        for result in released.results:
            queue = device_queue(result.device)
            if result.losses and queue == DEVICES_QUEUE:
                queue = ISOLATED_QUEUE
            rate = result.run.starts_per_second
            delay = starts[result.run_id] / rate if rate else 0.0
            starts[result.run_id] += 1
            _signature(result, queue).apply_async(countdown=delay, ignore_result=True)
        for run_id in sorted(released.run_ids) * _WAVES_AT_ONCE:
            advance.si(run_id).set(queue=CONTROL_QUEUE).apply_async()
    except _BROKER_DOWN:
        logger.warning("the broker is down; parked devices are sent again later")


def _release(lines: list[str]) -> None:
    """Let go on who waits in these lines; what fails is done again by the heartbeat."""
    try:
        send_released(parked_release(lines=lines))
    except Exception:
        logger.exception("parked devices could not be released; it is tried again in a moment")


def _end_probation(result: DeviceResult) -> None:
    """Let everybody go on who waited for the credential of ``result`` to be taken."""
    with database_use():
        _release([limit_key(LimitKind.TRIAL, result.run_id, result.credential_id or 0)])


def resend(results: Iterable[DeviceResult], *, isolated: bool) -> None:
    """Ring again for single devices; each one advances its run when it is done.

    ``isolated`` sends those that killed a worker to the pool in which each task has a process.
    """
    for result in results:
        queue = device_queue(result.device)
        if isolated and queue == DEVICES_QUEUE:
            queue = ISOLATED_QUEUE
        then = advance.si(result.run_id).set(queue=CONTROL_QUEUE)
        _signature(result, queue).apply_async(link=then, ignore_result=True)


def _resolve(run: JobRun) -> bool:
    """Resolve what is unresolved; on failure the run ends and the answer is False."""
    try:
        runs.run_resolve_credentials(run=run)
    except Exception:
        logger.exception("resolving the credentials of run %s failed", run.pk)
        reason = "the credentials could not be resolved; the worker's log has more"
        runs.run_fail(run=run, status=RunStatus.FAILED_CREDENTIAL_RESOLUTION, reason=reason)
        return False
    return True


def _push_if_changed(run: JobRun) -> None:
    if run.results.filter(config_changed=True).exists() and remotes_mark_changed():
        pushes_send(run_id=run.pk)


def _signature(result: DeviceResult, queue: str) -> Signature[Any]:
    signature: Signature[Any] = backup_device.si(result.pk)
    return signature.set(queue=queue, **_label(result))


def _label(result: DeviceResult) -> dict[str, Any]:
    """What Flower shows beside the id; the message itself carries the id only."""
    return {"kwargsrepr": f"{{'device': '{result.hostname}', 'run': {result.run_id}}}"}
