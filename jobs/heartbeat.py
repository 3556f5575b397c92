"""The threads beside the work in each worker process: one renews leases, another reconciles.

What is slow, while the broker or the Git store hangs, must not keep leases from being renewed:
devices whose sessions live would be given to others.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from celery.signals import worker_process_init, worker_ready, worker_shutdown
from django.conf import settings
from django.db import connection

from jobs import leases
from jobs.draining import listen_in_child
from jobs.presence import Presence, identity_of
from jobs.reconcile import reconcile_if_elected
from jobs.services.durations import durations_write
from jobs.services.results import leases_renew
from jobs.waking import WAKE_SECONDS, wake_if_elected
from jobs.watchdog import HungThreads, StalledConsumer

logger = structlog.get_logger(__name__)

#: How long a session goes on at the most whose run was cancelled.
_LOOK_SECONDS = 2.0


@dataclass(slots=True)
class Duty:
    """Something that a worker process does again and again beside its work."""

    name: str
    #: From one time to the next.
    seconds: float
    carry_out: Callable[[], object]
    #: When it is due, on the monotonic clock.
    due: float = field(default_factory=time.monotonic)


class Heartbeat:
    """Beats as long as the process lives, also while it finishes its work after TERM."""

    def __init__(self, duties: list[Duty], *, name: str) -> None:
        """``name`` is that of the thread."""
        self._duties = duties
        self._name = name

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(max(0.0, min(duty.due for duty in self._duties) - time.monotonic()))
            self._beat()

    def _beat(self) -> None:
        """Carry out what is due. Without a database it is reported and tried again later."""
        try:
            for duty in self._duties:
                if duty.due <= time.monotonic():
                    duty.due = time.monotonic() + duty.seconds
                    _carry_out(duty)
        finally:
            # This connection is not Celery's to close.
            connection.close()


def _carry_out(duty: Duty) -> None:
    """Do it once; that it fails must not keep the others from being done."""
    try:
        duty.carry_out()
    except Exception:
        logger.exception(
            "heartbeat.duty_failed", duty=duty.name, process=os.getpid(), retry_seconds=duty.seconds
        )


def _renew() -> None:
    claims = leases.held_now()
    if claims:
        leases_renew(claims=claims)


def _own_duties() -> list[Duty]:
    """What each process does that holds claims."""
    return [
        Duty("renew leases", settings.NETRAVEN.heartbeat_seconds, _renew),
        Duty("call off sessions", _LOOK_SECONDS, leases.call_off_gone),
        Duty("write down durations", settings.NETRAVEN.heartbeat_seconds, durations_write),
    ]


def _on_ready(sender: Any, **_: Any) -> None:
    config = settings.NETRAVEN
    presence = Presence(identity_of(sender))
    report = Duty("report this worker", config.heartbeat_seconds, presence.report)
    reconcile = Duty("reconcile", config.reconcile_seconds, reconcile_if_elected)
    wake = Duty("release parked devices", WAKE_SECONDS, wake_if_elected)
    Heartbeat(_own_duties(), name="heartbeat").start()
    Heartbeat([report, reconcile, wake, *_watch(sender)], name="maintenance").start()
    worker_shutdown.connect(lambda **_: presence.leave(), weak=False)


def _watch(consumer: Any) -> list[Duty]:
    """What the worker does to notice that it is of no use any more."""
    size = consumer.pool.num_processes
    hung, stalled = HungThreads(pool_size=size), StalledConsumer(consumer, pool_size=size)
    return [
        Duty("watch its threads", settings.NETRAVEN.heartbeat_seconds, hung.look),
        Duty("watch its queues", settings.NETRAVEN.lease_seconds / 2, stalled.look),
    ]


def _on_child(**_: Any) -> None:
    # A prefork child renews its own claims; its parent reconciles.
    listen_in_child()
    Heartbeat(_own_duties(), name="heartbeat").start()


def connect() -> None:
    """Beat in every Celery worker process from its start to its end."""
    worker_ready.connect(_on_ready, weak=False, dispatch_uid="netraven-heartbeat")
    worker_process_init.connect(_on_child, weak=False, dispatch_uid="netraven-heartbeat-child")
