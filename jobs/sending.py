"""Sending messages to workers: for the devices of a run, for the run itself, for commits.

The tasks themselves send by these functions, so that this module looks tasks up by name. A message
is a doorbell: one that is lost is sent again by the reconciler.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import structlog
from celery import Task, current_app
from celery.canvas import Signature
from django.conf import settings

from inventory.models import Device
from jobs.broker import BROKER_DOWN
from jobs.chords import chord_send
from jobs.models import DeviceResult
from jobs.queues import CONTROL_QUEUE, DEVICES_QUEUE, GIT_QUEUE, ISOLATED_QUEUE, zone_queue
from jobs.services.commits import HandedOver
from jobs.services.parking import Released

logger = structlog.get_logger(__name__)

#: Names of the tasks that are sent for.
BACKUP_DEVICE = "jobs.backup_device"
ADVANCE_RUN = "jobs.advance_run"
COMMIT_SNAPSHOTS = "jobs.commit_snapshots"
#: From the end of a session to the end of its task: checking, redacting and storing.
_AFTER_DEADLINE_SECONDS = 60


def device_queue(device: Device | None) -> str:
    """The queue whose workers reach ``device``; a deleted one is anybody's."""
    zone = device.zone if device else None
    return DEVICES_QUEUE if zone is None else zone_queue(zone.name)


def device_label(result: DeviceResult) -> dict[str, Any]:
    """What Flower shows beside the id; the message itself carries the id only."""
    return {"kwargsrepr": f"{{'device': '{result.hostname}', 'run': {result.run_id}}}"}


def send_wave(run_id: int, results: Iterable[DeviceResult]) -> None:
    """One chord: a task per device, and ``advance`` when they are through, whatever happened."""
    header = [
        (result.pk, {"queue": device_queue(result.device), **device_label(result)})
        for result in results
    ]
    body = _advance(run_id).on_error(_advance(run_id))
    chord_send(task=_task(BACKUP_DEVICE), header=header, body=body)


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
            _signature(result, queue).apply_async(
                countdown=delay, ignore_result=True, time_limit=_time_limit(result.device)
            )
        for run_id in sorted(released.run_ids):
            _advance(run_id).apply_async()
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="parked devices", count=len(released.results))


def resend(results: Iterable[DeviceResult], *, isolated: bool) -> None:
    """Ring again for single devices; each one advances its run when it is done.

    ``isolated`` sends those that killed a worker to the pool in which each task has a process.
    """
    for result in results:
        queue = device_queue(result.device)
        if isolated and queue == DEVICES_QUEUE:
            queue = ISOLATED_QUEUE
        _ring(result, queue)


def commits_send(*, seconds: float = 0) -> None:
    """Ask the ``git`` queue to commit what waits then. A broker that is down is no loss."""
    try:
        _task(COMMIT_SNAPSHOTS).apply_async(queue=GIT_QUEUE, countdown=seconds)
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="commits")


def handed_over_go_on(done: HandedOver) -> None:
    """Advance the runs whose devices have ended, and have those tried again whose commit failed."""
    try:
        for result, seconds in done.retries:
            _ring(result, device_queue(result.device), countdown=seconds)
        for run_id in done.run_ids:
            _advance(run_id).apply_async()
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="devices", count=len(done.retries))


def _ring(result: DeviceResult, queue: str, countdown: float = 0) -> None:
    """Send for one device; its run is advanced when it is done."""
    _signature(result, queue).apply_async(
        link=_advance(result.run_id),
        ignore_result=True,
        countdown=countdown,
        time_limit=_time_limit(result.device),
    )


def _time_limit(device: Device | None) -> float:
    """Seconds after which a child of the isolated pool is killed. Threads know no such limit."""
    own = device.deadline_seconds if device else None
    return (own or settings.NETRAVEN.device_deadline_seconds) + _AFTER_DEADLINE_SECONDS


def _signature(result: DeviceResult, queue: str) -> Signature[Any]:
    signature: Signature[Any] = _task(BACKUP_DEVICE).si(result.pk)
    return signature.set(queue=queue, **device_label(result))


def _advance(run_id: int) -> Signature[Any]:
    signature: Signature[Any] = _task(ADVANCE_RUN).si(run_id)
    return signature.set(queue=CONTROL_QUEUE)


def _task(name: str) -> Task[..., Any]:
    task: Task[..., Any] = current_app.tasks[name]
    return task
